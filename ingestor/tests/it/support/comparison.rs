//! Compares items with the frames that the simulator sent.

use std::collections::{BTreeMap, HashMap};

use exchange_sim::truth;
use serde_json::Value;
use shared::item::{self, Item};
use shared::number::Decimal;

/// Channel and time of events.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    pub(crate) generated: Vec<(String, u64)>,
    pub(crate) missing: Vec<(String, u64)>,
    /// Not stored as they were sent, but fetched from the exchange's history.
    pub(crate) filled: usize,
    /// Stored but not generated, stored twice, or altered.
    pub(crate) extra: usize,
}

/// What the exchange's history tells of a frame: of trades less than the stream did, of order events all but the predecessor.
pub(super) fn history(frame: &str) -> String {
    let mut frame: Value = serde_json::from_str(frame).unwrap();
    if frame["event"] == "trade" {
        let data = &frame["data"];
        return format!(
            "{} {} {} {} {}",
            frame["channel"], data["id"], data["type"], data["price_str"], data["amount_str"]
        );
    }
    frame.as_object_mut().unwrap().remove("pre_event_id");
    canonical(&frame)
}

/// Of copies of one event the captured one, and of these the one that was received first. Copies that say different things are all kept.
pub(super) fn once(copies: Vec<Item>) -> Vec<Item> {
    let mut kept: HashMap<(String, String), Vec<Item>> = HashMap::new();
    let rank = |item: &Item| {
        let received: u64 = item["received_at"].as_n().unwrap().parse().unwrap();
        (item.contains_key(item::SOURCE), received)
    };
    for copy in copies {
        let key = (copy["id"].as_n().unwrap().clone(), copy["microtimestamp"].as_s().unwrap().clone());
        let known = kept.entry(key).or_default();
        let is_same = |item: &Item| {
            let is_fetched = item.contains_key(item::SOURCE) || copy.contains_key(item::SOURCE);
            is_fetched || canonical(&frame_of(item)) == canonical(&frame_of(&copy))
        };
        match known.iter_mut().find(|item| is_same(item)) {
            Some(item) if rank(&copy) < rank(item) => *item = copy,
            Some(_) => {}
            None => known.push(copy),
        }
    }
    kept.into_values().flatten().collect()
}

/// Items as the exchange would spell them, with how often each is there.
pub(super) fn spelled(items: &[Item]) -> HashMap<String, usize> {
    let mut spelled = HashMap::new();
    for item in items {
        *spelled.entry(canonical(&frame_of(item))).or_default() += 1;
    }
    spelled
}

pub(super) fn frame_of(item: &Item) -> Value {
    let event = item::to_event(item).unwrap();
    let mut frame = event.extra;
    frame.insert("channel".to_owned(), event.channel.as_str().into());
    frame.insert("event".to_owned(), event.name.into());
    frame.insert("data".to_owned(), event.data);
    Value::Object(frame)
}

pub(super) fn spell_frame(frame: &str) -> String {
    canonical(&serde_json::from_str(frame).unwrap())
}

/// Takes one out; whether there was one.
pub(super) fn take(stored: &mut HashMap<String, usize>, frame: &str) -> bool {
    match stored.get_mut(frame) {
        Some(count) if *count > 0 => {
            *count -= 1;
            true
        }
        _ => false,
    }
}

/// Numbers by value, everything else to the letter.
fn canonical(value: &Value) -> String {
    match value {
        Value::Number(number) => Decimal::parse(number.as_str()).unwrap().canonical(),
        Value::Array(values) => format!("[{}]", values.iter().map(canonical).collect::<Vec<_>>().join(",")),
        Value::Object(fields) => {
            let sorted: BTreeMap<_, _> = fields.iter().map(|(name, value)| (name, canonical(value))).collect();
            format!("{sorted:?}")
        }
        other => other.to_string(),
    }
}

/// The frames that were sent to a connection, each once: also those that were held back and sent later.
pub(super) fn sent_frames(lines: &[truth::Line]) -> impl Iterator<Item = &truth::Frame> {
    lines.iter().filter_map(|line| match line {
        truth::Line::Frame(frame) if !frame.connections.is_empty() => {
            matches!(frame.kind, truth::Kind::Event | truth::Kind::Reordered).then_some(frame)
        }
        _ => None,
    })
}

/// The frames that each connection was sent, in order, events only.
fn sent_by_connection(lines: &[truth::Line]) -> BTreeMap<u64, Vec<String>> {
    let mut sent: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for frame in sent_frames(lines) {
        for connection in &frame.connections {
            sent.entry(*connection).or_default().push(frame.frame.clone());
        }
    }
    sent
}

/// Checks that of each connection the table holds the first so many frames without a hole, each once, and nothing that was
/// not sent. Returns for each connection how many of how many.
pub(crate) fn assert_prefixes(lines: &[truth::Line], items: &[Item]) -> Vec<(usize, usize)> {
    let mut stored = spelled(items);
    assert!(stored.values().all(|count| *count == 1), "something is there twice");
    let mut prefixes = Vec::new();
    for (connection, frames) in sent_by_connection(lines) {
        let found: Vec<bool> = frames.iter().map(|frame| take(&mut stored, &spell_frame(frame))).collect();
        let count = found.iter().take_while(|found| **found).count();
        assert!(found[count..].iter().all(|found| !found), "a hole in connection {connection}: {found:?}");
        prefixes.push((count, frames.len()));
    }
    assert!(stored.values().all(|count| *count == 0), "something was never sent");
    prefixes
}
