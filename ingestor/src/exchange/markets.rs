//! The exchange's markets: checks configured channels against them and expands wildcards.

use std::collections::{BTreeMap, BTreeSet};

use serde::Deserialize;
use shared::channel::{Channel, Family};

use crate::config::{Config, Faults};
use crate::exchange::rest::{Rest, RestError, Rows};

/// Why the exchange's list of markets is not available.
#[derive(Debug, thiserror::Error)]
pub enum MarketsError {
    /// The REST API failed.
    #[error("the exchange's markets cannot be read: {0}")]
    Rest(#[from] RestError),
    /// The answer has no market.
    #[error("the exchange's list of markets is empty")]
    Empty,
}

/// The exchange's markets: symbols, e.g. `btcusd`, with their names, e.g. `BTC/USD`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Markets(BTreeMap<String, String>);

#[derive(Deserialize)]
struct Row {
    market_symbol: String,
    name: String,
}

impl Markets {
    /// Reads the markets from `GET /markets/`.
    ///
    /// # Errors
    ///
    /// Returns a [`MarketsError`] if the request fails or the answer has no market.
    pub async fn fetch(rest: &Rest) -> Result<Markets, MarketsError> {
        let mut rows = Rows::of(rest.get("/markets/").await?);
        let mut markets = BTreeMap::new();
        while let Some(Row { market_symbol, name }) = rows.next().await? {
            markets.insert(market_symbol, name);
        }
        if markets.is_empty() { Err(MarketsError::Empty) } else { Ok(Markets(markets)) }
    }

    /// Returns a market's name, e.g. `BTC/USD`.
    #[must_use]
    pub fn name(&self, symbol: &str) -> Option<&str> {
        self.0.get(symbol).map(String::as_str)
    }

    /// Returns the channels to subscribe to: those named, and for each wildcard those of every market.
    ///
    /// # Errors
    ///
    /// Returns every channel of a market that the exchange does not have: it would confirm the subscription and stay silent.
    pub fn resolve(&self, channels: &[Channel]) -> Result<Vec<Channel>, Faults> {
        let (listed, missing) = self.sort_out(channels);
        let fault = |channel: &Channel| {
            let (market, hint) = (channel.market().unwrap_or_default(), self.hint(channel));
            format!("channels: `{channel}`: the exchange has no market `{market}`{hint}")
        };
        if missing.is_empty() { Ok(listed) } else { Err(Faults(missing.iter().map(fault).collect())) }
    }

    /// Returns the channels to subscribe to, each once, and those named ones whose market is not on the list.
    #[must_use]
    pub fn sort_out(&self, channels: &[Channel]) -> (Vec<Channel>, Vec<Channel>) {
        let (mut listed, mut missing) = (Vec::new(), Vec::new());
        for channel in channels {
            match (channel.market(), channel.family()) {
                (Some("*"), family) => listed.extend(self.every(channel, family)),
                (Some(market), _) if !self.0.contains_key(market) => missing.push(channel.clone()),
                _ => listed.push(channel.clone()),
            }
        }
        let mut seen = BTreeSet::new();
        listed.retain(|channel| seen.insert(channel.clone()));
        (listed, missing)
    }

    /// Returns the listed market that is spelled most like the channel's, as the end of a sentence.
    #[must_use]
    pub fn hint(&self, channel: &Channel) -> String {
        let market = channel.market().unwrap_or_default();
        let nearest = self.0.keys().min_by_key(|known| strsim::levenshtein(known, market));
        nearest.map(|nearest| format!("; did you mean `{nearest}`?")).unwrap_or_default()
    }

    fn every(&self, wildcard: &Channel, family: Family) -> impl Iterator<Item = Channel> {
        // Funding rates are of perpetual markets only.
        let has_it = move |market: &&String| family != Family::FundingRate || market.ends_with("-perp");
        let prefix = wildcard.as_str().trim_end_matches('*').to_owned();
        self.0.keys().filter(has_it).map(move |market| Channel::from_frame(format!("{prefix}{market}")))
    }
}

/// Returns the channels to subscribe to, checked against the exchange's markets if the list can be read.
///
/// # Errors
///
/// Returns the [`Faults`] of the configuration; without a list of markets only if a wildcard needs one.
pub async fn channels(config: &Config) -> Result<Vec<Channel>, Faults> {
    let error = match &config.rest_url {
        Some(rest_url) => match fetch(rest_url).await {
            Ok(markets) => return markets.resolve(&config.channels),
            Err(error) => error.to_string(),
        },
        None => "rest_url is empty".to_owned(),
    };
    let wildcards = config.channels.iter().filter(|channel| channel.market() == Some("*"));
    let faults: Vec<_> =
        wildcards.map(|channel| format!("channels: `{channel}` cannot be expanded: {error}")).collect();
    if !faults.is_empty() {
        return Err(Faults(faults));
    }
    tracing::warn!(error, "markets are not checked");
    Ok(config.channels.clone())
}

async fn fetch(rest_url: &str) -> Result<Markets, MarketsError> {
    Markets::fetch(&Rest::new(rest_url)?).await
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(names: &[&str]) -> Result<Vec<String>, Faults> {
        let markets =
            Markets(["btcusd", "ethusd", "btcusd-perp"].map(|symbol| (symbol.to_owned(), String::new())).into());
        let channels: Vec<Channel> = names.iter().map(|name| name.parse().unwrap()).collect();
        Ok(markets.resolve(&channels)?.iter().map(ToString::to_string).collect())
    }

    #[test]
    fn wildcards_become_every_market_once() {
        assert_eq!(
            resolve(&["live_trades_ethusd", "live_trades_*", "funding_rate_*", "announcements"]).unwrap(),
            [
                "live_trades_ethusd",
                "live_trades_btcusd",
                "live_trades_btcusd-perp",
                "funding_rate_btcusd-perp",
                "announcements"
            ]
        );
    }

    #[test]
    fn every_unknown_market_is_named_with_the_nearest() {
        let Faults(faults) =
            resolve(&["live_trades_btcusf", "live_orders_btcusd", "order_book_ethusd-perp"]).unwrap_err();
        assert_eq!(faults.len(), 2, "{faults:#?}");
        assert!(
            faults[0].contains("`live_trades_btcusf`") && faults[0].contains("did you mean `btcusd`?"),
            "{faults:#?}"
        );
    }
}
