use std::collections::BTreeSet;
use std::time::Duration;

use serde::Deserialize;
use shared::channel::{Channel, Family};

use crate::config::{Config, Faults};
use crate::socket;

/// The exchange is far away at most, not slow.
const WITHIN: Duration = Duration::from_secs(5);

/// The exchange's list of markets cannot be had.
#[derive(Debug, thiserror::Error)]
pub enum MarketsError {
    /// Not asked, or no answer.
    #[error("the exchange's markets cannot be read: {0}")]
    Unreachable(#[from] reqwest::Error),
    /// An answer without a market.
    #[error("the exchange's list of markets is empty")]
    Empty,
}

/// The symbols of the exchange's markets, e.g. `btcusd`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Markets(BTreeSet<String>);

#[derive(Deserialize)]
struct Row {
    market_symbol: String,
}

impl Markets {
    /// Asks `GET <rest_url>/markets/`.
    ///
    /// # Errors
    ///
    /// [`MarketsError`].
    pub async fn fetch(rest_url: &str) -> Result<Markets, MarketsError> {
        let client = reqwest::Client::builder().tls_backend_preconfigured(socket::tls()).timeout(WITHIN).build()?;
        let answer = client.get(format!("{rest_url}/markets/")).send().await?.error_for_status()?;
        let rows: Vec<Row> = answer.json().await?;
        let symbols: BTreeSet<String> = rows.into_iter().map(|row| row.market_symbol).collect();
        if symbols.is_empty() { Err(MarketsError::Empty) } else { Ok(Markets(symbols)) }
    }

    /// The channels to subscribe to: those named, and for each wildcard those of every market.
    ///
    /// # Errors
    ///
    /// Every channel of a market that the exchange does not have: it would confirm the subscription and stay silent for ever.
    pub fn resolve(&self, channels: &[Channel]) -> Result<Vec<Channel>, Faults> {
        let (mut resolved, mut faults) = (Vec::new(), Vec::new());
        for channel in channels {
            match (channel.market(), channel.family()) {
                (Some("*"), family) => resolved.extend(self.every(channel, family)),
                (Some(market), _) if !self.0.contains(market) => {
                    let nearest = self.0.iter().min_by_key(|known| strsim::levenshtein(known, market));
                    let hint = nearest.map(|nearest| format!("; did you mean `{nearest}`?")).unwrap_or_default();
                    faults.push(format!("channels: `{channel}`: the exchange has no market `{market}`{hint}"));
                }
                _ => resolved.push(channel.clone()),
            }
        }
        let mut seen = BTreeSet::new();
        resolved.retain(|channel| seen.insert(channel.clone()));
        if faults.is_empty() { Ok(resolved) } else { Err(Faults(faults)) }
    }

    fn every(&self, wildcard: &Channel, family: Family) -> impl Iterator<Item = Channel> {
        // Funding rates are of perpetual markets only.
        let has_it = move |market: &&String| family != Family::FundingRate || market.ends_with("-perp");
        let prefix = wildcard.as_str().trim_end_matches('*').to_owned();
        self.0.iter().filter(has_it).map(move |market| Channel::from_frame(format!("{prefix}{market}")))
    }
}

/// The channels to subscribe to, checked against the exchange's markets where these can be had.
///
/// # Errors
///
/// [`Faults`] in the configuration; without a list of markets only where wildcards need one.
pub async fn channels(config: &Config) -> Result<Vec<Channel>, Faults> {
    let error = match &config.rest_url {
        Some(rest_url) => match Markets::fetch(rest_url).await {
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

#[cfg(test)]
mod tests {
    use super::*;

    fn resolve(names: &[&str]) -> Result<Vec<String>, Faults> {
        let markets = Markets(["btcusd", "ethusd", "btcusd-perp"].map(str::to_owned).into());
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
