//! Sums over events and blocks.

use backfill::progress::as_f64;
use shared::item::{self, Item};

use crate::pack::Packed;

/// What DynamoDB adds to each item, in the table and in the index, bytes.
/// Source: <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/CapacityUnitCalculations.html>
const OVERHEAD: usize = 100;

#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub(super) struct Sums {
    pub(super) events: f64,
    pub(super) singles: f64,
    pub(super) moved: f64,
    pub(super) blocks: f64,
    /// Bytes of all events as the index returns them.
    pub(super) read_bytes: f64,
    /// Units of the moved events.
    pub(super) item_units: f64,
    pub(super) block_units: f64,
    pub(super) block_reads: f64,
    /// Of the moved events, with the overhead, once.
    pub(super) item_bytes: f64,
    pub(super) block_bytes: f64,
}

impl Sums {
    pub(super) fn note_read(&mut self, item: &Item) {
        self.events += 1.0;
        self.read_bytes += count(item::size(item));
    }

    pub(super) fn note_block(&mut self, packed: &Packed) {
        self.blocks += 1.0;
        self.moved += count(packed.events.len());
        for event in &packed.events {
            self.item_units += as_f64(item::write_units(event));
            self.item_bytes += count(item::size(event) + OVERHEAD);
        }
        let attributes = packed.block.to_attributes();
        let size = item::size(&attributes);
        self.block_units += as_f64(item::write_units(&attributes));
        self.block_reads += count(size.div_ceil(4096));
        self.block_bytes += count(size + OVERHEAD);
    }

    pub(super) fn scaled(self, factor: f64) -> Sums {
        Sums {
            events: self.events * factor,
            singles: self.singles * factor,
            moved: self.moved * factor,
            blocks: self.blocks * factor,
            read_bytes: self.read_bytes * factor,
            item_units: self.item_units * factor,
            block_units: self.block_units * factor,
            block_reads: self.block_reads * factor,
            item_bytes: self.item_bytes * factor,
            block_bytes: self.block_bytes * factor,
        }
    }

    pub(super) fn and(self, other: Sums) -> Sums {
        Sums {
            events: self.events + other.events,
            singles: self.singles + other.singles,
            moved: self.moved + other.moved,
            blocks: self.blocks + other.blocks,
            read_bytes: self.read_bytes + other.read_bytes,
            item_units: self.item_units + other.item_units,
            block_units: self.block_units + other.block_units,
            block_reads: self.block_reads + other.block_reads,
            item_bytes: self.item_bytes + other.item_bytes,
            block_bytes: self.block_bytes + other.block_bytes,
        }
    }
}

fn count(number: usize) -> f64 {
    as_f64(number as u64)
}
