//! Counts the events of each channel and the write units of one event.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity, Select};
use ingestor::clock::system_micros;
use ingestor::config::Config;
use ingestor::store::table;
use rust_decimal::Decimal;
use shared::block::stored::partition;
use shared::channel::{Channel, Family};
use shared::item;
use shared::table::{CHANNEL, INDEX, NMICROTIMESTAMP};
use tokio::time::Instant;

use crate::commands::daemon::Daemon;
use crate::commands::{CommandError, progress};
use ingestor::store::request::send_with_timeout;

/// Number of a channel's newest items that are measured.
const MEASURED: i32 = 100;

/// Events of a channel, as counted.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) channel: Channel,
    pub(super) events: u64,
    pub(super) over: Duration,
    /// Write units that an event takes, in the table and the index together.
    pub(super) units: Decimal,
    /// True if the units were measured on this channel's own items.
    pub(super) is_measured: bool,
}

/// Counts events in the table, back from now. Returns the counts and a sentence on their source.
pub(super) async fn in_table(config: &Config, last: Duration) -> Result<(Vec<Counted>, String), CommandError> {
    let client = table::connect(config).await;
    // The daemon's client leaves every retry to its writer; here the SDK's own are right.
    let client = Client::from_conf(client.config().to_builder().retry_config(RetryConfig::standard()).build());
    let (mut counts, mut read_units) = (Vec::new(), 0.0);
    let bar = progress("events counted:");
    for channel in &config.channels {
        let span = Span::until_now(channel, last);
        let (mut events, mut from) = (0, None);
        loop {
            let request = span.query(&client, config).select(Select::Count).set_exclusive_start_key(from);
            let page = send_with_timeout("dynamodb:Query on the index", request.send()).await.map_err(refused)?;
            let count = u64::try_from(page.count()).unwrap_or_default();
            events += count;
            bar.inc(count);
            read_units += page.consumed_capacity().and_then(|consumed| consumed.capacity_units()).unwrap_or(0.0);
            from = page.last_evaluated_key;
            if from.is_none() {
                break;
            }
        }
        let newest = span.query(&client, config).scan_index_forward(false).limit(MEASURED).send();
        let newest = send_with_timeout("dynamodb:Query on the index", newest).await.map_err(refused)?;
        let measured = mean_units(newest.items());
        let blocks = Span { channel: partition(channel.as_str()), ..span }.blocks(&client, config).await?;
        bar.inc(blocks.events);
        read_units += blocks.read_units;
        let of_item = measured.unwrap_or_else(|| units_of(channel.family()));
        let all = events + blocks.events;
        let units = Decimal::from(events) * of_item + Decimal::from(blocks.units);
        counts.push(Counted {
            channel: channel.clone(),
            events: all,
            over: last,
            units: units.checked_div(Decimal::from(all)).unwrap_or(of_item),
            is_measured: measured.is_some() || blocks.events > 0,
        });
    }
    bar.finish_and_clear();
    let minutes = last.as_secs_f64() / 60.0;
    let source = format!(
        "counted: the last {minutes:.0} minutes in table {}, by the exchange's time; that took {read_units:.0} read units",
        config.table
    );
    Ok((counts, source))
}

fn refused(sentence: String) -> CommandError {
    CommandError::Store(format!("{sentence}; `--from daemon` counts without the table"))
}

/// What the blocks of a channel hold.
#[derive(Default)]
struct InBlocks {
    events: u64,
    /// Write units of all blocks, in the table and the index together.
    units: u64,
    read_units: f64,
}

/// Time range of a channel.
struct Span {
    channel: String,
    /// Microseconds since the Unix epoch, by the exchange's clock.
    from: u64,
    to: u64,
}

impl Span {
    fn until_now(channel: &Channel, last: Duration) -> Span {
        let to = system_micros();
        let last = u64::try_from(last.as_micros()).unwrap_or(u64::MAX);
        Span { channel: channel.to_string(), from: to.saturating_sub(last), to }
    }

    /// Counts the events of the channel's blocks.
    async fn blocks(&self, client: &Client, config: &Config) -> Result<InBlocks, CommandError> {
        let (mut blocks, mut from) = (InBlocks::default(), None);
        loop {
            let request = self.query(client, config).set_exclusive_start_key(from);
            let page = send_with_timeout("dynamodb:Query on the index", request.send()).await.map_err(refused)?;
            for item in page.items() {
                let count = item.get("count").and_then(|count| count.as_n().ok()?.parse::<u64>().ok());
                blocks.events += count.unwrap_or_default();
            }
            blocks.units += page.items().iter().map(item::write_units).sum::<u64>();
            blocks.read_units += page.consumed_capacity().and_then(|read| read.capacity_units()).unwrap_or_default();
            from = page.last_evaluated_key;
            if from.is_none() {
                return Ok(blocks);
            }
        }
    }

    fn query(&self, client: &Client, config: &Config) -> QueryFluentBuilder {
        client
            .query()
            .table_name(&config.table)
            .index_name(INDEX)
            .key_condition_expression("#channel = :channel AND #time BETWEEN :from AND :to")
            .expression_attribute_names("#channel", CHANNEL)
            .expression_attribute_names("#time", NMICROTIMESTAMP)
            .expression_attribute_values(":channel", AttributeValue::S(self.channel.clone()))
            .expression_attribute_values(":from", AttributeValue::N(self.from.to_string()))
            .expression_attribute_values(":to", AttributeValue::N(self.to.to_string()))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
    }
}

/// Returns the mean of the write units that these items took; `None` without any.
fn mean_units(items: &[item::Item]) -> Option<Decimal> {
    let units: u64 = items.iter().map(item::write_units).sum();
    Decimal::from(units).checked_div(Decimal::from(items.len()))
}

/// Returns the write units of an event that cannot be measured, from the table in docs/cost.md.
fn units_of(family: Family) -> Decimal {
    let units = match family {
        Family::OrderBook => 10,
        Family::DetailOrderBook => 18,
        Family::LiveTrades | Family::LiveOrders | Family::DiffOrderBook | Family::FundingRate | Family::Other => 2,
    };
    Decimal::from(units)
}

/// Counts what the running daemon stores, from now on.
pub(super) async fn in_daemon(config: &Config, sample: Duration) -> anyhow::Result<(Vec<Counted>, String)> {
    let daemon = Daemon::of(config)?;
    daemon.health().await?;
    let (before, begun) = (daemon.metrics().await?, Instant::now());
    let bar = progress("seconds counted:");
    while begun.elapsed() < sample {
        tokio::time::sleep(Duration::from_secs(1).min(sample.saturating_sub(begun.elapsed()))).await;
        bar.set_position(begun.elapsed().as_secs());
    }
    let (after, over) = (daemon.metrics().await?, begun.elapsed());
    bar.finish_and_clear();
    let counts = config.channels.iter().map(|channel| {
        let name = format!("bitstamp_channel_stored_total{{channel=\"{channel}\"}}");
        let value = |metrics: &std::collections::BTreeMap<_, _>| metrics.get(&name).copied().unwrap_or(0_u64);
        let events = value(&after).saturating_sub(value(&before));
        Counted { channel: channel.clone(), events, over, units: units_of(channel.family()), is_measured: false }
    });
    let source =
        format!("counted: {} s in the daemon at {}, which says little of a day", over.as_secs(), daemon.address);
    Ok((counts.collect(), source))
}
