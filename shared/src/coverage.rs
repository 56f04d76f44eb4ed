//! What is known of the completeness of a channel's time: the reserved channel `_coverage:<channel>` of the table, one item
//! for each stretch of time of each daemon.
//!
//! | attribute | type | meaning |
//! |---|---|---|
//! | `channel` | S | `_coverage:<channel>` |
//! | `nmicrotimestamp` | N | the end of the stretch, inclusive, microseconds since the Unix epoch |
//! | `from` | N | its beginning, inclusive |
//! | `state` | S | `captured`, `filled` (fetched again afterwards) or `gap` |
//! | `reason` | S | of a gap: why |
//! | `frames` | N | events received meanwhile |
//! | `daemon` | S | whose record it is |
//! | `id`, `microtimestamp` | N, S | xxh3-64 of daemon and channel; `<through>#<from>`, of filled ones `<through>#<from>#filled` |
//!
//! A `captured` or `filled` stretch is at most a minute long, so whoever reads all ends up to a minute after a moment knows
//! all of them that contain it; a gap may be of any length. Stretches that touch (next `from` = `through` or one more) are
//! one. Of several records the best counts: captured, then filled, then gap. Where there is no item nothing is known.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::types::AttributeValue;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::item::Item;
use crate::key::{Key, SEPARATOR};
use crate::table::{CHANNEL, ID, MICROTIMESTAMP, NMICROTIMESTAMP};

/// The longest stretch that is `captured` or `filled`, in microseconds.
pub const LONGEST: u64 = 60_000_000;

/// What is known of a stretch, the best last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// No record.
    Unknown,
    /// Events may have been missed.
    Gap,
    /// Missed, then fetched from the exchange.
    Filled,
    /// Everything the exchange sent was received.
    Captured,
}

impl State {
    /// As in the ledger and in answers.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            State::Unknown => "unknown",
            State::Gap => "gap",
            State::Filled => "filled",
            State::Captured => "captured",
        }
    }
}

/// A stretch of time, both ends inclusive, microseconds since the Unix epoch: an event whose time lies in a captured one is
/// in the table or in the daemon's quarantine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Stretch {
    /// First microsecond.
    pub from: u64,
    /// Last microsecond.
    pub through: u64,
    /// What is known of it.
    pub state: State,
    /// Why, for a gap.
    pub reason: Option<String>,
}

/// A daemon's word on a stretch.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// Whose.
    pub daemon: String,
    /// The channel that it speaks of.
    pub channel: String,
    /// When, and what is known.
    pub stretch: Stretch,
    /// Events received meanwhile.
    pub frames: u64,
}

/// The reserved channel that holds what is known of `channel`.
#[must_use]
pub fn ledger_channel(channel: &str) -> String {
    format!("_coverage:{channel}")
}

/// The reserved channel that has one item for each channel ever subscribed: `microtimestamp` is the channel's name,
/// `nmicrotimestamp` when it was first subscribed (microseconds since the Unix epoch, the daemon's clock), `id` the xxh3-64
/// of the name.
pub const CHANNELS: &str = "_channels";

/// The primary key of a channel's item in [`CHANNELS`].
#[must_use]
pub fn channel_key(channel: &str) -> Key {
    Key { id: xxh3_64(channel.as_bytes()).to_string(), microtimestamp: channel.to_owned() }
}

/// A channel's item in [`CHANNELS`].
#[must_use]
pub fn channel_item(channel: &str, first_subscribed: u64) -> Item {
    let Key { id, microtimestamp } = channel_key(channel);
    Item::from([
        (ID.to_owned(), AttributeValue::N(id)),
        (MICROTIMESTAMP.to_owned(), AttributeValue::S(microtimestamp)),
        (CHANNEL.to_owned(), AttributeValue::S(CHANNELS.to_owned())),
        (NMICROTIMESTAMP.to_owned(), AttributeValue::N(first_subscribed.to_string())),
    ])
}

impl Record {
    /// The item's primary key: one for each stretch of each daemon.
    #[must_use]
    pub fn key(&self) -> Key {
        let Stretch { from, through, .. } = self.stretch;
        let id = xxh3_64(format!("{}\n{}", self.daemon, self.channel).as_bytes());
        // Beside the gap, not in its place: that may be written once more after a restart.
        let filled = if self.stretch.state == State::Filled { "#filled" } else { "" };
        Key { id: id.to_string(), microtimestamp: format!("{through}{SEPARATOR}{from}{filled}") }
    }

    /// As an item of the table.
    #[must_use]
    pub fn to_item(&self) -> Item {
        let Key { id, microtimestamp } = self.key();
        let reason = self.stretch.reason.clone().map_or(AttributeValue::Null(true), AttributeValue::S);
        Item::from([
            (ID.to_owned(), AttributeValue::N(id)),
            (MICROTIMESTAMP.to_owned(), AttributeValue::S(microtimestamp)),
            (CHANNEL.to_owned(), AttributeValue::S(ledger_channel(&self.channel))),
            (NMICROTIMESTAMP.to_owned(), AttributeValue::N(self.stretch.through.to_string())),
            ("from".to_owned(), AttributeValue::N(self.stretch.from.to_string())),
            ("state".to_owned(), AttributeValue::S(self.stretch.state.name().to_owned())),
            ("reason".to_owned(), reason),
            ("frames".to_owned(), AttributeValue::N(self.frames.to_string())),
            ("daemon".to_owned(), AttributeValue::S(self.daemon.clone())),
        ])
    }
}

/// Reads an item of the ledger; `None` for any other item.
#[must_use]
pub fn stretch(item: &Item) -> Option<Stretch> {
    let number = |name: &str| item.get(name)?.as_n().ok()?.parse().ok();
    let state = item.get("state")?.as_s().ok()?;
    let state = [State::Gap, State::Filled, State::Captured].into_iter().find(|known| known.name() == state)?;
    let reason = item.get("reason").and_then(|reason| reason.as_s().ok()).cloned();
    Some(Stretch { from: number("from")?, through: number(NMICROTIMESTAMP)?, state, reason })
}

/// The best that is known of each moment from `from` to `to`, in as few stretches as possible, without holes.
#[must_use]
pub fn merge(recorded: &[Stretch], from: u64, to: u64) -> Vec<Stretch> {
    let inside = |stretch: &&Stretch| stretch.from <= to && stretch.through >= from;
    let inside: Vec<_> = recorded.iter().filter(inside).collect();
    let mut borders = BTreeSet::from([from, to.saturating_add(1)]);
    for stretch in &inside {
        borders.insert(stretch.from.max(from));
        borders.insert(stretch.through.min(to).saturating_add(1));
    }
    let borders: Vec<_> = borders.into_iter().collect();
    let mut merged: Vec<Stretch> = Vec::new();
    for (start, end) in borders.iter().zip(borders.iter().skip(1)) {
        let here = inside.iter().filter(|stretch| stretch.from <= *start && stretch.through >= end - 1);
        let best = here.max_by_key(|stretch| stretch.state);
        let state = best.map_or(State::Unknown, |best| best.state);
        let reason = best.filter(|best| best.state == State::Gap).and_then(|best| best.reason.clone());
        match merged.last_mut().filter(|last| (last.state, &last.reason) == (state, &reason)) {
            Some(last) => last.through = end - 1,
            None => merged.push(Stretch { from: *start, through: end - 1, state, reason }),
        }
    }
    merged
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STATES: [State; 4] = [State::Unknown, State::Gap, State::Filled, State::Captured];

    fn stretches() -> impl Strategy<Value = Vec<Stretch>> {
        let one = (0_u64..50, 0_u64..20, 1_usize..4).prop_map(|(from, length, state)| {
            let state = STATES[state];
            let reason = (state == State::Gap).then(|| "why".to_owned());
            Stretch { from, through: from + length, state, reason }
        });
        prop::collection::vec(one, 0..12)
    }

    proptest! {
        #[test]
        fn every_moment_has_the_best_that_is_known(recorded in stretches(), from in 0_u64..60, length in 0_u64..40) {
            let to = from + length;
            let merged = merge(&recorded, from, to);
            prop_assert_eq!(merged.first().map(|stretch| stretch.from), Some(from));
            prop_assert_eq!(merged.last().map(|stretch| stretch.through), Some(to));
            for pair in merged.windows(2) {
                prop_assert_eq!(pair[0].through + 1, pair[1].from);
                prop_assert_ne!((pair[0].state, &pair[0].reason), (pair[1].state, &pair[1].reason));
            }
            for moment in from..=to {
                let contains = |stretch: &&Stretch| stretch.from <= moment && moment <= stretch.through;
                let best = recorded.iter().filter(contains).map(|stretch| stretch.state).max().unwrap_or(State::Unknown);
                prop_assert_eq!(merged.iter().find(contains).map(|stretch| stretch.state), Some(best));
            }
        }

        #[test]
        fn a_record_comes_back_from_its_item(recorded in stretches(), frames: u64) {
            for wanted in recorded {
                let record =
                    Record { daemon: "vm-1".into(), channel: "live_trades_btcusd".into(), stretch: wanted.clone(), frames };
                prop_assert_eq!(stretch(&record.to_item()), Some(wanted));
            }
        }
    }
}
