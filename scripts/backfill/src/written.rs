//! The result of writing some changes.

use crate::examine::Reject;

/// What became of some changes.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Written {
    /// Written.
    pub updated: u64,
    /// Right already when it came to writing: by another writer, or by an own attempt whose answer was lost.
    pub right: u64,
    /// Deleted meanwhile.
    pub gone: u64,
    /// Cannot be written.
    pub rejects: Vec<Reject>,
    /// Write units consumed, as far as answers said so.
    pub units: f64,
    /// Statements or calls that were throttled.
    pub throttled: u64,
}

impl Written {
    /// Both together.
    #[must_use]
    pub fn and(mut self, other: Self) -> Self {
        self.updated += other.updated;
        self.right += other.right;
        self.gone += other.gone;
        self.rejects.extend(other.rejects);
        self.units += other.units;
        self.throttled += other.throttled;
        self
    }
}
