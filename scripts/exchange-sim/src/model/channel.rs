//! Channel names: which ones the exchange accepts.

/// A public channel family with a market in its name.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Executed trades.
    LiveTrades,
    /// Every public order event.
    LiveOrders,
    /// The best 100 levels of each side.
    OrderBook,
    /// The best 100 orders of each side with their ids.
    DetailOrderBook,
    /// Changed levels only.
    DiffOrderBook,
    /// Funding rates of perpetuals.
    FundingRate,
}

impl Family {
    /// All families, in the order of the discriminants.
    pub const ALL: [Self; 6] = [
        Self::LiveTrades,
        Self::LiveOrders,
        Self::OrderBook,
        Self::DetailOrderBook,
        Self::DiffOrderBook,
        Self::FundingRate,
    ];

    /// What stands before the market in a channel name.
    pub fn prefix(self) -> &'static str {
        match self {
            Self::LiveTrades => "live_trades",
            Self::LiveOrders => "live_orders",
            Self::OrderBook => "order_book",
            Self::DetailOrderBook => "detail_order_book",
            Self::DiffOrderBook => "diff_order_book",
            Self::FundingRate => "funding_rate",
        }
    }
}

/// Name of a family's channel for a market.
pub fn channel_name(family: Family, market: &str) -> String {
    format!("{}_{market}", family.prefix())
}

/// What the exchange makes of a channel name.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Verdict {
    /// Acknowledged. The market need not exist: an unknown one is acknowledged and silent for ever.
    Public,
    /// A private channel: unauthorised without a token.
    Private,
    /// "Invalid channel provided.": upper case, a slash, an unknown family.
    Invalid,
}

/// Judges a channel name as the exchange does.
pub fn judge(name: &str) -> Verdict {
    if name == "announcements" {
        return Verdict::Public;
    }
    if name.starts_with("private-") {
        return Verdict::Private;
    }
    // Markets contain `-` but never `_`, so the last `_` separates.
    let Some((prefix, market)) = name.rsplit_once('_') else {
        return Verdict::Invalid;
    };
    let known = Family::ALL.iter().any(|family| family.prefix() == prefix);
    let plain = market.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-');
    if known && plain && !market.is_empty() { Verdict::Public } else { Verdict::Invalid }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_judged_as_the_exchange_does() {
        for name in
            ["live_trades_btcusd", "detail_order_book_btcusd", "funding_rate_btcusd-perp", "live_trades_nosuchusd"]
        {
            assert_eq!(judge(name), Verdict::Public, "{name}");
        }
        for name in ["live_trades_BTCUSD", "live_trades_btc/usd", "live_candles_btcusd", "live_trades_", "btcusd", ""] {
            assert_eq!(judge(name), Verdict::Invalid, "{name}");
        }
        assert_eq!(judge("private-my_orders_btcusd-314159"), Verdict::Private);
    }
}
