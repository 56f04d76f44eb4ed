//! Closed days of the ledger: each run of captured minutes of one daemon as one entry of the reserved channel
//! `_coverage-days:<channel>`, so that a year is hundreds of entries and not half a million.
//!
//! An entry of a day has the attributes of any other ([`super`]), and `entries`: how many it takes the place of. Those get
//! `expires`, so that the table deletes them some days later; until then [`runs`] of them is what the entry says. Gaps and what was
//! filled stay as they are, and so does a captured interval that stands alone.

use aws_sdk_dynamodb::types::AttributeValue;

use super::{Interval, LONGEST, Record, State};
use crate::item::Item;
use crate::key::{Key, SEPARATOR};
use crate::table::{CHANNEL, MICROTIMESTAMP};

/// Microseconds. Days are those of UTC.
pub const DAY: u64 = 86_400_000_000;

/// The longest interval of one entry, in microseconds: the first of the minutes that end in a day may begin in the day before.
pub const LONGEST_DAY: u64 = DAY + LONGEST;

/// The reserved channel that holds the closed days of `channel`.
#[must_use]
pub fn days_channel(channel: &str) -> String {
    format!("_coverage-days:{channel}")
}

/// Captured intervals that follow each other and end on one day, as one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Run {
    /// From the first one's beginning to the last one's end, with the events of all.
    pub record: Record,
    /// How many they are.
    pub entries: u64,
}

impl Run {
    /// The item's primary key: beside the entries that it takes the place of, and different from each of them.
    #[must_use]
    pub fn key(&self) -> Key {
        let Key { id, microtimestamp } = self.record.key();
        Key { id, microtimestamp: format!("{microtimestamp}{SEPARATOR}day") }
    }

    /// As an item of the table.
    #[must_use]
    pub fn to_item(&self) -> Item {
        let mut item = self.record.to_item();
        item.insert(MICROTIMESTAMP.to_owned(), AttributeValue::S(self.key().microtimestamp));
        item.insert(CHANNEL.to_owned(), AttributeValue::S(days_channel(&self.record.channel)));
        item.insert("entries".to_owned(), AttributeValue::N(self.entries.to_string()));
        item
    }

    /// Returns true for an entry that it takes the place of.
    #[must_use]
    pub fn covers(&self, interval: &Interval) -> bool {
        let own = &self.record.interval;
        interval.state == State::Captured
            && interval.through / DAY == own.through / DAY
            && own.from <= interval.from
            && interval.through <= own.through
    }
}

/// Finds the runs of at least two captured intervals in the records of one daemon and channel.
#[must_use]
pub fn runs(records: &[Record]) -> Vec<Run> {
    let mut captured: Vec<_> = records.iter().filter(|record| record.interval.state == State::Captured).collect();
    captured.sort_unstable_by_key(|record| {
        let Interval { from, through, .. } = record.interval;
        (through / DAY, from, through)
    });
    let mut runs: Vec<Run> = Vec::new();
    for record in captured {
        let Interval { from, through, .. } = record.interval;
        let follows = |run: &&mut Run| {
            let last = &run.record.interval;
            last.through / DAY == through / DAY && from <= last.through.saturating_add(1)
        };
        match runs.last_mut().filter(follows) {
            Some(run) => {
                run.record.interval.through = run.record.interval.through.max(through);
                run.record.frames = run.record.frames.saturating_add(record.frames);
                run.entries += 1;
            }
            None => runs.push(Run { record: record.clone(), entries: 1 }),
        }
    }
    runs.retain(|run| run.entries > 1);
    runs
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::coverage::{interval, merge};
    use proptest::prelude::*;

    const MIDNIGHT: u64 = 20_000 * DAY;

    fn record((from, length, is_captured, frames): (u64, u64, bool, u64)) -> Record {
        let state = if is_captured { State::Captured } else { State::Gap };
        let from = MIDNIGHT - 50 + from;
        let interval = Interval { from, through: from + length, state, reason: None };
        Record { daemon: "vm-1".to_owned(), channel: "live_trades_btcusd".to_owned(), interval, frames }
    }

    proptest! {
        #[test]
        fn runs_say_what_their_entries_say(
            given in prop::collection::vec((0..100_u64, 0..9_u64, prop::bool::weighted(0.8), 0..5_u64), 0..30)
        ) {
            let records: Vec<_> = given.into_iter().map(record).collect();
            let runs = runs(&records);
            let intervals = |records: &[Record]| records.iter().map(|record| record.interval.clone()).collect::<Vec<_>>();
            let (covered, mut left): (Vec<_>, Vec<_>) =
                records.iter().cloned().partition(|record| runs.iter().any(|run| run.covers(&record.interval)));
            prop_assert_eq!(runs.iter().map(|run| run.entries).sum::<u64>(), covered.len() as u64);
            let frames = |records: &[Record]| records.iter().map(|record| record.frames).sum::<u64>();
            let compact: Vec<_> = runs.iter().map(|run| run.record.clone()).collect();
            prop_assert_eq!(frames(&compact), frames(&covered));
            left.extend(compact);
            let ends = (MIDNIGHT - 100, MIDNIGHT + 200);
            prop_assert_eq!(merge(&intervals(&left), ends.0, ends.1), merge(&intervals(&records), ends.0, ends.1));
            for run in &runs {
                let Interval { from, through, .. } = run.record.interval;
                prop_assert!(run.entries > 1 && through - from < LONGEST_DAY);
                prop_assert_eq!(interval(&run.to_item()), Some(run.record.interval.clone()));
                prop_assert!(records.iter().all(|record| record.key() != run.key()));
            }
        }
    }
}
