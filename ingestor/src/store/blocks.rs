//! Reads the events that lie in blocks.

use std::collections::HashMap;
use std::collections::hash_map::Entry;

use aws_sdk_dynamodb::types::AttributeValue;
use shared::block::stored::{BlockItem, SPAN, partition};
use shared::item::{Item, SOURCE};
use shared::key::Key;
use shared::table::{ID, MICROTIMESTAMP, NMICROTIMESTAMP, RECEIVED_AT};

use crate::store::reader::{Side, StoreReader};
use crate::store::request::{required, send_with_timeout};

/// Number of blocks read at once in search of the nearest events.
const BLOCKS_AT_ONCE: i32 = 8;

impl StoreReader {
    /// Returns the events of a channel that are nearest to a moment (microseconds since the Unix epoch), at most `limit`, whether they are
    /// items or lie in blocks. Each event is there once, as it was captured if it was.
    ///
    /// # Errors
    ///
    /// Returns a one-sentence description if a query fails or times out, or if a block is damaged, with its name.
    pub async fn nearest_events(
        &self,
        channel: &str,
        moment: u64,
        side: Side,
        limit: usize,
    ) -> Result<Vec<Item>, String> {
        let single = i32::try_from(limit).unwrap_or(i32::MAX);
        let mut found = self.nearest(channel, moment, side, single).await?;
        let start = match side {
            Side::Before => moment,
            Side::After => moment.saturating_sub(SPAN + 1),
        };
        let query = self.side(&partition(channel), start, side).limit(BLOCKS_AT_ONCE);
        let mut next = None;
        loop {
            let sent = query.clone().set_exclusive_start_key(next).send();
            let page = send_with_timeout("dynamodb:Query on the index", sent).await?;
            let mut reached = None;
            for item in required(page.items)? {
                let block = BlockItem::from_attributes(&item).map_err(|error| error.to_string())?;
                reached = Some(block.times().0.0);
                let events = block.events().map_err(|error| error.to_string())?;
                found.extend(events.into_iter().filter(|event| lies(time(event), side, moment)));
            }
            found = once(found);
            found.sort_by_cached_key(place);
            if side == Side::Before {
                found.reverse();
            }
            found.truncate(limit);
            let farthest = found.last().filter(|_| found.len() == limit).map(time);
            // Those that follow hold nothing nearer.
            let is_enough = farthest.zip(reached).is_some_and(|(farthest, reached)| match side {
                Side::Before => reached + SPAN < farthest,
                Side::After => reached > farthest,
            });
            next = page.last_evaluated_key;
            if is_enough || next.is_none() {
                return Ok(found);
            }
        }
    }

    /// Returns the events of a channel that lie in blocks, between two moments (microseconds since the Unix epoch, both included).
    ///
    /// # Errors
    ///
    /// Returns a one-sentence description if a query fails or times out, or if a block is damaged, with its name.
    pub async fn events_in_blocks(&self, channel: &str, from: u64, through: u64) -> Result<Vec<Item>, String> {
        let query = self
            .on_index(
                "#channel = :channel AND #time BETWEEN :moment AND :through",
                &partition(channel),
                from.saturating_sub(SPAN),
            )
            .expression_attribute_values(":through", AttributeValue::N(through.to_string()));
        let mut blocks = Vec::new();
        self.for_each_page(query, |items| blocks.extend(items)).await?;
        let mut events = Vec::new();
        for item in blocks {
            let block = BlockItem::from_attributes(&item).map_err(|error| error.to_string())?;
            if block.times().1.0 >= from {
                events.extend(block.events().map_err(|error| error.to_string())?);
            }
        }
        events.retain(|event| (from..=through).contains(&time(event)));
        Ok(events)
    }
}

/// Returns the primary key of an event.
#[must_use]
pub fn key_of(event: &Item) -> Option<Key> {
    match (event.get(ID), event.get(MICROTIMESTAMP)) {
        (Some(AttributeValue::N(id)), Some(AttributeValue::S(sort))) => {
            Some(Key { id: id.clone(), microtimestamp: sort.clone() })
        }
        _ => None,
    }
}

/// Keeps one of several copies of an event: a captured one before a fetched one, then the one that was received first.
fn once(events: Vec<Item>) -> Vec<Item> {
    let mut kept: HashMap<Key, Item> = HashMap::new();
    let rank = |event: &Item| (event.contains_key(SOURCE), number(event, RECEIVED_AT));
    for event in events {
        let Some(key) = key_of(&event) else { continue };
        match kept.entry(key) {
            Entry::Vacant(free) => drop(free.insert(event)),
            Entry::Occupied(mut known) if rank(&event) < rank(known.get()) => drop(known.insert(event)),
            Entry::Occupied(_) => {}
        }
    }
    kept.into_values().collect()
}

/// Returns true if a time lies on that side of a moment.
fn lies(time: u64, side: Side, moment: u64) -> bool {
    match side {
        Side::Before => time < moment,
        Side::After => time > moment,
    }
}

/// Returns an event's place in the order: its time, when it was received, and its key.
fn place(event: &Item) -> (u64, u64, Option<Key>) {
    (time(event), number(event, RECEIVED_AT), key_of(event))
}

fn time(event: &Item) -> u64 {
    number(event, NMICROTIMESTAMP)
}

fn number(event: &Item, name: &str) -> u64 {
    event.get(name).and_then(|number| number.as_n().ok()?.parse().ok()).unwrap_or_default()
}
