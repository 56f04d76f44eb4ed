//! Counters, gauges and troubles of the running daemon, written by the rooms and read by the report.

use std::collections::BTreeMap;
use std::sync::Mutex;
use std::sync::atomic::AtomicBool;
use std::time::Duration;

use shared::channel::Channel;
use shared::coverage::{Interval, Record, State};
use shared::time::Micros;
use tokio::time::Instant;

use crate::observe::backlog::Backlog;
use crate::observe::connections::Connections;
use crate::observe::gaps::Gaps;
use crate::observe::gauges::lock;
use crate::observe::trouble::{PastTrouble, PresentTrouble, Troubles};

mod channels;

use channels::entry;
pub use channels::{ChannelStatus, StoredEvents};

pub use crate::observe::gauges::{Counter, Gauge, SignedGauge};
pub use crate::observe::trouble::Component;

/// Counters, gauges and troubles of the daemon. Rooms write them; metrics, health and the terminal read them.
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
    /// Heartbeats that the exchange answered.
    pub proofs: Counter,
    /// `bts:error` messages from the exchange.
    pub exchange_errors: Counter,
    /// Messages that could not be received: too large, not UTF-8.
    pub refused: Counter,
    /// Data messages received, on whichever connection.
    pub received: Counter,
    /// Data messages that another connection had delivered before; they need not be kept.
    pub duplicates: Counter,
    /// Bytes of data messages received.
    pub received_bytes: Counter,
    /// Data messages of this run that are durable in the spool, each copy counted.
    pub durable: Counter,
    /// Time from a frame's arrival to the fsync that covered it, the longest of the last sync, in microseconds.
    pub sync_micros: Gauge,
    /// Events that are in the table, as items of their own or in blocks.
    pub stored: Counter,
    /// Size of the items that hold them, in bytes.
    pub stored_bytes: Counter,
    /// Write units that these items took, in the table and the index together.
    pub write_units: Counter,
    /// Blocks that are in the table.
    pub blocks: Counter,
    /// Events in these blocks.
    pub block_events: Counter,
    /// Size of the blocks' items, in bytes.
    pub block_bytes: Counter,
    /// Write units of the blocks, in the table and the index together.
    pub block_units: Counter,
    /// Blocks that could not be stored and whose events were written one by one.
    pub blocks_refused: Counter,
    /// Records put into the quarantine in this run.
    pub quarantined: Counter,
    /// Events among them that differ from an earlier one with the same key.
    pub key_conflicts: Counter,
    /// Batches of items that were to be written.
    pub batches: Counter,
    /// Requests to the table.
    pub attempts: Counter,
    /// Requests of which nothing or only a part was accepted because the table was throttled.
    pub throttled_table: Counter,
    /// Requests of which nothing or only a part was accepted because the index was throttled, if the answer says so.
    pub throttled_index: Counter,
    /// Requests that failed for another reason and are repeated.
    pub failures: Counter,
    /// Items that a request returned as unprocessed.
    pub unprocessed: Counter,
    /// Largest number of requests to the table that may be in flight now.
    pub write_limit: Gauge,
    /// Duration of successful requests, smoothed, in microseconds.
    pub write_micros: Gauge,
    /// The exchange's time of the newest event in the table, microseconds since the Unix epoch.
    pub newest_stored: Gauge,
    /// Gaps entered into the ledger, all channels.
    pub gaps: Counter,
    /// Length of these gaps in microseconds, all channels.
    pub gap_micros: Counter,
    /// Gaps filled from the exchange's history, all channels.
    pub filled: Counter,
    /// Events fetched from the exchange's history and stored.
    pub filled_events: Counter,
    /// Trades whose copy from the exchange's history was removed because the stream's own came later.
    pub twins_removed: Counter,
    /// Gaps that the exchange refuses to fill.
    pub unfillable: Counter,
    /// Trades on the exchange's list that the table lacks although the ledger calls their time captured.
    pub audit_missing: Counter,
    /// Until when some channel's trades are compared with the exchange's list, microseconds since the Unix epoch; zero before the
    /// first audit.
    pub audited: Gauge,
    /// Order books stored at the start of a channel and at intervals since.
    pub books: Counter,
    /// 1 if this daemon writes; 0 while another one holds the lease.
    pub writes: Gauge,
    /// Events skipped because another daemon captured them.
    pub skipped: Counter,
    /// Events with an implausible time: too far from their receipt.
    pub implausible: Counter,
    /// Steps of this machine's clock.
    pub clock_steps: Counter,
    /// The daemon's time minus the exchange's, in microseconds, the quickest way included; unknown before it is measured.
    pub clock_skew: SignedGauge,
    /// True while the spool is full and the intake stopped.
    pub intake_stopped: AtomicBool,
    /// The open connections, one by one.
    pub open: Connections,
    /// The newest gaps, one by one.
    pub known_gaps: Gaps,
    /// Since when the oldest record of the spool waits.
    pub backlog: Backlog,
    channels: Mutex<BTreeMap<Channel, ChannelStatus>>,
    trouble: Mutex<Troubles>,
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

    /// Notes stored events, the newest of `time` by the exchange's clock.
    pub fn stored(&self, channel: &Channel, time: Micros, StoredEvents { events, bytes, units }: StoredEvents) {
        self.stored.add(events);
        self.stored_bytes.add(bytes);
        self.write_units.add(units);
        self.newest_stored.raise(time.0);
        let mut channels = lock(&self.channels);
        let status = entry(&mut channels, channel);
        status.stored += events;
        status.bytes += bytes;
        status.units += units;
        status.newest = status.newest.max(time);
    }

    /// Notes that stored events are a block.
    pub fn stored_block(&self, StoredEvents { events, bytes, units }: StoredEvents) {
        self.blocks.add(1);
        self.block_events.add(events);
        self.block_bytes.add(bytes);
        self.block_units.add(units);
    }

    /// Notes an entry of the ledger.
    pub fn entered(&self, record: &Record) {
        let Interval { from, through, state, reason } = &record.interval;
        if *state == State::Gap {
            self.gaps.add(1);
            self.gap_micros.add(through - from + 1);
            let channel = &record.channel;
            if self.known_gaps.entered(channel, &record.interval) {
                tracing::debug!(channel, from, through, reason, "gap goes on");
            } else {
                tracing::warn!(channel, from, through, reason, "gap");
            }
        }
    }

    /// Returns the status of each channel.
    #[must_use]
    pub fn channels(&self) -> BTreeMap<Channel, ChannelStatus> {
        lock(&self.channels).clone()
    }

    /// Sets or clears the trouble of a component, in one sentence; each change is logged.
    pub fn set_trouble(&self, component: Component, sentence: Option<String>) {
        lock(&self.trouble).set(component, sentence, Instant::now());
    }

    /// Logs changes of trouble that have become certain; to be called once a second.
    pub fn tick(&self) {
        lock(&self.trouble).tick(Instant::now());
    }

    /// Returns the present trouble of each component.
    #[must_use]
    pub fn trouble(&self) -> BTreeMap<Component, String> {
        lock(&self.trouble).now()
    }

    /// Returns the present troubles with their durations.
    #[must_use]
    pub fn present_troubles(&self) -> Vec<PresentTrouble> {
        lock(&self.trouble).present(Instant::now())
    }

    /// Returns the last troubles that have passed, newest first.
    #[must_use]
    pub fn past_troubles(&self) -> Vec<PastTrouble> {
        lock(&self.trouble).past(Instant::now())
    }

    /// Notes the duration of a successful request.
    pub fn wrote_in(&self, elapsed: Duration) {
        let micros = u64::try_from(elapsed.as_micros()).unwrap_or(u64::MAX);
        let smoothed = match self.write_micros.get() {
            0 => micros,
            old => (old * 7 + micros) / 8,
        };
        self.write_micros.set(smoothed);
    }
}
