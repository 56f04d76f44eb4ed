//! HTTP client for the running daemon.

use std::collections::BTreeMap;
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr};
use std::time::Duration;

use ingestor::config::Config;
use ingestor::observe::document::{Document, FORMAT};
use serde_json::Value;

use super::CommandError;
use ingestor::store::request::root_cause;

/// Timeout of a request. The daemon answers from memory; one that takes longer is in trouble.
const WITHIN: Duration = Duration::from_secs(5);

/// Client of the running daemon's metrics and health.
pub(super) struct Daemon {
    pub(super) address: SocketAddr,
    http: reqwest::Client,
}

/// Metrics by name, labels included. All of the daemon's are whole numbers.
pub(super) type Metrics = BTreeMap<String, u64>;

impl Daemon {
    pub(super) fn of(config: &Config) -> anyhow::Result<Daemon> {
        // No proxy of the environment's stands between two programs of one machine.
        let http = reqwest::Client::builder().no_proxy().timeout(WITHIN).build()?;
        Ok(Daemon { address: reachable(config.listen), http })
    }

    /// Returns whether the daemon is healthy, and its answer.
    pub(super) async fn health(&self) -> Result<(bool, Value), CommandError> {
        let (code, text) = self.get("health").await?;
        let body: Value = serde_json::from_str(&text).unwrap_or_default();
        if body.get("status").is_none() {
            return Err(self.missing(format!("something else answers there (HTTP {code})")));
        }
        Ok((code == 200, body))
    }

    pub(super) async fn metrics(&self) -> Result<Metrics, CommandError> {
        let (_, text) = self.get("metrics").await?;
        Ok(read_metrics(&text))
    }

    /// Returns the status document; `None` if the daemon is of another version, which has none or another form of it.
    pub(super) async fn status(&self) -> Result<Option<Document>, CommandError> {
        let (code, text) = self.get("status?format=json").await?;
        let document = serde_json::from_str(&text).ok();
        Ok(document.filter(|document: &Document| code == 200 && document.format == FORMAT))
    }

    async fn get(&self, path: &str) -> Result<(u16, String), CommandError> {
        let failed = |error: reqwest::Error| {
            let reason = if error.is_connect() {
                "nothing listens there".to_owned()
            } else if error.is_timeout() {
                format!("no answer within {} s", WITHIN.as_secs())
            } else {
                format!("no answer, {}", root_cause(&error))
            };
            self.missing(reason)
        };
        let answer = self.http.get(format!("http://{}/{path}", self.address)).send().await.map_err(failed)?;
        let code = answer.status().as_u16();
        Ok((code, answer.text().await.map_err(failed)?))
    }

    fn missing(&self, reason: String) -> CommandError {
        CommandError::NoDaemon { address: self.address, reason }
    }
}

/// Returns the address to ask: the loopback one for a daemon that listens on every address.
fn reachable(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => IpAddr::V4(Ipv4Addr::LOCALHOST),
        IpAddr::V6(ip) if ip.is_unspecified() => IpAddr::V6(Ipv6Addr::LOCALHOST),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// Reads the lines of Prometheus' text format whose value is a whole number.
fn read_metrics(text: &str) -> Metrics {
    let read = |line: &str| {
        let (name, value) = line.rsplit_once(' ')?;
        let whole = value.split_once('.').map_or(value, |(whole, _)| whole);
        Some((name.to_owned(), whole.parse().ok()?))
    };
    text.lines().filter(|line| !line.starts_with('#')).filter_map(read).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_read_by_name() {
        let text = "# TYPE a counter\na 12\nb{channel=\"x y\"} 3\nc 4.0\n\nd NaN\n";
        let expected = [("a", 12), ("b{channel=\"x y\"}", 3), ("c", 4)];
        assert_eq!(read_metrics(text), expected.map(|(name, value)| (name.to_owned(), value)).into());
    }

    #[test]
    fn every_address_is_asked_on_this_machine() {
        for (listen, asked) in
            [("0.0.0.0:1", "127.0.0.1:1"), ("[::]:1", "[::1]:1"), ("10.0.0.1:1", "10.0.0.1:1"), ("[::1]:2", "[::1]:2")]
        {
            assert_eq!(reachable(listen.parse().unwrap()).to_string(), asked);
        }
    }
}
