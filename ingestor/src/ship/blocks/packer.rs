//! Packs events as the daemon would, without writing them.

use std::time::Duration;

use shared::block::stored::BlockItem;
use shared::channel::Channel;
use tokio::time::Instant;

use super::BlockStage;
use crate::config::storage::{Storage, Storages};
use crate::store::batch::BatchEntry;

/// Packs events of one channel into blocks as the daemon would, to say what they take.
pub struct Packer {
    channel: Channel,
    stage: BlockStage,
    blocks: Vec<BlockItem>,
}

impl Packer {
    /// Creates one without events. `age`: how long a block stays open.
    #[must_use]
    pub fn new(channel: Channel, age: Duration) -> Packer {
        // As long as the names that daemons give themselves.
        let stage = BlockStage::new(Storages::default(), age, "a-machine-1a2b3c4d".to_owned());
        Packer { channel, stage, blocks: Vec::new() }
    }

    /// Adds an event that was received at `now`; returns how it would be stored.
    pub fn add(&mut self, sequence: u64, entry: BatchEntry, now: Instant) -> Storage {
        self.stage.close_due(now);
        let storage = if self.stage.add(sequence, entry, now).is_ok() { Storage::Blocks } else { Storage::Events };
        self.take();
        storage
    }

    /// Returns the blocks, the last one as far as it has come.
    #[must_use]
    pub fn finish(mut self) -> Vec<BlockItem> {
        self.stage.close(&self.channel.clone());
        self.take();
        self.blocks
    }

    fn take(&mut self) {
        for kept in self.stage.take_closed() {
            let first = kept.sequences.first().copied().unwrap_or_default();
            self.blocks.extend(BlockItem::new(&kept.channel, &self.stage.daemon, first, kept.data));
        }
    }
}
