use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::ProvideErrorMetadata as _;
use aws_sdk_dynamodb::types::{PutRequest, ReturnConsumedCapacity, WriteRequest};
use shared::key::Key;
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::batch::Entry;
use crate::status::{Part, Status};
use crate::writer::answer::{Answer, Cause};
use crate::writer::limit::Limit;

/// What an answer means, decided in one place.
pub mod answer;

/// How many requests may be under way.
pub mod limit;

/// The ceiling of the first wait after an attempt without progress ...
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// ... and of the longest.
const LONGEST_WAIT: Duration = Duration::from_secs(5);
/// What an answer may take at most, however often the store was too slow before.
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
}

/// What became of a batch.
#[derive(Debug, Default)]
pub struct Outcome {
    /// In the table.
    pub stored: Vec<Entry>,
    /// Can never be in the table, with the reason.
    pub refused: Vec<(Entry, String)>,
}

/// What became of an item that must not replace another.
#[derive(Debug)]
pub enum First {
    /// It is in the table.
    Written(Entry),
    /// There was one under its key.
    WasThere(Entry),
    /// It can never be in the table, with the reason.
    Refused(Entry, String),
}

impl From<First> for Outcome {
    fn from(first: First) -> Outcome {
        match first {
            First::Written(entry) | First::WasThere(entry) => Outcome { stored: vec![entry], refused: Vec::new() },
            First::Refused(entry, reason) => Outcome { stored: Vec::new(), refused: vec![(entry, reason)] },
        }
    }
}

enum Refusal {
    Again(String),
    Never(String),
}

impl Writer {
    /// A writer with at most `writers` requests at once, each of which may take `patience`.
    #[must_use]
    pub fn new(client: Client, table: String, writers: usize, patience: Duration, status: Arc<Status>) -> Writer {
        Writer { client, table, limit: Arc::new(Limit::new(writers)), writers, patience, status }
    }

    /// How many batches may be written at once, those that wait for their next attempt included.
    #[must_use]
    pub fn writers(&self) -> usize {
        self.writers
    }

    /// Writes a batch until every entry is stored or refused, however long that takes.
    ///
    /// # Cancel safety
    ///
    /// Dropping it leaves an unknown part of the batch in the table; writing the batch again is harmless.
    pub async fn write(&self, entries: Vec<Entry>) -> Outcome {
        let mut outcome = Outcome::default();
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        let mut patience = self.patience;
        // Parts of the batch still to be written; more than one only after a request was refused whole.
        let mut parts = vec![entries];
        while let Some(part) = parts.pop() {
            let answer = self.attempt(&part, patience).await;
            // A store that is merely slow would otherwise be asked for the same again before it is done, for ever.
            patience = match answer {
                Answer::Late => (patience * 2).min(LONGEST_PATIENCE),
                _ => self.patience,
            };
            let wait = match answer {
                Answer::Done => {
                    outcome.stored.extend(part);
                    None
                }
                Answer::Rest(unprocessed) => {
                    let before = part.len();
                    let (rest, done) = split(part, &unprocessed);
                    if rest.len() < before {
                        backoff.reset();
                    }
                    outcome.stored.extend(done);
                    parts.push(rest);
                    Some(backoff.wait())
                }
                Answer::Again | Answer::Late => {
                    parts.push(part);
                    Some(backoff.wait())
                }
                Answer::Never(reason) => {
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
        }
        outcome
    }

    /// Writes an item unless there is one under its key, however long that takes: the first of several daemons counts. `part`
    /// is in trouble meanwhile.
    ///
    /// # Cancel safety
    ///
    /// As [`Writer::write`].
    pub async fn write_first(&self, entry: Entry, part: Part) -> First {
        let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
        loop {
            let first = match self.attempt_first(&entry).await {
                Ok(true) => First::Written(entry),
                Ok(false) => First::WasThere(entry),
                Err(Refusal::Never(reason)) => First::Refused(entry, reason),
                Err(Refusal::Again(sentence)) => {
                    self.status.failures.add(1);
                    self.status.set_trouble(part, Some(sentence));
                    tokio::time::sleep(backoff.wait()).await;
                    continue;
                }
            };
            self.status.set_trouble(part, None);
            return first;
        }
    }

    /// Whether it was written.
    async fn attempt_first(&self, entry: &Entry) -> Result<bool, Refusal> {
        let request = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(entry.item.clone()))
            .condition_expression("attribute_not_exists(id)")
            .send();
        self.status.attempts.add(1);
        let Ok(answer) = tokio::time::timeout(self.patience, request).await else {
            return Err(Refusal::Again("the store did not answer in time".to_owned()));
        };
        let Err(error) = answer else { return Ok(true) };
        match error.as_service_error() {
            Some(service) if service.is_conditional_check_failed_exception() => Ok(false),
            Some(service) if service.code() == Some("ValidationException") => {
                Err(Refusal::Never(service.message().unwrap_or("not valid").to_owned()))
            }
            service => Err(Refusal::Again(first_sentence(service.map(|service| (service.code(), service.message()))))),
        }
    }

    /// One request.
    async fn attempt(&self, entries: &[Entry], patience: Duration) -> Answer {
        let _place = self.limit.place().await;
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
            Ok(result) => answer::classify(&self.table, result),
            Err(_) => answer::late(),
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
                self.limit.pushed_back(now);
                self.status.throttled_table.add(1);
            }
            Some(Cause::ThrottledIndex) => {
                self.limit.pushed_back(now);
                self.status.throttled_index.add(1);
            }
            Some(Cause::Failed(_)) => {
                self.limit.pushed_back(now);
                self.status.failures.add(1);
            }
            Some(Cause::Invalid) => {}
        }
        if let Answer::Rest(unprocessed) = answer {
            self.status.unprocessed.add(unprocessed.len() as u64);
        }
        match cause {
            Some(Cause::Failed(reason)) => self.status.set_trouble(Part::Table, Some(reason.clone())),
            _ => self.status.set_trouble(Part::Table, None),
        }
        self.status.write_limit.set(self.limit.get() as u64);
    }
}

/// Why an item was not written, in one sentence.
fn first_sentence(answer: Option<(Option<&str>, Option<&str>)>) -> String {
    match answer {
        None => "the store cannot be reached".to_owned(),
        Some((Some("AccessDeniedException"), message)) => {
            format!("permission is missing: dynamodb:PutItem: {}", message.unwrap_or_default())
        }
        Some((code, message)) => {
            format!("the store answers {} {}", code.unwrap_or("unknown"), message.unwrap_or_default())
                .trim_end()
                .to_owned()
        }
    }
}

/// Parts a batch into what was returned as unprocessed and the rest, which is stored.
fn split(entries: Vec<Entry>, unprocessed: &HashSet<Key>) -> (Vec<Entry>, Vec<Entry>) {
    entries.into_iter().partition(|entry| unprocessed.contains(&entry.key))
}
