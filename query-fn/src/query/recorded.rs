//! Counts the events of a range by what daemons entered in their ledgers: a lower bound that reads none of the events.

use codec::item::Item;
use futures_util::{StreamExt, TryStreamExt, stream};
use shared::table::NMICROTIMESTAMP;
use std::collections::BTreeMap;
use tokio::time::Instant;

use crate::query::coverage::{days, ledger, read_first};
use crate::query::reader::AT_ONCE;
use crate::query::store::{Store, StoreError};

/// The most entries that are read of one ledger, and of how many channels: 256 entries are 8 read units, so all of it costs at most as much as
/// a page of events.
const ENTRIES: i32 = 256;
const CHANNELS: usize = 8;

/// Returns how many events the ledgers of `channels` count between `ends`, inclusive, microseconds since the Unix epoch. There may be more:
/// of several daemons the one that counted most is taken, and entries that reach beyond the ends or lie behind the first ones of a long
/// ledger are left out.
///
/// # Errors
///
/// [`StoreError`] if one of the queries fails.
pub async fn events(
    store: &Store,
    channels: &[String],
    ends: (u64, u64),
    deadline: Instant,
) -> Result<u64, StoreError> {
    let reads: Vec<_> =
        channels.iter().take(CHANNELS).map(|channel| of_channel(store, channel, ends, deadline)).collect();
    stream::iter(reads).buffered(AT_ONCE).try_fold(0, async |sum: u64, one| Ok(sum.saturating_add(one))).await
}

async fn of_channel(store: &Store, channel: &str, ends: (u64, u64), deadline: Instant) -> Result<u64, StoreError> {
    let (closed, minutes) = (days(channel, ends.0, ends.1), ledger(channel, ends.0, ends.1));
    let ((closed, _), (minutes, _)) = tokio::try_join!(
        read_first(store, &closed, ENTRIES, deadline),
        read_first(store, &minutes, ENTRIES, deadline)
    )?;
    // Days first: the minutes that they took the place of may still be there.
    Ok(count(closed.iter().chain(&minutes), ends))
}

/// The intervals of one daemon that are counted, by their ends, and their events.
#[derive(Default)]
struct Counted {
    intervals: BTreeMap<u64, u64>,
    events: u64,
}

/// Adds up the entries of each daemon, of those that overlap the first; returns the largest sum.
fn count<'a>(entries: impl Iterator<Item = &'a Item>, ends: (u64, u64)) -> u64 {
    let mut daemons: BTreeMap<&str, Counted> = BTreeMap::new();
    for entry in entries {
        let number = |name| entry.number(name).and_then(|digits| digits.parse::<u64>().ok());
        let interval =
            number("from").zip(number(NMICROTIMESTAMP)).filter(|(from, to)| ends.0 <= *from && *to <= ends.1);
        // Of a gap there are none.
        let events = number("frames").filter(|events| *events > 0);
        let (Some((from, through)), Some(events)) = (interval, events) else { continue };
        let counted = daemons.entry(entry.text("daemon").unwrap_or_default()).or_default();
        // Neighbours may share the microsecond between them.
        let next = counted.intervals.range(from.saturating_add(1)..).next();
        if next.is_none_or(|(_, begin)| *begin >= through) {
            counted.intervals.insert(through, from);
            counted.events = counted.events.saturating_add(events);
        }
    }
    daemons.values().map(|counted| counted.events).max().unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::*;
    use codec::item::Value;
    use proptest::prelude::*;

    fn entry((daemon, from, length, events): (u8, u64, u64, u64)) -> Item {
        let number = |number: u64| Value::Number(number.to_string().into());
        Item::of(vec![
            ("daemon".into(), Value::Text(format!("vm-{daemon}").into())),
            ("from".into(), number(from)),
            (NMICROTIMESTAMP.into(), number(from + length)),
            ("frames".into(), number(events)),
        ])
    }

    #[test]
    fn what_was_counted_twice_counts_once() {
        let day = entry((1, 100, 50, 7));
        let minutes =
            [entry((1, 100, 10, 3)), entry((1, 110, 40, 4)), entry((1, 150, 10, 5)), entry((2, 100, 100, 11))];
        assert_eq!(count([&day].into_iter().chain(&minutes), (0, 1_000)), 12);
        assert_eq!(count(minutes.iter(), (0, 1_000)), 12);
        assert_eq!(count(minutes.iter(), (101, 1_000)), 9);
        assert_eq!(count(minutes.iter(), (0, 159)), 7);
        assert_eq!(count([].into_iter(), (0, 1_000)), 0);
    }

    proptest! {
        /// Each entry holds one event a microsecond: no daemon can have counted more than the range has microseconds.
        #[test]
        fn it_is_a_lower_bound(
            given in prop::collection::vec((0..3_u8, 0..100_u64, 1..20_u64), 0..40),
            (from, length) in (0..100_u64, 0..60_u64)
        ) {
            let entries: Vec<_> =
                given.into_iter().map(|(daemon, from, length)| entry((daemon, from, length, length))).collect();
            prop_assert!(count(entries.iter(), (from, from + length)) <= length);
        }
    }
}
