//! Counts the events of each channel.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity, Select};
use ingestor::clock::system_micros;
use ingestor::config::Config;
use ingestor::store::table;
use shared::block::stored::partition;
use shared::channel::{Channel, Family};
use shared::table::{CHANNEL, INDEX, NMICROTIMESTAMP};
use tokio::time::Instant;

use super::sample::{self, Each};
use crate::commands::daemon::Daemon;
use crate::commands::{CommandError, progress};
use ingestor::store::request::send_with_timeout;

/// Events of a channel, as counted.
#[derive(Debug)]
pub(super) struct Counted {
    pub(super) channel: Channel,
    pub(super) events: u64,
    pub(super) over: Duration,
    /// What an event takes as an item of its own.
    pub(super) single: Each,
    /// What an event takes in a block; `None` if that is not known, or the channel is never stored in blocks.
    pub(super) in_blocks: Option<Each>,
    /// True if that was measured on this channel's own events.
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
        events += blocks(&client, config, &span, &mut read_units).await?;
        let (measured, read) = sample::measure(&client, config, channel, last).await?;
        read_units += read;
        counts.push(Counted {
            channel: channel.clone(),
            events,
            over: last,
            single: measured.single.unwrap_or_else(|| each_of(channel.family())),
            in_blocks: measured.in_blocks,
            is_measured: measured.single.is_some(),
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

pub(super) fn refused(sentence: String) -> CommandError {
    CommandError::Store(format!("{sentence}; `--from daemon` counts without the table"))
}

/// Counts the events in a channel's blocks.
async fn blocks(client: &Client, config: &Config, span: &Span, read_units: &mut f64) -> Result<u64, CommandError> {
    let span = Span { channel: partition(&span.channel), ..*span };
    let (mut events, mut from) = (0, None);
    loop {
        let request = span.query(client, config).set_exclusive_start_key(from);
        let page = send_with_timeout("dynamodb:Query on the index", request.send()).await.map_err(refused)?;
        let counts = page.items().iter().map(|item| item.get("count")?.as_n().ok()?.parse::<u64>().ok());
        events += counts.map(Option::unwrap_or_default).sum::<u64>();
        *read_units += page.consumed_capacity().and_then(|read| read.capacity_units()).unwrap_or_default();
        from = page.last_evaluated_key;
        if from.is_none() {
            return Ok(events);
        }
    }
}

/// Time range of a channel.
pub(super) struct Span {
    pub(super) channel: String,
    /// Microseconds since the Unix epoch, by the exchange's clock.
    pub(super) from: u64,
    pub(super) to: u64,
}

impl Span {
    pub(super) fn until_now(channel: &Channel, last: Duration) -> Span {
        let to = system_micros();
        let last = u64::try_from(last.as_micros()).unwrap_or(u64::MAX);
        Span { channel: channel.to_string(), from: to.saturating_sub(last), to }
    }

    pub(super) fn query(&self, client: &Client, config: &Config) -> QueryFluentBuilder {
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

/// Returns what an event takes as an item of its own where that cannot be measured, from the table in docs/cost.md.
fn each_of(family: Family) -> Each {
    let (bytes, units) = match family {
        Family::LiveTrades => (249, 2),
        Family::LiveOrders => (463, 2),
        Family::OrderBook => (4_984, 10),
        Family::DetailOrderBook => (8_391, 18),
        Family::DiffOrderBook | Family::Other => (566, 2),
        Family::FundingRate => (316, 2),
    };
    Each::single(bytes, units)
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
        Counted {
            channel: channel.clone(),
            events,
            over,
            single: each_of(channel.family()),
            in_blocks: None,
            is_measured: false,
        }
    });
    let source =
        format!("counted: {} s in the daemon at {}, which says little of a day", over.as_secs(), daemon.address);
    Ok((counts.collect(), source))
}
