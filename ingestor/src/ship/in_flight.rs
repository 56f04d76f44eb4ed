//! The records in flight: read from the spool and not settled.

use std::collections::HashMap;

use crate::spool::record::{Payload, Record};

/// The records in flight, by sequence: kept in case the table refuses them.
#[derive(Debug, Default)]
pub(super) struct InFlight {
    records: HashMap<u64, Record>,
    bytes: usize,
}

impl InFlight {
    /// Adds an in-flight record.
    pub(super) fn insert(&mut self, sequence: u64, record: Record) {
        self.bytes += size(&record);
        self.records.insert(sequence, record);
    }

    /// Removes an in-flight record and returns it.
    pub(super) fn remove(&mut self, sequence: u64) -> Option<Record> {
        let record = self.records.remove(&sequence)?;
        self.bytes -= size(&record);
        Some(record)
    }

    /// Returns the number of in-flight records.
    pub(super) fn len(&self) -> usize {
        self.records.len()
    }

    /// Returns true if no record is in flight.
    pub(super) fn is_empty(&self) -> bool {
        self.records.is_empty()
    }

    /// Returns the size of their payloads, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

fn size(record: &Record) -> usize {
    match &record.payload {
        Payload::Text(bytes)
        | Payload::Binary(bytes)
        | Payload::ConnectionEvent(bytes)
        | Payload::Unreadable(bytes) => bytes.len(),
        Payload::Refused(reason) => reason.len(),
    }
}
