use std::collections::HashMap;

use crate::spool::record::{Content, Record};

/// The records under way, by sequence: what must be kept in case the table refuses them.
#[derive(Debug, Default)]
pub(super) struct Open {
    records: HashMap<u64, Record>,
    bytes: usize,
}

impl Open {
    /// One more is under way.
    pub(super) fn insert(&mut self, sequence: u64, record: Record) {
        self.bytes += size(&record);
        self.records.insert(sequence, record);
    }

    /// One is under way no more.
    pub(super) fn remove(&mut self, sequence: u64) -> Option<Record> {
        let record = self.records.remove(&sequence)?;
        self.bytes -= size(&record);
        Some(record)
    }

    /// What they take, in bytes.
    pub(super) fn bytes(&self) -> usize {
        self.bytes
    }
}

fn size(record: &Record) -> usize {
    match &record.content {
        Content::Text(bytes) | Content::Binary(bytes) | Content::Story(bytes) => bytes.len(),
        Content::Refused(reason) => reason.len(),
    }
}
