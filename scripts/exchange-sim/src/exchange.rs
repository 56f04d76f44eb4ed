//! What all tasks of one simulator share.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::sync::{Notify, watch};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::wall_micros;
use crate::flow::Flow;
use crate::hub::Hub;

/// One simulator's shared part.
#[derive(Debug)]
pub(crate) struct Exchange {
    pub(crate) shutdown: CancellationToken,
    /// Wakes the source: something was paused, resumed or subscribed to.
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
    pub(crate) hub: Hub,
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
    pub(crate) fn new(hub: Hub, flow: Option<Flow>, recorded: BTreeSet<String>) -> Self {
        Self { hub, flow, recorded, running: None, before: Duration::ZERO }
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
        self.hub.release_held();
        self.hub.truth.flush();
    }
}
