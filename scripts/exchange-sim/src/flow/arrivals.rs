//! When the next action of a market happens: a mean rate with second-long bursts and clusters within a millisecond.

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

/// In a burst the rate is this multiple of the mean: 540 to 240.
const BURST: f64 = 2.25;
/// Length of a burst, seconds.
const BURST_SECONDS: f64 = 1.0;
/// Mean time between two bursts, seconds.
const CALM_SECONDS: f64 = 19.0;
/// Outside bursts the rate is lower, so that the mean stays.
const CALM: f64 = (CALM_SECONDS + BURST_SECONDS - BURST * BURST_SECONDS) / CALM_SECONDS;
/// One action in so many starts a cluster.
const CLUSTER_EVERY: u32 = 12;
/// Largest cluster: 45 events in a millisecond were the most in a recorded minute.
const CLUSTER_MOST: u32 = 40;

/// The clock of one market's orders.
#[derive(Debug)]
pub struct ArrivalProcess {
    /// Mean events a second.
    rate: f64,
    /// Time of the next action, microseconds since the start of the flow.
    next: f64,
    /// Time at which the current mood ends.
    until: f64,
    bursting: bool,
    /// Actions still to come in the current cluster.
    cluster: u32,
    /// Time that the cluster has used up in advance, microseconds.
    debt: f64,
}

impl ArrivalProcess {
    /// Returns a process of `rate` events a second on average.
    pub fn new(rate: f64, rng: &mut ChaCha8Rng) -> Self {
        let mut arrivals = Self { rate, next: 0.0, until: 0.0, bursting: true, cluster: 0, debt: 0.0 };
        arrivals.turn(rng);
        arrivals.advance(1, rng);
        arrivals
    }

    /// Time of the next action, microseconds since the start of the flow.
    pub fn next(&self) -> u64 {
        #[expect(
            clippy::cast_possible_truncation,
            clippy::cast_sign_loss,
            reason = "a time since the start, never negative"
        )]
        let micros = self.next as u64;
        micros
    }

    /// Moves on after an action that made `events` events: the time they take at the current rate.
    pub fn advance(&mut self, events: u32, rng: &mut ChaCha8Rng) {
        let multiple = if self.bursting { BURST } else { CALM };
        let mean = f64::from(events.max(1)) * 1e6 / (self.rate * multiple);
        if self.cluster > 0 {
            self.cluster -= 1;
            self.debt += mean;
            self.next += rng.random_range(0.0..25.0);
        } else {
            let share: f64 = rng.random_range(f64::MIN_POSITIVE..1.0);
            self.next += mean * -share.ln() + self.debt;
            self.debt = 0.0;
            if rng.random_range(0..CLUSTER_EVERY) == 0 {
                // Most clusters are small: a product of two draws.
                self.cluster = rng.random_range(1..=CLUSTER_MOST).min(rng.random_range(1..=CLUSTER_MOST)) / 2;
            }
        }
        while self.next >= self.until {
            self.turn(rng);
        }
    }

    fn turn(&mut self, rng: &mut ChaCha8Rng) {
        self.bursting = !self.bursting;
        let seconds = if self.bursting {
            BURST_SECONDS
        } else {
            let share: f64 = rng.random_range(f64::MIN_POSITIVE..1.0);
            CALM_SECONDS * -share.ln()
        };
        self.until += seconds * 1e6;
    }
}
