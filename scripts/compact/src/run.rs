//! `compact run`: packs the single events of a range into blocks.

use aws_sdk_dynamodb::Client;
use backfill::{error::Error, progress::StatusSink};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde::Serialize;
use serde_json::Value;
use tokio_util::sync::CancellationToken;

use crate::args::RunArgs;
use crate::checkpoint::{State, Totals};
use crate::events::pages;
use crate::pack::{Packed, Packer, Tally};
use crate::progress::{Progress, watched};
use crate::start::{Session, Source, session};
use crate::transfer::Transfer;

/// Channels at a time: each has a partition of the index, which takes 1,000 write units a second.
const CHANNELS: usize = 2;
/// Blocks of a channel whose events are being deleted at the same time.
const BLOCKS: usize = 2;

/// The end of a command.
#[derive(Clone, Debug, PartialEq, Serialize)]
pub struct Report {
    /// The table.
    pub table: String,
    /// The channels, and up to which time they are done.
    pub channels: Vec<String>,
    /// Up to which time, microseconds since the Unix epoch.
    pub to: u64,
    /// Over all processes of the command.
    pub totals: Totals,
    /// Whether this process went on with the work of another.
    pub resumed: bool,
    /// Time of this process.
    pub seconds: f64,
}

impl Report {
    /// 0, or 3 where something that should have been changed was left as it is.
    #[must_use]
    pub fn exit_code(&self) -> u8 {
        if self.totals.left.is_empty() && self.totals.conflicts == 0 { 0 } else { 3 }
    }

    pub(crate) fn new(table: &str, state: State, resumed: bool, seconds: f64) -> Report {
        let State { channels, to, totals, .. } = state;
        Report { table: table.to_owned(), channels: channels.into_keys().collect(), to, totals, resumed, seconds }
    }
}

/// A block that is ready, with what was read for it, or what was read behind the last one.
struct Ready {
    packed: Option<Packed>,
    tally: Tally,
    next: u32,
}

/// Packs the events, or goes on with it.
///
/// # Errors
/// When a guard stands against it, the service refuses, patience ends, or it is interrupted. What is done is kept.
pub async fn run(
    client: &Client,
    args: &RunArgs,
    stop: &CancellationToken,
    status: StatusSink<'_>,
) -> Result<Report, Error> {
    let Session { store, expiry, book, resumed } =
        session(client, (&args.job, &args.change), Source::Items, Value::Null, stop).await?;
    let state = book.state();
    let progress = Progress::new(&state, resumed, status);
    let transfer = Transfer { store: &store, expiry: &expiry, book: &book, earlier: state.totals.units };
    let work = stream::iter(state.channels.keys().map(Ok))
        .try_for_each_concurrent(CHANNELS, |channel| one_channel(&transfer, channel, &state));
    let seconds = watched(work, &transfer, progress, status).await?;
    book.remove()?;
    Ok(Report::new(&args.job.table, book.state(), resumed, seconds))
}

async fn one_channel(transfer: &Transfer<'_>, name: &str, state: &State) -> Result<(), Error> {
    let Transfer { store, expiry, book, .. } = transfer;
    for open in book.channel(name).open {
        // One that replaces another is settled with it.
        if book.channel(name).open.contains(&open) {
            transfer.resume(name, open).await?;
        }
    }
    let channel = book.channel(name);
    if channel.done {
        return Ok(());
    }
    let packer = Packer::new(name, expiry, state.run, channel.next);
    let pages = pages(store, name, channel.position, state.to).map_ok(Some).chain(stream::iter([Ok(None)]));
    let blocks = pages.scan(packer, |packer, page| {
        let ready = page.map(|page| stream::iter(pack(packer, page).into_iter().map(Ok)));
        std::future::ready(Some(ready))
    });
    let written = blocks.try_flatten().and_then(|ready| write(transfer, name, ready));
    written
        .try_for_each_concurrent(BLOCKS, |packed| async move {
            match packed {
                Some(packed) => transfer.settle(name, packed, true).await,
                None => Ok(()),
            }
        })
        .await?;
    book.change_channel(name, |channel, _| channel.done = true)
}

/// The blocks that a page completes; at the end, which is no page, the last one and what was read behind it.
fn pack(packer: &mut Packer, page: Option<Vec<shared::item::Item>>) -> Vec<Ready> {
    let mut blocks = Vec::new();
    let Some(page) = page else {
        let packed = packer.end();
        let (tally, next) = (packer.take_tally(), packer.next());
        return vec![Ready { packed, tally, next }];
    };
    for item in page {
        if let Some(packed) = packer.add(item) {
            let (tally, next) = (packer.take_tally(), packer.next());
            blocks.push(Ready { packed: Some(packed), tally, next });
        }
    }
    blocks
}

async fn write(transfer: &Transfer<'_>, name: &str, ready: Ready) -> Result<Option<Packed>, Error> {
    let Ready { packed, tally, next } = ready;
    let note = |totals: &mut Totals| {
        totals.singles.add(&tally.singles);
        totals.events += tally.singles.sum();
    };
    match &packed {
        Some(packed) => {
            let (_, through) = packed.block.times();
            transfer
                .write(name, packed, |channel, totals| {
                    channel.position = through.0;
                    channel.next = next;
                    note(totals);
                })
                .await?;
        }
        None => transfer.book.change_channel(name, |_, totals| note(totals))?,
    }
    Ok(packed)
}
