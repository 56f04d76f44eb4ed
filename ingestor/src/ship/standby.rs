//! Decides what a daemon does with its spool while another daemon holds the lease.

use std::collections::BTreeMap;
use std::time::Duration;

use shared::channel::Channel;
use shared::coverage::{Interval, State};
use shared::time::Micros;
use tokio::sync::watch;
use tokio::time::Instant;

use crate::clock::system_micros;
use crate::store::lease::Turn;
use crate::store::reader::StoreReader;

/// Interval between two readings of the other daemons' ledgers of a channel.
const LOOK_EVERY: Duration = Duration::from_secs(10);

/// Decides what a standby does with an event of its spool. Skips events that another daemon captured. Writes those that
/// others declared missed, also if the exchange's history has filled the gap since: it tells less of a trade and leaves
/// out triggered stop orders. Keeps the rest until the ledger covers them or this daemon holds the lease.
///
/// An event waits at most three quarters of `fill_after`, so the wait ends before any daemon fills a gap that the event lies in.
/// Ledger entries are written once a minute: if `fill_after` is shorter than 90 seconds, a standby also writes events that the
/// holder has written.
#[derive(Debug)]
pub struct Standby {
    turn: watch::Receiver<Turn>,
    reader: StoreReader,
    daemon: String,
    patience: Duration,
    known: BTreeMap<Channel, (Instant, Vec<Interval>)>,
}

/// What is done with an event.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Decision {
    /// Another daemon captured the event.
    Skip,
    /// No other daemon captured the event.
    Write,
    /// It is not known yet whether another daemon captured the event.
    Wait,
}

impl Standby {
    /// Creates the standby of a daemon. `turn`: its lease; `fill_after`: delay between a gap's end and its filling.
    #[must_use]
    pub fn new(turn: watch::Receiver<Turn>, reader: StoreReader, daemon: String, fill_after: Duration) -> Standby {
        Standby { turn, reader, daemon, patience: fill_after * 3 / 4, known: BTreeMap::new() }
    }

    /// Returns until when an event may wait that was received at `received_at` (the daemon's clock); at most three
    /// quarters of `fill_after` from now, however wrong that clock was.
    #[must_use]
    pub fn until(&self, received_at: Micros) -> Instant {
        let age = Duration::from_micros(system_micros().saturating_sub(received_at.0));
        Instant::now() + self.patience.saturating_sub(age)
    }

    /// Returns true if this daemon holds the lease now.
    #[must_use]
    pub fn holds_lease(&self) -> bool {
        self.turn.borrow().is_some_and(|until| until > Instant::now())
    }

    /// Waits until the lease changes hands, at most a second; for ever if daemons do not write in turn.
    pub async fn pause(standby: Option<&mut Standby>) {
        let Some(standby) = standby else { return std::future::pending().await };
        // An error: nobody changes it any more; the daemon is stopping.
        let _changed = tokio::time::timeout(LOOK_EVERY / 10, standby.turn.changed()).await;
    }

    /// Decides on an event of a channel. `time`: by the exchange's clock; `until`: when it is written at the latest.
    pub async fn decide(&mut self, channel: &Channel, time: Micros, until: Instant) -> Decision {
        if self.holds_lease() {
            return Decision::Write;
        }
        let known = self.known.get(channel);
        let mut decision = known.map_or(Decision::Wait, |(_, intervals)| decide(intervals, time.0));
        if decision == Decision::Wait && known.is_none_or(|(at, _)| at.elapsed() >= LOOK_EVERY) {
            decision = self.read_ledger(channel, time).await;
        }
        if decision == Decision::Wait && until <= Instant::now() { Decision::Write } else { decision }
    }

    async fn read_ledger(&mut self, channel: &Channel, time: Micros) -> Decision {
        match self.reader.ledger_of_others(channel.as_str(), time.0, &self.daemon).await {
            Ok(intervals) => {
                let decision = decide(&intervals, time.0);
                self.known.insert(channel.clone(), (Instant::now(), intervals));
                decision
            }
            Err(error) => {
                tracing::debug!(%channel, error, "the ledger cannot be read");
                Decision::Wait
            }
        }
    }
}

fn decide(intervals: &[Interval], time: u64) -> Decision {
    let here = intervals.iter().filter(|interval| (interval.from..=interval.through).contains(&time));
    match here.map(|interval| interval.state).max().unwrap_or(State::Unknown) {
        State::Captured => Decision::Skip,
        State::Filled | State::Gap => Decision::Write,
        State::Unknown | State::Expired => Decision::Wait,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_another_captured_is_skipped_what_it_missed_is_written_even_if_filled() {
        let interval = |from, through, state| Interval { from, through, state, reason: None };
        let known = [
            interval(10, 20, State::Captured),
            interval(21, 30, State::Gap),
            interval(25, 40, State::Captured),
            interval(50, 60, State::Gap),
            interval(50, 60, State::Filled),
        ];
        let words: Vec<_> = [9, 10, 20, 21, 25, 40, 41, 50, 60].map(|time| decide(&known, time)).into();
        use Decision::{Skip, Wait, Write};
        assert_eq!(words, [Wait, Skip, Skip, Write, Skip, Skip, Wait, Write, Write]);
    }
}
