//! An item between the table and the client.
//!
//! A page has thousands of items, and almost all have the same names. They share the list of names, and texts of up to 23 bytes are in the item
//! itself: the hash map of owned strings that the SDK makes of each was two thirds of a page's time (docs/performance-query.md).

use aws_sdk_dynamodb::types::AttributeValue;
use smol_str::SmolStr;
use std::{collections::BTreeMap, sync::Arc};

/// An item of the table.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Item {
    shape: Arc<Shape>,
    values: Vec<Value>,
}

/// The names of an item's attributes, sorted. Items with the same names may share it; equal ones are cheap to compare then.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Shape {
    names: Vec<SmolStr>,
    /// A mark of each name that differs from those of most others: a name is looked up for every value that is read.
    marks: Vec<u32>,
}

/// The value of an attribute, by DynamoDB's type.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Value {
    /// A string (S), or binary data (B) as base64.
    Text(SmolStr),
    /// A number (N), with the digits as the store sent them.
    Number(SmolStr),
    /// A Boolean (BOOL).
    Flag(bool),
    /// The null value (NULL).
    Null,
    /// A list (L), or a set (SS, NS, BS).
    List(Vec<Value>),
    /// A map (M).
    Map(BTreeMap<SmolStr, Value>),
}

impl Shape {
    fn of(names: Vec<SmolStr>) -> Shape {
        let marks = names.iter().map(|name| mark(name)).collect();
        Shape { names, marks }
    }

    /// Returns the number of names.
    #[must_use]
    pub fn len(&self) -> usize {
        self.names.len()
    }

    /// Returns true if the shape has no name.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.names.is_empty()
    }

    /// Returns the place of the value of `name`.
    #[must_use]
    pub fn place(&self, name: &str) -> Option<usize> {
        let mark = mark(name);
        self.marks.iter().zip(&self.names).position(|(known, full)| *known == mark && full == name)
    }

    /// Returns the names, sorted.
    pub fn names(&self) -> impl Iterator<Item = &SmolStr> {
        self.names.iter()
    }
}

/// Returns the mark of a name: its length, and its first, middle and last byte.
fn mark(name: &str) -> u32 {
    let at = |place: usize| u32::from(name.as_bytes().get(place).copied().unwrap_or_default());
    let length = u32::try_from(name.len()).unwrap_or(u32::MAX);
    length ^ at(0) << 8 ^ at(name.len() / 2) << 16 ^ at(name.len().wrapping_sub(1)) << 24
}

impl Item {
    /// Returns an item of these attributes; of several with one name it has the first.
    #[must_use]
    pub fn of(mut attributes: Vec<(SmolStr, Value)>) -> Item {
        attributes.sort_by(|(left, _), (right, _)| left.cmp(right));
        attributes.dedup_by(|(later, _), (first, _)| later == first);
        let (names, values) = attributes.into_iter().unzip();
        Item { shape: Arc::new(Shape::of(names)), values }
    }

    /// Returns an item with values in the order of the shape's names; `None` if there are more or fewer values than names.
    #[must_use]
    pub fn shaped(shape: Arc<Shape>, values: Vec<Value>) -> Option<Item> {
        (shape.len() == values.len()).then_some(Item { shape, values })
    }

    /// Returns the names of the attributes.
    #[must_use]
    pub fn shape(&self) -> &Arc<Shape> {
        &self.shape
    }

    /// Returns the value at a place of the item's shape.
    #[must_use]
    pub fn at(&self, place: usize) -> Option<&Value> {
        self.values.get(place)
    }

    /// Returns the value of an attribute.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&Value> {
        self.at(self.shape.place(name)?)
    }

    /// Returns the digits of an attribute that is a number.
    #[must_use]
    pub fn number(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Value::Number(digits) => Some(digits),
            _ => None,
        }
    }

    /// Returns the text of an attribute that is a string.
    #[must_use]
    pub fn text(&self, name: &str) -> Option<&str> {
        match self.get(name)? {
            Value::Text(text) => Some(text),
            _ => None,
        }
    }

    /// Iterates over names and values, by name.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &Value)> {
        self.shape.names().map(SmolStr::as_str).zip(&self.values)
    }

    /// Converts to the form that the SDK and [`shared`] have.
    #[must_use]
    pub fn attributes(&self) -> shared::item::Item {
        self.iter().map(|(name, value)| (name.to_owned(), value.attribute())).collect()
    }
}

impl Value {
    /// Converts to the form that the SDK and [`shared`] have.
    #[must_use]
    pub fn attribute(&self) -> AttributeValue {
        match self {
            Value::Text(text) => AttributeValue::S(text.to_string()),
            Value::Number(digits) => AttributeValue::N(digits.to_string()),
            Value::Flag(flag) => AttributeValue::Bool(*flag),
            Value::Null => AttributeValue::Null(true),
            Value::List(values) => AttributeValue::L(values.iter().map(Value::attribute).collect()),
            Value::Map(fields) => {
                AttributeValue::M(fields.iter().map(|(name, value)| (name.to_string(), value.attribute())).collect())
            }
        }
    }
}

/// Items of any kind, for tests of what reads and writes them.
#[cfg(test)]
pub(crate) mod strategies {
    use super::*;
    use proptest::prelude::*;

    pub(crate) fn value() -> impl Strategy<Value = Value> {
        let number = prop_oneof!["-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,10})?([eE][+-]?[0-9]{1,2})?", "[0-9.eE+-]{1,6}"];
        let leaf = prop_oneof![
            ".{0,30}".prop_map(|text| Value::Text(text.into())),
            number.prop_map(|digits| Value::Number(digits.into())),
            any::<bool>().prop_map(Value::Flag),
            Just(Value::Null),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            let text = r#"\{"x":\[1e5,"\\u00e9"\]\}|not json"#;
            let marker = text.prop_map(|text| (SmolStr::new("$json"), Value::Text(text.into())));
            // As `shared::attribute::escape` makes them: no two that it would give back as one.
            let name = r"[a-z][a-z$]{0,3}|\$(\$[a-z$]{0,2})?".prop_map(SmolStr::from);
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::List),
                prop::collection::btree_map(name, inner, 0..4).prop_map(Value::Map),
                marker.prop_map(|pair| Value::Map([pair].into())),
            ]
        })
    }

    /// Few names, so that neighbours often have the same ones, or the same number of others.
    pub(crate) fn item() -> impl Strategy<Value = Item> {
        let name = "id|id_str|[ab]_id|[ab]_id_str|microtimestamp|[a-d]|.{0,3}";
        let attributes = prop::collection::btree_map(name.prop_map(SmolStr::from), value(), 0..6);
        attributes.prop_map(|attributes| Item::of(attributes.into_iter().collect()))
    }
}
