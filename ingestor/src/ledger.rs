//! What the daemon captured and missed: from the records of the spool to the coverage entries of the table.
//!
//! The shipper hands in a [`LedgerInput`] for each record that the position passes; the ledger answers with entries to be written. Each states
//! an interval of one channel and whether it is captured or a gap. [`gap_queue`] tells the gap filler of new gaps.

use std::collections::BTreeSet;
use std::time::Duration;

use shared::coverage::LONGEST;

use crate::ledger::chain::Chain;
use crate::ledger::interval::ConnectionState;
use crate::ledger::state::LedgerState;
use crate::spool::record::ConnectionEvent;

pub use crate::ledger::entry::{LedgerEntry, LedgerInput};
pub use crate::ledger::interval::pieces;

mod chain;
mod decide;
mod entry;
pub mod gap_queue;
mod interval;
mod skew;
mod state;

/// How often a channel is entered in the channel list while it is subscribed anew, in microseconds of the daemon's clock.
const LISTED_EVERY: u64 = 86_400_000_000;

/// Works out which intervals of each channel are complete, from the records of the spool in their order and from
/// nothing else.
///
/// - A connection has delivered everything that was sent from the confirmation of a subscription to the last answered
///   heartbeat. A covered interval is the union over the connections.
/// - Times of events are the exchange's, times of connections the daemon's. The events measure the skew of the two clocks;
///   nothing is entered before the first measurement. Both ends of a covered interval are drawn in by two seconds more, for
///   the way from the exchange. When the daemon's clock is set or the daemon restarts, the interval ends and the measurement
///   begins again.
/// - Order events name their predecessor. If they do, only an unbroken chain is captured, and a chain that goes on over a
///   lost connection proves that nothing was sent meanwhile.
///
/// The ledger is applied when the spool's position passes a record, and saved with the position. So every event in a captured
/// interval is in the table or in the quarantine, and a crash changes no entry.
#[derive(Debug)]
pub struct Ledger {
    daemon: String,
    configured: BTreeSet<String>,
    state: LedgerState,
    /// Interval between two entries of captured time, in microseconds of the daemon's clock.
    every: u64,
    /// Number of the outbox's last entries that were not taken yet.
    fresh: usize,
    changed: bool,
}

impl Ledger {
    /// Creates a ledger that continues where `saved` ended, unless that was of another table. `channels`: those that
    /// are configured. `table`: its name and what tells it from a table of the same name elsewhere.
    ///
    /// # Errors
    ///
    /// Fails if `saved` is not what [`Ledger::save`] wrote.
    pub fn new<'a>(
        daemon: String,
        table: &str,
        channels: impl IntoIterator<Item = &'a str>,
        saved: Option<&[u8]>,
    ) -> Result<Ledger, serde_json::Error> {
        let mut state: LedgerState = saved.map(serde_json::from_slice).transpose()?.unwrap_or_default();
        state.turn_to(table);
        state.forget_impossible_times();
        let configured = channels.into_iter().map(str::to_owned).collect();
        let fresh = state.outbox.len();
        Ok(Ledger { daemon, configured, state, every: LONGEST, fresh, changed: false })
    }

    /// Sets the interval between two entries of captured time, a minute at most; without it, it is a minute.
    #[must_use]
    pub fn entered_every(self, every: Duration) -> Ledger {
        let every = u64::try_from(every.as_micros()).unwrap_or(LONGEST).clamp(1, LONGEST);
        Ledger { every, ..self }
    }

    /// Returns the daemon's time minus the exchange's, in microseconds, measured by the quickest of the latest events;
    /// `None` before the first.
    #[must_use]
    pub fn skew(&self) -> Option<i64> {
        self.state.skew.least()
    }

    /// Returns the state to be saved with the spool's position; `None` if nothing has changed that would be missed.
    pub fn save(&mut self) -> Option<Vec<u8>> {
        std::mem::take(&mut self.changed)
            .then(|| serde_json::to_vec(&self.state).expect("numbers, strings and maps always become json"))
    }

    /// Returns the entries that are not known to be in the table yet.
    #[must_use]
    pub fn outbox(&self) -> &[LedgerEntry] {
        &self.state.outbox
    }

    /// Returns how many entries of the channel list are not known to be in the table yet.
    #[must_use]
    pub fn registering(&self) -> usize {
        self.state.outbox.iter().filter(|entry| matches!(entry, LedgerEntry::Channel(..))).count()
    }

    /// Returns the entries to be written that were not taken before.
    pub fn take(&mut self) -> Vec<LedgerEntry> {
        let taken = self.state.outbox.len() - std::mem::take(&mut self.fresh);
        self.state.outbox.iter().skip(taken).cloned().collect()
    }

    /// Notes that an entry is in the table.
    pub fn settle(&mut self, entry: &LedgerEntry) {
        self.state.outbox.retain(|waiting| waiting != entry);
        self.changed = true;
    }

    /// Applies a record that the spool's position passed.
    pub fn apply(&mut self, input: LedgerInput) {
        let before = self.state.outbox.len();
        self.apply_input(input);
        self.fresh += self.state.outbox.len() - before;
    }

    fn apply_input(&mut self, input: LedgerInput) {
        match input {
            LedgerInput::Event(channel, time, ids, received) => {
                // A time from before the clock was set measures the skew that was.
                let received = received.filter(|received| *received >= self.state.clock_set);
                let begun = received.map_or_else(Vec::new, |received| self.measure(received, time));
                let known = self.state.channels.entry(channel).or_default();
                known.frames += 1;
                if let Some((id, before)) = ids {
                    match &mut known.chain {
                        Some(chain) => chain.link(id, before, time, self.state.now),
                        None => {
                            // The chain says of its first seconds what the connection cannot prove.
                            known.done = if known.entered { known.done.max(time) } else { time };
                            known.chain = Some(Chain::new(id, time));
                        }
                    }
                }
                for channel in begun {
                    self.enter(&channel, self.state.now);
                }
            }
            LedgerInput::ConnectionEvent(connection, at, event) => {
                self.changed = true;
                if matches!(event, ConnectionEvent::ClockSet { .. }) {
                    self.state.clock_set = self.state.clock_set.max(at);
                }
                // The intake notes a step before all records that it has in hand, also those stamped before the step: an hour's
                // step would make an hour of a subscription that was confirmed a moment ago.
                let at = at.max(self.state.clock_set);
                if matches!(event, ConnectionEvent::Started | ConnectionEvent::ClockSet { .. }) {
                    self.end_covered_intervals(&event, at);
                }
                self.state.now = at;
                self.apply_event(connection, at, event);
                if at / self.every > self.state.entered / self.every {
                    self.state.entered = at;
                    self.enter_all(at);
                }
            }
        }
    }

    /// Measures by an event. Returns the channels whose intervals begin with it.
    fn measure(&mut self, received: u64, time: u64) -> Vec<String> {
        let slower = self.state.skew.note(received, time);
        let connections = self.state.connections.values_mut();
        let begun: Vec<_> = connections.flat_map(|connection| connection.note(received, time)).collect();
        // A crash must not forget either.
        self.changed |= slower || !begun.is_empty();
        begun
    }

    fn apply_event(&mut self, connection: u32, at: u64, event: ConnectionEvent) {
        match event {
            ConnectionEvent::Connected => {
                self.state.connections.insert(connection, ConnectionState::default());
            }
            ConnectionEvent::Subscribed { channel } => {
                let was_live = interval::is_live(&self.state.connections, &channel);
                if let Some(connection) = self.state.connections.get_mut(&connection) {
                    connection.confirm(channel.clone(), at);
                }
                let known = self.state.channels.entry(channel.clone()).or_default();
                // The table may be another one under the same name: an entry a day costs a write unit.
                if at >= known.listed.saturating_add(LISTED_EVERY) {
                    known.listed = at;
                    self.state.outbox.push(LedgerEntry::Channel(channel.clone(), at));
                }
                if !was_live {
                    self.enter(&channel, at);
                }
            }
            ConnectionEvent::Proved { through } => {
                if let Some(connection) = self.state.connections.get_mut(&connection) {
                    connection.proved = through;
                }
            }
            ConnectionEvent::Lost { reason } => self.lost(connection, at, &reason),
            // What is not configured any more is not missing.
            ConnectionEvent::Started => {
                self.state.channels.retain(|channel, _| is_configured(&self.configured, channel));
                self.state.channels.values_mut().for_each(|known| known.listed = 0);
            }
            ConnectionEvent::ClockSet { .. } => {}
            // The sockets close and say why.
            ConnectionEvent::IntakeStopped | ConnectionEvent::IntakeResumed => {}
        }
    }
}

/// Returns true for a channel that is configured by its name or by a wildcard of its family.
fn is_configured(configured: &BTreeSet<String>, channel: &str) -> bool {
    let every = channel.rsplit_once('_').map(|(family, _)| format!("{family}_*"));
    configured.contains(channel) || every.is_some_and(|every| configured.contains(&every))
}
