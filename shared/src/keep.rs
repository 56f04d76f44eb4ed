//! How long the items of a channel are kept: the record of the table that says since when which time is in force.
//!
//! One item, in the reserved channel [`KEEP`]:
//!
//! | attribute | type | meaning |
//! |---|---|---|
//! | `channel`, `microtimestamp` | S | `_keep` |
//! | `id` | N | xxh3-64 of `_keep` |
//! | `nmicrotimestamp` | N | when it was last changed, microseconds since the Unix epoch by the daemon's clock |
//! | `changes` | N | how often it was changed: who changes it does so on the condition that nobody did meanwhile |
//! | `keep` | M | by the name of a channel or a family (`live_orders_*`) the list of its periods, each a list of two numbers: the first moment of the period, microseconds since the Unix epoch, and the seconds for which items of its time are kept; 0: for ever |
//!
//! What counts for an item is the time of what it holds, not when it was written: `expires` is a function of that time and of this record. So a
//! repeated, late or fetched item gets the `expires` that it would have got in time, and a reader knows of any moment when its items
//! expire. A period is recorded [`SETTLE`] before it begins, so that whoever writes knows it by then. Before the first period items are kept
//! for ever. The name of a channel counts more than that of its family.

use std::collections::BTreeMap;

use aws_sdk_dynamodb::types::AttributeValue;
use xxhash_rust::xxh3::xxh3_64;

use crate::attribute;
use crate::item::{self, EXPIRES, Item};
use crate::key::Key;
use crate::table::{CHANNEL, ID, MICROTIMESTAMP, NMICROTIMESTAMP};

/// The reserved channel of the record, and its sort key.
pub const KEEP: &str = "_keep";
/// How long before its first moment a period of a channel that has items is recorded, microseconds: longer than a daemon goes without reading the
/// record, and an event's time may be ahead of its receipt, together.
pub const SETTLE: u64 = 600 * SECOND;

/// The shortest time that items can be kept, in days: gaps are filled and trades audited within a day. What is younger has not expired.
pub const SHORTEST_DAYS: u64 = 2;

/// The attribute that counts the changes.
pub const CHANGES: &str = "changes";
const PERIODS: &str = "keep";
const SECOND: u64 = 1_000_000;

/// A stretch of time whose items are kept equally long; it ends where the next one begins.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Period {
    /// First moment, microseconds since the Unix epoch by the exchange's clock.
    pub from: u64,
    /// How long items of its time are kept, in seconds; `None`: for ever.
    pub seconds: Option<u64>,
}

/// The record: the periods of each channel or family.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Keeps {
    changes: u64,
    by_name: BTreeMap<String, Vec<Period>>,
}

/// The item of the record cannot be read.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("the item `{KEEP}`, which says how long items are kept, has no valid `{0}`; restore it")]
pub struct KeepError(&'static str);

/// Returns the primary key of the record's item.
#[must_use]
pub fn key() -> Key {
    Key { id: xxh3_64(KEEP.as_bytes()).to_string(), microtimestamp: KEEP.to_owned() }
}

impl Keeps {
    /// Reads the record from its item.
    ///
    /// # Errors
    ///
    /// [`KeepError`] if an attribute is missing or of another form.
    pub fn from_item(item: &Item) -> Result<Keeps, KeepError> {
        let changes = item.get(CHANGES).and_then(number).ok_or(KeepError(CHANGES))?;
        let Some(AttributeValue::M(names)) = item.get(PERIODS) else { return Err(KeepError(PERIODS)) };
        let named = |(name, list): (&String, &AttributeValue)| Some((name.clone(), periods(list)?));
        let by_name = names.iter().map(named).collect::<Option<_>>().ok_or(KeepError(PERIODS))?;
        Ok(Keeps { changes, by_name })
    }

    /// Returns the record as its item, changed once more. `at`: microseconds since the Unix epoch by the daemon's clock.
    #[must_use]
    pub fn to_item(&self, at: u64) -> Item {
        let number = |number: u64| AttributeValue::N(number.to_string());
        let pair =
            |period: &Period| AttributeValue::L(vec![number(period.from), number(period.seconds.unwrap_or_default())]);
        let list = |list: &Vec<Period>| AttributeValue::L(list.iter().map(pair).collect());
        let names = self.by_name.iter().map(|(name, periods)| (name.clone(), list(periods)));
        let Key { id, microtimestamp } = key();
        Item::from([
            (ID.to_owned(), AttributeValue::N(id)),
            (MICROTIMESTAMP.to_owned(), AttributeValue::S(microtimestamp)),
            (CHANNEL.to_owned(), AttributeValue::S(KEEP.to_owned())),
            (NMICROTIMESTAMP.to_owned(), number(at)),
            (CHANGES.to_owned(), number(self.changes + 1)),
            (PERIODS.to_owned(), AttributeValue::M(names.collect())),
        ])
    }

    /// Returns how often the record was changed; 0 if there is none yet.
    #[must_use]
    pub fn changes(&self) -> u64 {
        self.changes
    }

    /// Returns the names that have periods of their own.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.by_name.keys().map(String::as_str)
    }

    /// Returns the periods of a channel or family, in order: its own, else those of its family.
    #[must_use]
    pub fn of(&self, name: &str) -> &[Period] {
        let family = || name.rsplit_once('_').and_then(|(family, _)| self.by_name.get(&format!("{family}_*")));
        self.by_name.get(name).or_else(family).map_or(&[], Vec::as_slice)
    }

    /// Sets how long items of `name` are kept from a moment on, in seconds; `None`: for ever. What was in force before stays so for earlier times.
    /// Returns false if that is recorded already.
    pub fn set(&mut self, name: &str, seconds: Option<u64>, from: u64) -> bool {
        let mut periods = self.of(name).to_vec();
        if periods.last().and_then(|last| last.seconds) == seconds {
            return false;
        }
        periods.retain(|period| period.from < from);
        if periods.last().and_then(|last| last.seconds) != seconds {
            periods.push(Period { from, seconds });
        }
        self.by_name.insert(name.to_owned(), periods);
        true
    }

    /// Returns the `expires` of an item that holds what happened on a channel from one moment to another, both included: when every moment of it has
    /// been kept for its time. Seconds since the Unix epoch; `None`: never.
    #[must_use]
    pub fn expires(&self, channel: &str, from: u64, through: u64) -> Option<u64> {
        let mut latest: Option<u64> = None;
        for (begin, end, seconds) in spans(self.of(channel)) {
            if begin <= through && end >= from {
                let kept = seconds?.saturating_mul(SECOND);
                latest = latest.max(Some(end.min(through).saturating_add(kept)));
            }
        }
        latest.map(|micros| micros.div_ceil(SECOND))
    }

    /// Returns the attribute [`EXPIRES`] of an item that has none yet and holds what happened on a channel from one moment to another; `None`: it gets
    /// none. The largest item would be refused with it, so it is kept for ever instead.
    #[must_use]
    pub fn stamp(&self, channel: &str, (from, through): (u64, u64), item: &Item) -> Option<AttributeValue> {
        let expires = AttributeValue::N(self.expires(channel, from, through)?.to_string());
        let more = EXPIRES.len() + attribute::size(&expires);
        (item::size(item) + more <= item::MAX_SIZE).then_some(expires)
    }

    /// Returns the intervals of a channel's time whose items have expired by `now`, both ends included, in order. Microseconds since the Unix
    /// epoch. `first`: when the channel was first subscribed, before which it has no items.
    #[must_use]
    pub fn expired(&self, channel: &str, first: u64, now: u64) -> Vec<(u64, u64)> {
        let of_span = |(begin, end, seconds): (u64, u64, Option<u64>)| {
            let last = now.checked_sub(seconds?.saturating_mul(SECOND))?.checked_sub(1)?;
            Some((begin.max(first), end.min(last))).filter(|(from, through)| from <= through)
        };
        spans(self.of(channel)).filter_map(of_span).collect()
    }
}

/// Returns the first and the last moment of each period, and for how many seconds its items are kept; first of the time before all periods.
fn spans(periods: &[Period]) -> impl Iterator<Item = (u64, u64, Option<u64>)> {
    let before =
        periods.first().map_or(Some((0, u64::MAX, None)), |first| first.from.checked_sub(1).map(|end| (0, end, None)));
    let ends = periods.iter().skip(1).map(|next| next.from - 1).chain([u64::MAX]);
    before.into_iter().chain(periods.iter().zip(ends).map(|(period, end)| (period.from, end, period.seconds)))
}

/// Reads a list of periods, each later than the one before.
fn periods(list: &AttributeValue) -> Option<Vec<Period>> {
    let AttributeValue::L(list) = list else { return None };
    let period = |pair: &AttributeValue| {
        let AttributeValue::L(pair) = pair else { return None };
        let [from, seconds] = pair.as_slice() else { return None };
        Some(Period { from: number(from)?, seconds: Some(number(seconds)?).filter(|seconds| *seconds > 0) })
    };
    let periods: Vec<Period> = list.iter().map(period).collect::<Option<_>>()?;
    periods.is_sorted_by(|one, next| one.from < next.from).then_some(periods)
}

fn number(value: &AttributeValue) -> Option<u64> {
    value.as_n().ok()?.parse().ok()
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const DAY: u64 = 86_400;
    const NAME: &str = "live_orders_btcusd";

    #[test]
    fn a_name_counts_more_than_its_family_and_inherits_its_past() {
        let mut keeps = Keeps::default();
        assert!(keeps.set("live_orders_*", Some(90 * DAY), 0));
        assert!(!keeps.set("live_orders_*", Some(90 * DAY), 7));
        assert!(!keeps.set(NAME, Some(90 * DAY), 7), "its family says so");
        assert!(keeps.set(NAME, None, 1_000 * SECOND));
        assert_eq!(keeps.expires("live_orders_ethusd", 2_000 * SECOND, 2_000 * SECOND), Some(2_000 + 90 * DAY));
        assert_eq!(keeps.expires(NAME, 2_000 * SECOND, 2_000 * SECOND), None);
        assert_eq!(keeps.expires(NAME, 999 * SECOND, 999 * SECOND), Some(999 + 90 * DAY));
        assert_eq!(keeps.expires("live_trades_btcusd", 0, 0), None);
        assert_eq!(keeps.expires("announcements", 0, 0), None);
    }

    #[test]
    fn an_item_of_a_while_stays_as_long_as_any_moment_of_it() {
        let mut keeps = Keeps::default();
        keeps.set(NAME, Some(90 * DAY), 100 * SECOND);
        assert_eq!(keeps.expires(NAME, 99 * SECOND, 101 * SECOND), None, "its beginning is kept for ever");
        keeps.set(NAME, Some(2 * DAY), 200 * SECOND);
        assert_eq!(keeps.expires(NAME, 150 * SECOND, 250 * SECOND), Some(200 + 90 * DAY));
        assert_eq!(keeps.expires(NAME, 200 * SECOND, 250 * SECOND + 1), Some(251 + 2 * DAY));
    }

    #[test]
    fn a_damaged_record_is_an_error() {
        let mut keeps = Keeps::default();
        keeps.set(NAME, Some(DAY), 5);
        let item = keeps.to_item(9);
        let number = |text: &str| AttributeValue::N(text.to_owned());
        let pair = |from: &str| AttributeValue::L(vec![number(from), number("1")]);
        for (name, value) in [
            (CHANGES, AttributeValue::S("1".to_owned())),
            (PERIODS, AttributeValue::L(Vec::new())),
            (PERIODS, AttributeValue::M([(NAME.to_owned(), number("1"))].into())),
            (PERIODS, AttributeValue::M([(NAME.to_owned(), AttributeValue::L(vec![pair("2"), pair("2")]))].into())),
            (PERIODS, AttributeValue::M([(NAME.to_owned(), AttributeValue::L(vec![pair("-2")]))].into())),
        ] {
            let mut item = item.clone();
            item.insert(name.to_owned(), value);
            assert_eq!(Keeps::from_item(&item), Err(KeepError(name)));
        }
    }

    /// An item that was written: what it holds, and when it expires.
    #[derive(Clone, Copy, Debug)]
    struct Written {
        from: u64,
        through: u64,
        expires: Option<u64>,
    }

    proptest! {
        #[test]
        fn a_record_comes_back_from_its_item(
            sets in prop::collection::vec(("live_[a-c]_[*a-c]", prop::option::of(1_u64..400), 0_u64..100), 0..20), at: u64
        ) {
            let mut keeps = Keeps::default();
            for (name, days, from) in sets {
                keeps.set(&name, days.map(|days| days * DAY), from);
            }
            let read = Keeps::from_item(&keeps.to_item(at)).unwrap();
            prop_assert_eq!(read.changes(), 1);
            prop_assert_eq!(read.by_name, keeps.by_name);
        }

        /// Whatever the setting is changed to, and however late something is written: a moment is called expired once its events are gone, and what
        /// holds a moment that is not is there.
        #[test]
        fn expired_is_what_is_gone(
            changes in prop::collection::vec((0_u64..20 * DAY, prop::option::of(2_u64..9)), 0..6),
            writes in prop::collection::vec((0_u64..20 * DAY, 0_u64..2 * DAY, 0_u64..300), 1..40),
            (ago, looked) in (0_u64..3 * DAY, 0_u64..40 * DAY),
        ) {
            // By time: changes as daemons make them, and writes of something that began before, which know the record of ten minutes less the lead.
            let mut steps: Vec<_> = changes.into_iter().map(|(at, days)| (at, Some(days), (0, 0))).collect();
            steps.extend(writes.into_iter().map(|(at, late, length)| (at, None, (late, length))));
            steps.sort_unstable();
            let (mut keeps, mut versions) = (Keeps::default(), vec![(0, Keeps::default())]);
            let mut written = Vec::new();
            for (second, change, (late, length)) in steps {
                let at = (100 * DAY + second) * SECOND;
                match change {
                    Some(days) => {
                        keeps.set(NAME, days.map(|days| days * DAY), at + SETTLE);
                        versions.push((at, keeps.clone()));
                    }
                    None => {
                        // An event may be 300 s ahead of its receipt, and a daemon not have read the record for as long.
                        let (_, known) = versions.iter().rev().find(|(from, _)| from + 300 * SECOND <= at).unwrap();
                        let through = at + 299 * SECOND - late.min(second) * SECOND;
                        let from = through - length * SECOND;
                        written.push(Written { from, through, expires: known.expires(NAME, from, through) });
                    }
                }
            }
            let first = (100 * DAY + ago) * SECOND;
            let now = (100 * DAY + looked) * SECOND;
            let expired = keeps.expired(NAME, first, now);
            prop_assert!(expired.is_sorted_by(|one, next| one.1 < next.0));
            let is_expired = |moment: u64| expired.iter().any(|(from, through)| (*from..=*through).contains(&moment));
            for Written { from, through, expires } in written {
                let is_gone = expires.is_some_and(|expires| expires * SECOND < now);
                let moments = || [from, from + (through - from) / 2, through].into_iter().filter(|moment| *moment >= first);
                if is_gone {
                    prop_assert!(moments().all(is_expired), "{from} to {through} is gone, {expired:?}");
                }
                if from == through && moments().any(is_expired) {
                    prop_assert!(expires.is_some_and(|expires| expires * SECOND <= now + SECOND), "{from} is there, {expired:?}");
                }
            }
        }
    }
}
