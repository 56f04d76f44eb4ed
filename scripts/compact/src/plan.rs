//! `compact plan`: packs a sample, or everything, without writing, and reports what a run would do, cost and save.

use aws_sdk_dynamodb::Client;
use backfill::{error::Error, progress::as_f64, table_info::recovery};
use futures_util::TryStreamExt;
use serde::Serialize;
use tokio_util::sync::CancellationToken;

use crate::args::PlanArgs;
use crate::channels::matching;
use crate::events::pages;
use crate::expiry::Expiry;
use crate::pack::Packer;
use crate::start::{open, outermost, range};
use crate::store::Store;

mod sums;

use sums::Sums;

/// Length of a place that a sample looks at, microseconds: that of the longest block.
const WINDOW: u64 = shared::block::stored::SPAN;
/// Write units a second that a partition of the index takes.
/// Source: <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/bp-partition-key-design.html>
const PARTITION_UNITS: f64 = 1000.0;
/// A gigabyte of storage, bytes.
const GIGABYTE: f64 = 1e9;

/// What a run would do.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The table.
    pub table: String,
    /// The channels.
    pub channels: Vec<ChannelPlan>,
    /// First time, inclusive; 0 for the first event.
    pub from: u64,
    /// Last time, inclusive.
    pub to: u64,
    /// Whether the whole range was read.
    pub exact: bool,
    /// `on`, `off`, or `none on this engine`.
    pub point_in_time_recovery: &'static str,
    /// Events that are single items.
    pub events: f64,
    /// Those of them that would stay single.
    pub singles: f64,
    /// Blocks that a run would write.
    pub blocks: f64,
    /// Write units that storing these events took, at least.
    pub units_as_items: f64,
    /// Write units of the blocks.
    pub units_as_blocks: f64,
    /// Write units of a run: the blocks and the deletions.
    pub write_units: f64,
    /// Read units of a run.
    pub read_units: f64,
    /// Money for a run.
    pub cost: f64,
    /// Bytes of storage before, in table and index.
    pub bytes_before: f64,
    /// Bytes of storage afterwards, in table and index.
    pub bytes_after: f64,
    /// Money that storage costs less each month.
    pub saved_a_month: f64,
    /// Seconds at the rate given; none where none was given.
    pub seconds_at_rate: Option<f64>,
    /// Seconds that the busiest partition of the index takes.
    pub seconds_floor: f64,
    /// Read units that this plan took.
    pub read_units_of_plan: f64,
}

/// What a run would do with a channel.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct ChannelPlan {
    /// Its name.
    pub name: String,
    /// Events that are single items.
    pub events: f64,
    /// Those of them that would stay single.
    pub singles: f64,
    /// Blocks.
    pub blocks: f64,
    #[serde(skip)]
    sums: Sums,
}

/// Reads a sample or everything; changes nothing.
///
/// # Errors
/// When the service refuses, patience ends, or it is interrupted.
pub async fn plan(client: &Client, args: &PlanArgs, stop: &CancellationToken) -> Result<Report, Error> {
    let job = &args.job;
    let (from, to) = range(job)?;
    let (store, _) = open(client, job, 4, stop).await?;
    let expiry = Expiry::read(&store).await?;
    let recovery = recovery(client, &job.table, job.patience(), stop).await?;
    let mut channels = Vec::new();
    for name in matching(&store, &job.channels).await? {
        let sums = look((&store, &expiry), &name, (from, to), args).await?;
        let Sums { events, singles, blocks, .. } = sums;
        channels.push(ChannelPlan { name, events, singles, blocks, sums });
    }
    Ok(report(args, (from, to), recovery.name(), channels, store.units().read))
}

/// Packs what the arguments say of a channel, scaled to the whole range.
async fn look(table: (&Store, &Expiry), name: &str, (from, to): (u64, u64), args: &PlanArgs) -> Result<Sums, Error> {
    let (store, _) = table;
    let Some(first) = outermost(store, name, (from, to), false).await? else { return Ok(Sums::default()) };
    let last = outermost(store, name, (from, to), true).await?.unwrap_or(to);
    let span = last - first + 1;
    let places = u64::from(args.sample);
    if args.count || span <= places * WINDOW {
        return packed(table, name, (first, last)).await;
    }
    let mut sums = Sums::default();
    for place in 0..places {
        let begin = first + (span - WINDOW) / places.max(2).saturating_sub(1) * place;
        let part = packed(table, name, (begin, begin + WINDOW - 1)).await?;
        sums = sums.and(part);
    }
    Ok(sums.scaled(as_f64(span) / as_f64(places * WINDOW)))
}

async fn packed((store, expiry): (&Store, &Expiry), name: &str, (from, to): (u64, u64)) -> Result<Sums, Error> {
    let mut sums = Sums::default();
    let mut packer = Packer::new(name, expiry, 0, 0);
    let mut pages = std::pin::pin!(pages(store, name, from, to));
    while let Some(page) = pages.try_next().await? {
        for item in page {
            sums.note_read(&item);
            packer.add(item).iter().for_each(|packed| sums.note_block(packed));
        }
    }
    packer.end().iter().for_each(|packed| sums.note_block(packed));
    sums.singles = as_f64(packer.take_tally().singles.sum());
    Ok(sums)
}

fn report(
    args: &PlanArgs,
    (from, to): (u64, u64),
    point_in_time_recovery: &'static str,
    channels: Vec<ChannelPlan>,
    read_units_of_plan: f64,
) -> Report {
    let all = channels.iter().fold(Sums::default(), |sum, channel| sum.and(channel.sums));
    // An index is read eventually consistent, half a unit for 4 KB; each block is read back by a consistent read.
    let read_units = all.read_bytes / 8192.0 + all.block_reads;
    let write_units = all.block_units + all.item_units;
    let (bytes_before, bytes_after) = (2.0 * all.item_bytes, 2.0 * all.block_bytes);
    let busiest = channels.iter().map(|channel| (channel.sums.item_units + channel.sums.block_units) / 2.0);
    let writing = args.job.max_wcu.map(|rate| write_units / rate);
    let reading = args.job.max_rcu.map(|rate| read_units / rate);
    let exact = args.count;
    Report {
        table: args.job.table.clone(),
        from,
        to,
        exact,
        point_in_time_recovery,
        events: all.events,
        singles: all.singles,
        blocks: all.blocks,
        units_as_items: all.item_units,
        units_as_blocks: all.block_units,
        write_units,
        read_units,
        cost: (write_units * args.price_write + read_units * args.price_read) / 1e6,
        bytes_before,
        bytes_after,
        saved_a_month: (bytes_before - bytes_after) / GIGABYTE * args.price_storage,
        seconds_at_rate: writing.into_iter().chain(reading).reduce(f64::max),
        seconds_floor: busiest.fold(0.0, f64::max) / PARTITION_UNITS,
        read_units_of_plan,
        channels,
    }
}
