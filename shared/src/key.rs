//! Derives the primary key of an event from its content.

use serde_json::Value;
use xxhash_rust::xxh3::Xxh3Default;

use crate::event::{Event, Kind};
use crate::number::Decimal;
use crate::time::Micros;

/// The primary key of an event, and the time it is found under.
///
/// The same event has the same key whichever connection, daemon, replay or gap fill it came through, so writing it twice
/// is harmless; different events have different keys.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Key {
    /// Partition key: the exchange's trade or order id, digits. Without one, the microtimestamp; without that, the
    /// hash that also ends the sort key.
    pub id: String,
    /// Sort key: the exchange's microtimestamp, for all but trades followed by `#` and the discriminator.
    pub microtimestamp: String,
}

/// Separates the microtimestamp from the discriminator in the sort key.
pub const SEPARATOR: char = '#';

/// An order's id is a snowflake: above these bits milliseconds since [`ID_EPOCH`], in them a count.
pub(crate) const ID_COUNT_BITS: u32 = 12;
/// Milliseconds since the Unix epoch.
pub(crate) const ID_EPOCH: u64 = 1_288_834_974_657;

/// The time at which the exchange gave an order its id (decimal digits), to the millisecond; `None` for what is no number of 64 bits.
#[must_use]
pub fn order_time(id: &str) -> Option<Micros> {
    let Micros(id) = Micros::from_digits(id)?;
    Some(Micros(((id >> ID_COUNT_BITS) + ID_EPOCH) * 1_000)).filter(|time| *time <= Micros::END)
}

const EVENT_ID: &str = "event_id";
const PRE_EVENT_ID: &str = "pre_event_id";
/// DynamoDB's limit for a sort key is 1,024 bytes; real event ids have 36.
const MAX_EVENT_ID: usize = 256;

/// Why an event has no key.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum KeyError {
    /// A trade or order without a usable id.
    #[error("{event} without an id that is a whole number")]
    NoId {
        /// The event's name.
        event: String,
    },
    /// A trade or order without a usable microtimestamp.
    #[error("{event} without a microtimestamp that is a whole number")]
    NoMicrotimestamp {
        /// The event's name.
        event: String,
    },
}

/// The key and the facts it was built from.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Keyed {
    /// The primary key.
    pub key: Key,
    /// The exchange's time of the event; `None` where the message carries none that can be read, or one after
    /// [`Micros::END`], which no query reaches.
    pub time: Option<Micros>,
    /// Hash of the channel, the event's name and its content, the same over every source: two events under one key differ in it.
    /// `None` for what was fetched poorer than it was sent.
    pub content: Option<u64>,
}

impl Keyed {
    /// Builds the key from the event's content.
    ///
    /// # Errors
    ///
    /// [`KeyError`] for a trade or an order that lacks its id or its microtimestamp.
    pub fn of(event: &Event) -> Result<Keyed, KeyError> {
        let id = event.field("id").and_then(whole_number).or_else(|| event.field("id_str").and_then(whole_number));
        let microtimestamp =
            event.field("microtimestamp").and_then(whole_number).and_then(|text| Micros::from_digits(&text));
        let content = content_hash(event);
        match event.kind() {
            Kind::Trade | Kind::Order => {
                let name = || event.name.clone();
                let id = id.ok_or_else(|| KeyError::NoId { event: name() })?;
                let time = microtimestamp.ok_or_else(|| KeyError::NoMicrotimestamp { event: name() })?;
                let sort = match event.kind() {
                    Kind::Trade => time.to_string(),
                    _ => format!("{time}{SEPARATOR}{}", discriminator(event, time, content)),
                };
                Ok(Keyed {
                    key: Key { id, microtimestamp: sort },
                    time: Some(time).filter(|time| *time <= Micros::END),
                    content: Some(content),
                })
            }
            Kind::Other => {
                let time = microtimestamp.or_else(|| timestamp(event));
                let sort = format!("{}{SEPARATOR}{content:016x}", time.unwrap_or_default());
                let id = id.or_else(|| time.map(|time| time.to_string())).unwrap_or_else(|| content.to_string());
                let time = time.filter(|time| *time <= Micros::END);
                Ok(Keyed { key: Key { id, microtimestamp: sort }, time, content: Some(content) })
            }
        }
    }
}

/// The whole seconds that funding rates carry instead of a microtimestamp.
fn timestamp(event: &Event) -> Option<Micros> {
    event.field("timestamp").and_then(whole_number).and_then(|text| Micros::from_exchange_timestamp(&text))
}

/// Ids and times are numbers on some channels and strings on others.
fn whole_number(value: &Value) -> Option<String> {
    match value {
        Value::Number(number) => Decimal::parse(number.as_str())?.into_id(),
        Value::String(text) if text.bytes().all(|byte| byte.is_ascii_digit()) => Decimal::parse(text)?.into_id(),
        _ => None,
    }
}

/// Returns what tells order events of one id and one microsecond apart: the exchange's `event_id` (on order frames since 2026, over
/// WebSocket and REST alike), else a hash of the content.
///
/// An `event_id` stands alone where it names the event's microsecond, as all recorded ones do: such an id counts the events of one
/// market and one microsecond. Any other id may be repeated, so the hash follows it.
fn discriminator(event: &Event, time: Micros, content: u64) -> String {
    match event.extra.get(EVENT_ID) {
        Some(Value::String(id)) if names(id, time) => id.clone(),
        Some(Value::String(id)) if !id.is_empty() && id.len() <= MAX_EVENT_ID => {
            format!("{id}{SEPARATOR}{content:016x}")
        }
        _ => format!("{content:016x}"),
    }
}

/// Returns true if the first 16 hex digits of an event id are the microtimestamp: `00065b81-0d69-fe98-0000-006902000020` (found
/// in every recorded frame; the exchange documents the grouping only).
fn names(id: &str, time: Micros) -> bool {
    let (high, mid, low) = (time.0 >> 32, (time.0 >> 16) & 0xffff, time.0 & 0xffff);
    id.len() == 36
        && id.strip_prefix(&format!("{high:08x}-{mid:04x}-{low:04x}")).is_some_and(|rest| rest.starts_with('-'))
}

/// xxh3-64 over the channel, the event's name and its content in one canonical spelling.
///
/// The channel is part of it because two markets may publish the same (say, empty) book in the same microsecond. What comes
/// over WebSocket only is not: an event of the exchange's history has no `pre_event_id`.
fn content_hash(event: &Event) -> u64 {
    let mut hash = Xxh3Default::new();
    feed_text(&mut hash, event.channel.as_str());
    feed_text(&mut hash, &event.name);
    feed(&mut hash, &event.data);
    for (name, value) in sorted(&event.extra).into_iter().filter(|(name, _)| *name != PRE_EVENT_ID) {
        feed_text(&mut hash, name);
        feed(&mut hash, value);
    }
    hash.digest()
}

/// Every value starts with its type and every text, list and object with its length, so no two values feed the same bytes.
fn feed(hash: &mut Xxh3Default, value: &Value) {
    match value {
        Value::Null => hash.update(b"z"),
        Value::Bool(flag) => hash.update(if *flag { b"t" } else { b"f" }),
        Value::Number(number) => {
            hash.update(b"n");
            let text = number.as_str();
            match Decimal::parse(text) {
                Some(decimal) => {
                    let mut buffer = itoa::Buffer::new();
                    let parts = decimal.canonical_parts(&mut buffer);
                    feed_length(hash, parts.iter().map(|part| part.len()).sum());
                    parts.iter().for_each(|part| hash.update(part.as_bytes()));
                }
                None => feed_text(hash, text),
            }
        }
        Value::String(text) => {
            hash.update(b"s");
            feed_text(hash, text);
        }
        Value::Array(values) => {
            hash.update(b"a");
            feed_length(hash, values.len());
            for value in values {
                feed(hash, value);
            }
        }
        Value::Object(fields) => {
            hash.update(b"o");
            feed_length(hash, fields.len());
            for (name, value) in sorted(fields) {
                feed_text(hash, name);
                feed(hash, value);
            }
        }
    }
}

fn feed_text(hash: &mut Xxh3Default, text: &str) {
    feed_length(hash, text.len());
    hash.update(text.as_bytes());
}

/// 64 bits on every machine: the hash is part of keys that outlive the machine.
fn feed_length(hash: &mut Xxh3Default, length: usize) {
    hash.update(&(length as u64).to_le_bytes());
}

/// The map is sorted already unless some crate of the build turns on serde_json's `preserve_order`.
fn sorted(fields: &serde_json::Map<String, Value>) -> Vec<(&String, &Value)> {
    let mut fields: Vec<_> = fields.iter().collect();
    fields.sort_unstable_by_key(|(name, _)| *name);
    fields
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::frame::Frame;

    fn event(text: &str) -> Event {
        match Frame::parse(text.as_bytes()).unwrap() {
            Frame::Event(event) => event,
            Frame::Control(control) => panic!("{control:?}"),
        }
    }

    fn key(text: &str) -> (String, String) {
        let Key { id, microtimestamp } = Keyed::of(&event(text)).unwrap().key;
        (id, microtimestamp)
    }

    #[test]
    fn a_trade_has_the_bare_pair() {
        let (id, sort) = key(
            r#"{"data":{"id":2001939623936278528,"timestamp":"1789456400586","microtimestamp":"1789456400586000"},"channel":"live_trades_btcusd-perp","event":"trade"}"#,
        );
        assert_eq!((id.as_str(), sort.as_str()), ("2001939623936278528", "1789456400586000"));
    }

    #[test]
    fn an_order_event_ends_in_its_event_id() {
        let (id, sort) = key(
            r#"{"data":{"id":"2050558851342339","microtimestamp":1789459694223000},"channel":"live_orders_ethusd","event":"order_created","event_id":"00065b81-0d69-fe98-0000-006902000020"}"#,
        );
        assert_eq!(id, "2050558851342339");
        assert_eq!(sort, "1789459694223000#00065b81-0d69-fe98-0000-006902000020");
    }

    /// Such ids are in no recorded frame; a replay whose ids were made up lost 29 of 12,021 events by them.
    #[test]
    fn an_event_id_that_does_not_name_the_microsecond_may_be_repeated() {
        let order = |channel: &str, name: &str, amount: &str, pre: &str| {
            key(&format!(
                r#"{{"data":{{"id":7,"microtimestamp":"1789459694223000","amount_str":"{amount}"}},"channel":"{channel}","event":"{name}","event_id":"made-up","pre_event_id":"{pre}"}}"#
            ))
        };
        let one = order("live_orders_ethusd", "order_changed", "0.5", "a");
        assert!(one.1.starts_with("1789459694223000#made-up#"), "{one:?}");
        assert_eq!(one, order("live_orders_ethusd", "order_changed", "0.5", "b"), "history has no pre_event_id");
        for other in [
            order("live_orders_btcusd", "order_changed", "0.5", "a"),
            order("live_orders_ethusd", "order_deleted", "0.5", "a"),
            order("live_orders_ethusd", "order_changed", "0.4", "a"),
        ] {
            assert_ne!(one, other);
        }
    }

    /// The first system overwrote one with the other: same order, same microsecond, same name.
    #[test]
    fn two_changes_in_one_microsecond_are_two_keys() {
        let change = |amount: &str| {
            key(&format!(
                r#"{{"data":{{"id":2041946741522435,"microtimestamp":"1787357128731000","amount_str":"{amount}"}},"channel":"live_orders_btcusd","event":"order_changed"}}"#
            ))
        };
        assert_ne!(change("0.5"), change("0.25"));
        assert_eq!(change("0.5"), change("0.5"));
    }

    /// The discriminator must never change: it is in every table. 16 hex digits.
    #[test]
    fn the_hash_is_fixed_for_ever() {
        let spaced = r#"{ "event": "data", "channel": "order_book_btcusd", "data": { "bids": [], "asks": [["1.50", "2"]], "microtimestamp": "1583656800237527", "n": 1e-8 } }"#;
        let dense = r#"{"data":{"n":0.00000001,"microtimestamp":"1583656800237527","asks":[["1.50","2"]],"bids":[]},"channel":"order_book_btcusd","event":"data"}"#;
        assert_eq!(key(spaced), key(dense));
        let (id, sort) = key(dense);
        assert_eq!(id, "1583656800237527");
        assert_eq!(sort, "1583656800237527#87855a5e187323c6");
        assert_ne!(key(dense), key(&dense.replace("btcusd", "btceur")));
    }

    #[test]
    fn messages_without_a_microtimestamp_use_their_timestamp() {
        let keyed = Keyed::of(&event(
            r#"{"data":{"market":"btcusd-perp","timestamp":"1790318552"},"channel":"funding_rate_btcusd-perp","event":"funding_rate_saved"}"#,
        ))
        .unwrap();
        assert_eq!(keyed.time, Some(Micros(1_790_318_552_000_000)));
        assert_eq!(keyed.key.id, "1790318552000000");
        let keyed =
            Keyed::of(&event(r#"{"data":{"text":"new listing"},"channel":"announcements","event":"published"}"#))
                .unwrap();
        assert_eq!(keyed.time, None);
        assert!(keyed.key.microtimestamp.starts_with("0#"), "{}", keyed.key.microtimestamp);
    }

    #[test]
    fn trades_and_orders_cannot_do_without_id_and_time() {
        for (data, reason) in [
            (r#"{"microtimestamp":"1"}"#, "trade without an id"),
            (r#"{"id":-1,"microtimestamp":"1"}"#, "trade without an id"),
            (r#"{"id":1.5,"microtimestamp":"1"}"#, "trade without an id"),
            (r#"{"id":[1],"microtimestamp":"1"}"#, "trade without an id"),
            (r#"{"id":1}"#, "without a microtimestamp"),
            (r#"{"id":1,"microtimestamp":"soon"}"#, "without a microtimestamp"),
            ("[]", "trade without an id"),
        ] {
            let text = format!(r#"{{"event":"trade","channel":"live_trades_btcusd","data":{data}}}"#);
            let error = Keyed::of(&event(&text)).unwrap_err().to_string();
            assert!(error.contains(reason), "{data}: {error}");
        }
    }
}
