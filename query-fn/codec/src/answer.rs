//! Reads the answer to a Query: DynamoDB's JSON, in which every value is an object of one name, its type.
//! (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Query.html#API_Query_ResponseSyntax>)

use serde::{
    Deserialize, Deserializer,
    de::{DeserializeSeed, Error, IgnoredAny, MapAccess, SeqAccess, Visitor},
};
use shared::item::EXPIRES;
use smol_str::SmolStr;
use std::{fmt, sync::Arc};

use crate::item::{Item, Shape, Value};

/// The parts of the answer to a Query that a page needs.
#[derive(Debug, Default, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct Answer {
    /// The items in the store's order.
    #[serde(default)]
    pub items: Items,
    /// The key at which the store stopped; missing or empty at the end of the range.
    #[serde(default)]
    pub last_evaluated_key: Option<Item>,
    /// The cost of the Query, where it was asked for.
    #[serde(default)]
    pub consumed_capacity: Option<ConsumedCapacity>,
}

/// The cost of a Query.
#[derive(Debug, Deserialize)]
#[serde(rename_all = "PascalCase")]
pub struct ConsumedCapacity {
    /// Read units, with the digits as the store sent them.
    #[serde(default)]
    pub capacity_units: Option<serde_json::Number>,
}

/// Items that share their shapes if they have the same names.
#[derive(Debug, Default)]
pub struct Items(pub Vec<Item>);

impl Answer {
    /// Parses the whole body.
    ///
    /// # Errors
    ///
    /// An error of [`serde_json`] with the place of the fault, if the body is no answer to a Query.
    pub fn parse(body: &[u8]) -> Result<Answer, serde_json::Error> {
        // Once for the whole, not for each of its strings.
        let text = std::str::from_utf8(body).map_err(serde_json::Error::custom)?;
        serde_json::from_str(text)
    }
}

impl<'de> Deserialize<'de> for Items {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Items, D::Error> {
        deserializer.deserialize_seq(ItemsVisitor)
    }
}

struct ItemsVisitor;

impl<'de> Visitor<'de> for ItemsVisitor {
    type Value = Items;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a list of items")
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut sequence: A) -> Result<Items, A::Error> {
        let (mut items, mut last) = (Vec::new(), Arc::default());
        while let Some(item) = sequence.next_element_seed(Like(&mut last))? {
            items.push(item);
        }
        Ok(Items(items))
    }
}

impl<'de> Deserialize<'de> for Item {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Item, D::Error> {
        Like(&mut Arc::default()).deserialize(deserializer)
    }
}

/// Deserializes an item that probably has the names of the one before, in any order: DynamoDB promises none.
struct Like<'last>(&'last mut Arc<Shape>);

impl<'de> DeserializeSeed<'de> for Like<'_> {
    type Value = Item;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Item, D::Error> {
        deserializer.deserialize_map(self)
    }
}

impl<'de> Visitor<'de> for Like<'_> {
    type Value = Item;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an item")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Item, A::Error> {
        let shape = self.0;
        let mut values: Vec<Option<Value>> = vec![None; shape.len()];
        let mut others = Vec::new();
        while let Some(name) = map.next_key_seed(NameIn(shape))? {
            match name {
                Name::Known(place) => {
                    let value = map.next_value()?;
                    if let Some(known) = values.get_mut(place) {
                        *known = Some(value);
                    }
                }
                Name::NotShown => drop(map.next_value::<IgnoredAny>()?),
                Name::Other(name) => others.push((name, map.next_value()?)),
            }
        }
        if others.is_empty() && values.iter().all(Option::is_some) {
            let values = values.into_iter().flatten().collect();
            return Item::shaped(Arc::clone(shape), values).ok_or_else(|| A::Error::custom("lost a value"));
        }
        let known = shape.names().cloned().zip(values).filter_map(|(name, value)| Some((name, value?)));
        let item = Item::of(known.chain(others).collect());
        *shape = Arc::clone(item.shape());
        Ok(item)
    }
}

/// Deserializes a name and looks it up in the shape.
struct NameIn<'shape>(&'shape Shape);

enum Name {
    Known(usize),
    /// `expires` is the table's: no event has it.
    NotShown,
    Other(SmolStr),
}

impl<'de> DeserializeSeed<'de> for NameIn<'_> {
    type Value = Name;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Name, D::Error> {
        deserializer.deserialize_str(self)
    }
}

impl Visitor<'_> for NameIn<'_> {
    type Value = Name;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("an attribute's name")
    }

    fn visit_str<E>(self, name: &str) -> Result<Name, E> {
        Ok(match self.0.place(name) {
            Some(place) => Name::Known(place),
            None if name == EXPIRES => Name::NotShown,
            None => Name::Other(SmolStr::new(name)),
        })
    }
}

/// All types that DynamoDB's JSON names.
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_AttributeValue.html>)
#[derive(Deserialize)]
#[serde(field_identifier, rename_all = "UPPERCASE")]
enum Type {
    S,
    N,
    Bool,
    Null,
    L,
    M,
    B,
    Ss,
    Ns,
    Bs,
}

impl<'de> Deserialize<'de> for Value {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Value, D::Error> {
        deserializer.deserialize_map(ValueVisitor)
    }
}

struct ValueVisitor;

impl<'de> Visitor<'de> for ValueVisitor {
    type Value = Value;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a value with its type")
    }

    fn visit_map<A: MapAccess<'de>>(self, mut map: A) -> Result<Value, A::Error> {
        let kind = map.next_key()?.ok_or_else(|| A::Error::custom("a value without a type"))?;
        let value = match kind {
            // Bytes are base64 here already.
            Type::S | Type::B => Value::Text(map.next_value()?),
            Type::Ss | Type::Bs => Value::List(set(map.next_value()?, Value::Text)),
            Type::Ns => Value::List(set(map.next_value()?, Value::Number)),
            Type::N => Value::Number(map.next_value()?),
            Type::Bool => Value::Flag(map.next_value()?),
            Type::Null => map.next_value::<IgnoredAny>().map(|_| Value::Null)?,
            Type::L => Value::List(map.next_value()?),
            Type::M => Value::Map(map.next_value()?),
        };
        match map.next_key::<IgnoredAny>()? {
            None => Ok(value),
            Some(_) => Err(A::Error::custom("a value of two types")),
        }
    }
}

fn set(elements: Vec<SmolStr>, of: fn(SmolStr) -> Value) -> Vec<Value> {
    elements.into_iter().map(of).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::item::strategies::item;
    use proptest::prelude::*;
    use serde_json::{Value as Json, json};

    fn value(value: &Value) -> Json {
        match value {
            Value::Text(text) => json!({ "S": text }),
            Value::Number(digits) => json!({ "N": digits }),
            Value::Flag(flag) => json!({ "BOOL": flag }),
            Value::Null => json!({ "NULL": true }),
            Value::List(values) => json!({ "L": values.iter().map(self::value).collect::<Vec<_>>() }),
            Value::Map(fields) => json!({ "M": object(fields.iter().map(|(name, value)| (name.as_str(), value))) }),
        }
    }

    fn object<'item>(attributes: impl Iterator<Item = (&'item str, &'item Value)>) -> Json {
        Json::Object(attributes.map(|(name, attribute)| (name.to_owned(), value(attribute))).collect())
    }

    /// Attributes in an order that changes from item to item.
    fn turned(item: &Item, by: usize) -> String {
        let mut fields: Vec<_> =
            item.iter().map(|(name, attribute)| format!("{}:{}", json!(name), value(attribute))).collect();
        fields.rotate_left(by.checked_rem(item.shape().len()).unwrap_or_default());
        format!("{{{}}}", fields.join(","))
    }

    proptest! {
        #[test]
        fn every_value_of_every_item(items in prop::collection::vec(item(), 0..6), key in item(), by in 0_usize..7) {
            // Each twice: the second time with the shape of the first.
            let items: Vec<_> = items.into_iter().flat_map(|item| [item.clone(), item]).collect();
            let written: Vec<_> = items.iter().enumerate().map(|(place, item)| turned(item, place * by)).collect();
            let body = format!(
                r#"{{"Count":1,"Items":[{}],"New":{{"a":[1]}},"LastEvaluatedKey":{}}}"#,
                written.join(","),
                turned(&key, by)
            );
            let read = Answer::parse(body.as_bytes()).unwrap();
            prop_assert_eq!(read.items.0, items);
            prop_assert_eq!(read.last_evaluated_key, Some(key));
        }
    }

    #[test]
    fn neighbours_share_their_shape() {
        let body = r#"{"Items":[{"a":{"S":"1"},"b":{"N":"2"}},{"b":{"N":"3"},"a":{"S":"4"}},{"a":{"B":"AA=="}}]}"#;
        let items = Answer::parse(body.as_bytes()).unwrap().items.0;
        let [first, second, third] = items.as_slice() else { panic!("{items:?}") };
        assert!(Arc::ptr_eq(first.shape(), second.shape()));
        assert_eq!((second.text("a"), second.number("b")), (Some("4"), Some("3")));
        assert_eq!((third.shape().len(), third.text("a")), (1, Some("AA==")));
    }

    /// With and without the attribute neighbours have one shape.
    #[test]
    fn when_an_item_expires_is_left_out() {
        let body = r#"{"Items":[{"a":{"S":"1"},"expires":{"N":"9"}},{"a":{"M":{"expires":{"N":"9"}}}},{"expires":{"N":"8"},"a":{"S":"2"}}]}"#;
        let items = Answer::parse(body.as_bytes()).unwrap().items.0;
        assert!(items.iter().all(|item| item.shape().names().eq(["a"]) && Arc::ptr_eq(item.shape(), items[0].shape())));
        assert_eq!(items[1].get("a"), Some(&Value::Map([("expires".into(), Value::Number("9".into()))].into())));
    }

    #[test]
    fn bytes_are_text_and_sets_are_lists() {
        let body =
            r#"{"Items":[{"b":{"B":"AP8="},"bs":{"BS":["AA==","/w=="]},"ns":{"NS":["1.50","2"]},"ss":{"SS":["x"]}}]}"#;
        let items = Answer::parse(body.as_bytes()).unwrap().items.0;
        let text = |text: &str| Value::Text(text.into());
        let expected = Item::of(vec![
            ("b".into(), text("AP8=")),
            ("bs".into(), Value::List(vec![text("AA=="), text("/w==")])),
            ("ns".into(), Value::List(vec![Value::Number("1.50".into()), Value::Number("2".into())])),
            ("ss".into(), Value::List(vec![text("x")])),
        ]);
        assert_eq!(items, [expected]);
    }

    #[test]
    fn the_cost_has_the_digits_that_were_sent() {
        let units = |body: &str| Answer::parse(body.as_bytes()).unwrap().consumed_capacity?.capacity_units;
        let body = r#"{"Items":[],"ConsumedCapacity":{"TableName":"t","CapacityUnits":128.50}}"#;
        assert_eq!(units(body).unwrap().as_str(), "128.50");
        assert_eq!(units(r#"{"Items":[]}"#), None);
        assert_eq!(units(r#"{"ConsumedCapacity":{"TableName":"t"}}"#), None);
    }

    #[test]
    fn what_is_no_answer_is_an_error() {
        let bodies = [
            r#"{"Items":[{"a":{"S":"cut"#,
            r#"{"Items":[{"a":{"S":1}}]}"#,
            r#"{"Items":[{"a":{}}]}"#,
            r#"{"Items":[{"a":{"X":"1"}}]}"#,
            r#"{"Items":[{"a":{"S":"x","N":"1"}}]}"#,
            r#"{"Items":[{"a":"x"}]}"#,
            "<html>",
            "",
            "{} {}",
        ];
        for body in bodies {
            assert!(Answer::parse(body.as_bytes()).is_err(), "{body}");
        }
        assert!(Answer::parse(b"{\"Items\":[{\"a\":{\"S\":\"\xff\"}}]}").is_err());
        assert!(Answer::parse(b"{}").unwrap().items.0.is_empty());
    }
}
