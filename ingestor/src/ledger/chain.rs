//! Works out what the exchange's own chain of order events proves of a channel.

use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use shared::coverage::State;

/// Gap reason for a break of the chain.
pub(super) const BROKEN: &str = "the exchange left out events: pre_event_id names one that did not come";
/// A predecessor that is still absent this long after its successor arrived, in microseconds, is declared missing. Frames overtake each
/// other by far less.
pub(super) const SETTLE: u64 = 10_000_000;
/// Number of events remembered, to tell a repeated event from one that does not fit.
const RECENT: usize = 64;

/// Chain of a market's order events: each names the one before it (`pre_event_id`, on frames since 2026; 252,374 events
/// in an hour had one break). Ids are kept as hashes. Times are the exchange's.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Chain {
    /// Hash of the last event up to which nothing is missing, and its time.
    last: (u64, u64),
    recent: VecDeque<u64>,
    /// Events whose predecessor did not arrive yet, by that predecessor.
    waiting: BTreeMap<u64, UnlinkedEvent>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct UnlinkedEvent {
    id: u64,
    time: u64,
    /// When it arrived, by the daemon's clock.
    since: u64,
}

impl Chain {
    /// Begins a chain with an event; nothing is known of the time before it.
    pub(super) fn new(id: u64, time: u64) -> Chain {
        Chain { last: (id, time), recent: VecDeque::from([id]), waiting: BTreeMap::new() }
    }

    /// Adds an event. `now`: by the daemon's clock.
    pub(super) fn link(&mut self, id: u64, before: u64, time: u64, now: u64) {
        if before == self.last.0 {
            self.pass(id, time);
            self.pass_waiting();
        } else if time >= self.last.1 && !self.recent.contains(&id) {
            self.waiting.entry(before).or_insert(UnlinkedEvent { id, time, since: now });
        }
    }

    /// Returns true if every event that arrived is linked.
    pub(super) fn is_whole(&self) -> bool {
        self.waiting.is_empty()
    }

    fn pass(&mut self, id: u64, time: u64) {
        self.last = (id, time.max(self.last.1));
        self.recent.push_back(id);
        if self.recent.len() > RECENT {
            self.recent.pop_front();
        }
    }

    fn pass_waiting(&mut self) {
        while let Some(next) = self.waiting.remove(&self.last.0) {
            self.pass(next.id, next.time);
        }
    }

    /// Returns the latest time of its events, by the exchange's clock.
    pub(super) fn latest(&self) -> u64 {
        self.waiting.values().map(|waiting| waiting.time).max().unwrap_or(0).max(self.last.1)
    }

    /// Returns what can be decided by `now` (the daemon's clock). Each `(through, state)` extends the interval decided
    /// before, through the exchange's time. `live`: a connection carries the channel; `gone`: none has for a while, and
    /// this is the exchange's time now.
    pub(super) fn advance(&mut self, live: bool, now: u64, gone: Option<u64>) -> Vec<(u64, State)> {
        let mut found = Vec::new();
        loop {
            // Of the last event's own microsecond more may come.
            found.push((self.last.1.saturating_sub(1), State::Captured));
            // What a lost connection did not deliver does not come any more.
            let due = !live || self.waiting.values().any(|waiting| waiting.since + SETTLE <= now);
            let next = self.waiting.iter().min_by_key(|(_, waiting)| waiting.time).map(|(before, _)| *before);
            let Some(next) = next.filter(|_| due).and_then(|before| self.waiting.remove(&before)) else { break };
            found.push((next.time, State::Gap));
            self.pass(next.id, next.time);
            self.pass_waiting();
            self.waiting.retain(|_, waiting| waiting.time >= self.last.1);
        }
        found.extend(gone.map(|now| (now - 1, State::Gap)));
        found
    }
}
