//! The newest document, made when it is asked for.

use std::sync::{Arc, Mutex};
use std::time::Duration;

use axum::body::Bytes;
use tokio::sync::{Notify, Semaphore, watch};
use tokio::time::Instant;

use crate::observe::gauges::lock;
use crate::observe::page::collect::Source;
use crate::observe::page::rates::Rates;

/// Interval between two documents for viewers, and the time over which a single answer counts rates.
pub(super) const EVERY: Duration = Duration::from_secs(1);
/// Age up to which a document is as good as a new one, so that many requests cost little more than one.
const FRESH: Duration = Duration::from_millis(250);
/// Most viewers at once.
pub(super) const VIEWERS: usize = 8;

/// Makes documents from what the daemon counts, and hands the same one to all who look.
pub(super) struct Live {
    pub(super) source: Source,
    /// Interval between two documents for viewers.
    pace: Duration,
    /// The viewers' places.
    pub(super) places: Arc<Semaphore>,
    /// The newest document for viewers. A viewer that is slow misses some; nobody waits for it.
    pub(super) newest: watch::Sender<Bytes>,
    /// Notified when a viewer arrives.
    pub(super) arrived: Notify,
    made: Mutex<Made>,
}

/// The samples for rates, and the last document.
#[derive(Default)]
struct Made {
    rates: Rates,
    last: Option<(Instant, Bytes)>,
}

impl Live {
    pub(super) fn new(source: Source, pace: Duration) -> Live {
        Live {
            source,
            pace,
            places: Arc::new(Semaphore::new(VIEWERS)),
            newest: watch::Sender::new(Bytes::new()),
            arrived: Notify::new(),
            made: Mutex::default(),
        }
    }

    /// Returns the document as it is now; rates are null if nobody has looked for a while.
    pub(super) fn document(&self) -> Bytes {
        let mut made = lock(&self.made);
        let now = Instant::now();
        if let Some((at, last)) = &made.last
            && *at + FRESH > now
        {
            return last.clone();
        }
        let sample = self.source.sample();
        made.rates.add(&sample);
        let document = self.source.document(&made.rates);
        let json: Bytes =
            serde_json::to_vec(&document).expect("a document has no map with other keys than strings").into();
        made.last = Some((now, json.clone()));
        json
    }

    /// Returns the document with rates; counts for a second first if nobody has looked for a while.
    pub(super) async fn counted(&self) -> Bytes {
        let is_counted = {
            let mut made = lock(&self.made);
            let sample = self.source.sample();
            made.rates.add(&sample);
            made.rates.since(sample.at).is_some()
        };
        if !is_counted {
            tokio::time::sleep(EVERY).await;
        }
        self.document()
    }

    /// Makes documents for viewers while there are any; never ends.
    pub(super) async fn run(&self) -> std::convert::Infallible {
        loop {
            self.arrived.notified().await;
            while self.newest.receiver_count() > 0 {
                tokio::time::sleep(self.pace).await;
                self.newest.send_replace(self.document());
            }
        }
    }
}
