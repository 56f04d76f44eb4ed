//! Counts a range without sending its events: number, bytes and read units of an export.

use codec::item::{Item, Value};
use rust_decimal::Decimal;
use smol_str::format_smolstr;
use tokio::time::Instant;

use crate::query::page::{self, Feed};
use crate::query::store::{Store, StoreError};
use crate::range::{InvalidProgress, Order, Range};

/// The most pages of 1 MB that one answer counts: counting costs as many read units as reading.
pub const MAX_PAGES: usize = 512;
/// The bytes of one read unit of an eventually consistent read.
const UNIT: u64 = 8 * 1024;

/// A count under way.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Count {
    items: u64,
    /// Read units; `None` if the store does not tell them.
    units: Option<Decimal>,
    /// The exchange time up to which is counted, inclusive, microseconds since the Unix epoch; `None` once the whole range is.
    pub through: Option<u64>,
}

/// The exchange times of the first and the last event of a range.
#[derive(Clone, Copy, Debug, Default)]
pub struct Ends {
    /// The first event's time, microseconds since the Unix epoch; `None` if the range is empty.
    pub first: Option<u64>,
    /// The last event's time, microseconds since the Unix epoch; `None` if the range is empty.
    pub last: Option<u64>,
}

/// Continues the count `so_far` until the end of the range, about `most` pages, or three quarters of the time until `deadline`.
///
/// Items are counted by the store. Where there are blocks all events are read, because one may be in several blocks, and an item too.
///
/// # Errors
///
/// [`StoreError`] if one of the queries fails.
pub async fn read(
    store: &Store,
    range: &Range,
    so_far: Count,
    most: usize,
    deadline: Instant,
) -> Result<Count, StoreError> {
    let now = Instant::now();
    let enough = now + deadline.saturating_duration_since(now) * 3 / 4;
    let mut count = so_far;
    let mut rest = range.clone();
    rest.from = count.through.take().map_or(range.from, |through| through.saturating_add(1));
    let mut budget = Budget { pages: most, enough };
    let (before, among, behind) = match page::extent(store, &rest, deadline).await? {
        None => (Some(rest), None, None),
        Some((first, last)) => (
            first.checked_sub(1).and_then(|to| part(&rest, (rest.from, to))),
            part(&rest, (first, last)),
            part(&rest, (last + 1, rest.to)),
        ),
    };
    for (part, has_blocks) in [(before, false), (among, true), (behind, false)] {
        let Some(part) = part else { continue };
        if count.through.is_some() {
            break;
        }
        count.through = if budget.is_spent() {
            Some(part.from.saturating_sub(1))
        } else if has_blocks {
            count.events(store, &part, &mut budget, deadline).await?
        } else {
            count.items(store, &part, &mut budget, deadline).await?
        };
    }
    Ok(count)
}

/// What one answer may still read.
struct Budget {
    pages: usize,
    enough: Instant,
}

impl Budget {
    fn is_spent(&self) -> bool {
        self.pages == 0 || Instant::now() >= self.enough
    }
}

/// Returns a part of a range; `None` if it is empty.
fn part(range: &Range, (from, to): (u64, u64)) -> Option<Range> {
    (from <= to).then(|| Range { from, to, ..range.clone() })
}

impl Count {
    /// Counts items; returns the time up to which, unless it is the end of the range.
    async fn items(
        &mut self,
        store: &Store,
        range: &Range,
        budget: &mut Budget,
        deadline: Instant,
    ) -> Result<Option<u64>, StoreError> {
        let (mut span, mut start) = (range.clone(), None);
        loop {
            let counted = store.count(&span, start.take(), deadline).await?;
            self.items += counted.items;
            self.units = self.units.zip(counted.units).and_then(|(sum, units)| sum.checked_add(units));
            budget.pages = budget.pages.saturating_sub(1);
            let Some(stopped_at) = counted.stopped_at else { break };
            if budget.is_spent() {
                // To the end of this time: a count goes on with the next one.
                span.to = span.to.min(time(&stopped_at));
            }
            start = Some(stopped_at);
        }
        Ok((span.to < range.to).then_some(span.to))
    }

    /// As [`Count::items`], by reading events.
    async fn events(
        &mut self,
        store: &Store,
        range: &Range,
        budget: &mut Budget,
        deadline: Instant,
    ) -> Result<Option<u64>, StoreError> {
        let range = Range { order: Order::Ascending, ..range.clone() };
        let mut feed = Feed::new(&range, None);
        let mut through = None;
        loop {
            // Without a limit a page ends with a whole time.
            let page = feed.page(store, None, deadline).await?;
            self.items += page.rows.len() as u64;
            budget.pages = budget.pages.saturating_sub(1);
            let Some(next) = page.next else { break };
            if budget.is_spent() || page.cut_short {
                through = Some(next.time);
                break;
            }
        }
        self.units = self.units.zip(feed.units()).and_then(|(sum, units)| sum.checked_add(units));
        Ok(through)
    }
}

/// Returns the exchange time of the key at which the engine stopped.
fn time(key: &shared::item::Item) -> u64 {
    let time = key.get(shared::table::NMICROTIMESTAMP).and_then(|value| value.as_n().ok());
    time.and_then(|digits| digits.parse().ok()).unwrap_or(u64::MAX)
}

/// Reads the times of the first and the last event.
///
/// # Errors
///
/// [`StoreError`] if one of the two queries fails.
pub async fn ends(store: &Store, range: &Range, deadline: Instant) -> Result<Ends, StoreError> {
    let newest_first = Range { order: Order::Descending, ..range.clone() };
    let one = async |range: &Range| Feed::new(range, None).first_time(store, deadline).await;
    let (first, last) = tokio::try_join!(one(range), one(&newest_first))?;
    Ok(Ends { first, last })
}

impl Default for Count {
    fn default() -> Count {
        Count { items: 0, units: Some(Decimal::ZERO), through: None }
    }
}

impl Count {
    /// Returns true if no item was counted.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.items == 0
    }

    /// Returns the item of `/count`. `bytes` follow from the read units: a page is charged by its size, rounded up to 4 KB.
    #[must_use]
    pub fn item(&self, channel: &str, ends: Ends) -> Item {
        let number = |value: Option<String>| value.map_or(Value::Null, |digits| Value::Number(digits.into()));
        let whole = |value: Option<u64>| number(value.map(|value| value.to_string()));
        let bytes = self.units.and_then(|units| units.checked_mul(Decimal::from(UNIT)));
        Item::of(vec![
            ("channel".into(), Value::Text(channel.into())),
            ("first".into(), whole(ends.first)),
            ("last".into(), whole(ends.last)),
            ("items".into(), Value::Number(format_smolstr!("{}", self.items))),
            ("bytes".into(), number(bytes.map(|bytes| bytes.normalize().to_string()))),
            ("read_units".into(), number(self.units.map(|units| units.normalize().to_string()))),
        ])
    }

    /// Parses what [`Count`]'s `Display` wrote.
    ///
    /// # Errors
    ///
    /// [`InvalidProgress`] for any other text.
    pub fn parse(text: &str) -> Result<Count, InvalidProgress> {
        let parts: Vec<_> = text.split(' ').collect();
        let [through, items, units] = parts.as_slice() else { return Err(InvalidProgress) };
        let units = match *units {
            "-" => None,
            units => Some(Decimal::from_str_exact(units).map_err(|_| InvalidProgress)?),
        };
        let (through, items) =
            (through.parse().map_err(|_| InvalidProgress)?, items.parse().map_err(|_| InvalidProgress)?);
        Ok(Count { items, units, through: Some(through) })
    }
}

impl std::fmt::Display for Count {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let units = self.units.map_or_else(|| "-".to_owned(), |units| units.to_string());
        write!(f, "{} {} {units}", self.through.unwrap_or_default(), self.items)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_count_survives_a_token() {
        for units in [None, Some(Decimal::new(1285, 1))] {
            let count = Count { items: 7, units, through: Some(1_647_817_207_170_000) };
            assert_eq!(Count::parse(&count.to_string()), Ok(count));
        }
        assert_eq!(Count::parse("1 2"), Err(InvalidProgress));
    }
}
