//! `ingestor check`: tests whether the daemon could work.

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;

use clap::Command;
use ingestor::config::{Config, Faults, keep};
use ingestor::exchange::markets::{self, Markets, MarketsError};
use ingestor::exchange::rest::Rest;
use ingestor::store::table;
use shared::channel::Channel;

use super::daemon::Daemon;
use super::{EXIT_CONFIG, counted};

mod disk;
mod exchange;
mod store;

const EXAMPLES: &str = "\
Examples:
  ingestor check --config /etc/bitstamp-live.toml
  ingestor check --region eu-central-1 --channels live_trades_btcusd

One line a check: ok, fault with its remedy, or left out where an earlier fault makes it pointless.
  configuration   every setting is readable
  markets         the exchange has every market that a channel names; it would confirm others too and stay silent
  exchange        the WebSocket opens and confirms each channel within --confirm-within
  table           it is there, with the keys and the index that events need (dynamodb:DescribeTable)
  read            dynamodb:Query on the index, for `ingestor estimate` and gap filling
  write           dynamodb:BatchWriteItem, PutItem and DeleteItem, proved on an item that no event can be: one is deleted that is not there,
                  one is put on a condition that does not hold; nothing changes, two write units
  spool           its folder can be written to and the disk has room for --spool-max
  listen          the address for /metrics and /health is free, or the daemon's
Exit codes: 0 all is well, 78 at least one fault.";

pub(super) fn command() -> Command {
    Command::new("check")
        .about("Whether the daemon could work: settings, markets, exchange, table, permissions, disk")
        .after_help(EXAMPLES)
}

/// Result of a check: what is well, or what is wrong and how to mend it.
type Found = Result<String, String>;

pub(super) async fn run(config: Result<Config, Faults>, out: &mut dyn Write) -> anyhow::Result<u8> {
    let mut report = CheckReport { out, faults: 0 };
    let config = match config {
        Ok(config) => Arc::new(config),
        Err(Faults(faults)) => {
            for fault in faults {
                report.line("configuration", Err(fault))?;
            }
            report.left_out("everything else", "the configuration comes first")?;
            return report.end();
        }
    };
    report.line(
        "configuration",
        Ok(format!(
            "{} into table {}{}",
            counted(config.channels.len() as u64, "channel"),
            config.table,
            blocks(&config) + &kept(&config)
        )),
    )?;
    match resolved(&config).await {
        Ok(channels) => {
            report
                .line("markets", Ok(format!("the exchange has them; {}", counted(channels.len() as u64, "channel"))))?;
            report.line("exchange", exchange::check(&config, &channels).await)?;
        }
        Err(faults) => {
            for fault in faults {
                report.line("markets", Err(fault))?;
            }
            report.left_out("exchange", "the markets come first")?;
        }
    }
    let client = table::connect(&config).await;
    let table = store::described(&client, &config).await;
    let usable = table.is_ok();
    report.line("table", table)?;
    if usable {
        report.line("read", store::can_read(&client, &config).await)?;
        report.line("write", store::can_write(&client, &config).await)?;
    } else {
        report.left_out("read, write", "the table comes first")?;
    }
    report.line("spool", disk::check(&config))?;
    report.line("listen", listen(&config).await)?;
    report.end()
}

struct CheckReport<'out> {
    out: &'out mut dyn Write,
    faults: usize,
}

impl CheckReport<'_> {
    fn line(&mut self, what: &str, found: Found) -> std::io::Result<()> {
        self.faults += usize::from(found.is_err());
        let (Ok(text) | Err(text)) = &found;
        writeln!(self.out, "{:<6} {what:<14} {text}", if found.is_ok() { "ok" } else { "fault" })?;
        // Some checks take seconds; what is known is shown meanwhile.
        self.out.flush()
    }

    fn left_out(&mut self, what: &str, why: &str) -> std::io::Result<()> {
        writeln!(self.out, "-      {what:<14} left out: {why}")
    }

    fn end(self) -> anyhow::Result<u8> {
        Ok(if self.faults == 0 { 0 } else { EXIT_CONFIG })
    }
}

/// Returns the channels to subscribe to, or those whose market the exchange does not have.
async fn resolved(config: &Config) -> Result<Vec<Channel>, Vec<String>> {
    let Some(rest_url) = &config.rest_url else {
        // Nobody wants it checked; only wildcards cannot do without.
        return markets::channels(config).await.map_err(|Faults(faults)| faults);
    };
    let fault = |error: MarketsError| vec![format!("{error}: {rest_url}; look at --rest-url and the network")];
    let rest = Rest::new(rest_url).map_err(|error| fault(error.into()))?;
    let markets = Markets::fetch(&rest).await.map_err(fault)?;
    markets.resolve(&config.channels).map_err(|Faults(faults)| faults)
}

/// Says which channels are stored in blocks.
fn blocks(config: &Config) -> String {
    let names: Vec<_> = config.storage.in_blocks().collect();
    if names.is_empty() { String::new() } else { format!("; {} in blocks", names.join(", ")) }
}

/// Says how long items are kept, unless all are for ever.
fn kept(config: &Config) -> String {
    if !config.keep.is_set() {
        return String::new();
    }
    let mut times: BTreeMap<String, Vec<&str>> = BTreeMap::new();
    for channel in config.channels.iter().map(Channel::as_str) {
        times.entry(keep::spelled(config.keep.of(channel))).or_default().push(channel);
    }
    times.iter().map(|(time, channels)| format!("; {} kept {time}", channels.join(", "))).collect()
}

async fn listen(config: &Config) -> Found {
    let address = config.listen;
    match tokio::net::TcpListener::bind(address).await {
        Ok(_) => Ok(format!("{address} is free")),
        Err(error) => match Daemon::of(config).map_err(|error| error.to_string())?.health().await {
            Ok(_) => Ok(format!("a daemon is running at {address}")),
            Err(_) => Err(format!("cannot listen on {address}: {error}; stop what uses it or set --listen")),
        },
    }
}
