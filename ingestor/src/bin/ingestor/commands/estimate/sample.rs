//! What an event of a channel takes as an item of its own, and in a block: measured on the newest stored events.

use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use ingestor::config::Config;
use ingestor::config::storage::Storage;
use ingestor::ship::blocks::Packer;
use ingestor::store::batch::BatchEntry;
use ingestor::store::blocks::key_of;
use ingestor::store::request::send_with_timeout;
use rust_decimal::Decimal;
use shared::block::stored::{BlockItem, has_blocks, partition};
use shared::channel::Channel;
use shared::item::{self, EXPIRES, Item};
use shared::table::{NMICROTIMESTAMP, RECEIVED_AT};
use shared::time::Micros;
use tokio::time::Instant;

use super::count::{Span, refused};
use crate::commands::CommandError;

/// Number of a channel's newest items and blocks that are read; both at most a page of 1 MB.
const ITEMS: i32 = 2_000;
const BLOCKS: i32 = 64;
/// What the table and the index add to each item, in bytes
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>).
const OVERHEAD: u64 = 100;
/// `expires` and ten digits, as DynamoDB counts them.
const EXPIRES_SIZE: usize = EXPIRES.len() + 6;

/// What an event takes, on average.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Each {
    /// Bytes of its item, or of its part of a block.
    pub(super) bytes: Decimal,
    /// Write units, in the table and the index together.
    pub(super) units: Decimal,
    /// Bytes kept, in the table and the index together.
    pub(super) stored: Decimal,
}

impl Each {
    /// Returns what an item of its own takes.
    pub(super) fn single(bytes: u64, units: u64) -> Each {
        let stored = Decimal::from(2 * (bytes + OVERHEAD));
        Each { bytes: Decimal::from(bytes), units: Decimal::from(units), stored }
    }
}

/// What an event of a channel takes, in either storage.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Measured {
    pub(super) single: Option<Each>,
    /// `None` also where the channel is never stored in blocks.
    pub(super) in_blocks: Option<Each>,
}

/// Items and how many events they hold.
#[derive(Default)]
struct Sum {
    events: u64,
    items: u64,
    bytes: u64,
    units: u64,
}

impl Sum {
    fn add(&mut self, events: u64, size: usize) {
        self.events += events;
        self.items += 1;
        self.bytes += size as u64;
        self.units += item::write_units_of(size);
    }

    fn each(&self) -> Option<Each> {
        let of = |number: u64| Decimal::from(number).checked_div(Decimal::from(self.events));
        Some(Each {
            bytes: of(self.bytes)?,
            units: of(self.units)?,
            stored: of(2 * (self.bytes + OVERHEAD * self.items))?,
        })
    }
}

/// Reads a channel's newest events, whatever they lie in, and measures them. Returns with it the read units that this took.
pub(super) async fn measure(
    client: &Client,
    config: &Config,
    channel: &Channel,
    last: Duration,
) -> Result<(Measured, f64), CommandError> {
    let span = Span::until_now(channel, last);
    let mut read_units = 0.0;
    let mut newest = async |span: &Span, limit| {
        let sent = span.query(client, config).scan_index_forward(false).limit(limit).send();
        let page = send_with_timeout("dynamodb:Query on the index", sent).await.map_err(refused)?;
        read_units += page.consumed_capacity().and_then(|read| read.capacity_units()).unwrap_or_default();
        Ok::<_, CommandError>(page.items.unwrap_or_default())
    };
    let mut events = newest(&span, ITEMS).await?;
    if has_blocks(channel.as_str()) {
        let damaged = |error: &dyn std::fmt::Display| CommandError::Store(error.to_string());
        for item in newest(&Span { channel: partition(channel.as_str()), ..span }, BLOCKS).await? {
            let block = BlockItem::from_attributes(&item).map_err(|error| damaged(&error))?;
            events.extend(block.events().map_err(|error| damaged(&error))?);
        }
    }
    events.sort_by_cached_key(|event| (number(event, RECEIVED_AT), number(event, NMICROTIMESTAMP)));
    let expires = if config.keep.of(channel.as_str()).is_some() { EXPIRES_SIZE } else { 0 };
    let in_blocks = has_blocks(channel.as_str()).then(|| packed(channel, &events, config.block_age, expires)).flatten();
    Ok((Measured { single: singles(&events, expires), in_blocks }, read_units))
}

fn singles(events: &[Item], expires: usize) -> Option<Each> {
    let mut sum = Sum::default();
    for event in events {
        let own = event.get(EXPIRES).map_or(0, |value| EXPIRES.len() + shared::attribute::size(value));
        sum.add(1, item::size(event) - own + expires);
    }
    sum.each()
}

/// Packs events into blocks as the daemon would, by the times of their receipt. The last block is left out if there are others: the newest event is
/// not its end.
fn packed(channel: &Channel, events: &[Item], age: Duration, expires: usize) -> Option<Each> {
    let start = Instant::now();
    let first = events.first().map(|event| number(event, RECEIVED_AT)).unwrap_or_default();
    let mut packer = Packer::new(channel.clone(), age);
    let mut sum = Sum::default();
    for (sequence, event) in (0_u64..).zip(events) {
        let mut event = event.clone();
        event.remove(EXPIRES);
        let Some(key) = key_of(&event) else { continue };
        let now = start + Duration::from_micros(number(&event, RECEIVED_AT).saturating_sub(first));
        let size = item::size(&event) + expires;
        let entry = BatchEntry::of_item(key, channel.clone(), Micros(number(&event, NMICROTIMESTAMP)), event);
        if packer.add(sequence, entry, now) == Storage::Events {
            sum.add(1, size);
        }
    }
    let mut blocks = packer.finish();
    if blocks.len() > 1 {
        blocks.pop();
    }
    for block in blocks {
        sum.add(block.count().into(), block.size() + expires);
    }
    sum.each()
}

fn number(event: &Item, name: &str) -> u64 {
    event.get(name).and_then(|value: &AttributeValue| value.as_n().ok()?.parse().ok()).unwrap_or_default()
}
