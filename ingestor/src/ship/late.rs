//! Removes the copies of trades that were written late, as the exchange's history may hold them already.

use std::collections::VecDeque;
use std::pin::Pin;
use std::sync::Arc;
use std::time::Duration;

use futures_util::StreamExt as _;
use futures_util::stream::FuturesUnordered;

use crate::backoff::Backoff;
use crate::observe::status::{Component, Status};
use crate::store::batch::BatchEntry;
use crate::store::reader::StoreReader;
use crate::store::request::RequestError;
use crate::store::twins;
use crate::store::writer::{Outcome, Writer};

/// Number of trades whose copies are looked for at once: of a backlog of hours a few in a hundred events are trades.
const AT_ONCE: usize = 16;
/// Ceiling of the first wait after a request that failed ...
const FIRST_WAIT: Duration = Duration::from_millis(50);
/// ... and of the longest.
const LONGEST_WAIT: Duration = Duration::from_secs(5);

/// Trades that reached the table late, until it is certain that each is there once. Their records stay unsettled
/// meanwhile, so a crash repeats the request, and there are never more of them than records in flight.
#[derive(Default)]
pub(super) struct LateTrades {
    waiting: VecDeque<BatchEntry>,
    asked: FuturesUnordered<Pin<Box<dyn Future<Output = Outcome> + Send>>>,
}

impl LateTrades {
    /// Adds a trade that is in the table.
    pub(super) fn add(&mut self, entry: BatchEntry) {
        self.waiting.push_back(entry);
    }

    /// Returns true if no request is in flight.
    pub(super) fn is_idle(&self) -> bool {
        self.asked.is_empty()
    }

    /// Starts as many requests as may be in flight.
    pub(super) fn start(&mut self, writer: &Writer, status: &Arc<Status>) {
        while self.asked.len() < AT_ONCE {
            let Some(entry) = self.waiting.pop_front() else { return };
            self.asked.push(Box::pin(settle(writer.reader(), status.clone(), entry)));
        }
    }

    /// Waits for the next trade that is in the table once.
    pub(super) async fn next(&mut self) -> Option<Outcome> {
        self.asked.next().await
    }
}

/// Removes the fetched copies of a trade; repeats failed requests. Without permission the record goes to the quarantine
/// with that reason, so that nothing behind it waits for a person.
async fn settle(reader: StoreReader, status: Arc<Status>, entry: BatchEntry) -> Outcome {
    let mut backoff = Backoff::new(FIRST_WAIT, LONGEST_WAIT);
    let Some((channel, id)) = twins::trade(&entry) else {
        return Outcome { stored: vec![entry], refused: Vec::new() };
    };
    loop {
        match twins::remove(&reader, channel, id).await {
            Ok(copies) => {
                status.set_trouble(Component::Twins, None);
                status.twins_removed.add(copies.fetched.len() as u64);
                return Outcome { stored: vec![entry], refused: Vec::new() };
            }
            Err(RequestError::Denied(sentence)) => {
                status.set_trouble(Component::Twins, Some(sentence.clone()));
                let reason = format!("it may be in the table a second time, as fetched: {sentence}");
                return Outcome { stored: Vec::new(), refused: vec![(entry, reason)] };
            }
            Err(RequestError::Failed(sentence)) => {
                status.set_trouble(Component::Twins, Some(sentence));
                tokio::time::sleep(backoff.wait()).await;
            }
        }
    }
}
