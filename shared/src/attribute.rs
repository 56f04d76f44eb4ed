//! Converts JSON values to DynamoDB attribute values and back without loss.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Map, Number, Value};
use std::collections::HashMap;

use crate::number::Decimal;

/// Marks a value that DynamoDB cannot hold as it is: a map with this one name, whose value is the JSON text.
///
/// Needed for numbers past 38 digits or past 10^125 and for values nested deeper than DynamoDB's 32 levels. No field of a
/// message can be mistaken for it, because [`escape`] puts another `$` before every name that begins with one.
const JSON_TEXT: &str = "$json";

/// DynamoDB nests up to 32 levels; the item itself and the marker take the rest.
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>)
const MAX_DEPTH: usize = 28;

/// A field's name as an attribute's: never empty (DynamoDB refuses that), never the marker.
#[must_use]
pub fn escape(name: &str) -> String {
    if name.is_empty() || name.starts_with('$') { format!("${name}") } else { name.to_owned() }
}

/// Undoes [`escape`].
#[must_use]
pub fn unescape(name: &str) -> &str {
    name.strip_prefix('$').unwrap_or(name)
}

/// A JSON value as an attribute: string to S, number to N with its digits, array to L, object to M, and so on.
#[must_use]
pub fn from_json(value: Value) -> AttributeValue {
    at_depth(value, 0)
}

fn at_depth(value: Value, depth: usize) -> AttributeValue {
    match value {
        Value::Null => AttributeValue::Null(true),
        Value::Bool(flag) => AttributeValue::Bool(flag),
        Value::String(text) => AttributeValue::S(text),
        Value::Number(number) => match Decimal::parse(number.as_str()) {
            Some(decimal) if decimal.fits_dynamodb() => AttributeValue::N(number.as_str().to_owned()),
            _ => json_text(number.to_string()),
        },
        nested if depth >= MAX_DEPTH => json_text(nested.to_string()),
        Value::Array(values) => AttributeValue::L(values.into_iter().map(|value| at_depth(value, depth + 1)).collect()),
        Value::Object(fields) => AttributeValue::M(
            fields.into_iter().map(|(name, value)| (escape(&name), at_depth(value, depth + 1))).collect(),
        ),
    }
}

fn json_text(text: String) -> AttributeValue {
    AttributeValue::M(HashMap::from([(JSON_TEXT.to_owned(), AttributeValue::S(text))]))
}

/// Why an attribute is no JSON value of ours.
#[derive(Debug, thiserror::Error)]
pub enum AttributeError {
    /// Binary values and sets: no message becomes one.
    #[error("attribute type has no json form")]
    Type,
    /// An N that is no number, or a marked text that is no JSON.
    #[error("attribute is not valid json: {0}")]
    Json(#[from] serde_json::Error),
}

/// An attribute as the JSON value it was made from; numbers keep every digit that DynamoDB kept.
///
/// # Errors
///
/// [`AttributeError`] for attributes that [`from_json`] does not make.
pub fn to_json(attribute: &AttributeValue) -> Result<Value, AttributeError> {
    Ok(match attribute {
        AttributeValue::Null(_) => Value::Null,
        AttributeValue::Bool(flag) => Value::Bool(*flag),
        AttributeValue::S(text) => Value::String(text.clone()),
        AttributeValue::N(digits) => Value::Number(digits.parse::<Number>()?),
        AttributeValue::L(values) => Value::Array(values.iter().map(to_json).collect::<Result<_, _>>()?),
        AttributeValue::M(fields) => match (fields.len(), fields.get(JSON_TEXT)) {
            (1, Some(AttributeValue::S(text))) => serde_json::from_str(text)?,
            _ => {
                let mut object = Map::new();
                for (name, value) in fields {
                    object.insert(unescape(name).to_owned(), to_json(value)?);
                }
                Value::Object(object)
            }
        },
        _ => return Err(AttributeError::Type),
    })
}

/// The attribute's size as DynamoDB counts it, in bytes, rounded up where its rule for numbers is inexact.
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>)
#[must_use]
pub fn size(attribute: &AttributeValue) -> usize {
    match attribute {
        AttributeValue::S(text) => text.len(),
        AttributeValue::N(digits) => (digits.len() / 2 + 2).min(21),
        AttributeValue::B(bytes) => bytes.as_ref().len(),
        AttributeValue::L(values) => 3 + values.iter().map(|value| size(value) + 1).sum::<usize>(),
        AttributeValue::M(fields) => 3 + fields.iter().map(|(name, value)| name.len() + size(value) + 1).sum::<usize>(),
        _ => 1,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn back(text: &str) -> String {
        let value: Value = serde_json::from_str(text).unwrap();
        to_json(&from_json(value)).unwrap().to_string()
    }

    #[test]
    fn every_type_comes_back() {
        let text = r#"{"a":[["8732.02","0.00002478"],[]],"b":true,"n":0.0015847299999999999,"o":{"":1,"$":2,"$json":"3"},"z":null}"#;
        assert_eq!(back(text), text);
    }

    #[test]
    fn numbers_that_dynamodb_cannot_hold_come_back_digit_by_digit() {
        for text in ["9".repeat(39), "1e+126".to_owned(), "1e-131".to_owned(), format!("-0.{}", "123456789".repeat(9))]
        {
            assert_eq!(back(&text), text);
            let list = format!(r#"[{{"x":{text}}}]"#);
            assert_eq!(back(&list), list);
        }
    }

    #[test]
    fn deep_values_come_back() {
        let text = format!("{}7{}", "[".repeat(100), "]".repeat(100));
        assert_eq!(back(&text), text);
        assert!(depth(&from_json(serde_json::from_str(&text).unwrap())) <= 31);
    }

    fn depth(attribute: &AttributeValue) -> usize {
        match attribute {
            AttributeValue::L(values) => 1 + values.iter().map(depth).max().unwrap_or_default(),
            AttributeValue::M(fields) => 1 + fields.values().map(depth).max().unwrap_or_default(),
            _ => 1,
        }
    }

    #[test]
    fn sets_and_bytes_are_not_ours() {
        assert!(matches!(to_json(&AttributeValue::Ss(vec![])), Err(AttributeError::Type)));
        assert!(matches!(to_json(&AttributeValue::N("NaN".to_owned())), Err(AttributeError::Json(_))));
    }
}
