//! Converts items to DynamoDB's JSON form and computes their size.

use std::collections::HashMap;

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use base64::{Engine, prelude::BASE64_STANDARD};
use serde_json::{Map, Value, json};

/// An item, or a part of one.
pub type Item = HashMap<String, AttributeValue>;

/// Attributes in the service's own JSON form, names sorted.
pub fn to_json(item: &Item) -> Value {
    let mut names: Vec<_> = item.iter().collect();
    names.sort_unstable_by_key(|(name, _)| *name);
    Value::Object(names.into_iter().map(|(name, value)| (name.clone(), value_to_json(value))).collect())
}

/// One value in the service's own JSON form; sets and nested values by their type alone.
pub fn value_to_json(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => json!({"S": text}),
        AttributeValue::N(digits) => json!({"N": digits}),
        AttributeValue::B(bytes) => json!({"B": BASE64_STANDARD.encode(bytes)}),
        AttributeValue::Bool(flag) => json!({"BOOL": flag}),
        AttributeValue::Null(_) => json!({"NULL": true}),
        AttributeValue::L(elements) => json!({"L": elements.iter().map(value_to_json).collect::<Vec<_>>()}),
        AttributeValue::M(fields) => json!({"M": to_json(fields)}),
        AttributeValue::Ss(texts) => json!({"SS": texts}),
        AttributeValue::Ns(numbers) => json!({"NS": numbers}),
        _ => json!({"BS": "..."}),
    }
}

/// A key (N, S and B only) from its JSON form.
pub fn key_from_json(value: &Value) -> Option<Item> {
    value.as_object()?.iter().map(|(name, typed)| Some((name.clone(), scalar(typed.as_object()?)?))).collect()
}

fn scalar(typed: &Map<String, Value>) -> Option<AttributeValue> {
    let (kind, value) = typed.iter().next()?;
    let text = value.as_str()?;
    match kind.as_str() {
        "S" => Some(AttributeValue::S(text.to_owned())),
        "N" => Some(AttributeValue::N(text.to_owned())),
        "B" => Some(AttributeValue::B(Blob::new(BASE64_STANDARD.decode(text).ok()?))),
        _ => None,
    }
}

/// The size of an item as the service counts it, in bytes.
pub fn item_size(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + shared::attribute::size(value)).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_key_comes_back() {
        let key = Item::from([
            ("id".to_owned(), AttributeValue::N("12345678901234567890123456789012345678".to_owned())),
            ("microtimestamp".to_owned(), AttributeValue::S("1\"#\u{e9}".to_owned())),
            ("b".to_owned(), AttributeValue::B(Blob::new([0, 255, 7]))),
        ]);
        assert_eq!(key_from_json(&to_json(&key)), Some(key));
        assert_eq!(key_from_json(&json!({"a": {"BOOL": true}})), None);
    }
}
