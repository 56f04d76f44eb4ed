use std::{
    collections::VecDeque,
    sync::atomic::{AtomicBool, Ordering},
    time::Duration,
};

use aws_sdk_dynamodb::{
    Client,
    error::SdkError,
    operation::update_item::UpdateItemError,
    types::{ConsumedCapacity, ReturnConsumedCapacity},
};
use futures_util::{StreamExt, TryStreamExt, stream};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{
    answer::{Outcome, of_statement},
    error::Error,
    examine::{Change, Lens, Verdict},
    json::Item,
    limit::{Meter, Taken},
    progress::as_f64,
    retry::{Class, Patience, class, refused, until_answered},
    statement::{partiql, update_item},
    written::Written,
};

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
    pub lens: Lens,
    /// Write units a second.
    pub meter: Meter,
    /// Calls in flight.
    pub calls: Semaphore,
    /// How long to go on without progress.
    pub patience: Duration,
    /// `UpdateItem` instead of statements; becomes true by itself where the engine has none.
    pub single: AtomicBool,
    /// Interrupts.
    pub stop: CancellationToken,
}

/// Calls that may have taken effect, because they failed inside or their answers were lost: what they were charged.
#[derive(Debug, Default)]
struct Doubt {
    units: f64,
    changes: usize,
}

impl Doubt {
    /// After a call: what each of its changes was charged in vain if it is written only now.
    fn settle(&mut self, charged: f64, outcomes: &[Outcome]) -> f64 {
        if outcomes.iter().all(|outcome| matches!(outcome, Outcome::Transient(_))) {
            self.units += charged;
            self.changes = outcomes.len();
            return 0.0;
        }
        let each = self.units / as_f64(self.changes.max(1) as u64);
        if !outcomes.iter().all(|outcome| matches!(outcome, Outcome::Throttled(_))) {
            *self = Self::default();
        }
        each
    }
}

impl Writer {
    /// Writes all changes of a page, in parallel batches.
    ///
    /// # Errors
    /// When the service refuses for good, patience ends, or the command is interrupted; some may be written then.
    pub async fn apply(&self, changes: Vec<Change>) -> Result<Written, Error> {
        let batches: Vec<Vec<Change>> =
            changes.chunks(self.meter.actions_in_call(BATCH)).map(<[Change]>::to_vec).collect();
        stream::iter(batches)
            .map(|batch| self.write(batch))
            .buffer_unordered(self.calls.available_permits().max(1))
            .try_fold(Written::default(), |sum, part| async { Ok(sum.and(part)) })
            .await
    }

    /// Writes one batch, as many times as it takes.
    async fn write(&self, batch: Vec<Change>) -> Result<Written, Error> {
        let mut todo = VecDeque::from(batch);
        let mut sum = Written::default();
        let mut patience = Patience::new(self.operation(), self.patience);
        let mut doubt = Doubt::default();
        while !todo.is_empty() {
            if self.stop.is_cancelled() {
                return Err(Error::Interrupted);
            }
            let before = todo.len();
            let last = self.attempt(&mut todo, &mut sum, &mut doubt).await?;
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
        doubt: &mut Doubt,
    ) -> Result<Option<String>, Error> {
        let _call = self.calls.acquire().await.expect("the semaphore is never closed");
        let single = self.single.load(Ordering::Relaxed);
        let size = if single { 1 } else { todo.len().min(BATCH) };
        let taken = self.meter.take(size, &self.stop).await?;
        let batch: Vec<Change> = todo.drain(..size.min(todo.len())).collect();
        let charged = taken.units();
        let outcomes = if single {
            self.send_single(&batch, taken, sum).await
        } else {
            self.send_batch(&batch, taken, sum).await
        }?;
        let each = doubt.settle(charged, &outcomes);
        let mut last = None;
        for (change, outcome) in batch.into_iter().zip(outcomes) {
            let (again, why) = match outcome {
                Outcome::Written => {
                    // What is written only now was not written, nor paid for, by the calls whose answers are missing.
                    self.meter.give_back(each);
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
                    sum.rejects.push(self.lens.reject_change(&change, &why));
                    continue;
                }
                Outcome::Hopeless(code, message) => return Err(refused(self.operation(), code, message)),
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

    async fn send_batch(&self, batch: &[Change], taken: Taken, sum: &mut Written) -> Result<Vec<Outcome>, Error> {
        let statements = batch.iter().map(|change| partiql(&self.table, &self.lens, change)).collect();
        let call = self
            .client
            .batch_execute_statement()
            .set_statements(Some(statements))
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        match call.send().await {
            Ok(output) => {
                let outcomes: Vec<Outcome> = output.responses().iter().map(of_statement).collect();
                let reported = output.consumed_capacity.as_deref().map(|tables| tables.iter().filter_map(units).sum());
                let failed = outcomes.iter().all(|outcome| matches!(outcome, Outcome::Throttled(_)));
                // Where every statement failed the service reports nothing.
                let consumed = reported.unwrap_or_else(|| if failed { 0.0 } else { taken.units() });
                let throttled = outcomes.iter().filter(|outcome| matches!(outcome, Outcome::Throttled(_))).count();
                self.meter.settle(taken, batch.len(), consumed, share(throttled, batch.len()));
                sum.units += consumed;
                Ok(outcomes)
            }
            Err(error) => self.whole_call(class(&error), batch.len(), taken),
        }
    }

    /// A batch of one, by `UpdateItem`.
    async fn send_single(&self, batch: &[Change], taken: Taken, sum: &mut Written) -> Result<Vec<Outcome>, Error> {
        let Some(change) = batch.first() else { return Ok(Vec::new()) };
        match update_item(&self.client, &self.table, &self.lens, change).send().await {
            Ok(output) => {
                let consumed = output.consumed_capacity().and_then(units).unwrap_or_else(|| taken.units());
                self.meter.settle(taken, 1, consumed, 0.0);
                sum.units += consumed;
                Ok(vec![Outcome::Written])
            }
            Err(SdkError::ServiceError(failed)) if failed.err().is_conditional_check_failed_exception() => {
                let consumed = taken.units();
                self.meter.settle(taken, 1, consumed, 0.0);
                let UpdateItemError::ConditionalCheckFailedException(failed) = failed.into_err() else {
                    return Ok(vec![Outcome::Changed(None)]);
                };
                Ok(vec![Outcome::Changed(failed.item.filter(|item| !item.is_empty()))])
            }
            Err(error) => match class(&error) {
                Class::Never(code, message) if code == "ValidationException" => {
                    self.meter.settle(taken, 0, 0.0, 0.0);
                    Ok(vec![Outcome::Refused(message)])
                }
                class => self.whole_call(class, 1, taken),
            },
        }
    }

    /// A call that failed as a whole says the same about each of its changes.
    fn whole_call(&self, class: Class, count: usize, taken: Taken) -> Result<Vec<Outcome>, Error> {
        let outcome = match class {
            Class::Throttled(why) => {
                self.meter.settle(taken, 0, 0.0, 1.0);
                Outcome::Throttled(why)
            }
            Class::Transient(why) => {
                // It may have taken effect: the charge stands.
                let charged = taken.units();
                self.meter.settle(taken, 0, charged, 0.0);
                Outcome::Transient(why)
            }
            Class::Unknown if !self.single.swap(true, Ordering::Relaxed) => {
                tracing::info!("the engine has no partiql, going on with single updates");
                self.meter.settle(taken, 0, 0.0, 0.0);
                Outcome::Transient("no PartiQL here".to_owned())
            }
            Class::Unknown => Outcome::Transient("no PartiQL here".to_owned()),
            Class::Never(code, message) => return Err(refused(self.operation(), code, message)),
        };
        Ok(vec![outcome; count])
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
        match self.lens.examine(&item) {
            Some(Verdict::Change(now)) if now == change => {
                let reason = "the engine refuses the condition although the item is unchanged";
                sum.rejects.push(self.lens.reject_change(&change, reason));
            }
            Some(Verdict::Change(now)) => return Ok(Some(now)),
            Some(Verdict::Reject(reject)) => sum.rejects.push(reject),
            Some(Verdict::Right | Verdict::Kept | Verdict::Own) | None => sum.right += 1,
        }
        Ok(None)
    }

    async fn read(&self, change: &Change) -> Result<Option<Item>, Error> {
        let key: Item = self.lens.keys.iter().cloned().zip(change.key.iter().cloned()).collect();
        let patience = Patience::new("GetItem", self.patience);
        let request = || {
            let call = self.client.get_item().table_name(&self.table).consistent_read(true);
            call.set_key(Some(key.clone())).send()
        };
        Ok(until_answered(patience, &self.stop, request).await?.and_then(|output| output.item))
    }
}

fn units(consumed: &ConsumedCapacity) -> Option<f64> {
    consumed.capacity_units
}

fn share(part: usize, whole: usize) -> f64 {
    as_f64(part as u64) / as_f64(whole.max(1) as u64)
}
