//! Writes changes in batches, within the limit, until each is done or refused.

use std::{
    collections::VecDeque,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use aws_sdk_dynamodb::Client;
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::answer::Outcome;
use crate::apply::charges::UncertainCharges;
use crate::error::Error;
use crate::examine::{Change, ItemClassifier, Verdict};
use crate::json::Item;
use crate::limit::CapacityLimiter;
use crate::retry::{Patience, refused, until_answered};
use crate::written::Written;

mod charges;
mod send;

/// Statements in a call at most.
/// Source: <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchExecuteStatement.html>
const BATCH: usize = 25;

/// Writes changes.
#[derive(Debug)]
pub struct Writer {
    /// The service.
    pub client: Client,
    /// The table.
    pub table: String,
    /// What is looked at.
    pub classifier: ItemClassifier,
    /// Write units a second.
    pub limiter: CapacityLimiter,
    /// Calls in flight.
    pub calls: Semaphore,
    /// How long to go on without progress.
    pub patience: Duration,
    /// `UpdateItem` instead of statements; becomes true by itself where the engine has none.
    pub single: AtomicBool,
    /// Interrupts.
    pub stop: CancellationToken,
}

impl Writer {
    /// Writes all changes of a page, in parallel batches.
    ///
    /// # Errors
    /// When the service refuses for good, patience ends, or the command is interrupted; some may be written then.
    pub async fn apply(&self, changes: Vec<Change>) -> Result<Written, Error> {
        let batches: Vec<Vec<Change>> =
            changes.chunks(self.limiter.actions_in_call(BATCH)).map(<[Change]>::to_vec).collect();
        // `calls` limits the calls of all pages together. A limit by the permits that are free now would slow the page down to its end.
        let all = batches.len().max(1);
        stream::iter(batches)
            .map(|batch| self.write(batch))
            .buffer_unordered(all)
            .try_fold(Written::default(), |sum, part| async { Ok(sum.and(part)) })
            .await
    }

    /// Writes one batch, as many times as it takes.
    async fn write(&self, batch: Vec<Change>) -> Result<Written, Error> {
        let mut todo = VecDeque::from(batch);
        let mut sum = Written::default();
        let mut patience = Patience::new(self.operation(), self.patience);
        let mut uncertain = UncertainCharges::default();
        while !todo.is_empty() {
            if self.stop.is_cancelled() {
                return Err(Error::Interrupted);
            }
            let before = todo.len();
            let last = self.attempt(&mut todo, &mut sum, &mut uncertain).await?;
            let progress = todo.len() < before;
            if progress {
                patience.progress();
            }
            match last {
                Some(last) => patience.pause(&last, &self.stop).await?,
                None if !progress => patience.pause("the items keep changing", &self.stop).await?,
                None => {}
            }
        }
        Ok(sum)
    }

    /// One call. What has to be written again stays in `todo`; the text says why.
    async fn attempt(
        &self,
        todo: &mut VecDeque<Change>,
        sum: &mut Written,
        uncertain: &mut UncertainCharges,
    ) -> Result<Option<String>, Error> {
        let _call = self.calls.acquire().await.expect("the semaphore is never closed");
        let single = self.single.load(Ordering::Relaxed);
        let size = if single { 1 } else { todo.len().min(BATCH) };
        let reservation = self.limiter.take(size, &self.stop).await?;
        let batch: Vec<Change> = todo.drain(..size.min(todo.len())).collect();
        let charged = reservation.units();
        let outcomes = if single {
            self.send_single(&batch, reservation, sum).await
        } else {
            self.send_batch(&batch, reservation, sum).await
        }?;
        let each = uncertain.settle(charged, &outcomes);
        let mut last = None;
        for (change, outcome) in batch.into_iter().zip(outcomes) {
            let (again, why) = match outcome {
                Outcome::Written => {
                    // What is written only now was not written, nor paid for, by the calls whose answers are missing.
                    self.limiter.give_back(each);
                    sum.updated += 1;
                    continue;
                }
                Outcome::Changed(item) => (self.look_again(change, item, sum).await?, None),
                Outcome::Throttled(why) => {
                    sum.throttled += 1;
                    (Some(change), Some(why))
                }
                Outcome::Transient(why) => (Some(change), Some(why)),
                Outcome::Refused(why) => {
                    sum.rejects.push(self.classifier.reject_change(&change, &why));
                    continue;
                }
                Outcome::Fatal(code, message) => return Err(refused(self.operation(), code, message)),
            };
            todo.extend(again);
            last = why.or(last);
        }
        Ok(last)
    }

    /// The permission that writing needs.
    fn operation(&self) -> &'static str {
        if self.single.load(Ordering::Relaxed) { "UpdateItem" } else { "PartiQLUpdate" }
    }

    /// The item was not as expected: what does it need now?
    async fn look_again(&self, change: Change, item: Option<Item>, sum: &mut Written) -> Result<Option<Change>, Error> {
        let item = match item {
            Some(item) => Some(item),
            None => self.read(&change).await?,
        };
        let Some(item) = item else {
            sum.gone += 1;
            return Ok(None);
        };
        match self.classifier.examine(&item) {
            Some(Verdict::Change(now)) if now == change => {
                let reason = "the engine refuses the condition although the item is unchanged";
                sum.rejects.push(self.classifier.reject_change(&change, reason));
            }
            Some(Verdict::Change(now)) => return Ok(Some(now)),
            Some(Verdict::Reject(reject)) => sum.rejects.push(reject),
            Some(Verdict::Right | Verdict::Kept | Verdict::Own) | None => sum.right += 1,
        }
        Ok(None)
    }

    async fn read(&self, change: &Change) -> Result<Option<Item>, Error> {
        let key: Item = self.classifier.keys.iter().cloned().zip(change.key.iter().cloned()).collect();
        let patience = Patience::new("GetItem", self.patience);
        let request = || {
            let call = self.client.get_item().table_name(&self.table).consistent_read(true);
            call.set_key(Some(key.clone())).send()
        };
        Ok(until_answered(patience, &self.stop, request).await?.and_then(|output| output.item))
    }
}
