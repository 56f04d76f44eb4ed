//! The settings there are, and how their faults are reported.

/// A setting: its key, its default and its help text.
#[derive(Clone, Copy, Debug)]
pub struct Setting {
    /// Name in the file. As a flag: `--` and the name with dashes. In the environment: `BITSTAMP_LIVE_` and the name in
    /// capitals.
    pub key: &'static str,
    /// Placeholder of its value in `--help`.
    pub value: &'static str,
    /// Default as text; empty for none.
    pub default: &'static str,
    /// Help text in `--help`.
    pub help: &'static str,
}

const fn setting(key: &'static str, value: &'static str, default: &'static str, help: &'static str) -> Setting {
    Setting { key, value, default, help }
}

/// All settings of the daemon.
pub const SETTINGS: [Setting; 31] = [
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
        "markets_every",
        "TIME",
        "10min",
        "How often the exchange's list of markets is read: channels of a market that left it become a gap, new ones join a wildcard",
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
        "Delay after a gap ends before filling it over REST; leaves time for another daemon to write it",
    ),
    setting(
        "audit_every",
        "TIME",
        "45min",
        "How often the exchange's list of trades is compared with the table; a missing one becomes a gap and is filled; 0s: never",
    ),
    setting(
        "snapshot_every",
        "TIME",
        "24h",
        "How often the order book with order ids is stored beside order events, first when a channel begins; 0s: never",
    ),
    setting(
        "lease",
        "TIME",
        "0s",
        "Lease duration: only the holder writes, a standby takes over on expiry; 0s disables, minimum 2s",
    ),
    setting(
        "origin",
        "NAME",
        "",
        "Short name of this daemon that each item carries with its connection, e.g. `a/2`, where that costs no write unit; empty: none",
    ),
    setting(
        "ledger_every",
        "TIME",
        "1min",
        "Interval between two ledger entries of a channel; newer events are `unknown` to readers, each entry is a write; 1s to 1min",
    ),
    setting("table", "NAME", shared::table::DEFAULT_TABLE, "The DynamoDB table"),
    setting(
        "storage",
        "CHANNEL=STORAGE,...",
        "",
        "How events are stored, by channel or family: `live_orders_*=blocks` packs many into one item, at a hundredth of a busy market's cost; others are single items (`events`)",
    ),
    setting("block_age", "TIME", "1s", "A block is written this long after its first event; 100ms to 10s"),
    setting(
        "keep",
        "TIME|CHANNEL=TIME,...",
        "",
        "How long items are kept, in d or w, for all or by channel or family: `90d`, `live_orders_*=30d,live_trades_*=forever`; the table's TTL deletes them some time after; empty: for ever; at least 2d",
    ),
    setting("region", "REGION", "", "The table's AWS region [default: the AWS SDK's own order of places]"),
    setting("endpoint_url", "URL", "", "Another DynamoDB endpoint, e.g. http://127.0.0.1:8000"),
    setting(
        "spool_dir",
        "FOLDER",
        "spool",
        "Where frames are kept until they are in the table; relative to the folder where it is started",
    ),
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

/// All faults of a configuration, each in one line.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("{} in the configuration:\n  - {}", count(.0.len()), .0.join("\n  - "))]
pub struct Faults(pub Vec<String>);

fn count(faults: usize) -> String {
    if faults == 1 { "1 fault".to_owned() } else { format!("{faults} faults") }
}
