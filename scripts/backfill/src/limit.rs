//! Limits consumed capacity units a second and lowers the rate under throttling.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use tokio::{
    sync::Mutex as Gate,
    time::{Instant, sleep},
};
use tokio_util::sync::CancellationToken;

use crate::error::Error;

/// Over such a time, ...
const WINDOW: Duration = Duration::from_secs(1);
/// ... and at least so many calls, ...
const CALLS: u32 = 20;
/// ... more than this share of throttled actions, while ...
const TOO_MANY: f64 = 0.25;
/// ... less than this part of the rate was consumed, means that the rate is too high. Single throttled actions are sent again
/// and change nothing: what they did not consume others do.
const SHORT: f64 = 0.9;
/// The rate falls to this part of what was consumed meanwhile.
const CUT: f64 = 0.9;
/// It grows by this factor in each other window, up to the limit given.
const GROWTH: f64 = 1.1;
/// Units a second below which the rate never falls.
const SLOWEST: f64 = 5.0;
/// The bucket holds so many seconds of the rate.
const DEPTH: f64 = 1.0;

/// A token bucket over consumed capacity.
///
/// What a call will consume is estimated from the calls before it and corrected by what its answer reports; a ready-made rate
/// limiter cannot be corrected afterwards, hence this one. It begins empty and a call waits for all it will take, so what is
/// consumed up to any moment stays at or below the rate. Where the service throttles a good part of all calls, the rate
/// falls below the limit and recovers by itself.
#[derive(Debug)]
pub struct CapacityLimiter {
    state: Mutex<State>,
    /// Held by the one who waits, so that callers are served in the order they came.
    gate: Gate<()>,
}

/// The units that a call was charged beforehand.
#[derive(Debug)]
#[must_use = "a call's charge is settled with what it consumed"]
pub struct Reservation(f64);

impl Reservation {
    /// The units charged.
    pub fn units(&self) -> f64 {
        self.0
    }
}

#[derive(Debug)]
struct State {
    limit: Option<f64>,
    /// Units a second at present; none means as fast as it goes.
    rate: Option<f64>,
    level: f64,
    since: Instant,
    per_action: f64,
    window: Window,
}

#[derive(Debug)]
struct Window {
    begin: Instant,
    calls: u32,
    throttled: f64,
    consumed: f64,
}

impl Window {
    fn new() -> Self {
        Self { begin: Instant::now(), calls: 0, throttled: 0.0, consumed: 0.0 }
    }
}

impl CapacityLimiter {
    /// With a limit in units a second, and a first guess of the units that one action takes.
    pub fn new(limit: Option<f64>, per_action: f64) -> Self {
        let state = State { limit, rate: limit, level: 0.0, since: Instant::now(), per_action, window: Window::new() };
        Self { state: Mutex::new(state), gate: Gate::new(()) }
    }

    /// How many actions fit into one call so that it waits for about a quarter of a second at most.
    pub fn actions_in_call(&self, most: usize) -> usize {
        let fitting = self.with(|state| state.rate.map(|rate| rate / 4.0 / state.per_action));
        // Fewer than `most`, which is small, so nothing is cut off.
        (1..=most).rev().find(|count| fitting.is_none_or(|fitting| as_units(*count) <= fitting)).unwrap_or(1)
    }

    /// Waits until so many actions fit, and charges them.
    ///
    /// # Errors
    /// When the command is interrupted.
    pub async fn take(&self, actions: usize, stop: &CancellationToken) -> Result<Reservation, Error> {
        let _turn = self.gate.lock().await;
        loop {
            let wait = match self.with(|state| state.try_take(as_units(actions))) {
                Ok(reservation) => return Ok(reservation),
                Err(wait) => wait,
            };
            tokio::select! {
                () = sleep(wait) => {}
                () = stop.cancelled() => return Err(Error::Interrupted),
            }
        }
    }

    /// Corrects a charge by what the call consumed, and notes the share of it that was throttled.
    pub fn settle(&self, reservation: Reservation, actions: usize, consumed: f64, throttled: f64) {
        self.with(|state| {
            state.refill();
            state.level += reservation.0 - consumed;
            if actions > 0 && consumed > 0.0 {
                state.per_action += (consumed / as_units(actions) - state.per_action) * 0.2;
            }
            state.window.calls += 1;
            state.window.throttled += throttled;
            state.window.consumed += consumed;
            state.adapt();
        });
    }

    /// Gives back what turned out not to have been consumed.
    pub fn give_back(&self, units: f64) {
        self.with(|state| {
            state.refill();
            state.level += units;
        });
    }

    /// Units a second at present; none means as fast as it goes.
    pub fn rate(&self) -> Option<f64> {
        self.with(|state| state.rate)
    }

    fn with<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }
}

impl State {
    fn try_take(&mut self, actions: f64) -> Result<Reservation, Duration> {
        let units = actions * self.per_action;
        let Some(rate) = self.rate else { return Ok(Reservation(units)) };
        self.refill();
        // A call larger than the bucket goes when the bucket is full, and leaves it overdrawn.
        let needed = units.min(rate * DEPTH);
        if self.level >= needed {
            self.level -= units;
            return Ok(Reservation(units));
        }
        Err(Duration::from_secs_f64((needed - self.level) / rate).max(Duration::from_millis(1)))
    }

    fn refill(&mut self) {
        let now = Instant::now();
        if let Some(rate) = self.rate {
            self.level = (self.level + rate * now.duration_since(self.since).as_secs_f64()).min(rate * DEPTH);
        }
        self.since = now;
    }

    fn adapt(&mut self) {
        let window = &self.window;
        if window.begin.elapsed() < WINDOW || window.calls < CALLS {
            return;
        }
        let share = window.throttled / f64::from(window.calls);
        let consumed = window.consumed / window.begin.elapsed().as_secs_f64();
        if share > TOO_MANY && self.rate.is_none_or(|rate| consumed < rate * SHORT) {
            let rate = (consumed * CUT).max(SLOWEST);
            tracing::info!(throttled_share = share, units_per_second = rate, "throttled, slowing down");
            self.level = 0.0;
            self.rate = Some(rate);
        } else if let Some(rate) = self.rate {
            self.rate = Some((rate * GROWTH).min(self.limit.unwrap_or(f64::INFINITY)));
        }
        self.window = Window::new();
    }
}

/// Counts here are far below 2^32.
fn as_units(count: usize) -> f64 {
    f64::from(u32::try_from(count).unwrap_or(u32::MAX))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs calls of 25 actions for a while; `consume` says what each takes and whether it is throttled.
    async fn drive(limiter: &CapacityLimiter, seconds: u64, mut consume: impl FnMut(u32) -> (f64, f64)) -> f64 {
        let (begin, stop, mut sum) = (Instant::now(), CancellationToken::new(), 0.0);
        for call in 0.. {
            if begin.elapsed() >= Duration::from_secs(seconds) {
                break;
            }
            let reservation = limiter.take(25, &stop).await.unwrap();
            sleep(Duration::from_millis(2)).await;
            let (units, throttled) = consume(call);
            limiter.settle(reservation, 25, units, throttled);
            sum += units;
        }
        sum / begin.elapsed().as_secs_f64()
    }

    #[tokio::test(start_paused = true)]
    async fn consumption_stays_within_5_percent_below_the_limit() {
        for wrong_guess in [0.5, 2.0, 8.0] {
            let limiter = CapacityLimiter::new(Some(500.0), wrong_guess);
            let rate = drive(&limiter, 60, |_| (50.0, 0.0)).await;
            assert!((475.0..=502.0).contains(&rate), "guess {wrong_guess}: {rate}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn single_throttled_calls_do_not_slow_it_down() {
        let limiter = CapacityLimiter::new(Some(2000.0), 2.0);
        let rate = drive(&limiter, 60, |call| if call % 3 == 0 { (0.0, 1.0) } else { (50.0, 0.0) }).await;
        assert!((1900.0..=2000.0).contains(&rate), "{rate}");
    }

    #[tokio::test(start_paused = true)]
    async fn a_lower_real_limit_is_found_and_left_again() {
        let limiter = CapacityLimiter::new(Some(4000.0), 2.0);
        let mut level = (0.0, Instant::now());
        let rate = drive(&limiter, 120, |_| {
            // The service itself grants 1,000 a second.
            level = ((level.0 + level.1.elapsed().as_secs_f64() * 1000.0_f64).min(1000.0), Instant::now());
            if level.0 < 50.0 {
                return (0.0, 1.0);
            }
            level.0 -= 50.0;
            (50.0, 0.0)
        })
        .await;
        assert!((850.0..=1010.0).contains(&rate), "{rate}");
        assert!(limiter.rate().unwrap() < 2000.0);
        let rate = drive(&limiter, 120, |_| (50.0, 0.0)).await;
        assert!(rate > 2500.0, "{rate}");
    }

    #[tokio::test(start_paused = true)]
    async fn small_limits_make_small_calls() {
        assert_eq!(CapacityLimiter::new(Some(16.0), 2.0).actions_in_call(25), 2);
        assert_eq!(CapacityLimiter::new(Some(1.0), 2.0).actions_in_call(25), 1);
        assert_eq!(CapacityLimiter::new(Some(4000.0), 2.0).actions_in_call(25), 25);
        assert_eq!(CapacityLimiter::new(None, 2.0).actions_in_call(25), 25);
    }
}
