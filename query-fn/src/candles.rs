use codec::item::{Item, Value};
use rust_decimal::Decimal;
use smol_str::format_smolstr;
use tokio::time::Instant;

use crate::{
    page::{self, Position, Row},
    render::Columns,
    request::derived::CandlesRequest,
    store::{Store, StoreError},
    token::Forged,
};

/// The CSV columns of `/candles`.
pub const COLUMNS: Columns = &["time", "open", "high", "low", "close", "volume", "buy_volume", "trades"];

/// At most so many pages of 1 MB for one answer: what it costs and how long it takes stay bounded.
const MAX_PAGES: usize = 64;

/// Trades of one interval, summed up exactly.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Candle {
    /// The interval's beginning, microseconds since the Unix epoch.
    pub time: u64,
    open: Decimal,
    high: Decimal,
    low: Decimal,
    close: Decimal,
    volume: Decimal,
    /// The volume of trades whose taker bought.
    buy_volume: Decimal,
    trades: u64,
}

/// Candles in order, and where to go on.
pub struct Candles {
    /// Finished ones.
    pub candles: Vec<Candle>,
    /// What a token must hold to continue, exactly when there is more.
    pub next: Option<String>,
    /// Trades whose price or amount is no number that 28 digits hold; there should be none.
    pub skipped: u64,
}

/// What happens between two pages: the candle under way and the last trade in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Progress {
    current: Option<Candle>,
    after: Option<Position>,
}

/// Sums up the trades of the request until its limit, the deadline or the size budget is reached.
///
/// # Errors
///
/// [`StoreError`] if the store did not answer before anything was read.
pub async fn read(
    store: &Store,
    request: &CandlesRequest,
    progress: Option<&str>,
    deadline: Instant,
) -> Result<Candles, ReadError> {
    let mut progress = progress.map_or(Ok(Progress::default()), Progress::parse)?;
    let mut result = Candles { candles: Vec::new(), next: None, skipped: 0 };
    for pages in 0..MAX_PAGES {
        let page = match page::read(store, &request.range, progress.after.as_ref(), None, deadline).await {
            Ok(page) => page,
            Err(error) if pages == 0 => return Err(error.into()),
            Err(error) => {
                tracing::warn!(%error, "candles end early");
                break;
            }
        };
        for row in page.rows {
            if !result.add(&mut progress, row, request) {
                result.next = Some(progress.to_string());
                return Ok(result);
            }
        }
        if page.next.is_none() {
            result.candles.extend(progress.current);
            return Ok(result);
        }
        if page.cut_short {
            break;
        }
    }
    result.next = Some(progress.to_string());
    Ok(result)
}

/// Why there are no candles.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The store.
    #[error(transparent)]
    Store(#[from] StoreError),
    /// A token that was signed but is not of this version.
    #[error(transparent)]
    Forged(#[from] Forged),
}

impl Candles {
    /// Adds a trade; false if it would begin a candle beyond the limit.
    fn add(&mut self, progress: &mut Progress, row: Row, request: &CandlesRequest) -> bool {
        let Some((price, amount, is_buy)) = trade(&row.item) else {
            tracing::warn!(id = row.position.id.as_str(), "trade without a readable price or amount");
            self.skipped += 1;
            progress.after = Some(row.position);
            return true;
        };
        let time = row.position.time - row.position.time % request.interval;
        if let Some(finished) = progress.current.take_if(|current| current.time != time) {
            self.candles.push(finished);
        }
        if progress.current.is_none() && self.candles.len() >= request.limit {
            return false;
        }
        let current = progress.current.get_or_insert_with(|| Candle::new(time, price));
        if !current.add(price, amount, is_buy) {
            self.skipped += 1;
        }
        progress.after = Some(row.position);
        true
    }
}

impl Candle {
    fn new(time: u64, price: Decimal) -> Candle {
        let zero = Decimal::ZERO;
        Candle { time, open: price, high: price, low: price, close: price, volume: zero, buy_volume: zero, trades: 0 }
    }

    /// False where a sum would need more than 28 digits.
    fn add(&mut self, price: Decimal, amount: Decimal, is_buy: bool) -> bool {
        let bought = if is_buy { amount } else { Decimal::ZERO };
        let sums = (self.volume.checked_add(amount), self.buy_volume.checked_add(bought));
        let (Some(volume), Some(buy_volume)) = sums else { return false };
        (self.volume, self.buy_volume) = (volume, buy_volume);
        self.high = self.high.max(price);
        self.low = self.low.min(price);
        self.close = price;
        self.trades += 1;
        true
    }

    /// As an item of `/candles`: decimals as strings, so that no reader rounds them.
    #[must_use]
    pub fn item(&self) -> Item {
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
        ])
    }
}

/// Price, amount, whether the taker bought (`type` 0). The exchange's strings count; its numbers may be rounded.
fn trade(item: &Item) -> Option<(Decimal, Decimal, bool)> {
    let text = |name: &str| match item.get(name)? {
        Value::Text(text) | Value::Number(text) => Some(text.as_str()),
        _ => None,
    };
    let number = |exact: &str, rounded: &str| parse(text(exact).or_else(|| text(rounded))?);
    Some((number("price_str", "price")?, number("amount_str", "amount")?, text("type") == Some("0")))
}

/// `from_str_exact` refuses what it would have to round; the exchange writes exponents too.
fn parse(text: &str) -> Option<Decimal> {
    Decimal::from_str_exact(text).ok().or_else(|| Decimal::from_scientific(text).ok())
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(Candle { time, open, high, low, close, volume, buy_volume, trades }) = &self.current {
            write!(f, "{time} {open} {high} {low} {close} {volume} {buy_volume} {trades}")?;
        }
        writeln!(f)?;
        self.after.as_ref().map_or(Ok(()), |after| write!(f, "{after}"))
    }
}

impl Progress {
    fn parse(text: &str) -> Result<Progress, Forged> {
        let (candle, after) = text.split_once('\n').ok_or(Forged)?;
        let current = if candle.is_empty() { None } else { Some(parse_candle(candle).ok_or(Forged)?) };
        let after = if after.is_empty() { None } else { Some(Position::parse(after).ok_or(Forged)?) };
        Ok(Progress { current, after })
    }
}

fn parse_candle(text: &str) -> Option<Candle> {
    let mut parts = text.split(' ');
    let time = parts.next()?.parse().ok()?;
    let mut decimal = || Decimal::from_str_exact(parts.next()?).ok();
    let (open, high, low, close) = (decimal()?, decimal()?, decimal()?, decimal()?);
    let (volume, buy_volume) = (decimal()?, decimal()?);
    let trades = parts.next()?.parse().ok()?;
    Some(Candle { time, open, high, low, close, volume, buy_volume, trades })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn progress_survives_a_token() {
        let mut candle = Candle::new(60, parse("29422.10").unwrap());
        assert!(candle.add(parse("1e-8").unwrap(), parse("0.00000001").unwrap(), true));
        let after = Some(Position { time: 61, received_at: 62, id: "7".into(), sort: "61".into() });
        for progress in [Progress::default(), Progress { current: Some(candle), after }] {
            assert_eq!(Progress::parse(&progress.to_string()), Ok(progress));
        }
    }

    #[test]
    fn numbers_that_would_be_rounded_are_refused() {
        assert_eq!(parse("1E-8"), parse("0.00000001"));
        assert_eq!(parse("0.00000000000000000000000000000000001"), None);
        assert_eq!(parse("NaN"), None);
    }
}
