//! A block as an item of the table.
//!
//! | attribute | type | meaning |
//! |---|---|---|
//! | `channel` | S | [`partition`] of the channel: `_blocks:live_orders_btcusd` |
//! | `nmicrotimestamp` | N | the earliest time of its events, microseconds since the Unix epoch by the exchange's clock |
//! | `id` | N | the same number |
//! | `microtimestamp` | S | `<nmicrotimestamp>#block/<daemon>/<sequence>`, by which errors name the block |
//! | `through` | N | the latest time of its events; at most [`SPAN`] after the earliest |
//! | `count` | N | its events, at least one |
//! | `daemon` | S | who wrote it |
//! | `sequence` | N | the spool's sequence number of its first record |
//! | `codec` | S | [`CODEC`]: name and version of the format of `data` |
//! | `checksum` | S | xxh3-64 of `data`, 16 hex digits |
//! | `data` | B | the block ([`crate::block`]) |
//!
//! A block is not in the partition of its channel: whoever reads a channel from a time on looks back for blocks by [`SPAN`], and would read, and
//! pay for, the single events of that time too. A block that is written again has the same key and the same attributes. Readers pass over
//! attributes that are not listed here.

use aws_sdk_dynamodb::types::AttributeValue;
use xxhash_rust::xxh3::xxh3_64;

use super::literal::Cell;
use super::rows::Row;
use super::{Block, Header};
use crate::channel::{Channel, Family};
use crate::item::{self, Item};
use crate::key::{Key, SEPARATOR};
use crate::table::{CHANNEL, ID, MICROTIMESTAMP, NMICROTIMESTAMP};
use crate::time::Micros;

mod error;
mod open;
mod read;

pub use error::{Fault, StoredError};
pub use open::OpenBlock;

/// The longest time from the earliest to the latest event of a block, microseconds. Readers rely on it: a block with events at or after a
/// time begins at most this much before it.
pub const SPAN: u64 = 10_000_000;

/// Name and version of the format of `data`.
pub const CODEC: &str = "predict/1";

/// Before the name of a channel.
const BLOCKS: &str = "_blocks:";
/// In the sort key of a block, between its time and its daemon.
const BLOCK: &str = "block/";

/// The attribute with the latest time of the events.
pub const THROUGH: &str = "through";
const COUNT: &str = "count";
/// The attribute with the name of who wrote the block.
pub const DAEMON: &str = "daemon";
const SEQUENCE: &str = "sequence";
const CODEC_NAME: &str = "codec";
/// The attribute with the checksum of `data`.
pub const CHECKSUM: &str = "checksum";
/// The attribute with the block's bytes.
pub const DATA: &str = "data";

/// The reserved channel that holds the blocks of `channel`.
#[must_use]
pub fn partition(channel: &str) -> String {
    format!("{BLOCKS}{channel}")
}

/// The channel whose blocks `partition` holds; `None` for any other channel.
#[must_use]
pub fn channel_of(partition: &str) -> Option<&str> {
    partition.strip_prefix(BLOCKS).filter(|channel| !channel.is_empty())
}

/// Returns true if events of `channel` may be in blocks: those of any channel but reserved ones and trades. A trade that was fetched is told
/// from the captured one by its id, under which a block cannot be found.
#[must_use]
pub fn has_blocks(channel: &str) -> bool {
    !channel.starts_with('_') && Channel::from_frame(channel.to_owned()).family() != Family::LiveTrades
}

/// A block and what its item says of it. What is read agrees with the block's own header; its events are checked by [`BlockItem::check`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BlockItem {
    channel: String,
    first: Micros,
    through: Micros,
    count: u32,
    daemon: String,
    sequence: u64,
    data: Vec<u8>,
}

impl BlockItem {
    /// The item of a finished block. `sequence` is the spool's number of its first record: with the daemon's name it makes the key unique.
    ///
    /// # Errors
    ///
    /// [`StoredError`] if `data` is no block, has no events, spans more than [`SPAN`], or is too large for an item.
    pub fn new(channel: &str, daemon: &str, sequence: u64, data: Vec<u8>) -> Result<BlockItem, StoredError> {
        let header = Header::read(&data).map_err(|error| StoredError {
            name: String::new(),
            channel: partition(channel),
            fault: error.into(),
        })?;
        let (channel, daemon) = (channel.to_owned(), daemon.to_owned());
        let Header { first, last: through, count, .. } = header;
        let item = BlockItem { channel, first, through, count, daemon, sequence, data };
        item.check_span().map_err(|fault| item.error(fault))?;
        match item.size() {
            large if large > item::MAX_SIZE => Err(item.error(Fault::Size(large))),
            _ => Ok(item),
        }
    }

    fn check_span(&self) -> Result<(), Fault> {
        let span = self.through.0.checked_sub(self.first.0);
        if self.count > 0 && span.is_some_and(|span| span <= SPAN) { Ok(()) } else { Err(Fault::Span) }
    }

    /// The channel of its events.
    #[must_use]
    pub fn channel(&self) -> &str {
        &self.channel
    }

    /// The earliest and the latest time of its events, microseconds since the Unix epoch by the exchange's clock.
    #[must_use]
    pub fn times(&self) -> (Micros, Micros) {
        (self.first, self.through)
    }

    /// The number of its events.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// Who wrote it, and the spool's sequence number of its first record.
    #[must_use]
    pub fn writer(&self) -> (&str, u64) {
        (&self.daemon, self.sequence)
    }

    /// The block's bytes.
    #[must_use]
    pub fn data(&self) -> &[u8] {
        &self.data
    }

    /// The primary key.
    #[must_use]
    pub fn key(&self) -> Key {
        let BlockItem { first, daemon, sequence, .. } = self;
        Key { id: first.to_string(), microtimestamp: format!("{first}{SEPARATOR}{BLOCK}{daemon}/{sequence}") }
    }

    /// The item's size as DynamoDB counts it, in bytes.
    #[must_use]
    pub fn size(&self) -> usize {
        item::size(&self.to_attributes())
    }

    /// The item.
    #[must_use]
    pub fn to_attributes(&self) -> Item {
        let number = |number: u64| AttributeValue::N(number.to_string());
        let Key { id, microtimestamp } = self.key();
        Item::from([
            (CHANNEL.to_owned(), AttributeValue::S(partition(&self.channel))),
            (NMICROTIMESTAMP.to_owned(), number(self.first.0)),
            (ID.to_owned(), AttributeValue::N(id)),
            (MICROTIMESTAMP.to_owned(), AttributeValue::S(microtimestamp)),
            (THROUGH.to_owned(), number(self.through.0)),
            (COUNT.to_owned(), number(self.count.into())),
            (DAEMON.to_owned(), AttributeValue::S(self.daemon.clone())),
            (SEQUENCE.to_owned(), number(self.sequence)),
            (CODEC_NAME.to_owned(), AttributeValue::S(CODEC.to_owned())),
            (CHECKSUM.to_owned(), AttributeValue::S(checksum(&self.data))),
            (DATA.to_owned(), AttributeValue::B(self.data.clone().into())),
        ])
    }

    /// Opens the block.
    ///
    /// # Errors
    ///
    /// [`StoredError`] with [`Fault::Block`].
    pub fn open(&self) -> Result<Block<'_>, StoredError> {
        Block::open(&self.channel, &self.data).map_err(|error| self.error(error.into()))
    }

    /// Checks an event of the block: a forged one might be of another channel or time than the block is found under.
    ///
    /// # Errors
    ///
    /// [`StoredError`].
    pub fn check(&self, row: &Row<'_>) -> Result<(), StoredError> {
        if !(self.first..=self.through).contains(&row.time()) {
            return Err(self.error(Fault::Differs(NMICROTIMESTAMP)));
        }
        match row.get(CHANNEL) {
            Some(Cell::Text(channel)) if channel == self.channel => Ok(()),
            _ => Err(self.error(Fault::Differs(CHANNEL))),
        }
    }

    /// Decodes all events, each as the item that a table returns in events mode, in the order of the block.
    ///
    /// # Errors
    ///
    /// [`StoredError`].
    pub fn events(&self) -> Result<Vec<Item>, StoredError> {
        let block = self.open()?;
        let (mut rows, mut items) = (block.rows(), Vec::new());
        while let Some(row) = rows.next().map_err(|error| self.error(error.into()))? {
            self.check(&row)?;
            items.push(row.to_item());
        }
        Ok(items)
    }

    /// The error that names this block.
    #[must_use]
    pub fn error(&self, fault: Fault) -> StoredError {
        StoredError { name: self.key().microtimestamp, channel: partition(&self.channel), fault }
    }
}

fn checksum(data: &[u8]) -> String {
    format!("{:016x}", xxh3_64(data))
}
