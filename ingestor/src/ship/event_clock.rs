//! Compares events with this machine's clock: reports skew and implausible times.

use crate::observe::status::{Component, Status};
use crate::store::batch::BatchEntry;

/// Number of implausible times in a row from which this machine's clock is wrong, not an event.
const IN_A_ROW: u64 = 20;
/// Skew in microseconds from which it is a trouble: most of the two seconds that the ledger grants the way from the
/// exchange.
const SKEW: u64 = 1_500_000;

/// Compares the events' times with this machine's clock and reports what is wrong with either.
#[derive(Debug, Default)]
pub(super) struct ClockWatch {
    /// Number of implausible times since the last plausible one.
    implausible: u64,
}

impl ClockWatch {
    /// Notes an event that was read from the spool.
    pub(super) fn event(&mut self, status: &Status, entry: &BatchEntry, plausible: bool) {
        if plausible {
            self.implausible = 0;
            return;
        }
        self.implausible += 1;
        status.implausible.add(1);
        // The first, and then ever more rarely: a wrong clock makes every event one.
        let count = status.implausible.get();
        if count.is_power_of_two() {
            let (channel, sort) = (entry.channel.as_str(), entry.key.microtimestamp.as_str());
            tracing::warn!(channel, time = sort, count, "event with a time that cannot be; it counts for no coverage");
        }
    }

    /// Notes how far the daemon's clock is ahead of the exchange's, in microseconds; `None` if that is not measured.
    pub(super) fn skew(&self, status: &Status, skew: Option<i64>) {
        status.clock_skew.set(skew);
        let sentence = match skew {
            _ if self.implausible >= IN_A_ROW => {
                Some("the exchange's times cannot be by this machine's clock".to_owned())
            }
            Some(skew) if skew.unsigned_abs() > SKEW => {
                let (tenths, side) = (skew.unsigned_abs() / 100_000, if skew > 0 { "ahead of" } else { "behind" });
                Some(format!("this machine's clock is {}.{} s {side} the exchange's", tenths / 10, tenths % 10))
            }
            _ => None,
        };
        status
            .set_trouble(Component::Clock, sentence.map(|sentence| format!("{sentence}; is its time daemon running?")));
    }
}
