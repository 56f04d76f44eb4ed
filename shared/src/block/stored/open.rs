//! A block of the table that is being made.

use aws_sdk_dynamodb::types::AttributeValue;

use super::{BlockItem, SPAN, StoredError, has_blocks};
use crate::block::builder::{Builder, most_of, time_of};
use crate::block::error::AddError;
use crate::item::{self, Item};
use crate::key::SEPARATOR;
use crate::table::MICROTIMESTAMP;
use crate::time::Micros;

/// An item that may need more bytes of a block is stored by itself.
const LARGEST: usize = 96 * 1024;
/// What is left of an item for the block's bytes, beside the other attributes, the longest sort key, and what the columns of an event take.
const MOST: usize = item::MAX_SIZE - 16 * 1024;

/// A block that is being made for the table: a [`Builder`] that stays within [`SPAN`] and within the size of an item.
#[derive(Clone, Debug)]
pub struct OpenBlock {
    channel: String,
    daemon: String,
    sequence: u64,
    builder: Builder,
}

impl OpenBlock {
    /// An empty block. `daemon` and `sequence` are as in [`BlockItem::new`].
    #[must_use]
    pub fn new(channel: &str, daemon: &str, sequence: u64) -> OpenBlock {
        let builder = Builder::new(channel);
        OpenBlock { channel: channel.to_owned(), daemon: daemon.to_owned(), sequence, builder }
    }

    /// What is in it: its count, times and weight.
    #[must_use]
    pub fn builder(&self) -> &Builder {
        &self.builder
    }

    /// Adds the item of an event. After an error the block is as it was before.
    ///
    /// # Errors
    ///
    /// [`AddError::Full`]: finish this block and add the item to the next. Any other [`AddError`]: store the item by itself, as one whose
    /// key names another time than it is found under ([`AddError::NoTime`]).
    pub fn add(&mut self, item: &Item) -> Result<(), AddError> {
        if !has_blocks(&self.channel) {
            return Err(AddError::NoBlocks);
        }
        let most = most_of(item)?;
        if most > LARGEST {
            return Err(AddError::TooLarge);
        }
        let time = time_of(item)?;
        // Copies of one event are found at one time: an event whose key has no time, or another one, has the time of its receipt.
        let key = match item.get(MICROTIMESTAMP) {
            Some(AttributeValue::S(sort)) => sort.split(SEPARATOR).next().and_then(Micros::from_digits),
            _ => None,
        };
        if key != Some(Micros(time)) {
            return Err(AddError::NoTime);
        }
        if let Some((first, last)) = self.builder.times()
            && last.0.max(time) - first.0.min(time) > SPAN
        {
            return Err(AddError::Full);
        }
        if self.builder.most() + most > MOST {
            self.builder.weigh_anew();
            if self.builder.most() + LARGEST > MOST {
                return Err(AddError::Full);
            }
        }
        self.builder.add(item)
    }

    /// The block's item.
    ///
    /// # Errors
    ///
    /// [`StoredError`] for an empty block, and for a channel or a daemon with a name so long that no item holds it.
    pub fn finish(self) -> Result<BlockItem, StoredError> {
        BlockItem::new(&self.channel, &self.daemon, self.sequence, self.builder.finish())
    }
}
