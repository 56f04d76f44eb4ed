use std::io::Write as _;

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

use crate::batch::Entry;
use crate::fill::holes::Hole;
use crate::fill::{Fault, Filler};
use crate::rest::RestError;
use crate::stored::Side;

/// Bytes of one item's part of the compressed book; DynamoDB takes 400 KB.
const PART: usize = 380 << 10;

#[derive(Deserialize)]
struct Book {
    microtimestamp: String,
}

/// Stores the whole order book with its order ids, unless there is one behind the hole already: with it whoever replays order
/// events can begin again behind a gap.
///
/// `_snapshot:<channel>`: `body` is the exchange's JSON, gzip; where it is too large for one item, `parts` items, `part` from 0.
pub(super) async fn take(filler: &Filler, channel: &Channel, hole: Hole) -> Result<(), Fault> {
    let name = format!("_snapshot:{channel}");
    let there = filler.stored.nearest(&name, hole.through, Side::Behind, 1).await.map_err(Fault::Later)?;
    if !there.is_empty() {
        return Ok(());
    }
    let market = channel.market().unwrap_or_default();
    // The edge keeps books for a second; a parameter that nobody used before asks for a fresh one.
    let answer = filler.rest.get(&format!("/order_book/{market}/?group=2&_={}", filler.now())).await?;
    let body = answer.bytes().await.map_err(RestError::from)?;
    let unreadable =
        |error: &dyn std::fmt::Display| Fault::Refused(format!("an order book that cannot be read: {error}"));
    let book: Book = serde_json::from_slice(&body).map_err(|error| unreadable(&error))?;
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
            (RECEIVED_AT.to_owned(), AttributeValue::N(filler.now().to_string())),
            ("part".to_owned(), AttributeValue::N(part.to_string())),
            ("parts".to_owned(), AttributeValue::N(parts.len().to_string())),
            ("body".to_owned(), AttributeValue::B(Blob::new(*bytes))),
        ]);
        let channel = Channel::from_frame(name.clone());
        Entry { sequences: Vec::new(), key, channel, time, item, ledger: None }
    });
    match filler.writer.write(entries.collect()).await.refused.first() {
        None => Ok(()),
        Some((entry, reason)) => Err(Fault::Refused(format!("the table refuses {:?}: {reason}", entry.key))),
    }
}
