use std::collections::BTreeMap;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use shared::channel::Channel;
use shared::coverage::{Record, State, Stretch};
use shared::time::Micros;

/// What the daemon knows of itself. Stages count here; metrics, health and the terminal read here.
#[derive(Debug, Default)]
pub struct Status {
    /// Connections that are open.
    pub connections: Gauge,
    /// Connections opened so far.
    pub connects: Counter,
    /// Connections lost so far, for whatever reason.
    pub losses: Counter,
    /// Subscriptions that are confirmed.
    pub subscriptions: Gauge,
    /// Subscriptions that were not confirmed in time.
    pub unconfirmed: Counter,
    /// `bts:error` messages.
    pub exchange_errors: Counter,
    /// Messages that could not be received: too large, not UTF-8.
    pub refused: Counter,
    /// Data messages received, on whichever connection.
    pub received: Counter,
    /// Data messages that another connection had delivered before; they need not be kept.
    pub duplicates: Counter,
    /// Bytes of data messages received.
    pub received_bytes: Counter,
    /// Data messages that are durable in the spool, of this run, each copy counted.
    pub durable: Counter,
    /// The longest time from a frame's arrival to the fsync that covered it, in the last sync, in microseconds.
    pub sync_micros: Gauge,
    /// Items that are in the table.
    pub stored: Counter,
    /// Records in the quarantine, of this run.
    pub quarantined: Counter,
    /// Requests to the table.
    pub attempts: Counter,
    /// Requests of which nothing or only a part was accepted because the table was throttled.
    pub throttled_table: Counter,
    /// The same because the index was throttled, where the answer says so.
    pub throttled_index: Counter,
    /// Requests that failed for another reason and are repeated.
    pub failures: Counter,
    /// Items that a request returned as unprocessed.
    pub unprocessed: Counter,
    /// How many requests may be under way at once, now.
    pub write_limit: Gauge,
    /// How long the last successful request took, smoothed, in microseconds.
    pub write_micros: Gauge,
    /// The exchange's time of the newest event in the table, microseconds since the Unix epoch.
    pub newest_stored: Gauge,
    /// Gaps entered into the ledger, over all channels.
    pub gaps: Counter,
    /// Their time in microseconds, over all channels.
    pub gap_micros: Counter,
    /// Gaps that were fetched again, over all channels.
    pub filled: Counter,
    /// Events that were fetched again and stored.
    pub filled_events: Counter,
    /// Gaps that the exchange cannot or does not want to fill.
    pub unfillable: Counter,
    /// Whether this daemon writes; 0 while another one holds the lease.
    pub writes: Gauge,
    /// Events that were not written because another daemon has proved that they are in the table.
    pub skipped: Counter,
    /// Whether the spool is full and intake stopped.
    pub intake_stopped: AtomicBool,
    channels: Mutex<BTreeMap<Channel, ChannelStatus>>,
    trouble: Mutex<BTreeMap<Part, String>>,
}

/// The part of the daemon that is in trouble.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Part {
    /// The exchange cannot be reached.
    Exchange,
    /// The table does not accept requests.
    Table,
    /// The list of channels cannot be written.
    Channels,
    /// What was fetched again cannot be written.
    Filling,
    /// The lease cannot be read or written.
    Lease,
}

/// What is known of one channel.
#[derive(Clone, Debug, Default)]
pub struct ChannelStatus {
    /// Events taken from the spool in this run.
    pub events: u64,
    /// Items in the table in this run.
    pub stored: u64,
    /// The newest `price_str`.
    pub last_price: Option<String>,
    /// The exchange's time of the newest event in the table.
    pub newest: Micros,
}

impl Status {
    /// Notes an event that was taken from the spool.
    pub fn event(&self, channel: &Channel, price: Option<&str>) {
        let mut channels = lock(&self.channels);
        let status = entry(&mut channels, channel);
        status.events += 1;
        if let Some(price) = price {
            let kept = status.last_price.get_or_insert_default();
            kept.clear();
            kept.push_str(price);
        }
    }

    /// Notes an item that is in the table. `time`: the exchange's.
    pub fn stored(&self, channel: &Channel, time: Micros) {
        self.stored.add(1);
        self.newest_stored.raise(time.0);
        let mut channels = lock(&self.channels);
        let status = entry(&mut channels, channel);
        status.stored += 1;
        status.newest = status.newest.max(time);
    }

    /// Notes an entry of the ledger.
    pub fn entered(&self, record: &Record) {
        let Stretch { from, through, state, reason } = &record.stretch;
        if *state == State::Gap {
            self.gaps.add(1);
            self.gap_micros.add(through - from + 1);
            tracing::warn!(channel = record.channel, from, through, reason, "gap");
        }
    }

    /// The channels and what is known of them.
    #[must_use]
    pub fn channels(&self) -> BTreeMap<Channel, ChannelStatus> {
        lock(&self.channels).clone()
    }

    /// Notes that a part is in trouble, in one sentence, or out of it.
    pub fn set_trouble(&self, part: Part, sentence: Option<String>) {
        let mut trouble = lock(&self.trouble);
        match sentence {
            Some(sentence) => trouble.insert(part, sentence),
            None => trouble.remove(&part),
        };
    }

    /// What is in trouble now.
    #[must_use]
    pub fn trouble(&self) -> BTreeMap<Part, String> {
        lock(&self.trouble).clone()
    }

    /// Notes how long a successful request took.
    pub fn wrote_in(&self, elapsed: Duration) {
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        let smoothed = match self.write_micros.get() {
            0 => micros,
            old => (old * 7 + micros) / 8,
        };
        self.write_micros.set(smoothed);
    }
}

fn entry<'map>(channels: &'map mut BTreeMap<Channel, ChannelStatus>, channel: &Channel) -> &'map mut ChannelStatus {
    if !channels.contains_key(channel) {
        channels.insert(channel.clone(), ChannelStatus::default());
    }
    channels.get_mut(channel).expect("inserted if it was not there")
}

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds.
    pub fn add(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    /// The sum so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Replaces it.
    pub fn set(&self, number: u64) {
        self.0.store(number, Ordering::Relaxed);
    }

    /// Replaces it if `number` is larger.
    pub fn raise(&self, number: u64) {
        self.0.fetch_max(number, Ordering::Relaxed);
    }

    /// Adds.
    pub fn add(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    /// Subtracts what was added before.
    pub fn sub(&self, number: u64) {
        self.0.fetch_sub(number, Ordering::Relaxed);
    }

    /// The number now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A panic elsewhere does not make counts wrong.
fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
