//! Settings from file, environment and flags; every fault is reported at once.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::time::Duration;

use shared::channel::Channel;

use crate::clock::Wall;
use crate::config::keep::Retention;
use crate::config::layers::Layers;
use crate::config::storage::Storages;
use crate::config::values::{channel, every, lease, message_size, origin, rest_url, table_name};

pub mod keep;
pub mod layers;
pub mod liveness;
mod rules;
mod settings;
pub mod storage;
pub mod units;
mod values;

pub use crate::config::rules::fits;
pub use crate::config::settings::{Faults, SETTINGS, Setting};

/// The daemon's configuration, checked.
#[derive(Clone, Debug)]
pub struct Config {
    /// Channels to subscribe to; not empty, each once. The market `*` stands for every market.
    pub channels: Vec<Channel>,
    /// URL of the exchange's WebSocket, `ws://` or `wss://`.
    pub url: String,
    /// URL of the exchange's REST API, `http://` or `https://`, without a slash at the end.
    pub rest_url: Option<String>,
    /// Interval between two readings of the exchange's list of markets.
    pub markets_every: Duration,
    /// Number of connections that each carry every channel.
    pub connections: u32,
    /// Age at which a connection is replaced.
    pub max_age: Duration,
    /// Delay between a gap's end and its filling over REST.
    pub fill_after: Duration,
    /// Interval between two comparisons of the exchange's trades with the table; `None`: never.
    pub audit_every: Option<Duration>,
    /// Interval between two stored order books of a channel of order events; `None`: never.
    pub snapshot_every: Option<Duration>,
    /// Length of the lease, if daemons write in turn.
    pub lease: Option<Duration>,
    /// Name of the daemon that items carry.
    pub origin: Option<String>,
    /// Interval between two ledger entries of a channel's captured time.
    pub ledger_every: Duration,
    /// Name of the DynamoDB table.
    pub table: String,
    /// How the events of each channel are stored.
    pub storage: Storages,
    /// Time from a block's first event, when it is read from the spool, to the block's end.
    pub block_age: Duration,
    /// How long the items of each channel are kept.
    pub keep: Retention,
    /// AWS region of the table; `None`: the SDK finds one.
    pub region: Option<String>,
    /// DynamoDB endpoint in place of the region's.
    pub endpoint_url: Option<String>,
    /// Folder of the spool, absolute.
    pub spool_dir: PathBuf,
    /// Size at which the spool is full, in bytes of frames.
    pub spool_max: u64,
    /// Longest wait between a frame's arrival and the fsync that covers it.
    pub sync_every: Duration,
    /// Size of the largest message accepted from the exchange, in bytes.
    pub max_message: usize,
    /// Time after which an unconfirmed subscription is repeated.
    pub confirm_within: Duration,
    /// Limits by which a connection counts as dead.
    pub liveness: liveness::Limits,
    /// Longest wait of an item for others to fill its batch.
    pub linger: Duration,
    /// Largest number of requests to the table in flight.
    pub writers: usize,
    /// Timeout of a request to the table.
    pub request_timeout: Duration,
    /// Address of `/metrics` and `/health`.
    pub listen: SocketAddr,
    /// Time that a stop may take.
    pub stop_within: Duration,
    /// Source of the machine's time; tests set another one.
    pub wall: Wall,
}

impl Config {
    /// Reads the settings. `flags` by key, `environment` by variable, `file` as TOML with its name for messages.
    ///
    /// # Errors
    ///
    /// Returns all [`Faults`], so that one run is enough to mend a configuration.
    pub fn read(
        flags: &BTreeMap<String, String>,
        environment: &BTreeMap<String, String>,
        file: Option<(&str, &str)>,
    ) -> Result<Config, Faults> {
        let mut layers = Layers::new(flags, environment, file);
        let config = Config {
            channels: layers.list("channels", channel),
            url: layers.get("url", |text| match text.starts_with("ws://") || text.starts_with("wss://") {
                true => Ok(text.to_owned()),
                false => Err("expected ws:// or wss:// and a host".to_owned()),
            }),
            rest_url: layers.get("rest_url", rest_url),
            markets_every: layers.get("markets_every", units::duration(Duration::from_millis(100), DAY)),
            connections: layers.get("connections", |text| {
                text.parse().map_err(|_| "expected a whole number".to_owned()).and_then(|n| units::within(n, 1, 4))
            }),
            // The exchange closes connections after 90 days; one day less leaves room for the replacement.
            max_age: layers.get("max_age", units::duration(Duration::from_secs(1), DAY * 89)),
            fill_after: layers.get("fill_after", units::duration(Duration::from_secs(1), DAY / 2)),
            audit_every: layers.get("audit_every", every),
            snapshot_every: layers.get("snapshot_every", every),
            lease: layers.get("lease", lease),
            origin: layers.get("origin", origin),
            // Readers rely on entries of captured time that are at most a minute long.
            ledger_every: layers.get("ledger_every", units::duration(Duration::from_secs(1), Duration::from_secs(60))),
            table: layers.get("table", table_name),
            storage: layers.get("storage", Storages::read),
            // A block spans at most ten seconds of the exchange's time (`shared::block::stored::SPAN`).
            block_age: layers.get("block_age", units::duration(Duration::from_millis(100), Duration::from_secs(10))),
            keep: layers.get("keep", Retention::read),
            region: layers.optional("region"),
            endpoint_url: layers.optional("endpoint_url"),
            spool_dir: layers.get("spool_dir", |text| std::path::absolute(text).map_err(|error| error.to_string())),
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
            wall: Wall::System,
        };
        if let Some(name) = config.storage.without_effect(&config.channels) {
            layers.fault("storage", &format!("`{name}` is none of the channels"));
        }
        if let Some(name) = config.keep.without_effect(&config.channels) {
            layers.fault("keep", &format!("`{name}` is none of the channels"));
        }
        layers.finish()?;
        Ok(config)
    }
}

const MINUTES: Duration = Duration::from_secs(600);
const DAY: Duration = Duration::from_secs(86_400);

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
    fn a_mistyped_family_is_named_with_the_right_one() {
        for (name, right) in [
            ("live_trade_btcusd", "live_trades_btcusd"),
            ("live_order_btcusd-perp", "live_orders_btcusd-perp"),
            ("diff_orderbook_ethusd", "diff_order_book_ethusd"),
        ] {
            let Faults(faults) = Config::read(&map(&[("channels", name)]), &map(&[]), None).unwrap_err();
            assert!(faults[0].contains(&format!("did you mean `{right}`")), "{faults:#?}");
        }
        let unknown = map(&[("channels", "live_something_btcusd,announcements,private-my_orders_btcusd-1")]);
        assert_eq!(Config::read(&unknown, &map(&[]), None).unwrap().channels.len(), 3);
    }

    #[test]
    fn rules_by_channel_are_a_text_or_a_table() {
        let read = |file: &str, flags: &[(&str, &str)]| Config::read(&map(flags), &map(&[]), Some(("a.toml", file)));
        let days = |config: &Config, name: &str| config.keep.of(name).map(|seconds| seconds / 86_400);
        for file in [
            "keep = '30d,live_trades_*=forever'",
            "keep = { '*' = '30d', 'live_trades_*' = 'forever' }",
            "[keep]\n'*' = '30d'\n'live_trades_*' = 'forever'",
        ] {
            let config = read(file, &[]).unwrap();
            assert_eq!((days(&config, "live_orders_btcusd"), days(&config, "live_trades_btcusd")), (Some(30), None));
        }
        let config = read("keep = '30d'", &[("keep", "2w")]).unwrap();
        assert_eq!(days(&config, "live_trades_btcusd"), Some(14));
        assert!(!read("", &[]).unwrap().keep.is_set());
        for (file, fault) in [
            ("keep = 30", "a.toml: keep = `30`: `30`: expected a number and d or w, or forever"),
            ("keep = { '*' = 30 }", "a.toml: `keep` must be a table of strings"),
            ("keep = '1d'", "a.toml: keep = `1d`: `1d`: expected 2d"),
            (
                "keep = { 'order_book_*' = '9d' }",
                "a.toml: keep = `order_book_*=9d`: `order_book_*` is none of the channels",
            ),
        ] {
            let Faults(faults) = read(file, &[]).unwrap_err();
            assert!(faults.len() == 1 && faults[0].starts_with(fault), "{faults:#?}");
        }
    }

    #[test]
    fn a_file_that_is_no_toml_is_one_fault_with_its_line() {
        let Faults(faults) = Config::read(&map(&[]), &map(&[]), Some(("a.toml", "table = 'x'\nurl"))).unwrap_err();
        assert_eq!(faults.len(), 1);
        assert!(faults[0].contains("a.toml: line 2"), "{faults:#?}");
    }
}
