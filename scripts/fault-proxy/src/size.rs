//! Computes item sizes and write units by the documented rules.

use serde_json::{Map, Value};

/// The write units of an item: one for each started kilobyte.
/// Source: <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/read-write-operations.html>
pub fn write_units(item: &Map<String, Value>) -> u32 {
    u32::try_from(item_size(item).div_ceil(1024)).unwrap_or(u32::MAX).max(1)
}

/// The size of an item in bytes by the documented rules: names and strings in UTF-8, numbers two digits to a byte plus
/// one, binaries decoded, three bytes for a list or map and one for each element.
/// Source: <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>
pub fn item_size(item: &Map<String, Value>) -> usize {
    item.iter().map(|(name, value)| name.len() + value_size(value)).sum()
}

fn value_size(value: &Value) -> usize {
    let Some((kind, inner)) = value.as_object().and_then(|typed| typed.iter().next()) else { return 0 };
    match (kind.as_str(), inner) {
        ("S", Value::String(text)) => text.len(),
        ("N", Value::String(digits)) => number_size(digits),
        ("B", Value::String(base64)) => base64.len() / 4 * 3,
        ("SS", Value::Array(texts)) => texts.iter().filter_map(Value::as_str).map(str::len).sum(),
        ("NS", Value::Array(numbers)) => numbers.iter().filter_map(Value::as_str).map(number_size).sum(),
        ("BS", Value::Array(blobs)) => blobs.iter().filter_map(Value::as_str).map(|blob| blob.len() / 4 * 3).sum(),
        ("L", Value::Array(elements)) => 3 + elements.iter().map(|element| 1 + value_size(element)).sum::<usize>(),
        ("M", Value::Object(fields)) => {
            3 + fields.iter().map(|(name, field)| 1 + name.len() + value_size(field)).sum::<usize>()
        }
        _ => 1,
    }
}

fn number_size(digits: &str) -> usize {
    let mantissa = digits.split(['e', 'E']).next().unwrap_or(digits);
    let significant: String = mantissa.chars().filter(char::is_ascii_digit).collect();
    let significant = significant.trim_matches('0');
    significant.len().div_ceil(2) + 1 + usize::from(digits.starts_with('-'))
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn size(item: Value) -> usize {
        item_size(item.as_object().unwrap())
    }

    #[test]
    fn sizes_follow_the_documented_rules() {
        assert_eq!(size(json!({"id": {"S": "abc"}})), 5);
        assert_eq!(size(json!({"id": {"N": "123"}})), 2 + 3);
        assert_eq!(size(json!({"id": {"N": "-100"}})), 2 + 3);
        assert_eq!(size(json!({"l": {"L": [{"BOOL": true}, {"S": "xy"}]}})), 1 + 3 + 2 + 3);
        assert_eq!(size(json!({"m": {"M": {"k": {"NULL": true}}}})), 1 + 3 + 1 + 1 + 1);
    }

    #[test]
    fn write_units_round_up_to_kilobytes() {
        let item = |bytes: usize| json!({"s": {"S": "x".repeat(bytes - 1)}});
        assert_eq!(write_units(item(1024).as_object().unwrap()), 1);
        assert_eq!(write_units(item(1025).as_object().unwrap()), 2);
        assert_eq!(write_units(&Map::new()), 1);
    }
}
