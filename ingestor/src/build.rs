use serde_json::Value;
use shared::event::Event;
use shared::frame::Frame;
use shared::item;
use shared::key::Keyed;

use crate::batch::Entry;
use crate::ledger::Mark;
use crate::spool::record::{Content, Record};

/// What the shipper would write of a record; nothing of control messages.
///
/// # Errors
///
/// Why it belongs into the quarantine. A story does in any case: to the ledger it means something in its place only.
pub fn entry_of(sequence: u64, record: &Record) -> Result<Option<Entry>, String> {
    match build(record) {
        Built::Nothing => Ok(None),
        Built::Story(_) => Err("a story that comes too late for the ledger".to_owned()),
        Built::Refused(reason) => Err(reason),
        Built::Entry(entry, _, _) => Ok(Some(Entry { sequences: vec![sequence], ..*entry })),
    }
}

/// What becomes of a record.
pub enum Built {
    /// Nothing to store.
    Nothing,
    /// What happened to a connection: for the ledger.
    Story(Box<Mark>),
    /// For the quarantine.
    Refused(String),
    /// For the table, with what it means for the ledger and the price for the status.
    Entry(Box<Entry>, Mark, Option<String>),
}

/// Parses a record and builds its item.
#[must_use]
pub fn build(record: &Record) -> Built {
    let text = match &record.content {
        Content::Story(json) => {
            return match serde_json::from_slice(json) {
                Ok(story) => Built::Story(Box::new(Mark::Story(record.connection, record.received_at.0, story))),
                Err(error) => Built::Refused(format!("a story that this version does not know: {error}")),
            };
        }
        Content::Refused(reason) => return Built::Refused(reason.clone()),
        Content::Binary(_) => return Built::Refused("binary message; the exchange sends text only".to_owned()),
        Content::Text(text) => text,
    };
    match Frame::parse(text) {
        Err(error) => Built::Refused(error.to_string()),
        Ok(Frame::Control(_)) => Built::Nothing,
        Ok(Frame::Event(event)) => entry(event, record),
    }
}

fn entry(event: Event, record: &Record) -> Built {
    let price = event.field("price_str").and_then(Value::as_str).map(str::to_owned);
    let channel = event.channel.clone();
    let keyed = match Keyed::of(&event) {
        Ok(keyed) => keyed,
        Err(error) => return Built::Refused(error.to_string()),
    };
    let (key, time) = (keyed.key.clone(), keyed.time.unwrap_or(record.received_at));
    let mark = Mark::event(&event, time);
    match item::from_keyed(event, keyed, record.received_at) {
        Ok(item) => {
            let entry = Entry { sequences: Vec::new(), key, channel, time, item, ledger: None };
            Built::Entry(Box::new(entry), mark, price)
        }
        Err(error) => Built::Refused(error.to_string()),
    }
}
