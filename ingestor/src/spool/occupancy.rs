//! How much the spool holds, readable without a lock.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::spool::Spool;
use crate::spool::segment::Segments;

/// Size of the spool, readable while the disk is busy: metrics and health wait for no lock that is held during a write.
#[derive(Debug, Default)]
pub(super) struct Occupancy {
    next: AtomicU64,
    bytes: AtomicU64,
}

impl Occupancy {
    pub(super) fn note(&self, segments: &Segments) {
        self.next.store(segments.next(), Ordering::Release);
        self.bytes.store(segments.bytes(), Ordering::Release);
    }
}

impl Spool {
    /// Returns the number of records that are not settled.
    #[must_use]
    pub fn depth(&self) -> u64 {
        self.occupancy.next.load(Ordering::Acquire).saturating_sub(self.position())
    }

    /// Returns the size of its segments, in bytes. The quarantine has a limit of its own.
    #[must_use]
    pub fn bytes(&self) -> u64 {
        self.occupancy.bytes.load(Ordering::Acquire)
    }

    /// Returns true if the intake must stop.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.bytes() >= self.max_bytes
    }

    /// Returns true if a stopped intake may resume: a tenth below the limit, so that it does not flutter.
    #[must_use]
    pub fn has_room(&self) -> bool {
        self.bytes() < self.max_bytes / 10 * 9
    }

    /// Returns its limit, in bytes.
    #[must_use]
    pub fn max_bytes(&self) -> u64 {
        self.max_bytes
    }
}
