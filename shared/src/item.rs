//! Converts events to DynamoDB items and back.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::Value;
use std::collections::HashMap;

use crate::attribute;
use crate::channel::Channel;
use crate::event::Event;
use crate::key::{KeyError, Keyed, SEPARATOR};
use crate::table::{CHANNEL, DERIVED, EVENT, ID, MICROTIMESTAMP, NMICROTIMESTAMP, RECEIVED_AT};
use crate::time::Micros;

mod read;

pub use read::{ItemError, to_event, to_json};

/// Attributes of one item by name.
pub type Item = HashMap<String, AttributeValue>;

/// DynamoDB's limit for an item (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>).
pub const MAX_SIZE: usize = 400 * 1024;

/// Before the name of a field of `data` whose plain name is taken.
const DATA_PREFIX: &str = "data.";
/// Before the name of a field of the frame itself, other than the known ones.
const FRAME_PREFIX: &str = "frame.";
/// `data` itself, where it is not an object.
const DATA: &str = "data";
/// Fields of the frame itself that stand under their own names.
const FRAME_FIELDS: [&str; 3] = ["event_id", "pre_event_id", "order_source"];
/// S, written by gap filling: where an event came from if not from the WebSocket. `rest`: the exchange's history.
pub const SOURCE: &str = "source";
/// S, where a daemon has a name for its items: that name, a slash, and the connection (counted from one within a run) that brought the
/// event. No event has it.
pub const ORIGIN: &str = "origin";
/// N, seconds since the Unix epoch: the table deletes the item some time after this. No event has it.
pub const EXPIRES: &str = "expires";
/// Names that a field of `data` may not take: what it would hide is needed to find or to restore the event, or would delete it.
const RESERVED: [&str; 14] = [
    ID,
    MICROTIMESTAMP,
    CHANNEL,
    NMICROTIMESTAMP,
    EVENT,
    RECEIVED_AT,
    DERIVED,
    DATA,
    SOURCE,
    ORIGIN,
    EXPIRES,
    FRAME_FIELDS[0],
    FRAME_FIELDS[1],
    FRAME_FIELDS[2],
];

/// Why an event cannot be stored.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unstorable {
    /// It has no key.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The index cannot hold an empty channel; names that begin with `_` are the daemon's own.
    #[error("channel `{0}` cannot be stored under that name")]
    Channel(Channel),
    /// More than DynamoDB's 400 KB.
    #[error("item of {0} bytes is larger than the store's limit of {MAX_SIZE}")]
    TooLarge(usize),
}

/// Builds the item of an event. `received_at` is the daemon's clock.
///
/// # Errors
///
/// [`Unstorable`] says why the event cannot be an item.
pub fn from_event(event: Event, received_at: Micros) -> Result<Item, Unstorable> {
    let keyed = Keyed::of(&event)?;
    from_keyed(event, keyed, received_at)
}

/// As [`from_event`], for an event whose key is at hand.
///
/// # Errors
///
/// [`Unstorable`] says why the event cannot be an item.
pub fn from_keyed(event: Event, keyed: Keyed, received_at: Micros) -> Result<Item, Unstorable> {
    if event.channel.as_str().is_empty() || event.channel.as_str().starts_with('_') {
        return Err(Unstorable::Channel(event.channel));
    }
    let Keyed { key, time, .. } = keyed;
    let mut item = Item::with_capacity(24);
    let mut derived = Vec::new();
    let time_digits = key.microtimestamp.split(SEPARATOR).next().unwrap_or_default();
    let keys = [(ID, key.id.as_str(), true), (MICROTIMESTAMP, time_digits, false)];
    let mut data = event.data;
    if let Value::Object(fields) = &mut data {
        for (name, text, as_number) in keys {
            match fields.remove(name) {
                None => derived.push(AttributeValue::S(name.to_owned())),
                Some(sent) if restored(text, as_number) == sent => {}
                Some(sent) => {
                    item.insert(format!("{DATA_PREFIX}{name}"), attribute::from_json(sent));
                }
            }
        }
    }
    match data {
        Value::Object(fields) => {
            item.extend(fields.into_iter().map(|(name, value)| (data_name(&name), attribute::from_json(value))));
        }
        other => {
            derived.extend(keys.map(|(name, ..)| AttributeValue::S(name.to_owned())));
            item.insert(DATA.to_owned(), attribute::from_json(other));
        }
    }
    item.extend(event.extra.into_iter().map(|(name, value)| (frame_name(&name), attribute::from_json(value))));
    if !derived.is_empty() {
        item.insert(DERIVED.to_owned(), AttributeValue::L(derived));
    }
    item.insert(ID.to_owned(), AttributeValue::N(key.id));
    item.insert(MICROTIMESTAMP.to_owned(), AttributeValue::S(key.microtimestamp));
    item.insert(CHANNEL.to_owned(), AttributeValue::S(event.channel.to_string()));
    item.insert(EVENT.to_owned(), AttributeValue::S(event.name));
    item.insert(NMICROTIMESTAMP.to_owned(), AttributeValue::N(time.unwrap_or(received_at).to_string()));
    item.insert(RECEIVED_AT.to_owned(), AttributeValue::N(received_at.to_string()));
    match size(&item) {
        large if large > MAX_SIZE => Err(Unstorable::TooLarge(large)),
        _ => Ok(item),
    }
}

/// What a reader puts back for a key attribute that the exchange sent in its usual type.
fn restored(digits: &str, as_number: bool) -> Value {
    match digits.parse::<serde_json::Number>() {
        Ok(number) if as_number => Value::Number(number),
        _ => Value::String(digits.to_owned()),
    }
}

fn data_name(name: &str) -> String {
    if RESERVED.contains(&name) || name.starts_with(DATA_PREFIX) || name.starts_with(FRAME_PREFIX) {
        format!("{DATA_PREFIX}{name}")
    } else {
        attribute::escape(name)
    }
}

fn frame_name(name: &str) -> String {
    if FRAME_FIELDS.contains(&name) { name.to_owned() } else { format!("{FRAME_PREFIX}{name}") }
}

/// Notes where an event came from, unless that would cost another write unit, which is a kilobyte.
pub fn set_origin(item: &mut Item, daemon: &str, connection: u32) {
    let origin = format!("{daemon}/{connection}");
    let before = size(item);
    let after = before + ORIGIN.len() + origin.len();
    if before.div_ceil(1024) == after.div_ceil(1024) && after <= MAX_SIZE {
        item.insert(ORIGIN.to_owned(), AttributeValue::S(origin));
    }
}

/// The item's size as DynamoDB counts it, in bytes.
#[must_use]
pub fn size(item: &Item) -> usize {
    item.iter().map(|(name, value)| name.len() + attribute::size(value)).sum()
}

/// Size of a write unit, in bytes
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/capacity-mode.html>).
const WRITE_UNIT: usize = 1024;

/// The write units that writing the item takes: a started kilobyte is one, for the table and again for the index.
#[must_use]
pub fn write_units(item: &Item) -> u64 {
    write_units_of(size(item))
}

/// The write units that writing an item of this size (bytes) takes, as [`write_units`].
#[must_use]
pub fn write_units_of(size: usize) -> u64 {
    2 * size.div_ceil(WRITE_UNIT) as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_never_costs_a_write_unit() {
        for filling in 900..1_100 {
            let mut item = Item::from([("data".to_owned(), AttributeValue::S("x".repeat(filling)))]);
            let before = size(&item);
            set_origin(&mut item, "vm-a", 2);
            assert_eq!(size(&item).div_ceil(1024), before.div_ceil(1024));
            assert_eq!(item.contains_key(ORIGIN), (before + 12).div_ceil(1024) == before.div_ceil(1024), "{before}");
        }
    }
}
