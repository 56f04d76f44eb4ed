//! The two forms in which a request writes values, and in which it is answered: plain JSON, and DynamoDB's typed JSON. Both are exact.
//!
//! Plain JSON has no bytes and no sets. They are objects with one name: `{"$B": "base64"}`, `{"$SS": [..]}`, `{"$NS": [..]}`, `{"$BS": [..]}`.
//! A map whose only name looks like one of these gets another `$` before it, so that both directions are exact.

use aws_sdk_dynamodb::types::AttributeValue;
use bigdecimal::BigDecimal;
use serde_json::{Map, Value};
use shared::{item::Item, number::Decimal};

mod read;
mod write;

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
            Form::Plain => read::plain(name, value),
            Form::Typed => read::typed(name, value),
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
            Form::Plain => write::plain(value),
            Form::Typed => write::typed(value),
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

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::strategies;
    use proptest::prelude::*;
    use serde_json::json;

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
