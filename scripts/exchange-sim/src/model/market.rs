//! The markets that exist: names, decimals, usual rates.

use crate::model::channel::{Family, channel_name};

/// A market and the numbers that describe its stream.
#[derive(Debug, Clone)]
pub struct Market {
    /// Name in channels and paths, such as `btcusd` or `btcusd-perp`.
    pub name: String,
    /// Base currency, upper case.
    pub base: String,
    /// Counter currency, upper case.
    pub counter: String,
    /// A perpetual future; they have funding rates and slower books.
    pub perpetual: bool,
    /// Digits after the point in prices; one tick is `10^-price_decimals`.
    pub price_decimals: u32,
    /// Digits after the point in amounts; one lot is `10^-amount_decimals`.
    pub amount_decimals: u32,
    /// Price around which the flow starts, in ticks.
    pub start_price: i64,
    /// Usual size of an order, in lots.
    pub usual_amount: i64,
    /// Mean order events a second at `rate` 1.
    pub orders_per_second: f64,
    /// The market's number inside an `event_id` (0001 is btcusd, 0069 ethusdt on the exchange).
    pub number: u16,
    /// Names of its channels, by [`Family`].
    channels: [String; Family::ALL.len()],
}

/// name, price decimals, amount decimals, start price in ticks, usual amount in lots, order events a second, number.
/// Rates: btcusd as configured by default; ethusd and xrpusd in the proportion 96 : 54 : 57 seen in September 2026,
/// perpetuals 11 to 44 a second.
type Row = (&'static str, u32, u32, i64, i64, f64, u16);
const KNOWN: &[Row] = &[
    ("btcusd", 2, 8, 8_400_000, 12_000_000, 240.0, 0x0001),
    ("btceur", 2, 8, 7_300_000, 9_000_000, 60.0, 0x0002),
    ("xrpusd", 5, 8, 241_000, 50_000_000_000, 142.0, 0x0006),
    ("ethusd", 2, 6, 209_000, 1_200_000, 135.0, 0x0010),
    ("ethusdt", 2, 6, 209_000, 900_000, 40.0, 0x0069),
    ("solusd", 4, 8, 1_320_000, 900_000_000, 50.0, 0x0181),
    ("btcusd-perp", 0, 5, 84_010, 30_000, 28.0, 0x03e8),
    ("ethusd-perp", 1, 4, 20_900, 8_000, 28.0, 0x03e9),
];

impl Market {
    /// The market called `name`, or None where no market can be called so.
    ///
    /// Names beyond the known ones get plain numbers: 2 and 8 decimals, 20 events a second.
    pub fn named(name: &str) -> Option<Self> {
        let pair = name.strip_suffix("-perp").unwrap_or(name);
        let plain = pair.len() >= 5 && pair.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit());
        if !plain {
            return None;
        }
        let generic: Row = ("", 2, 8, 10_000, 10_000_000_000, 20.0, number_of(name));
        let row = KNOWN.iter().copied().find(|row| row.0 == name).unwrap_or(generic);
        let split = if pair.ends_with("usdt") || pair.ends_with("usdc") { pair.len() - 4 } else { pair.len() - 3 };
        let (base, counter) = pair.split_at_checked(split)?;
        Some(Self {
            name: name.to_owned(),
            base: base.to_uppercase(),
            counter: counter.to_uppercase(),
            perpetual: name.ends_with("-perp"),
            price_decimals: row.1,
            amount_decimals: row.2,
            start_price: row.3,
            usual_amount: row.4,
            orders_per_second: row.5,
            number: row.6,
            channels: Family::ALL.map(|family| channel_name(family, name)),
        })
    }

    /// Display name as `/markets/` and `/order_data/` spell it: `BTC/USD`, `BTC/USD-PERP`.
    pub fn pair(&self) -> String {
        let suffix = if self.perpetual { "-PERP" } else { "" };
        format!("{}/{}{suffix}", self.base, self.counter)
    }

    /// Name of this market's channel of a family.
    pub fn channel(&self, family: Family) -> &str {
        let [trades, orders, book, detail, diff, funding] = &self.channels;
        match family {
            Family::LiveTrades => trades,
            Family::LiveOrders => orders,
            Family::OrderBook => book,
            Family::DetailOrderBook => detail,
            Family::DiffOrderBook => diff,
            Family::FundingRate => funding,
        }
    }
}

/// A number for a market that is not in the table: stable, and outside the range of the known ones.
fn number_of(name: &str) -> u16 {
    let hash = name.bytes().fold(0x811c_u16, |hash, byte| (hash ^ u16::from(byte)).wrapping_mul(0x0193));
    hash | 0x8000
}
