//! Collects entries in batches.

use tokio::time::Instant;

use crate::ship::shipper::Shipper;
use crate::store::batch::BatchEntry;

impl Shipper {
    /// Adds an entry to the batch; sends the batch once it is full.
    pub(super) fn add(&mut self, entry: BatchEntry) {
        if let Err(entry) = self.batch.add(entry) {
            self.send_batch();
            self.batch.add(*entry).expect("an empty batch takes any entry");
        }
        if self.batch.is_full() {
            self.send_batch();
        } else {
            self.due.get_or_insert_with(|| Instant::now() + self.linger);
        }
    }

    /// Queues the batch for writing, full or not.
    pub(super) fn send_batch(&mut self) {
        self.due = None;
        let entries = self.batch.take();
        if !entries.is_empty() {
            self.ready.push_back(entries);
        }
    }
}
