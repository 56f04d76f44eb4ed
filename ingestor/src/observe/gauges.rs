//! Numbers that any thread may change and read without a lock.

use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};
use std::sync::{Mutex, MutexGuard, PoisonError};

/// A number that only grows.
#[derive(Debug, Default)]
pub struct Counter(AtomicU64);

impl Counter {
    /// Adds to the number.
    pub fn add(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    /// Returns the sum so far.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number that goes up and down.
#[derive(Debug, Default)]
pub struct Gauge(AtomicU64);

impl Gauge {
    /// Replaces the number.
    pub fn set(&self, number: u64) {
        self.0.store(number, Ordering::Relaxed);
    }

    /// Replaces the number if `number` is larger.
    pub fn raise(&self, number: u64) {
        self.0.fetch_max(number, Ordering::Relaxed);
    }

    /// Adds to the number.
    pub fn add(&self, number: u64) {
        self.0.fetch_add(number, Ordering::Relaxed);
    }

    /// Subtracts from the number.
    pub fn sub(&self, number: u64) {
        self.0.fetch_sub(number, Ordering::Relaxed);
    }

    /// Returns the number now.
    #[must_use]
    pub fn get(&self) -> u64 {
        self.0.load(Ordering::Relaxed)
    }
}

/// A number of either sign that goes up and down, and may be unknown.
#[derive(Debug)]
pub struct SignedGauge(AtomicI64);

/// Stands for an unknown number.
const UNKNOWN: i64 = i64::MIN;

impl Default for SignedGauge {
    fn default() -> SignedGauge {
        SignedGauge(AtomicI64::new(UNKNOWN))
    }
}

impl SignedGauge {
    /// Replaces the number; `None` if it is not known.
    pub fn set(&self, number: Option<i64>) {
        self.0.store(number.unwrap_or(UNKNOWN), Ordering::Relaxed);
    }

    /// Returns the number now; `None` while it is not known.
    #[must_use]
    pub fn get(&self) -> Option<i64> {
        Some(self.0.load(Ordering::Relaxed)).filter(|number| *number != UNKNOWN)
    }
}

/// Locks a mutex, also after a panic elsewhere, which does not make counts wrong.
pub(super) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}
