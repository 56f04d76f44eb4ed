//! Stores order books, where order events cannot be fetched and at regular times.

use std::io::Write as _;
use std::time::Duration;

use aws_sdk_dynamodb::primitives::Blob;
use aws_sdk_dynamodb::types::AttributeValue;
use flate2::Compression;
use flate2::write::GzEncoder;
use serde::Deserialize;
use shared::channel::Channel;
use shared::item::Item;
use shared::key::{Key, SEPARATOR};
use shared::table::{CHANNEL, ID, MICROTIMESTAMP, NMICROTIMESTAMP, RECEIVED_AT};
use shared::time::Micros;
use xxhash_rust::xxh3::xxh3_64;

use crate::exchange::rest::RestError;
use crate::gap_fill::context::FillContext;
use crate::gap_fill::error::FillError;
use crate::gap_fill::gaps::Gap;
use crate::store::batch::BatchEntry;
use crate::store::reader::Side;

/// How far the exchange's clock may be ahead of this machine's, in microseconds.
const AHEAD: u64 = 86_400_000_000;
/// Size of one item's part of the compressed order book, in bytes; DynamoDB takes 400 KB.
const PART: usize = 380 << 10;

#[derive(Deserialize)]
struct OrderBook {
    microtimestamp: String,
}

/// Returns the reserved channel of a channel's order books.
fn name(channel: &Channel) -> String {
    format!("_snapshot:{channel}")
}

/// Stores the order book unless there is one after the gap already. With it, whoever replays order events can start
/// again after the gap.
pub(super) async fn behind(context: &FillContext, channel: &Channel, gap: Gap) -> Result<(), FillError> {
    let there = context.reader.nearest(&name(channel), gap.through, Side::After, 1).await.map_err(FillError::Later)?;
    if there.is_empty() { take(context, channel).await } else { Ok(()) }
}

/// Stores the order book if the last one is older than `every` and order events have arrived since the daemon started,
/// so that they can be replayed from it. Returns the wait until the next one.
pub(super) async fn regular(context: &FillContext, channel: &Channel, every: Duration) -> Result<Duration, FillError> {
    let now = context.now();
    let last = context.reader.nearest(&name(channel), now + AHEAD, Side::Before, 1).await.map_err(FillError::Later)?;
    let time = last.first().and_then(|item| item.get(NMICROTIMESTAMP)?.as_n().ok()?.parse::<u64>().ok());
    let age = time.map_or(Duration::MAX, |time| Duration::from_micros(now.saturating_sub(time)));
    if age < every {
        return Ok(every - age);
    }
    let seen = context
        .reader
        .nearest_events(channel.as_str(), context.started, Side::After, 1)
        .await
        .map_err(FillError::Later)?;
    if seen.is_empty() {
        return Err(FillError::NotYet("no order event of this run is in the table"));
    }
    take(context, channel).await?;
    context.status.books.add(1);
    Ok(every)
}

/// Stores the whole order book with its order ids.
///
/// `_snapshot:<channel>`: `body` is the exchange's JSON, gzip; where it is too large for one item, `parts` items, `part` from 0.
async fn take(context: &FillContext, channel: &Channel) -> Result<(), FillError> {
    let name = name(channel);
    let market = channel.market().unwrap_or_default();
    // The edge keeps books for a second; a parameter that nobody used before asks for a fresh one.
    let answer = context.rest.get(&format!("/order_book/{market}/?group=2&_={}", context.now())).await?;
    let body = answer.bytes().await.map_err(RestError::from)?;
    let unreadable =
        |error: &dyn std::fmt::Display| FillError::Refused(format!("an order book that cannot be read: {error}"));
    let book: OrderBook = serde_json::from_slice(&body).map_err(|error| unreadable(&error))?;
    let time = Micros::from_digits(&book.microtimestamp).ok_or_else(|| unreadable(&"it has no time"))?;
    let mut gzip = GzEncoder::new(Vec::new(), Compression::default());
    let packed = gzip.write_all(&body).and_then(|()| gzip.finish()).expect("a vector takes everything");
    let parts: Vec<_> = packed.chunks(PART).collect();
    let entries = parts.iter().enumerate().map(|(part, bytes)| {
        let key = Key { id: xxh3_64(name.as_bytes()).to_string(), microtimestamp: format!("{time}{SEPARATOR}{part}") };
        let item = Item::from([
            (ID.to_owned(), AttributeValue::N(key.id.clone())),
            (MICROTIMESTAMP.to_owned(), AttributeValue::S(key.microtimestamp.clone())),
            (CHANNEL.to_owned(), AttributeValue::S(name.clone())),
            (NMICROTIMESTAMP.to_owned(), AttributeValue::N(time.to_string())),
            (RECEIVED_AT.to_owned(), AttributeValue::N(context.now().to_string())),
            ("part".to_owned(), AttributeValue::N(part.to_string())),
            ("parts".to_owned(), AttributeValue::N(parts.len().to_string())),
            ("body".to_owned(), AttributeValue::B(Blob::new(*bytes))),
        ]);
        let channel = Channel::from_frame(name.clone());
        BatchEntry::of_item(key, channel, time, item)
    });
    match context.writer.write(entries.collect()).await.refused.first() {
        None => Ok(()),
        Some((entry, reason)) => Err(FillError::Refused(format!("the table refuses {:?}: {reason}", entry.key))),
    }
}
