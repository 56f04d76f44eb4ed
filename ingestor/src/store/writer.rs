//! Writes batches to the table until every item is stored or refused.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{PutRequest, ReturnConsumedCapacity, WriteRequest};
use shared::keep::Keeps;
use shared::key::Key;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::observe::status::{Component, Status};
use crate::store::answer::{self, Answer, Cause};
use crate::store::batch::BatchEntry;
use crate::store::keeping::KnownKeeps;
use crate::store::limit::Limit;
use crate::store::reader::StoreReader;
use crate::store::writer::probe::Probe;

mod insert;
mod outcome;
mod probe;

pub use crate::store::writer::outcome::{Insertion, Outcome};

/// Ceiling of the first wait after an attempt without progress ...
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// ... and of the longest.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// Longest timeout of a request, however often the store was too slow before.
const LONGEST_PATIENCE: Duration = Duration::from_secs(60);

/// Writes batches to the table. The SDK's own retries are off: this is the only retry policy.
#[derive(Clone, Debug)]
pub struct Writer {
    client: Client,
    table: String,
    limit: Arc<Limit>,
    writers: usize,
    patience: Duration,
    status: Arc<Status>,
    probe: Probe,
    /// How long items are kept; nothing is written before that is known.
    keeps: watch::Receiver<KnownKeeps>,
}

impl Writer {
    /// Creates a writer with at most `writers` requests in flight, each with the timeout `patience`. What it writes is kept for ever.
    #[must_use]
    pub fn new(client: Client, table: String, writers: usize, patience: Duration, status: Arc<Status>) -> Writer {
        let limit = Arc::new(Limit::new(writers));
        let (_, keeps) = watch::channel(Some(Arc::default()));
        Writer { client, table, limit, writers, patience, status, probe: Probe::default(), keeps }
    }

    /// Sets when items expire by what is known, and writes nothing before something is.
    #[must_use]
    pub fn with_keeps(self, keeps: watch::Receiver<KnownKeeps>) -> Writer {
        Writer { keeps, ..self }
    }

    /// Sets when an item expires, if it is known by now how long items are kept; otherwise that is done when it is written.
    pub fn expire(&self, entry: &mut BatchEntry) {
        if let Some(keeps) = &*self.keeps.borrow() {
            entry.expire(keeps);
        }
    }

    /// Waits until it is known how long items are kept.
    async fn keeps(&self) -> Arc<Keeps> {
        let mut keeps = self.keeps.clone();
        let known = keeps.wait_for(Option::is_some).await.ok().and_then(|known| known.clone());
        match known {
            Some(keeps) => keeps,
            // Whoever would say so is gone: the daemon is stopping, and this task with it.
            None => std::future::pending().await,
        }
    }

    /// Returns how many batches may be written at once, those that wait for their next attempt included.
    #[must_use]
    pub fn writers(&self) -> usize {
        self.writers
    }

    /// Returns a reader of the same table.
    #[must_use]
    pub fn reader(&self) -> StoreReader {
        StoreReader { client: self.client.clone(), table: self.table.clone() }
    }

    /// Writes a batch until every entry is stored or refused, however long that takes.
    ///
    /// # Cancel safety
    ///
    /// Dropping it leaves an unknown part of the batch in the table; writing the batch again is harmless.
    pub async fn write(&self, mut entries: Vec<BatchEntry>) -> Outcome {
        let keeps = self.keeps().await;
        entries.iter_mut().for_each(|entry| entry.expire(&keeps));
        self.status.batches.add(1);
        let mut outcome = Outcome::default();
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        let mut patience = self.patience;
        // Parts of the batch still to be written; more than one only after a request was refused whole.
        let mut parts = vec![entries];
        let mut confirmed = false;
        while let Some(part) = parts.pop() {
            let answer = self.attempt(&part, patience).await;
            // A store that is merely slow would otherwise be asked for the same again before it is done, for ever.
            patience = match answer {
                Answer::TimedOut => (patience * 2).min(LONGEST_PATIENCE),
                _ => self.patience,
            };
            let wait = match answer {
                Answer::Done => {
                    outcome.stored.extend(part);
                    None
                }
                Answer::Partial(unprocessed) => {
                    let before = part.len();
                    let (rest, done) = split(part, &unprocessed);
                    if rest.len() < before {
                        backoff.reset();
                    }
                    outcome.stored.extend(done);
                    parts.push(rest);
                    Some(backoff.wait())
                }
                Answer::Retry | Answer::TimedOut => {
                    parts.push(part);
                    Some(backoff.wait())
                }
                Answer::Rejected(reason) => {
                    let half = part.len() / 2;
                    if half == 0 {
                        outcome.refused.extend(part.into_iter().map(|entry| (entry, reason.clone())));
                    } else {
                        // One bad item fails the whole request: halve until it stands alone.
                        let mut first = part;
                        parts.push(first.split_off(half));
                        parts.push(first);
                    }
                    None
                }
            };
            if let Some(wait) = wait.filter(|_| !parts.iter().all(Vec::is_empty)) {
                tokio::time::sleep(wait).await;
            }
            parts.retain(|part| !part.is_empty());
            if parts.is_empty() {
                parts = self.take_back_refused(&mut outcome, &mut confirmed, &mut backoff).await;
            }
        }
        self.probe.keep(&outcome);
        outcome
    }

    /// Sends one BatchWriteItem and classifies its answer.
    async fn attempt(&self, entries: &[BatchEntry], patience: Duration) -> Answer {
        let _permit = self.limit.acquire().await;
        self.status.attempts.add(1);
        let requests = entries.iter().map(|entry| {
            let put = PutRequest::builder().set_item(Some(entry.item.clone())).build();
            WriteRequest::builder().put_request(put.expect("the item is set")).build()
        });
        let started = Instant::now();
        let request = self
            .client
            .batch_write_item()
            .request_items(&self.table, requests.collect())
            .return_consumed_capacity(ReturnConsumedCapacity::None)
            .send();
        let (answer, cause) = match tokio::time::timeout(patience, request).await {
            Ok(result) => answer::classify(&self.table, entries, result),
            Err(_) => answer::timed_out(),
        };
        self.note(&answer, cause.as_ref(), started.elapsed());
        answer
    }

    fn note(&self, answer: &Answer, cause: Option<&Cause>, elapsed: Duration) {
        let now = Instant::now();
        match cause {
            None => {
                self.limit.succeeded();
                self.status.wrote_in(elapsed);
            }
            Some(Cause::ThrottledTable) => {
                self.limit.overloaded(now);
                self.status.throttled_table.add(1);
            }
            Some(Cause::ThrottledIndex) => {
                self.limit.overloaded(now);
                self.status.throttled_index.add(1);
            }
            Some(Cause::Failed(_)) => {
                self.limit.overloaded(now);
                self.status.failures.add(1);
            }
            Some(Cause::Invalid) => {}
        }
        if let Answer::Partial(unprocessed) = answer {
            self.status.unprocessed.add(unprocessed.len() as u64);
        }
        match cause {
            Some(Cause::Failed(reason)) => self.status.set_trouble(Component::Table, Some(reason.clone())),
            // Whether that is the item's fault or the table's is decided by the probe.
            Some(Cause::Invalid) => {}
            _ => self.status.set_trouble(Component::Table, None),
        }
        self.status.write_limit.set(self.limit.get() as u64);
    }
}

/// Splits a batch into what was returned as unprocessed and the rest, which is stored.
fn split(entries: Vec<BatchEntry>, unprocessed: &HashSet<Key>) -> (Vec<BatchEntry>, Vec<BatchEntry>) {
    entries.into_iter().partition(|entry| unprocessed.contains(&entry.key))
}
