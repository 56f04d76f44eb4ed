//! The record of a change: one audit item for each, and for each item that was ever changed the number of its changes.
//!
//! | item | `id` | `microtimestamp` | further attributes |
//! |---|---|---|---|
//! | audit item | [`PARTITION`] | `_audit#<time>#<request id>` | `channel` = `_audit`, `nmicrotimestamp`, `who`, `operation`, `request_id`, `key`, `change`, `before`, `after` |
//! | number of changes | [`PARTITION`] | `_audit-changes#<digest of the key>` | `changes`, `key` |
//!
//! All of them have one partition key, so that a page of them is one consistent Query of the table. Their sort keys begin with `_`, so no
//! range of exchange time, which `/orders/{id}` reads, reaches them. A change succeeds only if it raises the number by one: of two changes that
//! began from the same state one fails, also where they concern different attributes.

use aws_sdk_dynamodb::types::AttributeValue;
use shared::{
    item::Item,
    table::{CHANNEL, ID, MICROTIMESTAMP, NMICROTIMESTAMP},
};

use crate::item::{self, Key};

/// The reserved channel of audit items.
pub const CHANNEL_NAME: &str = "_audit";
/// The `id` of everything here: a number that no event has, because the exchange's ids are far smaller (xxh3-64 of `_audit`).
pub const PARTITION: &str = "12228531960030474981";
/// The attribute that counts an item's changes.
pub const CHANGES: &str = "changes";

const ENTRY: &str = "_audit#";
const COUNTER: &str = "_audit-changes#";
/// Sorts after every request id behind the same time.
const AFTER_TIME: char = '$';

/// Who asked for a change, when, and under which id.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Author {
    /// The ARN of who signed the request; `local:` and a user's name for a local store.
    pub who: String,
    /// The request id of API Gateway.
    pub request_id: String,
    /// The time by the function's clock, microseconds since the Unix epoch.
    pub when: u64,
}

/// A change that succeeds or fails as a whole with its audit item.
#[derive(Clone, Debug, PartialEq)]
pub struct Entry<'change> {
    /// Who asked for it.
    pub author: &'change Author,
    /// `create`, `update` or `delete`.
    pub operation: &'static str,
    /// The item that is changed.
    pub key: &'change Key,
    /// Its number among the changes of this item, from 1.
    pub change: u64,
    /// The item before, `None` if there was none.
    pub before: Option<&'change Item>,
    /// The item afterwards, `None` if there is none.
    pub after: Option<&'change Item>,
}

impl Entry<'_> {
    /// Returns the key of the audit item.
    #[must_use]
    pub fn key(&self) -> Key {
        let Author { when, request_id, .. } = self.author;
        Key { id: PARTITION.to_owned(), microtimestamp: format!("{ENTRY}{when:016}#{request_id}") }
    }

    /// Returns the audit item.
    #[must_use]
    pub fn to_item(&self) -> Item {
        let text = |text: &str| AttributeValue::S(text.to_owned());
        let mut entry = self.key().to_item();
        entry.extend([
            (CHANNEL.to_owned(), text(CHANNEL_NAME)),
            (NMICROTIMESTAMP.to_owned(), AttributeValue::N(self.author.when.to_string())),
            ("who".to_owned(), text(&self.author.who)),
            ("operation".to_owned(), text(self.operation)),
            ("request_id".to_owned(), text(&self.author.request_id)),
            ("key".to_owned(), AttributeValue::M(self.key.to_item())),
            ("change".to_owned(), AttributeValue::N(self.change.to_string())),
        ]);
        for (name, state) in [("before", self.before), ("after", self.after)] {
            if let Some(state) = state {
                entry.insert(name.to_owned(), AttributeValue::M(state.clone()));
            }
        }
        entry
    }

    /// Returns the item that counts the changes, after this one.
    #[must_use]
    pub fn counter(&self) -> Item {
        let mut counter = counter_key(self.key).to_item();
        counter.insert(CHANGES.to_owned(), AttributeValue::N(self.change.to_string()));
        counter.insert("key".to_owned(), AttributeValue::M(self.key.to_item()));
        counter
    }
}

/// Returns the key of the item that counts the changes of another item.
#[must_use]
pub fn counter_key(key: &Key) -> Key {
    let digest = item::digest(Some(&key.to_item()));
    Key { id: PARTITION.to_owned(), microtimestamp: format!("{COUNTER}{digest}") }
}

/// Reads the number of changes; 0 where the counter is not there.
#[must_use]
pub fn changes(counter: Option<&Item>) -> u64 {
    let digits = counter.and_then(|counter| counter.get(CHANGES)).and_then(|digits| digits.as_n().ok());
    digits.and_then(|digits| digits.parse().ok()).unwrap_or(0)
}

/// True for the items of this module: nothing that was recorded may be changed, whatever the request allows.
#[must_use]
pub fn is_audit(key: &Key, item: Option<&Item>) -> bool {
    let channel = item.and_then(|item| item.get(CHANNEL)).and_then(|channel| channel.as_s().ok());
    key.microtimestamp.starts_with(CHANNEL_NAME) || channel.is_some_and(|channel| channel == CHANNEL_NAME)
}

/// Returns the first and the last sort key of the audit items of a time range, microseconds since the Unix epoch, both ends inclusive.
#[must_use]
pub fn sort_range(from: u64, to: u64) -> (String, String) {
    (format!("{ENTRY}{from:016}"), format!("{ENTRY}{to:016}{AFTER_TIME}"))
}

/// Returns the sort key of an audit item.
#[must_use]
pub fn sort_key(entry: &Item) -> Option<&str> {
    entry.get(MICROTIMESTAMP)?.as_s().ok().map(String::as_str)
}

/// Returns the key to continue from behind an audit item.
#[must_use]
pub fn start_behind(sort_key: &str) -> Item {
    Item::from([
        (ID.to_owned(), AttributeValue::N(PARTITION.to_owned())),
        (MICROTIMESTAMP.to_owned(), AttributeValue::S(sort_key.to_owned())),
    ])
}
