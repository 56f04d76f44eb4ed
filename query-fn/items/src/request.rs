//! The body of a request: `{"operation": "...", "payload": {...}}`, with payloads in the SDK's shapes.
//!
//! All of it is checked before anything is read from the table, and one problem names every fault and what is allowed instead.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::Value;
use shared::{
    item::Item,
    table::{ID, MICROTIMESTAMP},
};

use crate::expression::{Action, Placeholders, Update};
use crate::form::Form;
use crate::item::Key;

mod attribute_updates;
mod body;
mod fields;

/// The operations, as requests name them.
pub const OPERATIONS: [&str; 5] = ["create", "read", "update", "delete", "echo"];

/// A request, checked.
#[derive(Clone, Debug, PartialEq)]
pub enum Request {
    /// Returns the payload byte by byte.
    Echo(String),
    /// Returns an item.
    Read {
        /// The item's key.
        key: Key,
        /// The form of the answer.
        form: Form,
    },
    /// Creates, updates or deletes an item.
    Change(Box<Change>),
}

/// A change of one item.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The item's key.
    pub key: Key,
    /// What becomes of it.
    pub action: ItemAction,
    /// A condition of the caller's own, evaluated by DynamoDB.
    pub condition: Option<Condition>,
    /// The digest of the state that the caller saw.
    pub if_match: Option<String>,
    /// True if `channel` and `nmicrotimestamp`, by which readers find an item, may change.
    pub allows_key_attributes: bool,
    /// True if the item may be reserved.
    pub allows_reserved: bool,
    /// What is returned.
    pub returns: ReturnValues,
    /// The form of the answer.
    pub form: Form,
}

/// What becomes of an item.
#[derive(Clone, Debug, PartialEq)]
pub enum ItemAction {
    /// It is put, in place of another one only if `overwrite`.
    Create {
        /// The whole item.
        item: Item,
        /// True if an item under the same key is replaced.
        overwrite: bool,
    },
    /// It is changed; an item that is not there is made, as DynamoDB does, unless all that the update does is to take attributes away.
    Update(Update),
    /// It is removed.
    Delete,
}

impl ItemAction {
    /// Returns the name of the operation.
    #[must_use]
    pub fn operation(&self) -> &'static str {
        match self {
            ItemAction::Create { .. } => "create",
            ItemAction::Update(_) => "update",
            ItemAction::Delete => "delete",
        }
    }
}

/// `ConditionExpression`, with the placeholders that it uses.
#[derive(Clone, Debug, PartialEq)]
pub struct Condition {
    /// The expression.
    pub expression: String,
    /// Its placeholders and no others.
    pub placeholders: Placeholders,
}

/// `ReturnValues`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ReturnValues {
    /// Nothing.
    None,
    /// The item before the change.
    AllOld,
    /// The attributes that the update names, as they were.
    UpdatedOld,
    /// The item after the change.
    AllNew,
    /// The attributes that the update names, as they are now.
    UpdatedNew,
}

impl Change {
    /// Returns true if all that the change does is to take attributes away: where there is no item, it makes none.
    #[must_use]
    pub fn only_removes(&self) -> bool {
        matches!(&self.action, ItemAction::Update(update)
            if update.actions.iter().all(|action| matches!(action, Action::Remove(_) | Action::Delete(..))))
    }

    /// Returns the attributes that `ReturnValues` asks for.
    #[must_use]
    pub fn returned(&self, before: Option<&Item>, after: Option<&Item>) -> Option<Item> {
        let named = |item: Option<&Item>| {
            let ItemAction::Update(update) = &self.action else { return None };
            let attributes = update.attributes().filter_map(|name| Some((name.to_owned(), item?.get(name)?.clone())));
            Some(attributes.collect::<Item>()).filter(|item| !item.is_empty())
        };
        match self.returns {
            ReturnValues::None => None,
            ReturnValues::AllOld => before.cloned(),
            ReturnValues::AllNew => after.cloned(),
            ReturnValues::UpdatedOld => named(before),
            ReturnValues::UpdatedNew => named(after),
        }
    }
}

/// A value as errors repeat it.
fn shown(value: &Value) -> String {
    value.to_string().chars().take(100).collect()
}

/// The placeholder key of a request whose key is faulty; such a request is never carried out.
fn no_key() -> Key {
    Key { id: String::new(), microtimestamp: String::new() }
}

/// A key as its two attributes, each of its type.
fn typed_key(item: &Item) -> Result<Key, String> {
    let kind = |name: &str| item.get(name).map(AttributeValue::is_n);
    match (Key::of(item), kind(ID)) {
        (Some(key), _) if key.microtimestamp.len() <= 1024 => Ok(key),
        (_, Some(false)) => Err(format!("`{ID}` is a number")),
        _ => Err(format!(
            "expected `{ID}`, a number, and `{MICROTIMESTAMP}`, a text of 1 to 1,024 bytes: the complete key"
        )),
    }
}
