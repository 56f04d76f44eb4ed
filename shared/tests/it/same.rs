//! When two JSON values are the same: numbers by value, everything else to the letter.

use serde_json::Value;
use shared::event::Event;
use shared::item::Item;
use shared::number::Decimal;

use aws_sdk_dynamodb::types::AttributeValue;

pub(crate) fn canonical(value: &Value) -> String {
    match value {
        Value::Number(number) => Decimal::parse(number.as_str()).unwrap().canonical(),
        Value::Array(values) => format!("[{}]", values.iter().map(canonical).collect::<Vec<_>>().join(",")),
        Value::Object(fields) => {
            let mut parts: Vec<_> = fields.iter().map(|(k, v)| format!("{k:?}:{}", canonical(v))).collect();
            parts.sort();
            format!("{{{}}}", parts.join(","))
        }
        other => other.to_string(),
    }
}

pub(crate) fn canonical_event(event: &Event) -> String {
    let extra = Value::Object(event.extra.clone());
    format!("{} {} {} {}", event.channel, event.name, canonical(&event.data), canonical(&extra))
}

/// What a store returns: DynamoDB drops zeros at the end and spells exponents out.
pub(crate) fn stored(item: Item) -> Item {
    item.into_iter().map(|(name, value)| (name, stored_value(value))).collect()
}

fn stored_value(value: AttributeValue) -> AttributeValue {
    match value {
        AttributeValue::N(digits) => {
            let canonical = Decimal::parse(&digits).unwrap();
            assert!(canonical.fits_dynamodb(), "N of {digits}");
            AttributeValue::N(canonical.canonical())
        }
        AttributeValue::L(values) => AttributeValue::L(values.into_iter().map(stored_value).collect()),
        AttributeValue::M(fields) => {
            assert!(fields.keys().all(|name| !name.is_empty()));
            AttributeValue::M(fields.into_iter().map(|(name, value)| (name, stored_value(value))).collect())
        }
        other => other,
    }
}

/// What a table returns: DynamoDB spells each number in one way, with all digits and without zeros at either end.
pub(crate) fn returned(item: &Item) -> Item {
    item.iter().map(|(name, value)| (name.clone(), returned_value(value))).collect()
}

fn returned_value(value: &AttributeValue) -> AttributeValue {
    match value {
        AttributeValue::N(digits) => AttributeValue::N(Decimal::parse(digits).unwrap().plain()),
        AttributeValue::L(values) => AttributeValue::L(values.iter().map(returned_value).collect()),
        AttributeValue::M(fields) => AttributeValue::M(returned(fields)),
        other => other.clone(),
    }
}
