//! `compact expand`: takes the blocks of a range apart into single events.
//!
//! For each block: every event is put where its key is free; all are read back by consistent reads and compared; only then the block is
//! deleted, on the condition that it still is what was read. An event whose key has another item keeps its block. The checkpoint saves
//! work and nothing else: a block that is there is taken apart once more, which changes nothing.

use std::collections::HashMap;

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use backfill::{error::Error, progress::StatusSink};
use futures_util::{StreamExt, TryStreamExt, stream};
use serde_json::json;
use shared::{
    block::stored::{BlockItem, DAEMON, THROUGH},
    item::Item,
    table::MICROTIMESTAMP,
};
use tokio_util::sync::CancellationToken;

use crate::args::ExpandArgs;
use crate::checkpoint::State;
use crate::condition::{Condition, same};
use crate::events::pages;
use crate::pack::WRITER;
use crate::progress::{Progress, watched};
use crate::run::Report;
use crate::start::{Session, Source, session};
use crate::store::key_of;
use crate::time::time_of;
use crate::transfer::Transfer;

/// Channels at a time.
const CHANNELS: usize = 2;
/// Puts of a block that are under way; how many calls are in flight is limited by the store.
const AHEAD: usize = 256;

/// What became of a block.
enum Outcome {
    /// It is single items now: so many events, and its bytes.
    Expanded(u64, u64),
    /// It is gone, or was no block of the range.
    Passed,
    /// It stays, because so many of its events have another item under their key.
    Conflicts(u64, String),
    /// It stays for this reason.
    Left(String),
}

/// Takes the blocks apart, or goes on with it.
///
/// # Errors
/// When a guard stands against it, the service refuses, patience ends, or it is interrupted. What is done is kept.
pub async fn expand(
    client: &Client,
    args: &ExpandArgs,
    stop: &CancellationToken,
    status: StatusSink<'_>,
) -> Result<Report, Error> {
    let more = json!({"all": args.all});
    let Session { store, expiry, book, resumed } =
        session(client, (&args.job, &args.change), Source::Blocks, more, stop).await?;
    let state = book.state();
    let progress = Progress::new(&state, resumed, status);
    let transfer = Transfer { store: &store, expiry: &expiry, book: &book, earlier: state.totals.units };
    let work = stream::iter(state.channels.keys().map(Ok))
        .try_for_each_concurrent(CHANNELS, |channel| one_channel(&transfer, channel, &state, args.all));
    let seconds = watched(work, &transfer, progress, status).await?;
    book.remove()?;
    Ok(Report::new(&args.job.table, book.state(), resumed, seconds))
}

async fn one_channel(transfer: &Transfer<'_>, name: &str, state: &State, all: bool) -> Result<(), Error> {
    let Transfer { store, book, .. } = transfer;
    let channel = book.channel(name);
    if channel.done {
        return Ok(());
    }
    let partition = Source::Blocks.partition(name);
    let mut pages = std::pin::pin!(pages(store, &partition, channel.position, state.to));
    while let Some(page) = pages.try_next().await? {
        for item in page {
            let time = time_of(&item).unwrap_or(channel.position);
            let outcome = match wanted(&item, state.to, all) {
                true => one_block(transfer, &item).await?,
                false => Outcome::Passed,
            };
            note(transfer, name, time, outcome)?;
        }
    }
    book.change_channel(name, |channel, _| channel.done = true)
}

/// Whether a block is to be taken apart: one of this program unless all are, and no part of it behind the range.
fn wanted(item: &Item, to: u64, all: bool) -> bool {
    let daemon = item.get(DAEMON).and_then(|name| name.as_s().ok());
    let through = item.get(THROUGH).and_then(|digits| digits.as_n().ok()?.parse::<u64>().ok());
    (all || daemon.is_some_and(|name| name == WRITER)) && through.is_none_or(|through| through <= to)
}

fn note(transfer: &Transfer<'_>, name: &str, time: u64, outcome: Outcome) -> Result<(), Error> {
    let units = transfer.earlier.and(transfer.store.units());
    transfer.book.change_channel(name, |channel, totals| {
        channel.position = time;
        totals.units = units;
        let mut left = None;
        match outcome {
            Outcome::Passed => totals.passed += 1,
            Outcome::Expanded(events, bytes) => {
                totals.events += events;
                totals.moved += events;
                totals.blocks += 1;
                totals.block_bytes += bytes;
            }
            Outcome::Conflicts(events, why) => left = Some((events, why)),
            Outcome::Left(why) => left = Some((0, why)),
        }
        // A process that goes on meets the last block of the one before again.
        if let Some((events, why)) = left.filter(|(_, why)| !totals.left.contains(why)) {
            totals.conflicts += events;
            totals.left.push(why);
        }
    })
}

async fn one_block(transfer: &Transfer<'_>, listed: &Item) -> Result<Outcome, Error> {
    let Transfer { store, expiry, .. } = transfer;
    // The index may still have a block that is gone.
    let Some(item) = store.get(&key_of(listed)).await? else { return Ok(Outcome::Passed) };
    let read = BlockItem::from_attributes(&item).and_then(|block| Ok((block.events()?, block)));
    let (events, block) = match read {
        Ok(read) => read,
        Err(error) => return Ok(Outcome::Left(error.to_string())),
    };
    let events: Vec<Item> = events.iter().map(|event| expiry.give(block.channel(), event)).collect();
    let named = |why: &str| format!("block `{}` of `{}`: {why}", block.key().microtimestamp, block.channel());
    if !same(&item, &expiry.item(&block)) {
        let why = "it has attributes that this program does not know, or expires at another time than the table's record says";
        return Ok(Outcome::Left(named(why)));
    }
    let conflicts: Vec<bool> = stream::iter(&events)
        .map(|event| async move {
            let written = store.put(event, Some(&Condition::absent())).await?;
            Ok::<_, Error>(match written.outcome {
                Ok(_) => false,
                Err(Some(there)) => !same(&there, event),
                Err(None) => store.get(&key_of(event)).await?.is_none_or(|there| !same(&there, event)),
            })
        })
        .buffered(AHEAD)
        .try_collect()
        .await?;
    let count = conflicts.iter().filter(|conflict| **conflict).count();
    if count > 0 {
        let why =
            named(&format!("{count} of its events have another item under their key; it stays beside its events"));
        return Ok(Outcome::Conflicts(count as u64, why));
    }
    if !are_there(transfer, &events).await? {
        let message = named("its events are not in the table as they were put");
        let (code, remedy) = ("NotAsWritten".to_owned(), "; the block was not deleted".to_owned());
        return Err(Error::Refused { operation: "PutItem", code, message, remedy });
    }
    transfer.remove(&item).await?;
    Ok(Outcome::Expanded(events.len() as u64, block.size() as u64))
}

/// Reads events back and compares them.
async fn are_there(transfer: &Transfer<'_>, events: &[Item]) -> Result<bool, Error> {
    let keys: Vec<Item> = events.iter().map(key_of).collect();
    let found = transfer.store.get_all(&keys).await?;
    let sort = |item: &Item| match item.get(MICROTIMESTAMP) {
        Some(AttributeValue::S(text)) => text.clone(),
        _ => String::new(),
    };
    let mut by_key: HashMap<String, Vec<&Item>> = HashMap::new();
    for item in &found {
        by_key.entry(sort(item)).or_default().push(item);
    }
    Ok(events
        .iter()
        .all(|event| by_key.get(&sort(event)).is_some_and(|items| items.iter().any(|item| same(item, event)))))
}
