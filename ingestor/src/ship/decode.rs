//! Turns a record of the spool into an item, an input for the ledger, or a refusal.

use serde_json::Value;
use shared::event::Event;
use shared::frame::Frame;
use shared::item;
use shared::key::Keyed;
use shared::time::Micros;

use crate::ledger::LedgerInput;
use crate::spool::record::{Payload, Record};
use crate::store::batch::BatchEntry;

/// Returns the entry that the shipper would write for a record; `None` for a control message.
///
/// # Errors
///
/// Returns the reason if the record belongs into the quarantine. A connection event always does: to the ledger it means
/// something only in its place.
pub fn entry_of(sequence: u64, record: &Record) -> Result<Option<BatchEntry>, String> {
    match decode(record) {
        Decoded::Nothing => Ok(None),
        Decoded::ConnectionEvent(_) => Err("a story that comes too late for the ledger".to_owned()),
        Decoded::Refused(reason) => Err(reason),
        Decoded::Event(entry, _, _) => Ok(Some(BatchEntry { sequences: vec![sequence], ..*entry })),
    }
}

/// How far an event's time may lie ahead of its receipt, in microseconds. Clocks that are set by a time daemon differ
/// by milliseconds; one that is minutes behind makes every event implausible, which is logged and counted.
const AHEAD: u64 = 300_000_000;
/// How far an event's time may lie before its receipt, in microseconds: longer than anything that the exchange repeats
/// after a reconnect.
const BEHIND: u64 = 86_400_000_000;

/// What becomes of a record.
pub enum Decoded {
    /// Nothing to store.
    Nothing,
    /// A connection event, for the ledger.
    ConnectionEvent(Box<LedgerInput>),
    /// A record for the quarantine, with the reason.
    Refused(String),
    /// An event for the table, with its ledger input and, for the status, its price. Without an input its time is
    /// implausible: it is stored, but says nothing of coverage.
    Event(Box<BatchEntry>, Option<LedgerInput>, Option<String>),
}

/// Parses a record and builds its item.
#[must_use]
pub fn decode(record: &Record) -> Decoded {
    let text = match &record.payload {
        Payload::ConnectionEvent(json) => {
            return match serde_json::from_slice(json) {
                Ok(event) => Decoded::ConnectionEvent(Box::new(LedgerInput::ConnectionEvent(
                    record.connection,
                    record.received_at.0,
                    event,
                ))),
                Err(error) => Decoded::Refused(format!("a story that this version does not know: {error}")),
            };
        }
        Payload::Refused(reason) => return Decoded::Refused(reason.clone()),
        Payload::Binary(_) => return Decoded::Refused("binary message; the exchange sends text only".to_owned()),
        Payload::Unreadable(bytes) => {
            let reason = Record::decode(bytes).err().map_or_else(String::new, |error| format!(": {error}"));
            return Decoded::Refused(format!("no record that this version can read{reason}"));
        }
        Payload::Text(text) => text,
    };
    match Frame::parse(text) {
        Err(error) => Decoded::Refused(error.to_string()),
        Ok(Frame::Control(_)) => Decoded::Nothing,
        Ok(Frame::Event(event)) => entry(event, record),
    }
}

fn entry(event: Event, record: &Record) -> Decoded {
    let price = event.field("price_str").and_then(Value::as_str).map(str::to_owned);
    let channel = event.channel.clone();
    let keyed = match Keyed::of(&event) {
        Ok(keyed) => keyed,
        Err(error) => return Decoded::Refused(error.to_string()),
    };
    let received_at = record.received_at;
    let plausible = match keyed.time {
        Some(time) => is_plausible(time, received_at),
        // A time that no query reaches, or none at all.
        None => event.field("microtimestamp").is_none(),
    };
    let (key, content, time) = (keyed.key.clone(), keyed.content, keyed.time.filter(|_| plausible));
    let input = plausible.then(|| LedgerInput::event(&event, time, received_at));
    let time = time.unwrap_or(received_at);
    match item::from_keyed(event, keyed, record.received_at) {
        Ok(item) => {
            let entry = BatchEntry { content, ..BatchEntry::of_item(key, channel, time, item) };
            Decoded::Event(Box::new(entry), input, price)
        }
        Err(error) => Decoded::Refused(error.to_string()),
    }
}

/// Returns true if an event received at `received_at` (the daemon's clock) may have this time (the exchange's).
fn is_plausible(time: Micros, received_at: Micros) -> bool {
    time.0 <= received_at.0.saturating_add(AHEAD) && time.0.saturating_add(BEHIND) >= received_at.0
}
