use std::collections::{BTreeMap, VecDeque};

use serde::{Deserialize, Serialize};
use shared::coverage::State;

/// Why there is a gap although a connection was there.
pub(super) const BROKEN: &str = "the exchange left out events: pre_event_id names one that did not come";
/// Later by this much, in microseconds, than its successor, an event that did not come is missing. Frames overtake each other by far less.
pub(super) const SETTLE: u64 = 10_000_000;
/// So many events are remembered, to tell one that comes again from one that does not fit.
const RECENT: usize = 64;

/// The exchange's chain of a market's order events: each names the one before it (`pre_event_id`, on frames since 2026;
/// 252,374 events in an hour had one break). Ids are kept as hashes. Times are the exchange's.
#[derive(Debug, Serialize, Deserialize)]
pub(super) struct Chain {
    /// The last event up to which nothing is missing, and its time.
    last: (u64, u64),
    recent: VecDeque<u64>,
    /// Events whose predecessor did not come yet, by that predecessor.
    waiting: BTreeMap<u64, Waiting>,
}

#[derive(Clone, Copy, Debug, Serialize, Deserialize)]
struct Waiting {
    id: u64,
    time: u64,
    /// When it came, by the daemon's clock.
    since: u64,
}

impl Chain {
    /// Begins with an event: nothing is known of what was before it.
    pub(super) fn new(id: u64, time: u64) -> Chain {
        Chain { last: (id, time), recent: VecDeque::from([id]), waiting: BTreeMap::new() }
    }

    /// An event came. `now`: by the daemon's clock.
    pub(super) fn link(&mut self, id: u64, before: u64, time: u64, now: u64) {
        if before == self.last.0 {
            self.pass(id, time);
            self.pass_waiting();
        } else if time >= self.last.1 && !self.recent.contains(&id) {
            self.waiting.entry(before).or_insert(Waiting { id, time, since: now });
        }
    }

    /// Whether every event that came has its place.
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

    /// What is certain by `now` (the daemon's clock): from wherever it was known to before, through which moment which state.
    /// `live`: a connection carries the channel; `gone`: none has for a while.
    pub(super) fn advance(&mut self, live: bool, gone: bool, now: u64) -> Vec<(u64, State)> {
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
        if gone {
            found.push((now - 1, State::Gap));
        }
        found
    }
}
