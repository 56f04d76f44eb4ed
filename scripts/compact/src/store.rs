//! The calls to the table: within the limits, sent again until each is answered.

use std::{
    fmt::Debug,
    sync::{Mutex, PoisonError},
    time::Duration,
};

use aws_sdk_dynamodb::{
    Client,
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
    operation::{batch_get_item::BatchGetItemOutput, delete_item::DeleteItemError, put_item::PutItemError},
    types::{
        AttributeValue, ConsumedCapacity, KeysAndAttributes, ReturnConsumedCapacity, ReturnValue,
        ReturnValuesOnConditionCheckFailure,
    },
};
use backfill::{
    error::Error,
    limit::CapacityLimiter,
    retry::{Class, Patience, class, refused},
};
use serde::{Deserialize, Serialize};
use shared::{
    item::{self, Item},
    table::{CHANNEL, ID, INDEX, MICROTIMESTAMP, NMICROTIMESTAMP},
};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::condition::Condition;

/// Keys in a call at most
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html>).
const MOST_KEYS: usize = 100;

/// Units consumed, as the answers said, and how often calls were throttled.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Units {
    /// Read units.
    pub read: f64,
    /// Write units, those of the index included.
    pub write: f64,
    /// Calls that were throttled and sent again.
    pub throttled: u64,
}

/// How fast a table is read and written.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Read units a second.
    pub read: Option<f64>,
    /// Write units a second.
    pub write: Option<f64>,
    /// Calls in flight.
    pub calls: u32,
    /// How long to go on without progress.
    pub patience: Duration,
}

/// One table.
#[derive(Debug)]
pub struct Store {
    client: Client,
    table: String,
    reads: CapacityLimiter,
    writes: CapacityLimiter,
    calls: Semaphore,
    patience: Duration,
    stop: CancellationToken,
    units: Mutex<Units>,
}

/// What became of a write with a condition.
#[derive(Debug)]
pub struct Written {
    /// The item that was there before a deletion; or, where the condition failed, the item on which it failed: none where there is none.
    pub outcome: Result<Option<Item>, Option<Item>>,
    /// No earlier attempt of this write can have taken effect.
    pub first: bool,
}

/// Which items of a range.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Those behind this key.
    pub after: Option<Item>,
    /// At most so many.
    pub limit: Option<i32>,
    /// From the last one back.
    pub last_first: bool,
}

/// A part of a range.
#[derive(Debug)]
pub struct Page {
    /// The items.
    pub items: Vec<Item>,
    /// Where the next page begins; none at the end.
    pub next: Option<Item>,
}

#[derive(Clone, Copy)]
enum Kind {
    Read,
    Write,
}

impl Store {
    /// A table behind a client without retries of its own.
    #[must_use]
    pub fn new(client: Client, table: &str, limits: Limits, stop: &CancellationToken) -> Store {
        Store {
            client,
            table: table.to_owned(),
            reads: CapacityLimiter::new(limits.read, 1.0),
            // An action is a kilobyte: one unit of the table and one of the index.
            writes: CapacityLimiter::new(limits.write, 2.0),
            calls: Semaphore::new(usize::try_from(limits.calls).unwrap_or(1)),
            patience: limits.patience,
            stop: stop.clone(),
            units: Mutex::default(),
        }
    }

    /// The client.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The table's name.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.table
    }

    /// What was consumed so far.
    pub fn units(&self) -> Units {
        *self.units.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A page of a channel's items, times from and through included.
    ///
    /// # Errors
    /// When the service refuses, patience ends, or the command is interrupted.
    pub async fn query(&self, channel: &str, (from, to): (u64, u64), wanted: Wanted) -> Result<Page, Error> {
        let number = |number: u64| AttributeValue::N(number.to_string());
        let call = || {
            self.client
                .query()
                .table_name(&self.table)
                .index_name(INDEX)
                .key_condition_expression("#c = :c AND #t BETWEEN :f AND :t")
                .expression_attribute_names("#c", CHANNEL)
                .expression_attribute_names("#t", NMICROTIMESTAMP)
                .expression_attribute_values(":c", AttributeValue::S(channel.to_owned()))
                .expression_attribute_values(":f", number(from))
                .expression_attribute_values(":t", number(to))
                .scan_index_forward(!wanted.last_first)
                .set_exclusive_start_key(wanted.after.clone())
                .set_limit(wanted.limit)
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .send()
        };
        let (answer, _) =
            self.call("Query", Kind::Read, 1, |output| units_of(output.consumed_capacity.as_ref()), call).await?;
        let output = answer.map_err(unconditional("Query"))?;
        Ok(Page { items: output.items.unwrap_or_default(), next: output.last_evaluated_key })
    }

    /// The item under a key, by a consistent read.
    ///
    /// # Errors
    /// As [`Store::query`].
    pub async fn get(&self, key: &Item) -> Result<Option<Item>, Error> {
        let call = || {
            let get = self.client.get_item().table_name(&self.table).consistent_read(true);
            get.set_key(Some(key.clone())).return_consumed_capacity(ReturnConsumedCapacity::Total).send()
        };
        let (answer, _) =
            self.call("GetItem", Kind::Read, 1, |output| units_of(output.consumed_capacity.as_ref()), call).await?;
        Ok(answer.map_err(unconditional("GetItem"))?.item.filter(|item| !item.is_empty()))
    }

    /// The items under these keys, by consistent reads, in any order.
    ///
    /// # Errors
    /// As [`Store::query`].
    pub async fn get_all(&self, keys: &[Item]) -> Result<Vec<Item>, Error> {
        let (mut found, mut left) = (Vec::with_capacity(keys.len()), keys.to_vec());
        let mut patience = Patience::new("BatchGetItem", self.patience);
        while !left.is_empty() {
            let rest = left.split_off(left.len().min(MOST_KEYS));
            let wanted = KeysAndAttributes::builder().consistent_read(true).set_keys(Some(left)).build();
            let wanted = wanted.expect("it has keys");
            let call = || {
                let get = self.client.batch_get_item().request_items(&self.table, wanted.clone());
                get.return_consumed_capacity(ReturnConsumedCapacity::Total).send()
            };
            let units = |output: &BatchGetItemOutput| {
                let consumed = output.consumed_capacity.as_ref().filter(|consumed| !consumed.is_empty())?;
                consumed.iter().map(|consumed| units_of(Some(consumed))).sum()
            };
            let (answer, _) = self.call("BatchGetItem", Kind::Read, wanted.keys().len(), units, call).await?;
            let mut output = answer.map_err(unconditional("BatchGetItem"))?;
            let more = output.responses.as_mut().and_then(|tables| tables.remove(&self.table)).unwrap_or_default();
            let unread = output.unprocessed_keys.as_mut().and_then(|tables| tables.remove(&self.table));
            match more.is_empty() && unread.is_some() {
                true => patience.pause("no keys processed", &self.stop).await?,
                false => patience.progress(),
            }
            found.extend(more);
            left = rest;
            left.extend(unread.into_iter().flat_map(|unread| unread.keys));
        }
        Ok(found)
    }

    /// Puts an item, on a condition if there is one.
    ///
    /// # Errors
    /// As [`Store::query`].
    pub async fn put(&self, item: &Item, condition: Option<&Condition>) -> Result<Written, Error> {
        let call = || {
            let put = self.client.put_item().table_name(&self.table).set_item(Some(item.clone()));
            let put = match condition {
                None => put,
                Some(Condition { expression, names, values }) => put
                    .condition_expression(expression)
                    .set_expression_attribute_names(Some(names.clone()))
                    .set_expression_attribute_values(values.clone())
                    .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld),
            };
            put.return_consumed_capacity(ReturnConsumedCapacity::Total).send()
        };
        let size = kilobytes(item);
        let answer =
            self.call("PutItem", Kind::Write, size, |output| units_of(output.consumed_capacity.as_ref()), call).await?;
        let outcome = answer.0.map(|_| None).map_err(|error| match error {
            PutItemError::ConditionalCheckFailedException(failed) => failed.item.filter(|item| !item.is_empty()),
            _ => None,
        });
        Ok(Written { outcome, first: answer.1 })
    }

    /// Deletes an item on a condition; `item` gives its key and size.
    ///
    /// # Errors
    /// As [`Store::query`].
    pub async fn delete(&self, item: &Item, condition: &Condition) -> Result<Written, Error> {
        let call = || {
            let Condition { expression, names, values } = condition;
            self.client
                .delete_item()
                .table_name(&self.table)
                .set_key(Some(key_of(item)))
                .condition_expression(expression)
                .set_expression_attribute_names(Some(names.clone()))
                .set_expression_attribute_values(values.clone())
                .return_values(ReturnValue::AllOld)
                .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .send()
        };
        let size = kilobytes(item);
        let answer = self
            .call("DeleteItem", Kind::Write, size, |output| units_of(output.consumed_capacity.as_ref()), call)
            .await?;
        let outcome = answer.0.map(|output| output.attributes.filter(|item| !item.is_empty()));
        let outcome = outcome.map_err(|error| match error {
            DeleteItemError::ConditionalCheckFailedException(failed) => failed.item.filter(|item| !item.is_empty()),
            _ => None,
        });
        Ok(Written { outcome, first: answer.1 })
    }

    /// Calls until there is an answer: the output, or the error of a condition that failed; and whether no attempt before it can have taken
    /// effect. An answer that does not have the consumed capacity that was asked for says nothing, whatever its status.
    async fn call<T, E, F>(
        &self,
        operation: &'static str,
        kind: Kind,
        actions: usize,
        consumed: impl Fn(&T) -> Option<f64>,
        send: impl Fn() -> F,
    ) -> Result<(Result<T, E>, bool), Error>
    where
        E: ProvideErrorMetadata + Debug,
        F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
    {
        let limiter = match kind {
            Kind::Read => &self.reads,
            Kind::Write => &self.writes,
        };
        let mut patience = Patience::new(operation, self.patience);
        let mut first = true;
        loop {
            let permit = self.calls.acquire().await.expect("the semaphore is never closed");
            let reservation = limiter.take(actions, &self.stop).await?;
            let charged = reservation.units();
            let answer = tokio::select! {
                answer = send() => answer,
                () = self.stop.cancelled() => return Err(Error::Interrupted),
            };
            let failed = match answer {
                Ok(output) => match consumed(&output) {
                    Some(units) => {
                        limiter.settle(reservation, actions, units, 0.0);
                        self.note(kind, units);
                        return Ok((Ok(output), first));
                    }
                    None => Class::Transient("an answer without its consumed capacity".to_owned()),
                },
                Err(SdkError::ServiceError(failed))
                    if failed.err().code() == Some("ConditionalCheckFailedException") =>
                {
                    limiter.settle(reservation, actions, charged, 0.0);
                    self.note(kind, charged);
                    return Ok((Err(failed.into_err()), first));
                }
                Err(error) => class(&error),
            };
            let last = match failed {
                Class::Throttled(why) => {
                    limiter.settle(reservation, 0, 0.0, 1.0);
                    self.units.lock().unwrap_or_else(PoisonError::into_inner).throttled += 1;
                    why
                }
                Class::Transient(why) => {
                    limiter.settle(reservation, 0, charged, 0.0);
                    first = false;
                    why
                }
                Class::Unknown => return Err(Error::Guard(format!("the engine has no {operation}"))),
                Class::Never(code, message) => return Err(refused(operation, code, message)),
            };
            drop(permit);
            patience.pause(&last, &self.stop).await?;
        }
    }

    fn note(&self, kind: Kind, units: f64) {
        let mut sum = self.units.lock().unwrap_or_else(PoisonError::into_inner);
        match kind {
            Kind::Read => sum.read += units,
            Kind::Write => sum.write += units,
        }
    }
}

/// The primary key of an item, as an item.
#[must_use]
pub fn key_of(item: &Item) -> Item {
    let part = |name: &str| item.get(name).map(|value| (name.to_owned(), value.clone()));
    [ID, MICROTIMESTAMP].into_iter().filter_map(part).collect()
}

fn units_of(consumed: Option<&ConsumedCapacity>) -> Option<f64> {
    consumed?.capacity_units
}

/// The error of a condition, of a call that has none.
fn unconditional<E: Debug>(operation: &'static str) -> impl Fn(E) -> Error {
    move |error| refused(operation, "ConditionalCheckFailedException".to_owned(), format!("{error:?}"))
}

fn kilobytes(item: &Item) -> usize {
    item::size(item).div_ceil(1024).max(1)
}

impl Units {
    /// Both together.
    #[must_use]
    pub fn and(self, other: Units) -> Units {
        Units {
            read: self.read + other.read,
            write: self.write + other.write,
            throttled: self.throttled + other.throttled,
        }
    }
}
