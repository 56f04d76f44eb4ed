use std::io::Write;
use std::path::Path;
use std::sync::Arc;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, DeleteRequest, Select, WriteRequest};
use clap::Command;
use ingestor::config::{Config, Faults};
use ingestor::markets::{self, Markets, MarketsError};
use ingestor::rest::Rest;
use ingestor::table::{self, TableError};
use rustix::fs::statvfs;
use shared::channel::Channel;
use shared::table::{CHANNEL, ID, INDEX, MICROTIMESTAMP};

use super::daemon::Daemon;
use super::{EXIT_CONFIG, counted, sized};
use ingestor::ask::ask;

/// The exchange's part of it.
mod exchange;

/// The journal that the spool's engine keeps beside the records, at most (`Spool::open`).
const JOURNAL: u64 = 64 << 20;
/// The sort key of the item that the write check asks for. The sort key of every event begins with a digit, so there is
/// no such item.
const NO_EVENT: &str = "_check";

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
  write           dynamodb:BatchWriteItem and PutItem, proved on an item that no event can be: one is deleted that is not there,
                  one is put on a condition that does not hold; nothing changes, two write units
  spool           its folder can be written to and the disk has room for --spool-max
  listen          the address for /metrics and /health is free, or the daemon's
Exit codes: 0 all is well, 78 at least one fault.";

pub(super) fn command() -> Command {
    Command::new("check")
        .about("Whether the daemon could work: settings, markets, exchange, table, permissions, disk")
        .after_help(EXAMPLES)
}

/// What a check found: what is well, or what is wrong and how to mend it.
type Found = Result<String, String>;

pub(super) async fn run(config: Result<Config, Faults>, out: &mut dyn Write) -> anyhow::Result<u8> {
    let mut report = Report { out, faults: 0 };
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
        Ok(format!("{} into table {}", counted(config.channels.len() as u64, "channel"), config.table)),
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
    let table = described(&client, &config).await;
    let usable = table.is_ok();
    report.line("table", table)?;
    if usable {
        report.line("read", can_read(&client, &config).await)?;
        report.line("write", can_write(&client, &config).await)?;
    } else {
        report.left_out("read, write", "the table comes first")?;
    }
    report.line("spool", spool(&config))?;
    report.line("listen", listen(&config).await)?;
    report.end()
}

struct Report<'out> {
    out: &'out mut dyn Write,
    faults: usize,
}

impl Report<'_> {
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

/// The channels to subscribe to, where the exchange has their markets.
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

async fn described(client: &Client, config: &Config) -> Found {
    match table::check(client, &config.table).await {
        Ok(()) => Ok(format!("`{}` has the keys and the index that events need", config.table)),
        Err(error @ TableError::Unreachable { .. }) => {
            Err(format!("{error}; look at --region or --endpoint-url, the credentials and the network"))
        }
        Err(error) => Err(error.to_string()),
    }
}

async fn can_read(client: &Client, config: &Config) -> Found {
    let channel = config.channels.first().map_or("_", |channel| channel.as_str());
    let request = client
        .query()
        .table_name(&config.table)
        .index_name(INDEX)
        .key_condition_expression("#channel = :channel")
        .expression_attribute_names("#channel", CHANNEL)
        .expression_attribute_values(":channel", AttributeValue::S(channel.to_owned()))
        .select(Select::Count)
        .limit(1)
        .send();
    ask("dynamodb:Query on the index", request).await?;
    Ok("dynamodb:Query on the index is allowed".to_owned())
}

/// Nothing changes: a batch deletes what cannot be there (IAM asks for the same permission whether it puts or deletes), and
/// a put has a condition that does not hold.
async fn can_write(client: &Client, config: &Config) -> Found {
    let delete = DeleteRequest::builder()
        .key(ID, AttributeValue::N("0".to_owned()))
        .key(MICROTIMESTAMP, AttributeValue::S(NO_EVENT.to_owned()))
        .build()
        .map_err(|error| error.to_string())?;
    let request = WriteRequest::builder().delete_request(delete).build();
    let sent = client.batch_write_item().request_items(&config.table, vec![request]).send();
    let answer = ask("dynamodb:BatchWriteItem", sent).await?;
    let throttled = answer.unprocessed_items().is_some_and(|tables| !tables.is_empty());
    let put = client
        .put_item()
        .table_name(&config.table)
        .item(ID, AttributeValue::N("0".to_owned()))
        .item(MICROTIMESTAMP, AttributeValue::S(NO_EVENT.to_owned()))
        .condition_expression("attribute_exists(#id)")
        .expression_attribute_names("#id", ID);
    let put = async {
        match put.send().await {
            Err(error)
                if error.as_service_error().is_some_and(|error| error.is_conditional_check_failed_exception()) =>
            {
                Ok(())
            }
            answer => answer.map(drop),
        }
    };
    ask("dynamodb:PutItem", put).await?;
    let now = if throttled { ", but the table is throttled now" } else { "" };
    Ok(format!("dynamodb:BatchWriteItem and PutItem are allowed{now}"))
}

fn spool(config: &Config) -> Found {
    let folder = &config.spool_dir;
    let shown = folder.display();
    let remedy = "; mend that or set --spool-dir";
    let there = nearest(folder).map_err(|error| format!("`{shown}`: {error}{remedy}"))?;
    probe(there).map_err(|error| format!("`{}` cannot be written to: {error}{remedy}", there.display()))?;
    let disk = statvfs(there).map_err(|error| format!("`{shown}`: {error}{remedy}"))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let held = if folder.is_dir() { size_of(folder).unwrap_or(0) } else { 0 };
    let needed = (config.spool_max + JOURNAL).saturating_sub(held);
    let max = sized(config.spool_max);
    if free < needed {
        let (free, needed) = (sized(free), sized(needed));
        return Err(format!(
            "`{shown}`: the disk has {free} free, and {needed} more may be needed for --spool-max {max}; make room or lower it"
        ));
    }
    Ok(format!("`{shown}` can be written to; {} free, --spool-max is {max}", sized(free)))
}

/// The folder, or the nearest one above it that is there: the daemon creates the rest.
fn nearest(folder: &Path) -> std::io::Result<&Path> {
    for path in folder.ancestors() {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        match std::fs::metadata(path) {
            Ok(found) if found.is_dir() => return Ok(path),
            Ok(_) => return Err(std::io::ErrorKind::NotADirectory.into()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Path::new("."))
}

/// Writes a file, makes it durable and removes it.
fn probe(folder: &Path) -> std::io::Result<()> {
    let path = folder.join(format!(".ingestor-check-{}", std::process::id()));
    let mut file = std::fs::File::create_new(&path)?;
    let written = file.write_all(b"written by `ingestor check`, may be deleted\n").and_then(|()| file.sync_all());
    let removed = std::fs::remove_file(&path);
    written.and(removed)
}

/// What a folder's files take, in bytes.
fn size_of(folder: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.metadata()?;
        bytes += if kind.is_dir() { size_of(&entry.path())? } else { kind.len() };
    }
    Ok(bytes)
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
