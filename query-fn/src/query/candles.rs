//! Sums up trades by interval, exactly: decimals are never floats, and a token carries the candle under way to the next page.

use codec::item::{Item, Value};
use rust_decimal::Decimal;
use smol_str::format_smolstr;
use tokio::time::Instant;

mod progress;
mod recent;

use progress::Progress;

use crate::query::page::{Feed, Row};
use crate::query::store::{Store, StoreError};
use crate::range::{InvalidProgress, Range};

/// The most pages of 1 MB that one answer reads, which bounds its cost and its time.
const MAX_PAGES: usize = 64;

/// The trades of one interval, summed up exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candle {
    /// The interval's beginning in exchange time, microseconds since the Unix epoch.
    pub time: u64,
    open: Decimal,
    high: Decimal,
    low: Decimal,
    close: Decimal,
    volume: Decimal,
    /// The volume of the trades whose taker bought.
    buy_volume: Decimal,
    trades: u64,
    /// The trades that are not in the sums: a value is no number, or a sum would need more than 28 digits.
    skipped: u64,
}

/// The candles that a request asks for.
#[derive(Clone, Copy, Debug)]
pub struct CandlesQuery<'request> {
    /// The trades to sum up.
    pub range: &'request Range,
    /// The length of a candle, microseconds.
    pub interval: u64,
    /// The most candles to make.
    pub limit: usize,
}

/// A page of candles.
pub struct Candles {
    /// The finished candles, by time.
    pub candles: Vec<Candle>,
    /// The progress that a token must hold to continue; `None` at the end of the range.
    pub next: Option<String>,
    /// The number of trades in no candle's sums; there should be none.
    pub skipped: u64,
    /// True if the deadline or the store ended the page early: the same request may have more candles the next time.
    pub cut_short: bool,
}

/// Sums up the trades of the query, from `progress` on if given, until its limit, its end, the deadline, or 64 pages of 1 MB.
///
/// # Errors
///
/// [`ReadError::Store`] if the store fails on the first page; [`ReadError::Progress`] if `progress` cannot be parsed.
pub async fn read(
    store: &Store,
    query: CandlesQuery<'_>,
    progress: Option<&str>,
    deadline: Instant,
) -> Result<Candles, ReadError> {
    let mut progress = progress.map_or(Ok(Progress::default()), Progress::parse)?;
    let mut result = Candles { candles: Vec::new(), next: None, skipped: 0, cut_short: false };
    let mut feed = Feed::new(query.range, progress.after.clone());
    for pages in 0..MAX_PAGES {
        let page = match feed.page(store, None, deadline).await {
            Ok(page) => page,
            Err(error) if pages == 0 => return Err(error.into()),
            Err(error) => {
                tracing::warn!(%error, "candles end early");
                result.cut_short = true;
                break;
            }
        };
        for row in page.rows {
            if !result.add(&mut progress, row, query) {
                result.next = Some(progress.to_string());
                return Ok(result);
            }
        }
        if page.next.is_none() {
            result.candles.extend(progress.current);
            return Ok(result);
        }
        if page.cut_short {
            result.cut_short = true;
            break;
        }
    }
    result.next = Some(progress.to_string());
    Ok(result)
}

/// The reason why no candles can be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// The progress to continue from is not of this version.
    #[error(transparent)]
    Progress(#[from] InvalidProgress),
}

impl Candles {
    /// Adds a trade; returns false if it would begin a candle beyond the limit.
    fn add(&mut self, progress: &mut Progress, row: Row, query: CandlesQuery<'_>) -> bool {
        if progress.recent.is_twin(&row) {
            progress.after = Some(row.position);
            return true;
        }
        let time = row.position.time - row.position.time % query.interval;
        if let Some(finished) = progress.current.take_if(|current| current.time != time) {
            self.candles.push(finished);
        }
        let Some((price, amount, is_buy)) = trade(&row.item) else {
            tracing::warn!(id = row.position.id.as_str(), "trade without a readable price or amount");
            self.skip(progress.current.as_mut());
            progress.after = Some(row.position);
            return true;
        };
        if progress.current.is_none() && self.candles.len() >= query.limit {
            return false;
        }
        let current = progress.current.get_or_insert_with(|| Candle::new(time, price));
        if !current.add(price, amount, is_buy) {
            self.skip(progress.current.as_mut());
        }
        progress.after = Some(row.position);
        true
    }

    /// Counts a trade that is in no sums.
    fn skip(&mut self, current: Option<&mut Candle>) {
        self.skipped += 1;
        if let Some(current) = current {
            current.skipped += 1;
        }
    }
}

impl Candle {
    fn new(time: u64, price: Decimal) -> Candle {
        let zero = Decimal::ZERO;
        let (volume, buy_volume, trades, skipped) = (zero, zero, 0, 0);
        Candle { time, open: price, high: price, low: price, close: price, volume, buy_volume, trades, skipped }
    }

    /// Adds a trade; returns false, and changes nothing, if a sum would need more than 28 digits.
    fn add(&mut self, price: Decimal, amount: Decimal, is_buy: bool) -> bool {
        let bought = if is_buy { amount } else { Decimal::ZERO };
        let sums = (exact_sum(self.volume, amount), exact_sum(self.buy_volume, bought));
        let (Some(volume), Some(buy_volume)) = sums else { return false };
        (self.volume, self.buy_volume) = (volume, buy_volume);
        self.high = self.high.max(price);
        self.low = self.low.min(price);
        self.close = price;
        self.trades += 1;
        true
    }

    /// Returns the interval's beginning in exchange time, microseconds since the Unix epoch.
    #[must_use]
    pub fn time(&self) -> u64 {
        self.time
    }

    /// Returns the item of `/candles`, with decimals as strings, so that no reader rounds them. `state` is the coverage of its time.
    #[must_use]
    pub fn item(&self, state: &str) -> Item {
        let number = |value: u64| Value::Number(format_smolstr!("{value}"));
        let decimal = |value: Decimal| Value::Text(format_smolstr!("{}", value.normalize()));
        Item::of(vec![
            ("time".into(), number(self.time)),
            ("open".into(), decimal(self.open)),
            ("high".into(), decimal(self.high)),
            ("low".into(), decimal(self.low)),
            ("close".into(), decimal(self.close)),
            ("volume".into(), decimal(self.volume)),
            ("buy_volume".into(), decimal(self.buy_volume)),
            ("trades".into(), number(self.trades)),
            ("state".into(), Value::Text(state.into())),
            ("skipped".into(), number(self.skipped)),
        ])
    }
}

/// Adds two numbers; returns `None` if the sum needs more than 28 digits, as the library would round it to fewer decimals.
fn exact_sum(left: Decimal, right: Decimal) -> Option<Decimal> {
    let sum = left.normalize().checked_add(right.normalize())?;
    (sum.scale() >= left.normalize().scale().max(right.normalize().scale())).then_some(sum)
}

/// Returns price, amount, and true if the taker bought (`type` 0). The exchange's strings take precedence: its numbers may be rounded.
fn trade(item: &Item) -> Option<(Decimal, Decimal, bool)> {
    let text = |name: &str| match item.get(name)? {
        Value::Text(text) | Value::Number(text) => Some(text.as_str()),
        _ => None,
    };
    let number = |exact: &str, rounded: &str| parse(text(exact).or_else(|| text(rounded))?);
    Some((number("price_str", "price")?, number("amount_str", "amount")?, text("type") == Some("0")))
}

/// Parses a decimal with or without an exponent; returns `None` if it would have to be rounded.
fn parse(text: &str) -> Option<Decimal> {
    Decimal::from_str_exact(text).ok().or_else(|| Decimal::from_scientific(text).ok())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_sum_of_more_than_28_digits_is_refused() {
        let mut candle = Candle::new(60, parse("1").unwrap());
        assert!(candle.add(parse("1").unwrap(), parse("99999999999999999999").unwrap(), true));
        assert!(!candle.add(parse("1").unwrap(), parse("0.0000000000000001").unwrap(), true));
        assert!(candle.add(parse("1").unwrap(), parse("0.10000000000000000").unwrap(), true));
        assert_eq!((candle.volume, candle.trades), (parse("99999999999999999999.1").unwrap(), 2));
    }

    #[test]
    fn numbers_that_would_be_rounded_are_refused() {
        assert_eq!(parse("1E-8"), parse("0.00000001"));
        assert_eq!(parse("0.00000000000000000000000000000000001"), None);
        assert_eq!(parse("NaN"), None);
    }
}
