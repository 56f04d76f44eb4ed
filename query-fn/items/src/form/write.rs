//! Writes a value of the table in either form.

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Number, Value, json};

use super::{Form, is_marked};

pub(super) fn plain(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => Value::String(text.clone()),
        AttributeValue::N(digits) => json_number(digits),
        AttributeValue::Bool(flag) => Value::Bool(*flag),
        AttributeValue::Null(_) => Value::Null,
        AttributeValue::L(values) => Value::Array(values.iter().map(plain).collect()),
        AttributeValue::M(fields) => {
            let is_only = fields.len() == 1;
            let escaped = |name: &String| if is_only && is_marked(name) { format!("${name}") } else { name.clone() };
            Value::Object(fields.iter().map(|(name, value)| (escaped(name), plain(value))).collect())
        }
        AttributeValue::B(blob) => json!({ "$B": base64(blob) }),
        AttributeValue::Ss(texts) => json!({ "$SS": texts }),
        AttributeValue::Ns(numbers) => {
            json!({ "$NS": numbers.iter().map(|digits| json_number(digits)).collect::<Vec<_>>() })
        }
        AttributeValue::Bs(blobs) => json!({ "$BS": blobs.iter().map(base64).collect::<Vec<_>>() }),
        // The SDK's enum may grow; DynamoDB has had these types since 2014.
        _ => Value::Null,
    }
}

pub(super) fn typed(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => json!({ "S": text }),
        AttributeValue::N(digits) => json!({ "N": digits }),
        AttributeValue::Bool(flag) => json!({ "BOOL": flag }),
        AttributeValue::L(values) => json!({ "L": values.iter().map(typed).collect::<Vec<_>>() }),
        AttributeValue::M(fields) => json!({ "M": Form::Typed.write_item(fields) }),
        AttributeValue::B(blob) => json!({ "B": base64(blob) }),
        AttributeValue::Ss(texts) => json!({ "SS": texts }),
        AttributeValue::Ns(numbers) => json!({ "NS": numbers }),
        AttributeValue::Bs(blobs) => json!({ "BS": blobs.iter().map(base64).collect::<Vec<_>>() }),
        _ => json!({ "NULL": true }),
    }
}

fn base64(blob: &Blob) -> String {
    STANDARD.encode(blob.as_ref())
}

/// A number as it lies; DynamoDB returns none that is not valid JSON.
fn json_number(digits: &str) -> Value {
    digits.parse::<Number>().map_or_else(|_| Value::String(digits.to_owned()), Value::Number)
}
