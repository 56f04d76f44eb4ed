use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use shared::channel::Channel;

use crate::config::layers::Layers;
use crate::liveness;

/// The three places a setting may come from, laid over each other.
pub mod layers;

/// Sizes and durations as people write them.
pub mod units;

/// One setting: how it is named in the file, what it means, what it is where nobody sets it.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Its name in the file; as a flag `--` and the name with dashes, in the environment `BITSTAMP_LIVE_` and the name in
    /// capitals.
    pub key: &'static str,
    /// What it holds, for `--help`.
    pub value: &'static str,
    /// Its value where nobody sets it, as text; empty: none.
    pub default: &'static str,
    /// What it means, for `--help`.
    pub help: &'static str,
}

const fn setting(key: &'static str, value: &'static str, default: &'static str, help: &'static str) -> Setting {
    Setting { key, value, default, help }
}

/// Every setting.
pub const SETTINGS: [Setting; 23] = [
    setting(
        "channels",
        "NAME,NAME",
        "live_trades_btcusd,live_orders_btcusd,live_trades_ethusd,live_orders_ethusd",
        "Channels to capture, e.g. live_trades_btcusd,live_orders_*; `*` is every market",
    ),
    setting("url", "URL", "wss://ws.bitstamp.net", "The exchange's WebSocket"),
    setting(
        "rest_url",
        "URL",
        "https://www.bitstamp.net/api/v2",
        "The exchange's REST API: checks markets, expands wildcards, fills gaps; empty: none of these",
    ),
    setting(
        "connections",
        "NUMBER",
        "2",
        "Connections that each carry every channel, so that any one may fail without a missing event; 1 to 4",
    ),
    setting(
        "max_age",
        "TIME",
        "24h",
        "A connection older than this is replaced; its successor is confirmed before it is closed",
    ),
    setting(
        "fill_after",
        "TIME",
        "2min",
        "So long after a gap what was missed is fetched over REST; not sooner than another daemon would have written it",
    ),
    setting(
        "lease",
        "TIME",
        "0s",
        "Daemons that set it write in turn: the others only spool, and take over when the one is silent for this long; \
         0s: no turns, every daemon writes; at least 2s",
    ),
    setting("table", "NAME", shared::table::DEFAULT_TABLE, "The DynamoDB table"),
    setting("region", "REGION", "", "The table's AWS region [default: the AWS SDK's own order of places]"),
    setting("endpoint_url", "URL", "", "Another DynamoDB endpoint, e.g. http://127.0.0.1:8000"),
    setting("spool_dir", "FOLDER", "spool", "Where frames are kept until they are in the table"),
    setting("spool_max", "SIZE", "2GiB", "Intake stops, and says so, when the spool holds this much; at least 16MiB"),
    setting("sync_every", "TIME", "25ms", "At most this long between a frame's arrival and the fsync that covers it"),
    setting("max_message", "SIZE", "1MiB", "A larger message is refused and its connection renewed"),
    setting("confirm_within", "TIME", "10s", "A subscription that is not confirmed in this time is repeated"),
    setting("ping_every", "TIME", "1s", "Between two pings"),
    setting("heartbeat_every", "TIME", "5s", "Between two bts:heartbeat messages"),
    setting(
        "answer_within",
        "TIME",
        "2s",
        "A connection that leaves a ping or heartbeat unanswered for this time is renewed",
    ),
    setting("linger", "TIME", "20ms", "How long an item may wait for others to fill its batch"),
    setting(
        "writers",
        "NUMBER",
        "16",
        "At most this many requests to the table at once; fewer while it throttles; 1 to 256",
    ),
    setting(
        "request_timeout",
        "TIME",
        "5s",
        "A request to the table that takes longer is sent again, with twice the time",
    ),
    setting("listen", "ADDRESS", "127.0.0.1:9464", "Where /metrics and /health are served"),
    setting(
        "stop_within",
        "TIME",
        "8s",
        "How long a stop may take to drain the spool; what is left is written after the next start",
    ),
];

/// Where the daemon gets everything it may decide on.
#[derive(Clone, Debug)]
pub struct Config {
    /// What to subscribe to; not empty, no name twice; a market `*` is every market.
    pub channels: Vec<Channel>,
    /// The exchange's WebSocket, `ws://` or `wss://`.
    pub url: String,
    /// The exchange's REST API, `http://` or `https://`, without a slash at the end.
    pub rest_url: Option<String>,
    /// How many connections carry every channel.
    pub connections: u32,
    /// How old a connection may become.
    pub max_age: Duration,
    /// How long after a gap what was missed is fetched.
    pub fill_after: Duration,
    /// How long the lease to write lasts, if daemons take turns.
    pub lease: Option<Duration>,
    /// The DynamoDB table.
    pub table: String,
    /// Its region, unless the SDK is to find one.
    pub region: Option<String>,
    /// Another endpoint than the region's.
    pub endpoint_url: Option<String>,
    /// The spool's folder.
    pub spool_dir: PathBuf,
    /// The spool's bound, in bytes of frames.
    pub spool_max: u64,
    /// The longest wait between arrival and fsync.
    pub sync_every: Duration,
    /// The largest message taken from the exchange, in bytes.
    pub max_message: usize,
    /// How long a subscription may stay unconfirmed.
    pub confirm_within: Duration,
    /// How liveness is judged.
    pub liveness: liveness::Limits,
    /// How long an item waits for its batch.
    pub linger: Duration,
    /// The most requests to the table at once.
    pub writers: usize,
    /// How long one request may take.
    pub request_timeout: Duration,
    /// Where metrics and health are served.
    pub listen: SocketAddr,
    /// How long a stop may take.
    pub stop_within: Duration,
}

/// Everything that is wrong with a configuration, each fault in one line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} in the configuration:\n  - {}", count(.0.len()), .0.join("\n  - "))]
pub struct Faults(pub Vec<String>);

fn count(faults: usize) -> String {
    if faults == 1 { "1 fault".to_owned() } else { format!("{faults} faults") }
}

impl Config {
    /// Reads the settings. `flags` by key, `environment` by variable, `file` as TOML with the name it is known by.
    ///
    /// # Errors
    ///
    /// [`Faults`]: all of them, so that one run is enough to mend a configuration.
    pub fn read(
        flags: &BTreeMap<String, String>,
        environment: &BTreeMap<String, String>,
        file: Option<(&str, &str)>,
    ) -> Result<Config, Faults> {
        let mut layers = Layers::new(flags, environment, file);
        let config = Config {
            channels: layers.list("channels", |name| name.parse::<Channel>().map_err(|error| error.to_string())),
            url: layers.get("url", |text| match text.starts_with("ws://") || text.starts_with("wss://") {
                true => Ok(text.to_owned()),
                false => Err("expected ws:// or wss:// and a host".to_owned()),
            }),
            rest_url: layers.get("rest_url", rest_url),
            connections: layers.get("connections", |text| {
                text.parse().map_err(|_| "expected a whole number".to_owned()).and_then(|n| units::within(n, 1, 4))
            }),
            // The exchange closes connections after 90 days; one day less leaves room for the replacement.
            max_age: layers.get("max_age", units::duration(Duration::from_secs(1), DAY * 89)),
            fill_after: layers.get("fill_after", units::duration(Duration::from_secs(1), DAY / 2)),
            lease: layers.get("lease", lease),
            table: layers.get("table", table_name),
            region: layers.optional("region"),
            endpoint_url: layers.optional("endpoint_url"),
            spool_dir: layers.get("spool_dir", |text| Ok(PathBuf::from(text))),
            spool_max: layers
                .get("spool_max", |text| units::size(text).and_then(|n| units::within(n, 16 << 20, 1 << 50))),
            sync_every: layers.get("sync_every", units::duration(Duration::ZERO, Duration::from_secs(1))),
            max_message: layers.get("max_message", message_size),
            confirm_within: layers.get("confirm_within", units::duration(Duration::from_millis(100), MINUTES)),
            liveness: liveness::Limits {
                ping_every: layers.get("ping_every", units::duration(Duration::from_millis(100), MINUTES)),
                heartbeat_every: layers.get("heartbeat_every", units::duration(Duration::from_millis(100), MINUTES)),
                answer_within: layers.get("answer_within", units::duration(Duration::from_millis(100), MINUTES)),
            },
            linger: layers.get("linger", units::duration(Duration::ZERO, Duration::from_secs(10))),
            writers: layers.get("writers", |text| {
                text.parse().map_err(|_| "expected a whole number".to_owned()).and_then(|n| units::within(n, 1, 256))
            }),
            request_timeout: layers.get("request_timeout", units::duration(Duration::from_millis(50), MINUTES)),
            listen: layers.get("listen", |text| {
                text.parse().map_err(|_| "expected an address and a port like 127.0.0.1:9464".to_owned())
            }),
            stop_within: layers.get("stop_within", units::duration(Duration::ZERO, MINUTES)),
        };
        layers.finish()?;
        Ok(config)
    }
}

const MINUTES: Duration = Duration::from_secs(600);
const DAY: Duration = Duration::from_secs(86_400);

fn rest_url(text: &str) -> Result<Option<String>, String> {
    match text.is_empty() {
        true => Ok(None),
        false if text.starts_with("http://") || text.starts_with("https://") => {
            Ok(Some(text.trim_end_matches('/').to_owned()))
        }
        false => Err("expected http:// or https:// and a host".to_owned()),
    }
}

fn lease(text: &str) -> Result<Option<Duration>, String> {
    match units::duration(Duration::ZERO, MINUTES)(text)? {
        Duration::ZERO => Ok(None),
        // Four beats and their requests must fit into it.
        _ => units::duration(Duration::from_secs(2), MINUTES)(text).map(Some),
    }
}

/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html>)
fn table_name(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if (3..=255).contains(&text.len()) && text.chars().all(allowed) {
        return Ok(text.to_owned());
    }
    Err("expected 3 to 255 letters, digits, `_`, `-` or `.`".to_owned())
}

fn message_size(text: &str) -> Result<usize, String> {
    let bytes = units::size(text).and_then(|bytes| units::within(bytes, 64 << 10, 64 << 20))?;
    usize::try_from(bytes).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn map(pairs: &[(&str, &str)]) -> BTreeMap<String, String> {
        pairs.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect()
    }

    #[test]
    fn the_defaults_are_valid() {
        let config = Config::read(&map(&[]), &map(&[("PATH", "/bin")]), None).unwrap();
        assert_eq!(config.channels.len(), 4);
        assert_eq!(config.spool_max, 2 << 30);
        assert_eq!(config.region, None);
    }

    #[test]
    fn a_flag_beats_the_environment_and_that_the_file() {
        let file = "table = 'of-file'\nregion = 'eu-central-1'\nspool_max = '64MiB'\nchannels = ['live_trades_xrpusd']";
        let environment = map(&[("BITSTAMP_LIVE_TABLE", "of-env"), ("BITSTAMP_LIVE_SPOOL_MAX", "128MiB")]);
        let config = Config::read(&map(&[("spool_max", "256MiB")]), &environment, Some(("a.toml", file))).unwrap();
        assert_eq!(config.table, "of-env");
        assert_eq!(config.region.as_deref(), Some("eu-central-1"));
        assert_eq!(config.spool_max, 256 << 20);
        assert_eq!(config.channels[0].as_str(), "live_trades_xrpusd");
    }

    #[test]
    fn every_fault_is_reported_at_once_with_its_place() {
        let file = "tabel = 'x'\nsync_every = '2 fortnights'\nlinger = 3\nchannels = [1]\nwriters = 0";
        let environment = map(&[("BITSTAMP_LIVE_URL", "http://x"), ("BITSTAMP_LIVE_SPOL_DIR", "x")]);
        let flags = map(&[("listen", "here"), ("table", "a b")]);
        let Faults(faults) = Config::read(&flags, &environment, Some(("a.toml", file))).unwrap_err();
        for expected in [
            "a.toml: `tabel` is no setting; did you mean `table`?",
            "environment: `BITSTAMP_LIVE_SPOL_DIR` is no setting; did you mean `BITSTAMP_LIVE_SPOOL_DIR`?",
            "environment: BITSTAMP_LIVE_URL = `http://x`: expected ws:// or wss://",
            "a.toml: sync_every = `2 fortnights`: expected a number and ms, s, min or h",
            "a.toml: linger = `3`: expected a number and ms, s, min or h",
            "a.toml: `channels` must be a list of strings",
            "a.toml: writers = `0`: expected 1 to 256",
            "flag: --listen = `here`: expected an address",
            "flag: --table = `a b`: expected 3 to 255",
        ] {
            assert!(faults.iter().any(|fault| fault.starts_with(expected)), "{expected} in {faults:#?}");
        }
        assert_eq!(faults.len(), 9, "{faults:#?}");
    }

    #[test]
    fn channels_are_checked_one_by_one() {
        let flags = map(&[("channels", "live_trades_BTCUSD, live_orders_btcusd,live_orders_btcusd")]);
        let Faults(faults) = Config::read(&flags, &map(&[]), None).unwrap_err();
        assert!(faults[0].contains("did you mean `live_trades_btcusd`"), "{faults:#?}");
        assert!(faults[1].contains("`live_orders_btcusd` stands twice"), "{faults:#?}");
        let Faults(faults) = Config::read(&map(&[("channels", " ")]), &map(&[]), None).unwrap_err();
        assert!(faults[0].contains("names nothing"), "{faults:#?}");
    }

    #[test]
    fn a_file_that_is_no_toml_is_one_fault_with_its_line() {
        let Faults(faults) = Config::read(&map(&[]), &map(&[]), Some(("a.toml", "table = 'x'\nurl"))).unwrap_err();
        assert_eq!(faults.len(), 1);
        assert!(faults[0].contains("a.toml: line 2"), "{faults:#?}");
    }
}
