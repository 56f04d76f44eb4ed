//! What became of a batch, and of an item that must not replace another.

use crate::store::batch::BatchEntry;

/// What became of a batch.
#[derive(Debug, Default)]
pub struct Outcome {
    /// Entries in the table.
    pub stored: Vec<BatchEntry>,
    /// Entries that can never be in the table, with the reason.
    pub refused: Vec<(BatchEntry, String)>,
}

/// What became of an item that must not replace another.
#[derive(Debug)]
pub enum Insertion {
    /// The item was inserted.
    Inserted(BatchEntry),
    /// There was an item under its key.
    Existed(BatchEntry),
    /// The item can never be in the table, with the reason.
    Refused(BatchEntry, String),
}

impl From<Insertion> for Outcome {
    fn from(first: Insertion) -> Outcome {
        match first {
            Insertion::Inserted(entry) | Insertion::Existed(entry) => {
                Outcome { stored: vec![entry], refused: Vec::new() }
            }
            Insertion::Refused(entry, reason) => Outcome { stored: Vec::new(), refused: vec![(entry, reason)] },
        }
    }
}
