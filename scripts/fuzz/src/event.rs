//! Bytes on the way from the exchange to the table.

use ingestor::exchange::json_array::ArrayCutter;
use ingestor::spool::line;
use ingestor::spool::record::{Payload, Record};
use serde_json::Value;
use shared::frame::Frame;
use shared::item;
use shared::time::Micros;

/// The daemon's clock at the receipt of every message here, microseconds since the Unix epoch.
const RECEIVED: Micros = Micros(1_789_459_694_223_519);

/// Parses a message and makes an item of its event: the item gives the event back.
pub fn frame(data: &[u8]) {
    let Ok(Frame::Event(event)) = Frame::parse(data) else { return };
    let Ok(item) = item::from_event(event.clone(), RECEIVED) else { return };
    assert!(item::size(&item) <= item::MAX_SIZE);
    assert_eq!(item::to_event(&item).expect("an item gives its event back"), event);
    item::to_json(&item).expect("an item has a JSON form");
}

/// Decodes a record of the spool, and encodes it again.
pub fn record(data: &[u8]) {
    let Ok(record) = Record::decode(data) else { return };
    assert_eq!(Record::decode(&record.encode()).as_ref(), Ok(&record));
    if !matches!(record.payload, Payload::Refused(_)) {
        assert_eq!(record.encode(), data, "only a reason is read with replacements");
    }
    let mut out = Vec::new();
    line::write(&mut out, 1, &record, Some("reason")).expect("memory takes every line");
    assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1, "a record is one line");
    serde_json::from_slice::<Value>(&out).expect("a line is JSON");
    assert!(line::beginning(&record, 80).chars().count() <= 81);
}

/// Cuts an array into its elements, whole and in pieces of the size that the first byte names: the same ones.
pub fn history(data: &[u8]) {
    let Some((size, array)) = data.split_first() else { return };
    let whole = cut(array, array.len().max(1));
    assert_eq!(cut(array, usize::from(*size).max(1)), whole);
    // What a parser of whole arrays accepts is cut into the same elements.
    let Ok(Value::Array(elements)) = serde_json::from_slice(array) else { return };
    if elements.iter().all(Value::is_object) {
        let (found, is_whole) = whole.expect("an array of short objects");
        assert!(is_whole);
        let found: Vec<Value> = found.iter().map(|text| serde_json::from_slice(text).expect("an object")).collect();
        assert_eq!(found, elements);
    }
}

/// Returns the elements and whether the array has ended; `None` if it is none.
fn cut(array: &[u8], size: usize) -> Option<(Vec<Vec<u8>>, bool)> {
    let (mut cutter, mut found) = (ArrayCutter::default(), Vec::new());
    for piece in array.chunks(size) {
        cutter.feed(piece).ok()?;
        found.extend(std::iter::from_fn(|| cutter.take()));
    }
    Some((found, cutter.is_whole()))
}
