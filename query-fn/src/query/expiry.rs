//! Which time of a channel has expired: its items have been kept for as long as they should ([`shared::keep`]).

use shared::coverage::days::DAY;
use shared::keep::{KEEP, Keeps, SHORTEST_DAYS};
use std::{sync::Arc, time::Duration};
use tokio::{sync::Mutex, time::Instant};

use crate::query::channels::Channels;
use crate::query::store::{Store, StoreError};
use crate::range::{self, END_OF_TIME, Order, Range, Subject};

/// The age at which the record is read again. What has expired was recorded at least two days ago.
const RECORD_FRESH: Duration = Duration::from_secs(3_600);
/// The age at which the list of channels is read again.
const FRESH: Duration = Duration::from_secs(60);
/// Counts, candles and exports wait for the ledger this many times as long as a page.
const MORE: u32 = 4;

/// What ledgers are read with: the table, and what is known of time that has expired.
#[derive(Clone, Copy)]
pub struct Ledgers<'app> {
    /// The table.
    pub store: &'app Store,
    /// The list of channels.
    pub channels: &'app Channels,
    /// The record of how long items are kept.
    pub expiry: &'app Expiry,
    /// The longest that a page waits for its ledger.
    pub patience: Duration,
}

/// The record of how long items are kept, cached for an hour.
#[derive(Default)]
pub struct Expiry {
    read: Mutex<Option<(Instant, Arc<Keeps>)>>,
}

impl Ledgers<'_> {
    /// Returns until when a page waits for its ledger.
    #[must_use]
    pub fn deadline(&self) -> Instant {
        Instant::now() + self.patience
    }

    /// Returns until when answers wait that read more of the ledger than a page: counts, candles, exports.
    #[must_use]
    pub fn long_deadline(&self) -> Instant {
        Instant::now() + self.patience * MORE
    }

    /// Returns the intervals of a channel's time from `from` on that have expired, both ends included, in order; microseconds since the Unix
    /// epoch. Before its first subscription nothing was captured, so nothing has expired. Of the last two days it is known without reading.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the record or the list of channels has to be read and the store fails, or if the record is damaged.
    pub async fn expired(&self, channel: &str, from: u64, deadline: Instant) -> Result<Vec<(u64, u64)>, StoreError> {
        if from > range::now().saturating_sub(SHORTEST_DAYS * DAY) {
            return Ok(Vec::new());
        }
        let keeps = self.expiry.keeps(self.store, deadline).await?;
        if keeps.of(channel).is_empty() {
            return Ok(Vec::new());
        }
        let list = self.channels.list(self.store, FRESH, deadline).await?;
        let known = list.iter().find(|known| known.name == channel);
        Ok(known.map_or_else(Vec::new, |known| keeps.expired(channel, known.first_subscribed, range::now())))
    }
}

impl Expiry {
    async fn keeps(&self, store: &Store, deadline: Instant) -> Result<Arc<Keeps>, StoreError> {
        let mut read = self.read.lock().await;
        if let Some((_, keeps)) = read.as_ref().filter(|(at, _)| at.elapsed() < RECORD_FRESH) {
            return Ok(Arc::clone(keeps));
        }
        let subject = Subject::Channel(KEEP.to_owned());
        let range = Range { subject, from: 0, to: END_OF_TIME, order: Order::Descending, said: None };
        let answer = store.query(&range, Some(1), None, deadline).await?;
        let keeps = match answer.items.first() {
            None => Keeps::default(),
            Some(item) => Keeps::from_item(&item.attributes()).map_err(|error| {
                tracing::error!(%error, "how long items are kept is not known");
                StoreError::Refused(error.to_string())
            })?,
        };
        let keeps = Arc::new(keeps);
        *read = Some((Instant::now(), Arc::clone(&keeps)));
        Ok(keeps)
    }
}
