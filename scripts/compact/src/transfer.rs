//! Puts a block in the place of single items: nothing is deleted that the stored block does not hold.
//!
//! 1. The block's key is noted in the checkpoint.
//! 2. The block is put, read back by a consistent read, and compared: its bytes, and each event with the item that was read.
//! 3. The position moves behind its events, in the checkpoint.
//! 4. Each single item is deleted on the condition that it is, attribute by attribute, what the block holds.
//! 5. An event that somebody changed or deleted meanwhile is taken out of the block: a block of the others replaces it.
//! 6. The checkpoint forgets the key.
//!
//! A process that finds a key in the checkpoint reads that block from the table and goes on at 4: what it deletes is in the block that it
//! read. Where there is no such block, nothing was deleted.

use backfill::error::Error;
use futures_util::{StreamExt, TryStreamExt, stream};
use shared::{
    block::stored::{BlockItem, CHECKSUM, StoredError},
    item::Item,
};

use aws_sdk_dynamodb::types::AttributeValue;

use crate::checkpoint::{Book, Channel, OnItsWay, Totals};
use crate::condition::{Condition, same};
use crate::expiry::Expiry;
use crate::pack::{Packed, Packer};
use crate::store::{Store, Units, key, key_of};

/// Deletions of a block that are under way; how many calls are in flight is limited by the store.
const AHEAD: usize = 256;
/// This bit of a run's number is set in the sequence of a block that replaces another one.
const REPLACEMENT: u32 = 1 << 31;

/// Moves events from single items into blocks.
#[derive(Debug)]
pub struct Transfer<'a> {
    /// The table.
    pub store: &'a Store,
    /// How long the table keeps its items.
    pub expiry: &'a Expiry,
    /// The progress.
    pub book: &'a Book,
    /// What earlier processes consumed.
    pub earlier: Units,
}

/// What became of the single item of an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Fate {
    /// It is deleted, and the block has it.
    Moved,
    /// Somebody changed or deleted it: the block must not have it.
    Changed,
}

impl Transfer<'_> {
    /// Steps 1 to 3 for a block.
    ///
    /// # Errors
    /// When the service refuses, patience ends, the command is interrupted, the block that is read back is another one, or the checkpoint cannot
    /// be written.
    pub async fn write(
        &self,
        channel: &str,
        packed: &Packed,
        then: impl FnOnce(&mut Channel, &mut Totals),
    ) -> Result<(), Error> {
        let (key, item) = (OnItsWay::new(&packed.block.key()), self.expiry.item(&packed.block));
        self.book.change_channel(channel, |state, _| state.open.push(key))?;
        let written = self.store.put(&item, None).await?;
        if written.outcome.is_err() {
            return Err(not_as_written(&packed.block, "the put was refused"));
        }
        let stored = self.store.get(&key_of(&item)).await?;
        let Some(stored) = stored.filter(|stored| same(stored, &item)) else {
            return Err(not_as_written(&packed.block, "a consistent read returns another item"));
        };
        let read = BlockItem::from_attributes(&stored).and_then(|block| block.events());
        match read {
            Ok(events) if events == packed.events => self.book.change_channel(channel, then),
            Ok(_) => Err(not_as_written(&packed.block, "its events are other ones")),
            Err(error) => Err(not_as_written(&packed.block, &error.to_string())),
        }
    }

    /// Steps 4 to 6. `fresh`: this process wrote the block, so nobody can have deleted its events on its account.
    ///
    /// # Errors
    /// As [`Transfer::write`].
    pub async fn settle(&self, channel: &str, packed: Packed, fresh: bool) -> Result<(), Error> {
        let Packed { block, events } = packed;
        let fates: Vec<Fate> =
            stream::iter(&events).map(|event| self.delete(channel, event, fresh)).buffered(AHEAD).try_collect().await?;
        let changed = fates.iter().filter(|fate| **fate == Fate::Changed).count() as u64;
        let rest: Vec<Item> =
            events.into_iter().zip(fates).filter(|(_, fate)| *fate == Fate::Moved).map(|(event, _)| event).collect();
        let moved = rest.len() as u64;
        let (mut blocks, mut bytes) = (1, block.size() as u64);
        let mut settled = vec![OnItsWay::new(&block.key())];
        if changed > 0 {
            let replacements = self.replace(channel, &block, rest).await?;
            blocks = replacements.len() as u64;
            bytes = replacements.iter().map(|block| block.size() as u64).sum();
            settled.extend(replacements.iter().map(|block| OnItsWay::new(&block.key())));
        }
        let units = self.earlier.and(self.store.units());
        self.book.change_channel(channel, |state, totals| {
            state.open.retain(|open| !settled.iter().any(|done| (&done.id, &done.sort) == (&open.id, &open.sort)));
            totals.events += moved + changed;
            totals.moved += moved;
            totals.changed += changed;
            totals.blocks += blocks;
            totals.block_bytes += bytes;
            totals.units = units;
        })
    }

    /// Goes on with a block that an earlier process left.
    ///
    /// # Errors
    /// As [`Transfer::write`]; also when the block is damaged.
    pub async fn resume(&self, channel: &str, open: OnItsWay) -> Result<(), Error> {
        let Some(item) = self.store.get(&key(open.id.clone(), open.sort.clone())).await? else {
            return self.book.change_channel(channel, |state, _| state.open.retain(|other| *other != open));
        };
        let damaged = |error: StoredError| {
            let (code, message) = ("DamagedBlock".to_owned(), error.to_string());
            let remedy = "; its events were not deleted by this process; see docs/operations.md".to_owned();
            Error::Refused { operation: "GetItem", code, message, remedy }
        };
        let block = BlockItem::from_attributes(&item).map_err(damaged)?;
        if open.replaced {
            self.remove(&item).await?;
            return self.book.change_channel(channel, |state, _| state.open.retain(|other| *other != open));
        }
        let events = block.events().map_err(damaged)?;
        self.settle(channel, Packed { block, events }, false).await
    }

    /// Step 4 for an event.
    async fn delete(&self, channel: &str, event: &Item, fresh: bool) -> Result<Fate, Error> {
        let event = &self.expiry.give(channel, event);
        let written = self.store.delete(event, &Condition::still(event)).await?;
        match written.outcome {
            Ok(None) => Ok(Fate::Moved),
            Ok(Some(old)) if same(&old, event) => Ok(Fate::Moved),
            Ok(Some(more)) => {
                // An attribute that no condition names was added meanwhile. Whoever wrote the key since then has the last word.
                let _either_way = self.store.put(&more, Some(&Condition::absent())).await?;
                Ok(Fate::Changed)
            }
            Err(Some(_)) => Ok(Fate::Changed),
            Err(None) => match self.store.get(&key_of(event)).await? {
                Some(_) => Ok(Fate::Changed),
                // Nobody but the one who deleted it knows why it is gone: an operator, or this command before.
                None if fresh && written.first => Ok(Fate::Changed),
                None => Ok(Fate::Moved),
            },
        }
    }

    /// Step 5.
    async fn replace(&self, channel: &str, old: &BlockItem, rest: Vec<Item>) -> Result<Vec<BlockItem>, Error> {
        let (_, sequence) = old.writer();
        let run = u32::try_from(sequence >> 32).unwrap_or_default() | REPLACEMENT;
        let number = u32::try_from(sequence & u64::from(u32::MAX)).unwrap_or_default();
        let count = rest.len();
        let mut packer = Packer::new(channel, self.expiry, run, number);
        let rest = rest.iter().map(|event| self.expiry.give(channel, event));
        let mut packed: Vec<Packed> = rest.filter_map(|event| packer.add(event)).collect();
        packed.extend(packer.end());
        if packed.iter().map(|packed| packed.events.len()).sum::<usize>() != count {
            return Err(not_as_written(old, "some of its events do not fit into another block"));
        }
        for packed in &packed {
            self.write(channel, packed, |_, _| ()).await?;
        }
        let packed: Vec<_> = packed.into_iter().map(|packed| packed.block).collect();
        // The replacement of a replacement may have its key: then it stands in its place already.
        if packed.iter().all(|block| block.key() != old.key()) {
            let key = OnItsWay::new(&old.key());
            self.book.change_channel(channel, |state, _| {
                state.open.iter_mut().filter(|open| **open == key).for_each(|open| open.replaced = true);
            })?;
            self.remove(&old.to_attributes()).await?;
        }
        Ok(packed)
    }

    /// Deletes a block, unless it is another one by now.
    ///
    /// # Errors
    /// As [`Transfer::write`].
    pub async fn remove(&self, item: &Item) -> Result<(), Error> {
        let checksum = item.get(CHECKSUM).cloned().unwrap_or(AttributeValue::Null(true));
        self.store.delete(item, &Condition::equals(CHECKSUM, checksum)).await.map(drop)
    }
}

fn not_as_written(block: &BlockItem, why: &str) -> Error {
    let message = format!("block `{}` of `{}`: {why}", block.key().microtimestamp, block.channel());
    let remedy = "; none of its events was deleted".to_owned();
    Error::Refused { operation: "PutItem", code: "NotAsWritten".to_owned(), message, remedy }
}
