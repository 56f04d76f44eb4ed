//! Channel names and their families.

use std::fmt;
use std::str::FromStr;

/// The name of a channel as the exchange writes it, e.g. `live_orders_btcusd`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Channel(String);

/// What a channel carries; new families appear without notice, so an unknown one is a family too.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Family {
    /// `live_trades_[market]`: executed trades.
    LiveTrades,
    /// `live_orders_[market]`: every public order, order by order.
    LiveOrders,
    /// `order_book_[market]`: the best 100 levels of each side.
    OrderBook,
    /// `detail_order_book_[market]`: the best 100 orders of each side, with their ids.
    DetailOrderBook,
    /// `diff_order_book_[market]`: changed levels only.
    DiffOrderBook,
    /// `funding_rate_[market]`: perpetual markets, once a second.
    FundingRate,
    /// Anything else.
    Other,
}

impl Family {
    /// The families with a market, in the order of the exchange's documentation.
    pub const WITH_MARKET: [(Family, &'static str); 6] = [
        (Family::LiveTrades, "live_trades"),
        (Family::LiveOrders, "live_orders"),
        (Family::OrderBook, "order_book"),
        (Family::DetailOrderBook, "detail_order_book"),
        (Family::DiffOrderBook, "diff_order_book"),
        (Family::FundingRate, "funding_rate"),
    ];
}

impl Channel {
    /// Takes a name as a frame carries it, whatever it is.
    #[must_use]
    pub fn from_frame(name: String) -> Channel {
        Channel(name)
    }

    /// The name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }

    /// What the channel carries.
    #[must_use]
    pub fn family(&self) -> Family {
        let prefix = self.split().map_or(self.as_str(), |(prefix, _)| prefix);
        Family::WITH_MARKET.iter().find(|(_, name)| *name == prefix).map_or(Family::Other, |(family, _)| *family)
    }

    /// The market, where the family is known: `btcusd`, `btcusd-perp`.
    #[must_use]
    pub fn market(&self) -> Option<&str> {
        match self.family() {
            Family::Other => None,
            _ => self.split().map(|(_, market)| market),
        }
    }

    /// Markets may contain `-` but never `_`, so the last `_` separates them from the family.
    fn split(&self) -> Option<(&str, &str)> {
        self.0.rsplit_once('_')
    }
}

impl fmt::Display for Channel {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// Returns what the user may have meant, or what names look like.
fn hint(suggestion: &str) -> String {
    match suggestion {
        "" => "channels are named like `live_orders_btcusd`, those of a family `live_orders_*`".to_owned(),
        suggestion => format!("did you mean `{suggestion}`?"),
    }
}

/// Why a configured channel was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum ChannelError {
    /// The exchange answers `Invalid channel provided.` to upper case and to `/`.
    #[error("channel `{name}` has characters that no channel has; {}", hint(suggestion))]
    Characters {
        /// As configured.
        name: String,
        /// In lower case and without the characters; empty if nothing is left.
        suggestion: String,
    },
    /// Nothing there.
    #[error("a channel name is empty")]
    Empty,
    /// A known family without a market, which the exchange refuses.
    #[error("channel `{0}` names no market; expected a form like `{0}_btcusd`")]
    NoMarket(String),
    /// A wildcard in a family whose markets are not known.
    #[error("`{0}` is no family with markets; wildcards are live_trades_*, live_orders_* and the like")]
    Wildcard(String),
    /// Longer than a subscription message may carry: the exchange closes on messages of 513 bytes.
    #[error("channel `{0}` is longer than 400 bytes")]
    TooLong(String),
}

/// With the subscription around it a longer name would pass the exchange's limit of 512 bytes a message.
const MAX_LENGTH: usize = 400;

impl FromStr for Channel {
    type Err = ChannelError;

    /// Takes a name that a person configured: lower-case letters, digits, `_` and `-`; `*` in the place of a market, for
    /// every market.
    fn from_str(name: &str) -> Result<Channel, ChannelError> {
        let allowed = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_' || c == '-';
        if name.is_empty() {
            return Err(ChannelError::Empty);
        }
        if name.len() > MAX_LENGTH {
            return Err(ChannelError::TooLong(name.to_owned()));
        }
        // Every market of a known family.
        let (name, wildcard) = name.strip_suffix("_*").map_or((name, false), |prefix| (prefix, true));
        if wildcard && Family::WITH_MARKET.iter().any(|(_, family)| name == *family) {
            return Ok(Channel(format!("{name}_*")));
        }
        if wildcard {
            return Err(ChannelError::Wildcard(name.to_owned()));
        }
        if !name.chars().all(allowed) {
            let suggestion = name.to_ascii_lowercase().chars().filter(|c| allowed(*c)).collect();
            return Err(ChannelError::Characters { name: name.to_owned(), suggestion });
        }
        if Family::WITH_MARKET.iter().any(|(_, family)| name.trim_end_matches('_') == *family) {
            return Err(ChannelError::NoMarket(name.trim_end_matches('_').to_owned()));
        }
        Ok(Channel(name.to_owned()))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn family_and_market_are_split_at_the_last_underscore() {
        for (name, family, market) in [
            ("live_trades_btcusd", Family::LiveTrades, Some("btcusd")),
            ("live_orders_btcusd-perp", Family::LiveOrders, Some("btcusd-perp")),
            ("order_book_ethusd", Family::OrderBook, Some("ethusd")),
            ("detail_order_book_ethusd", Family::DetailOrderBook, Some("ethusd")),
            ("diff_order_book_ethusd", Family::DiffOrderBook, Some("ethusd")),
            ("funding_rate_btcusd-perp", Family::FundingRate, Some("btcusd-perp")),
            ("announcements", Family::Other, None),
            ("live_something_btcusd", Family::Other, None),
            ("private-my_orders_btcusd-4416057", Family::Other, None),
        ] {
            let channel: Channel = name.parse().unwrap();
            assert_eq!((channel.family(), channel.market()), (family, market), "{name}");
        }
    }

    #[test]
    fn a_wrong_name_is_refused_with_the_right_one() {
        let error = "live_trades_BTC/USD".parse::<Channel>().unwrap_err();
        assert!(error.to_string().contains("`live_trades_btcusd`"), "{error}");
        let error = "*".parse::<Channel>().unwrap_err();
        assert!(error.to_string().ends_with("those of a family `live_orders_*`"), "{error}");
        assert_eq!("".parse::<Channel>(), Err(ChannelError::Empty));
        assert_eq!("live_trades_".parse::<Channel>(), Err(ChannelError::NoMarket("live_trades".to_owned())));
        assert_eq!("live_trades".parse::<Channel>(), Err(ChannelError::NoMarket("live_trades".to_owned())));
        assert_eq!("live_trades_*".parse::<Channel>().unwrap().market(), Some("*"));
        assert_eq!("lively_*".parse::<Channel>(), Err(ChannelError::Wildcard("lively".to_owned())));
        assert!(matches!("a".repeat(401).parse::<Channel>(), Err(ChannelError::TooLong(_))));
    }
}
