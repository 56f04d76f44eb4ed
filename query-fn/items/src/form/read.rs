//! Reads a value that a request wrote in either form.

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};
use shared::item::Item;

use super::{InvalidValue, MARKED, TYPES, digits, is_marked, only};

pub(super) fn plain(place: &str, value: &Value) -> Result<AttributeValue, InvalidValue> {
    if let Some((name, inner)) = only(value)
        && let Some(kind) = name.strip_prefix('$').filter(|_| is_marked(name))
    {
        if MARKED.contains(&kind) {
            return of_type(place, kind, inner);
        }
        let inner = plain(&format!("{place}.{kind}"), inner)?;
        return Ok(AttributeValue::M([(kind.to_owned(), inner)].into()));
    }
    Ok(match value {
        Value::Null => AttributeValue::Null(true),
        Value::Bool(flag) => AttributeValue::Bool(*flag),
        Value::String(text) => AttributeValue::S(text.clone()),
        Value::Number(digits) => number(place, digits.as_str())?,
        Value::Array(values) => AttributeValue::L(list(place, values, plain)?),
        Value::Object(fields) => AttributeValue::M(map(place, fields, plain)?),
    })
}

pub(super) fn typed(place: &str, value: &Value) -> Result<AttributeValue, InvalidValue> {
    match only(value) {
        Some((kind, inner)) if TYPES.contains(&kind) => of_type(place, kind, inner),
        _ => Err(invalid(
            place,
            format!("expected one type and its value, as {{\"S\": \"text\"}}; types are {}", TYPES.join(", ")),
        )),
    }
}

type Read = fn(&str, &Value) -> Result<AttributeValue, InvalidValue>;

fn list(place: &str, values: &[Value], read: Read) -> Result<Vec<AttributeValue>, InvalidValue> {
    values.iter().enumerate().map(|(index, value)| read(&format!("{place}[{index}]"), value)).collect()
}

fn map(place: &str, fields: &Map<String, Value>, read: Read) -> Result<Item, InvalidValue> {
    fields.iter().map(|(name, value)| Ok((name.clone(), read(&format!("{place}.{name}"), value)?))).collect()
}

/// Reads the value of a type that typed JSON names.
fn of_type(place: &str, kind: &str, value: &Value) -> Result<AttributeValue, InvalidValue> {
    let expected = |what: &str| invalid(place, format!("{kind} expects {what}"));
    let text = |value: &Value| value.as_str().map(str::to_owned);
    Ok(match (kind, value) {
        ("S", Value::String(text)) => AttributeValue::S(text.clone()),
        ("N", Value::String(digits)) => number(place, digits)?,
        ("B", value) => AttributeValue::B(bytes(value).ok_or_else(|| expected("base64 text"))?),
        ("BOOL", Value::Bool(flag)) => AttributeValue::Bool(*flag),
        ("NULL", Value::Bool(true)) => AttributeValue::Null(true),
        ("L", Value::Array(values)) => AttributeValue::L(list(place, values, typed)?),
        ("M", Value::Object(fields)) => AttributeValue::M(map(place, fields, typed)?),
        ("SS", Value::Array(values)) if !values.is_empty() => {
            AttributeValue::Ss(set(values, text).ok_or_else(|| expected("different texts"))?)
        }
        ("NS", Value::Array(values)) if !values.is_empty() => {
            // Plain JSON writes them as numbers, typed JSON as texts.
            let number = |value: &Value| match value {
                Value::Number(number) => digits(number.as_str()),
                other => digits(other.as_str()?),
            };
            AttributeValue::Ns(set(values, number).ok_or_else(|| expected("different numbers of at most 38 digits"))?)
        }
        ("BS", Value::Array(values)) if !values.is_empty() => {
            AttributeValue::Bs(set(values, bytes).ok_or_else(|| expected("different base64 texts"))?)
        }
        ("S", _) => return Err(expected("a text")),
        ("N", _) => return Err(expected("a number as text")),
        ("BOOL", _) => return Err(expected("true or false")),
        ("NULL", _) => return Err(expected("true")),
        ("L", _) => return Err(expected("an array")),
        ("M", _) => return Err(expected("an object")),
        _ => return Err(expected("an array that is not empty")),
    })
}

fn number(place: &str, text: &str) -> Result<AttributeValue, InvalidValue> {
    let digits = digits(text).ok_or_else(|| {
        let shown: String = text.chars().take(60).collect();
        invalid(
            place,
            format!("`{shown}` is no number of at most 38 digits from 1e-130 to 9.9e125, which DynamoDB keeps exactly"),
        )
    })?;
    Ok(AttributeValue::N(digits))
}

fn bytes(value: &Value) -> Option<Blob> {
    STANDARD.decode(value.as_str()?).ok().map(Blob::new)
}

/// Reads the members of a set; `None` if one is invalid or is there twice.
fn set<T: PartialEq>(values: &[Value], read: impl Fn(&Value) -> Option<T>) -> Option<Vec<T>> {
    let mut members = Vec::with_capacity(values.len());
    for value in values {
        let member = read(value)?;
        if members.contains(&member) {
            return None;
        }
        members.push(member);
    }
    Some(members)
}

fn invalid(place: &str, reason: impl Into<String>) -> InvalidValue {
    InvalidValue { place: place.to_owned(), reason: reason.into() }
}
