//! What is known of the completeness of a channel's time: the reserved channel `_coverage:<channel>` of the table, one item
//! for each interval of time of each daemon.
//!
//! | attribute | type | meaning |
//! |---|---|---|
//! | `channel` | S | `_coverage:<channel>` |
//! | `nmicrotimestamp` | N | the end of the interval, inclusive, microseconds since the Unix epoch |
//! | `from` | N | its beginning, inclusive |
//! | `state` | S | `captured`, `filled` (fetched again afterwards) or `gap` |
//! | `reason` | S | of a gap: why |
//! | `frames` | N | events received meanwhile |
//! | `daemon` | S | whose record it is |
//! | `id`, `microtimestamp` | N, S | xxh3-64 of daemon and channel; `<through>#<from>`, of filled ones `<through>#<from>#filled` |
//!
//! Minutes of closed days are put together in another channel, see [`crate::coverage::days`].
//!
//! A `captured` or `filled` interval is at most a minute long, so whoever reads all ends up to a minute after a moment knows
//! all of them that contain it; a gap may be of any length. Stretches that touch (next `from` = `through` or one more) are
//! one. Of several records the best counts: captured, then filled, then gap. Where there is no item nothing is known.

use std::ops::RangeInclusive;

use aws_sdk_dynamodb::types::AttributeValue;
use rangemap::RangeInclusiveMap;
use serde::{Deserialize, Serialize};
use xxhash_rust::xxh3::xxh3_64;

use crate::item::Item;
use crate::key::{Key, SEPARATOR};
use crate::table::{CHANNEL, ID, MICROTIMESTAMP, NMICROTIMESTAMP};

pub mod days;

/// The longest interval that is `captured` or `filled`, in microseconds.
pub const LONGEST: u64 = 60_000_000;

/// State of an interval, the best last.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum State {
    /// No record.
    Unknown,
    /// Its items have been kept for as long as they should ([`crate::keep`]); no entry of the ledger says so.
    Expired,
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
            State::Expired => "expired",
            State::Gap => "gap",
            State::Filled => "filled",
            State::Captured => "captured",
        }
    }

    /// Reads what [`State::name`] wrote of a recorded state; `None` for anything else.
    #[must_use]
    pub fn recorded(name: &str) -> Option<State> {
        [State::Gap, State::Filled, State::Captured].into_iter().find(|known| known.name() == name)
    }
}

/// An interval of time, both ends inclusive, microseconds since the Unix epoch: an event whose time lies in a captured one is
/// in the table or in the daemon's quarantine.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Interval {
    /// First microsecond.
    pub from: u64,
    /// Last microsecond.
    pub through: u64,
    /// What is known of it.
    pub state: State,
    /// Why, for a gap.
    pub reason: Option<String>,
}

/// An entry of a daemon's ledger: what it knows of one interval of one channel.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record {
    /// The daemon's name.
    pub daemon: String,
    /// The channel.
    pub channel: String,
    /// When, and what is known. Serialized as `stretch`, which earlier versions of the daemon saved.
    #[serde(rename = "stretch")]
    pub interval: Interval,
    /// Events received meanwhile.
    pub frames: u64,
}

/// The reserved channel that holds what is known of `channel`.
#[must_use]
pub fn ledger_channel(channel: &str) -> String {
    format!("{LEDGER}{channel}")
}

const LEDGER: &str = "_coverage:";

/// The `id` of all records of a daemon about a channel.
#[must_use]
pub fn record_id(daemon: &str, channel: &str) -> String {
    xxh3_64(format!("{daemon}\n{channel}").as_bytes()).to_string()
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
    /// The item's primary key: one for each interval of each daemon.
    #[must_use]
    pub fn key(&self) -> Key {
        let Interval { from, through, .. } = self.interval;
        let id = record_id(&self.daemon, &self.channel);
        // Beside the gap, not in its place: that may be written once more after a restart.
        let filled = if self.interval.state == State::Filled { "#filled" } else { "" };
        Key { id, microtimestamp: format!("{through}{SEPARATOR}{from}{filled}") }
    }

    /// Reads an item of the ledger; `None` for any other item.
    #[must_use]
    pub fn of(item: &Item) -> Option<Record> {
        let text = |name: &str| item.get(name)?.as_s().ok().cloned();
        Some(Record {
            daemon: text("daemon")?,
            channel: text(CHANNEL)?.strip_prefix(LEDGER)?.to_owned(),
            interval: interval(item)?,
            frames: item.get("frames")?.as_n().ok()?.parse().ok()?,
        })
    }

    /// As an item of the table.
    #[must_use]
    pub fn to_item(&self) -> Item {
        let Key { id, microtimestamp } = self.key();
        let reason = self.interval.reason.clone().map_or(AttributeValue::Null(true), AttributeValue::S);
        Item::from([
            (ID.to_owned(), AttributeValue::N(id)),
            (MICROTIMESTAMP.to_owned(), AttributeValue::S(microtimestamp)),
            (CHANNEL.to_owned(), AttributeValue::S(ledger_channel(&self.channel))),
            (NMICROTIMESTAMP.to_owned(), AttributeValue::N(self.interval.through.to_string())),
            ("from".to_owned(), AttributeValue::N(self.interval.from.to_string())),
            ("state".to_owned(), AttributeValue::S(self.interval.state.name().to_owned())),
            ("reason".to_owned(), reason),
            ("frames".to_owned(), AttributeValue::N(self.frames.to_string())),
            ("daemon".to_owned(), AttributeValue::S(self.daemon.clone())),
        ])
    }
}

/// Reads an item of the ledger; `None` for any other item.
#[must_use]
pub fn interval(item: &Item) -> Option<Interval> {
    let number = |name: &str| item.get(name)?.as_n().ok()?.parse().ok();
    let state = State::recorded(item.get("state")?.as_s().ok()?)?;
    let reason = item.get("reason").and_then(|reason| reason.as_s().ok()).cloned();
    Some(Interval { from: number("from")?, through: number(NMICROTIMESTAMP)?, state, reason })
}

/// Merges records of any number of daemons: returns the best state of each moment from `from` to `to`, in as few intervals as
/// possible, without holes. Of several gaps at one moment the last one recorded gives the reason. Takes time in proportion to
/// `n log n`.
#[must_use]
pub fn merge(recorded: &[Interval], from: u64, to: u64) -> Vec<Interval> {
    if from > to {
        return Vec::new();
    }
    let mut states = RangeInclusiveMap::from([(from..=to, (State::Unknown, None))]);
    let is_within = |interval: &&Interval| interval.from.max(from) <= interval.through.min(to);
    let mut worst_first: Vec<_> = recorded.iter().filter(is_within).collect();
    worst_first.sort_by_key(|interval| interval.state);
    for Interval { from: begin, through, state, reason } in worst_first {
        let reason = reason.as_deref().filter(|_| *state == State::Gap);
        states.insert(*begin.max(&from)..=*through.min(&to), (*state, reason));
    }
    states.into_iter().map(of_range).collect()
}

/// Returns what [`merge`] returned with these intervals (both ends included) expired, whatever the ledger says of them: its entries may be there when
/// the events are gone.
#[must_use]
pub fn expire(merged: Vec<Interval>, expired: &[(u64, u64)]) -> Vec<Interval> {
    let (Some(first), Some(last)) = (merged.first(), merged.last()) else { return merged };
    let (from, to) = (first.from, last.through);
    let mut expired = expired.iter().filter(|(begin, through)| *begin <= to && *through >= from).peekable();
    if expired.peek().is_none() {
        return merged;
    }
    let mut states: RangeInclusiveMap<u64, (State, Option<&str>)> = RangeInclusiveMap::new();
    for Interval { from, through, state, reason } in &merged {
        states.insert(*from..=*through, (*state, reason.as_deref()));
    }
    for (begin, through) in expired {
        states.insert(*begin.max(&from)..=*through.min(&to), (State::Expired, None));
    }
    states.into_iter().map(of_range).collect()
}

fn of_range((range, (state, reason)): (RangeInclusive<u64>, (State, Option<&str>))) -> Interval {
    let (from, through) = range.into_inner();
    Interval { from, through, state, reason: reason.map(str::to_owned) }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STATES: [State; 4] = [State::Unknown, State::Gap, State::Filled, State::Captured];

    fn intervals() -> impl Strategy<Value = Vec<Interval>> {
        let one = (0_u64..50, 0_u64..20, 1_usize..4).prop_map(|(from, length, state)| {
            let state = STATES[state];
            let reason = (state == State::Gap).then(|| "why".to_owned());
            Interval { from, through: from + length, state, reason }
        });
        prop::collection::vec(one, 0..12)
    }

    proptest! {
        #[test]
        fn every_moment_has_the_best_that_is_known(recorded in intervals(), from in 0_u64..60, length in 0_u64..40) {
            let to = from + length;
            let merged = merge(&recorded, from, to);
            prop_assert_eq!(merged.first().map(|interval| interval.from), Some(from));
            prop_assert_eq!(merged.last().map(|interval| interval.through), Some(to));
            for pair in merged.windows(2) {
                prop_assert_eq!(pair[0].through + 1, pair[1].from);
                prop_assert_ne!((pair[0].state, &pair[0].reason), (pair[1].state, &pair[1].reason));
            }
            for moment in from..=to {
                let contains = |interval: &&Interval| interval.from <= moment && moment <= interval.through;
                let best = recorded.iter().filter(contains).map(|interval| interval.state).max().unwrap_or(State::Unknown);
                prop_assert_eq!(merged.iter().find(contains).map(|interval| interval.state), Some(best));
            }
        }

        #[test]
        fn what_has_expired_is_nothing_else(
            recorded in intervals(), from in 0_u64..60, length in 0_u64..40,
            gone in prop::collection::vec((0_u64..70, 0_u64..20), 0..4)
        ) {
            let gone: Vec<_> = gone.into_iter().map(|(from, length)| (from, from + length)).collect();
            let merged = merge(&recorded, from, from + length);
            let after = expire(merged.clone(), &gone);
            prop_assert_eq!(after.first().map(|interval| interval.from), Some(from));
            prop_assert_eq!(after.last().map(|interval| interval.through), Some(from + length));
            let state = |list: &[Interval], moment| {
                let here = list.iter().find(|interval| interval.from <= moment && moment <= interval.through);
                here.map(|interval| (interval.state, interval.reason.clone()))
            };
            for moment in from..=from + length {
                let is_gone = gone.iter().any(|(from, through)| (*from..=*through).contains(&moment));
                let expected = if is_gone { Some((State::Expired, None)) } else { state(&merged, moment) };
                prop_assert_eq!(state(&after, moment), expected);
            }
            for pair in after.windows(2) {
                prop_assert_eq!(pair[0].through + 1, pair[1].from);
                prop_assert_ne!((pair[0].state, &pair[0].reason), (pair[1].state, &pair[1].reason));
            }
        }

        #[test]
        fn a_record_comes_back_from_its_item(recorded in intervals(), frames: u64) {
            for wanted in recorded {
                let record =
                    Record { daemon: "vm-1".into(), channel: "live_trades_btcusd".into(), interval: wanted.clone(), frames };
                prop_assert_eq!(interval(&record.to_item()), Some(wanted));
                prop_assert_eq!(Record::of(&record.to_item()), Some(record));
            }
        }
    }
}
