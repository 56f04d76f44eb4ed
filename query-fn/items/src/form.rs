//! The two forms in which a request writes values, and in which it is answered: plain JSON, and DynamoDB's typed JSON. Both are exact.
//!
//! Plain JSON has no bytes and no sets. They are objects with one name: `{"$B": "base64"}`, `{"$SS": [..]}`, `{"$NS": [..]}`, `{"$BS": [..]}`.
//! A map whose only name looks like one of these gets another `$` before it, so that both directions are exact.

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use base64::{Engine, engine::general_purpose::STANDARD};
use bigdecimal::BigDecimal;
use serde_json::{Map, Number, Value, json};
use shared::{item::Item, number::Decimal};

/// The form of a request and of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// JSON's own types: `5`, `"5"`, `[5]`.
    Plain,
    /// DynamoDB's JSON: `{"N": "5"}`, `{"S": "5"}`, `{"L": [{"N": "5"}]}`.
    /// (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html>)
    Typed,
}

/// The error for a value that is none of its form, or that DynamoDB cannot hold.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{place}: {reason}")]
pub struct InvalidValue {
    /// Where the value stands: names and indexes from the attribute on, e.g. `bids[0].price`.
    pub place: String,
    /// What is wrong with it and what would be right.
    pub reason: String,
}

/// The names of DynamoDB's types in typed JSON.
const TYPES: [&str; 10] = ["S", "N", "B", "BOOL", "NULL", "L", "M", "SS", "NS", "BS"];
/// The types that plain JSON marks with a `$`.
const MARKED: [&str; 4] = ["B", "SS", "NS", "BS"];

impl Form {
    /// Returns the form in which an item or a key is written: typed if each of its values names one type.
    #[must_use]
    pub fn of(fields: &Map<String, Value>) -> Form {
        let is_typed = |value: &Value| only(value).is_some_and(|(name, _)| TYPES.contains(&name));
        if !fields.is_empty() && fields.values().all(is_typed) { Form::Typed } else { Form::Plain }
    }

    /// Returns the name that `form=` of a request has.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Form::Plain => "plain",
            Form::Typed => "typed",
        }
    }

    /// Reads one value; `name` is said in errors.
    ///
    /// # Errors
    ///
    /// [`InvalidValue`] for a value that is not of this form, or a number that DynamoDB cannot hold digit by digit.
    pub fn read(self, name: &str, value: &Value) -> Result<AttributeValue, InvalidValue> {
        match self {
            Form::Plain => plain(name, value),
            Form::Typed => typed(name, value),
        }
    }

    /// Reads the attributes of an item.
    ///
    /// # Errors
    ///
    /// As [`Form::read`].
    pub fn read_item(self, fields: &Map<String, Value>) -> Result<Item, InvalidValue> {
        fields.iter().map(|(name, value)| Ok((name.clone(), self.read(name, value)?))).collect()
    }

    /// Writes one value.
    #[must_use]
    pub fn write(self, value: &AttributeValue) -> Value {
        match self {
            Form::Plain => as_plain(value),
            Form::Typed => as_typed(value),
        }
    }

    /// Writes the attributes of an item.
    #[must_use]
    pub fn write_item(self, item: &Item) -> Value {
        Value::Object(item.iter().map(|(name, value)| (name.clone(), self.write(value))).collect())
    }
}

/// Returns a number in DynamoDB's own spelling: all digits, no exponent, no zeros at either end. `None` for what is no number that it can hold.
#[must_use]
pub fn digits(text: &str) -> Option<String> {
    Decimal::parse(text).filter(Decimal::fits_dynamodb)?;
    let number: BigDecimal = text.strip_prefix('+').unwrap_or(text).parse().ok()?;
    Some(number.normalized().to_plain_string())
}

/// Returns the name and the value of an object with one member.
fn only(value: &Value) -> Option<(&str, &Value)> {
    let fields = value.as_object().filter(|fields| fields.len() == 1)?;
    fields.iter().next().map(|(name, value)| (name.as_str(), value))
}

/// True for the names that plain JSON marks, with any number of `$` before the type.
fn is_marked(name: &str) -> bool {
    name.starts_with('$') && MARKED.contains(&name.trim_start_matches('$'))
}

fn invalid(place: &str, reason: impl Into<String>) -> InvalidValue {
    InvalidValue { place: place.to_owned(), reason: reason.into() }
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

fn plain(place: &str, value: &Value) -> Result<AttributeValue, InvalidValue> {
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

fn typed(place: &str, value: &Value) -> Result<AttributeValue, InvalidValue> {
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

fn base64(blob: &Blob) -> String {
    STANDARD.encode(blob.as_ref())
}

/// A number as it lies; DynamoDB returns none that is not valid JSON.
fn json_number(digits: &str) -> Value {
    digits.parse::<Number>().map_or_else(|_| Value::String(digits.to_owned()), Value::Number)
}

fn as_plain(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => Value::String(text.clone()),
        AttributeValue::N(digits) => json_number(digits),
        AttributeValue::Bool(flag) => Value::Bool(*flag),
        AttributeValue::Null(_) => Value::Null,
        AttributeValue::L(values) => Value::Array(values.iter().map(as_plain).collect()),
        AttributeValue::M(fields) => {
            let is_only = fields.len() == 1;
            let escaped = |name: &String| if is_only && is_marked(name) { format!("${name}") } else { name.clone() };
            Value::Object(fields.iter().map(|(name, value)| (escaped(name), as_plain(value))).collect())
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

fn as_typed(value: &AttributeValue) -> Value {
    match value {
        AttributeValue::S(text) => json!({ "S": text }),
        AttributeValue::N(digits) => json!({ "N": digits }),
        AttributeValue::Bool(flag) => json!({ "BOOL": flag }),
        AttributeValue::L(values) => json!({ "L": values.iter().map(as_typed).collect::<Vec<_>>() }),
        AttributeValue::M(fields) => json!({ "M": Form::Typed.write_item(fields) }),
        AttributeValue::B(blob) => json!({ "B": base64(blob) }),
        AttributeValue::Ss(texts) => json!({ "SS": texts }),
        AttributeValue::Ns(numbers) => json!({ "NS": numbers }),
        AttributeValue::Bs(blobs) => json!({ "BS": blobs.iter().map(base64).collect::<Vec<_>>() }),
        _ => json!({ "NULL": true }),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::strategies;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_value_comes_back_in_both_forms(value in strategies::value()) {
            for form in [Form::Plain, Form::Typed] {
                let written = form.write(&value).to_string();
                let read = form.read("a", &serde_json::from_str(&written).unwrap());
                prop_assert_eq!(read, Ok(value.clone()), "{:?} {}", form, written);
            }
        }
    }

    #[test]
    fn numbers_keep_38_digits_and_no_more() {
        let long = "12345678901234567890123456789012345678";
        assert_eq!(digits(long).as_deref(), Some(long));
        assert_eq!(digits(&format!("{long}9")), None);
        assert_eq!(digits("1.50").as_deref(), Some("1.5"));
        assert_eq!(digits("1e-8").as_deref(), Some("0.00000001"));
        assert_eq!(digits("-0.0").as_deref(), Some("0"));
        assert_eq!(digits("1e126"), None);
        assert_eq!(digits("1e999999999999"), None);
        assert_eq!(digits("NaN"), None);
        assert_eq!(digits("1e125").map(|text| text.len()), Some(126));
    }

    #[test]
    fn the_form_is_that_of_every_value() {
        let form = |value: Value| Form::of(value.as_object().unwrap());
        assert_eq!(form(json!({ "id": { "N": "1" }, "microtimestamp": { "S": "5" } })), Form::Typed);
        assert_eq!(form(json!({ "id": 1, "microtimestamp": "5" })), Form::Plain);
        assert_eq!(form(json!({ "id": 1, "a": { "S": "5" } })), Form::Plain);
        assert_eq!(form(json!({})), Form::Plain);
    }

    #[test]
    fn wrong_values_say_where_they_stand() {
        for (form, value, said) in [
            (Form::Typed, json!({ "M": { "b": { "L": [{ "N": 5 }] } } }), "a.b[0]: N expects a number as text"),
            (Form::Typed, json!(5), "a: expected one type"),
            (Form::Typed, json!({ "SS": ["x", "x"] }), "a: SS expects different texts"),
            (Form::Plain, json!({ "b": [{ "$B": "!" }] }), "a.b[0]: B expects base64 text"),
        ] {
            let error = form.read("a", &value).unwrap_err().to_string();
            assert!(error.starts_with(said), "{error}");
        }
    }
}
