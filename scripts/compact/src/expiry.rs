//! The `expires` of blocks and of their events: it follows from the table's record ([`shared::keep`]), so no block holds it.

use aws_sdk_dynamodb::types::AttributeValue;
use backfill::error::Error;
use shared::{
    block::stored::BlockItem,
    item::{EXPIRES, Item},
    keep::{self, Keeps},
    key::Key,
};

use crate::store::{Store, key};
use crate::time::time_of;

/// How long the items of a table are kept. For the past, which is all that this program touches, the record never changes.
#[derive(Clone, Debug, Default)]
pub struct Expiry(Keeps);

impl Expiry {
    /// Reads the record; a table without one keeps everything.
    ///
    /// # Errors
    /// When the service refuses, patience ends, the command is interrupted, or the record is damaged.
    pub async fn read(store: &Store) -> Result<Expiry, Error> {
        let Key { id, microtimestamp } = keep::key();
        let keeps = store
            .get(&key(id, microtimestamp))
            .await?
            .map_or_else(|| Ok(Keeps::default()), |item| Keeps::from_item(&item));
        keeps.map(Expiry).map_err(|error| Error::Guard(error.to_string()))
    }

    /// Returns an event without `expires`; `None` if it expires at another time than the record says, which a block would not give back.
    #[must_use]
    pub fn take(&self, channel: &str, mut event: Item) -> Option<Item> {
        let found = event.remove(EXPIRES);
        (found == self.of_event(channel, &event)).then_some(event)
    }

    /// Returns an event of a block as the table has it as an item.
    #[must_use]
    pub fn give(&self, channel: &str, event: &Item) -> Item {
        let mut item = event.clone();
        item.extend(self.of_event(channel, event).map(|expires| (EXPIRES.to_owned(), expires)));
        item
    }

    /// Returns a block as the table has it: it expires when each moment in it has been kept for its time.
    #[must_use]
    pub fn item(&self, block: &BlockItem) -> Item {
        let (first, through) = block.times();
        let mut item = block.to_attributes();
        let expires = self.0.stamp(block.channel(), (first.0, through.0), &item);
        item.extend(expires.map(|expires| (EXPIRES.to_owned(), expires)));
        item
    }

    fn of_event(&self, channel: &str, event: &Item) -> Option<AttributeValue> {
        let time = time_of(event)?;
        self.0.stamp(channel, (time, time), event)
    }
}

impl From<Keeps> for Expiry {
    fn from(keeps: Keeps) -> Expiry {
        Expiry(keeps)
    }
}
