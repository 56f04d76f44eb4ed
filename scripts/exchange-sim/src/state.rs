//! What all tasks of one simulator share.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::broadcast::Broadcaster;
use crate::clock::wall_micros;
use crate::faults::rest::RestFaults;
use crate::faults::{Aimed, Fault};
use crate::flow::Flow;
use crate::flow::snapshots::{self, Group};

/// One simulator's shared part.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) shutdown: CancellationToken,
    /// Wakes the driver: something was paused, resumed or subscribed to.
    pub(crate) changed: Notify,
    /// True once a recording has been sent to its end.
    pub(crate) finished: watch::Sender<bool>,
    pub(crate) ping_every: Duration,
    pub(crate) stall: Duration,
    state: Mutex<State>,
}

/// What changes. One lock for generating and sending, so that after `pause` nothing is under way.
#[derive(Debug)]
pub(crate) struct State {
    pub(crate) broadcaster: Broadcaster,
    /// What goes wrong on the REST side.
    pub(crate) rest_faults: RestFaults,
    /// The order flow; None where a recording is the source.
    pub(crate) flow: Option<Flow>,
    /// Channels of the recording, which may be subscribed to whatever their names.
    pub(crate) recorded: BTreeSet<String>,
    /// Since when events are generated; None while paused.
    running: Option<Instant>,
    /// Time generated before that.
    before: Duration,
}

impl Exchange {
    pub(crate) fn new(state: State, ping_every: Duration, stall: Duration) -> Self {
        Self {
            shutdown: CancellationToken::new(),
            changed: Notify::new(),
            finished: watch::Sender::new(false),
            ping_every,
            stall,
            state: Mutex::new(state),
        }
    }

    pub(crate) fn lock(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    pub(crate) fn new(broadcaster: Broadcaster, flow: Option<Flow>, recorded: BTreeSet<String>) -> Self {
        Self { broadcaster, rest_faults: RestFaults::default(), flow, recorded, running: None, before: Duration::ZERO }
    }

    /// Lets a fault happen; returns how many connections it concerns.
    pub(crate) fn inject(&mut self, aimed: &Aimed) -> usize {
        match &aimed.fault {
            Fault::Rest(fault) => {
                self.rest_faults.add(fault.clone(), Instant::now());
                0
            }
            _ => self.broadcaster.inject(aimed),
        }
    }

    /// Whether a recording makes this channel one to subscribe to.
    pub(crate) fn offers(&self, channel: &str) -> bool {
        self.recorded.contains(channel)
    }

    pub(crate) fn is_running(&self) -> bool {
        self.running.is_some()
    }

    /// How long events have been generated, without pauses.
    pub(crate) fn elapsed(&self) -> Duration {
        self.before + self.running.map_or(Duration::ZERO, |since| since.elapsed())
    }

    /// The moment at which `elapsed` will be as given; None while paused.
    pub(crate) fn moment(&self, elapsed: Duration) -> Option<Instant> {
        self.running.map(|since| since + elapsed.saturating_sub(self.before))
    }

    /// The whole book of a market, or None for a market that does not exist. `now`, microseconds since the Unix epoch by
    /// the wall clock, is its time only if every change up to then is in it: clients leave out changes that are not
    /// later than the book that they start from.
    pub(crate) fn book(&self, market: &str, now: u64, group: Group) -> Option<String> {
        let flow = self.flow.as_ref()?;
        let market_state = flow.markets.iter().find(|market_state| market_state.market.name == market)?;
        let due = flow.next().filter(|_| self.is_running()).map_or(u64::MAX, |next| flow.origin + next);
        Some(snapshots::whole(market_state, now.min(due.saturating_sub(1)).max(market_state.book_micro), group))
    }

    pub(crate) fn resume(&mut self) {
        if self.running.is_none() {
            self.running = Some(Instant::now());
            let elapsed = u64::try_from(self.before.as_micros()).unwrap_or(u64::MAX);
            if let Some(flow) = &mut self.flow {
                // Never back: microtimestamps only rise, even where the wall clock was set back meanwhile.
                flow.origin = flow.origin.max(wall_micros().saturating_sub(elapsed));
            }
        }
    }

    pub(crate) fn pause(&mut self) {
        self.before = self.elapsed();
        self.running = None;
        self.broadcaster.release_held();
        self.broadcaster.truth.flush();
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::broadcast::Limits;
    use crate::flow::Plan;
    use crate::model::market::Market;
    use crate::truth::writer::Writer;

    #[test]
    fn a_book_is_older_than_every_change_that_is_not_in_it() {
        let origin = wall_micros();
        let markets = vec![Market::named("btcusd").unwrap()];
        let flow = Flow::new(&Plan { markets, seed: 1, rate: 1.0, resting: 10, history: 10 }, origin);
        let broadcaster = Broadcaster::new(Writer::create(None).unwrap(), Limits { frames: 1, bytes: 1 });
        let mut state = State::new(broadcaster, Some(flow), BTreeSet::new());
        let time = |state: &State| {
            let book = state.book("btcusd", origin + 10_000_000, Group::ByPrice).unwrap();
            let book: serde_json::Value = serde_json::from_str(&book).unwrap();
            book["microtimestamp"].as_str().unwrap().parse::<u64>().unwrap()
        };
        assert_eq!(time(&state), origin + 10_000_000);
        // Ten seconds of events are due, and none of them has happened.
        state.resume();
        let flow = state.flow.as_ref().unwrap();
        let next = flow.origin + flow.next().unwrap();
        assert!(time(&state) < next, "{} {next}", time(&state));
    }
}
