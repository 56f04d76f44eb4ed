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
    types::{AttributeValue, ConsumedCapacity},
};
use backfill::{
    error::Error,
    limit::{CapacityLimiter, Reservation},
    retry::{Class, Patience, class, refused},
};
use serde::{Deserialize, Serialize};
use shared::{
    item::Item,
    table::{ID, MICROTIMESTAMP},
};
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

mod read;
mod write;

/// The code of a condition that failed.
const CONDITION: &str = "ConditionalCheckFailedException";

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

    /// What was consumed so far.
    pub fn units(&self) -> Units {
        *self.units.lock().unwrap_or_else(PoisonError::into_inner)
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
                Err(SdkError::ServiceError(failed)) if failed.err().code() == Some(CONDITION) => {
                    limiter.settle(reservation, actions, charged, 0.0);
                    self.note(kind, charged);
                    return Ok((Err(failed.into_err()), first));
                }
                Err(error) => class(&error),
            };
            first &= !matches!(failed, Class::Transient(_));
            let last = self.failed(operation, failed, limiter, reservation)?;
            drop(permit);
            patience.pause(&last, &self.stop).await?;
        }
    }

    /// Settles the charge of a call that failed; says why it is to be sent again.
    fn failed(
        &self,
        operation: &'static str,
        failed: Class,
        limiter: &CapacityLimiter,
        reservation: Reservation,
    ) -> Result<String, Error> {
        match failed {
            Class::Throttled(why) => {
                limiter.settle(reservation, 0, 0.0, 1.0);
                self.units.lock().unwrap_or_else(PoisonError::into_inner).throttled += 1;
                Ok(why)
            }
            Class::Transient(why) => {
                // It may have taken effect: the charge stands.
                let charged = reservation.units();
                limiter.settle(reservation, 0, charged, 0.0);
                Ok(why)
            }
            Class::Unknown => Err(Error::Guard(format!("the engine has no {operation}"))),
            Class::Never(code, message) => Err(refused(operation, code, message)),
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

/// The primary key of these two attributes, as an item.
#[must_use]
pub fn key(id: String, sort: String) -> Item {
    Item::from([(ID.to_owned(), AttributeValue::N(id)), (MICROTIMESTAMP.to_owned(), AttributeValue::S(sort))])
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
