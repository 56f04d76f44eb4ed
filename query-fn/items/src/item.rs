//! One item: its key, the digest that names its state, whether it is reserved.

use aws_sdk_dynamodb::types::AttributeValue;
use sha2::{Digest, Sha256};
use shared::{
    block::stored::channel_of,
    item::Item,
    table::{CHANNEL, ID, MICROTIMESTAMP},
};

use crate::form::digits;

/// The digest of an item that is not there.
pub const NONE: &str = "none";

/// The complete primary key of an item.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Key {
    /// `id` in DynamoDB's spelling of numbers.
    pub id: String,
    /// `microtimestamp`, the whole sort key.
    pub microtimestamp: String,
}

impl Key {
    /// Returns the key of an item; `None` where a part is missing or of another type.
    #[must_use]
    pub fn of(item: &Item) -> Option<Key> {
        match (item.get(ID), item.get(MICROTIMESTAMP)) {
            (Some(AttributeValue::N(id)), Some(AttributeValue::S(sort))) if !sort.is_empty() => {
                Some(Key { id: id.clone(), microtimestamp: sort.clone() })
            }
            _ => None,
        }
    }

    /// Returns the attributes of the key.
    #[must_use]
    pub fn to_item(&self) -> Item {
        Item::from([
            (ID.to_owned(), AttributeValue::N(self.id.clone())),
            (MICROTIMESTAMP.to_owned(), AttributeValue::S(self.microtimestamp.clone())),
        ])
    }
}

/// True for items that the programs keep for themselves: their channel or their sort key begins with `_`.
#[must_use]
pub fn is_reserved(key: &Key, item: Option<&Item>) -> bool {
    let channel = item.and_then(|item| item.get(CHANNEL)).and_then(|channel| channel.as_s().ok());
    key.microtimestamp.starts_with('_') || channel.is_some_and(|channel| channel.starts_with('_'))
}

/// True for blocks: items that hold many events.
#[must_use]
pub fn is_block(item: &Item) -> bool {
    let channel = item.get(CHANNEL).and_then(|channel| channel.as_s().ok());
    channel.is_some_and(|channel| channel_of(channel).is_some())
}

/// Returns the digest of an item's state: SHA-256 in hexadecimal, [`NONE`] for an item that is not there. Equal values have equal digests, whatever
/// the order of attributes and of sets, and however a number is spelled.
#[must_use]
pub fn digest(item: Option<&Item>) -> String {
    let Some(item) = item else { return NONE.to_owned() };
    let mut hash = Sha256::new();
    feed_map(&mut hash, item);
    hash.finalize().iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Feeds a tag and a length before each content, so that no two values feed the same bytes.
fn feed_bytes(hash: &mut Sha256, tag: u8, bytes: &[u8]) {
    hash.update([tag]);
    hash.update((bytes.len() as u64).to_be_bytes());
    hash.update(bytes);
}

fn feed_count(hash: &mut Sha256, tag: u8, count: usize) {
    feed_bytes(hash, tag, &(count as u64).to_be_bytes());
}

fn feed_map(hash: &mut Sha256, fields: &Item) {
    let mut names: Vec<_> = fields.iter().collect();
    names.sort_by_key(|(name, _)| *name);
    feed_count(hash, b'm', names.len());
    for (name, value) in names {
        feed_bytes(hash, b'a', name.as_bytes());
        feed(hash, value);
    }
}

fn feed_set(hash: &mut Sha256, tag: u8, mut members: Vec<Vec<u8>>) {
    members.sort();
    feed_count(hash, tag, members.len());
    members.iter().for_each(|member| feed_bytes(hash, tag, member));
}

fn feed(hash: &mut Sha256, value: &AttributeValue) {
    let number = |text: &String| digits(text).unwrap_or_else(|| text.clone()).into_bytes();
    match value {
        AttributeValue::S(text) => feed_bytes(hash, b's', text.as_bytes()),
        AttributeValue::N(text) => feed_bytes(hash, b'n', &number(text)),
        AttributeValue::B(blob) => feed_bytes(hash, b'b', blob.as_ref()),
        AttributeValue::Bool(flag) => feed_bytes(hash, b'f', &[u8::from(*flag)]),
        AttributeValue::L(values) => {
            feed_count(hash, b'l', values.len());
            values.iter().for_each(|value| feed(hash, value));
        }
        AttributeValue::M(fields) => feed_map(hash, fields),
        AttributeValue::Ss(texts) => {
            feed_set(hash, b'S', texts.iter().map(|text| text.clone().into_bytes()).collect());
        }
        AttributeValue::Ns(numbers) => feed_set(hash, b'N', numbers.iter().map(number).collect()),
        AttributeValue::Bs(blobs) => feed_set(hash, b'B', blobs.iter().map(|blob| blob.as_ref().to_vec()).collect()),
        _ => feed_bytes(hash, b'0', b""),
    }
}

/// True if two states of an item are the same.
#[must_use]
pub fn is_same(left: Option<&Item>, right: Option<&Item>) -> bool {
    digest(left) == digest(right)
}

#[cfg(test)]
pub(crate) mod strategies {
    use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
    use proptest::prelude::*;

    /// A number in DynamoDB's spelling, of up to 38 digits.
    pub(crate) fn number() -> impl Strategy<Value = String> {
        ("-?[1-9][0-9]{0,37}", 0_i32..20)
            .prop_map(|(digits, scale)| crate::form::digits(&format!("{digits}e-{scale}")).expect("38 digits in range"))
    }

    /// Any value of DynamoDB's ten types.
    pub(crate) fn value() -> impl Strategy<Value = AttributeValue> {
        let leaf = prop_oneof![
            ".{0,6}".prop_map(AttributeValue::S),
            number().prop_map(AttributeValue::N),
            prop::collection::vec(any::<u8>(), 0..5).prop_map(|bytes| AttributeValue::B(Blob::new(bytes))),
            any::<bool>().prop_map(AttributeValue::Bool),
            Just(AttributeValue::Null(true)),
            prop::collection::btree_set("[a-c]{1,2}", 1..4)
                .prop_map(|set| AttributeValue::Ss(set.into_iter().collect())),
            prop::collection::btree_set(number(), 1..4).prop_map(|set| AttributeValue::Ns(set.into_iter().collect())),
            prop::collection::btree_set(prop::collection::vec(any::<u8>(), 1..3), 1..3)
                .prop_map(|set| AttributeValue::Bs(set.into_iter().map(Blob::new).collect())),
        ];
        leaf.prop_recursive(3, 16, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(AttributeValue::L),
                prop::collection::hash_map("[a-c]|\\${1,2}(B|SS|NS)|\\$json", inner, 0..3).prop_map(AttributeValue::M),
            ]
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::form::Form;
    use serde_json::{Value, json};

    fn item(value: &Value) -> Item {
        Form::Typed.read_item(value.as_object().unwrap()).unwrap()
    }

    #[test]
    fn equal_states_have_equal_digests() {
        let left = item(&json!({ "a": { "N": "1" }, "s": { "SS": ["x", "y"] } }));
        let mut right = item(&json!({ "s": { "SS": ["y", "x"] } }));
        right.insert("a".to_owned(), AttributeValue::N("1.0".to_owned()));
        assert_eq!(digest(Some(&left)), digest(Some(&right)));
        assert_eq!(digest(Some(&left)).len(), 64);
        assert_eq!(digest(None), NONE);
    }

    #[test]
    fn other_types_and_other_places_have_other_digests() {
        let states = [
            json!({}),
            json!({ "a": { "S": "1" } }),
            json!({ "a": { "N": "1" } }),
            json!({ "a": { "B": "MQ==" } }),
            json!({ "a": { "SS": ["1"] } }),
            json!({ "a": { "NS": ["1"] } }),
            json!({ "a": { "L": [{ "S": "1" }] } }),
            json!({ "a": { "L": [{ "L": [] }, { "S": "1" }] } }),
            json!({ "a": { "M": { "1": { "NULL": true } } } }),
            json!({ "a": { "NULL": true }, "1": { "NULL": true } }),
        ];
        let digests: std::collections::BTreeSet<_> = states.iter().map(|state| digest(Some(&item(state)))).collect();
        assert_eq!(digests.len(), states.len());
    }
}
