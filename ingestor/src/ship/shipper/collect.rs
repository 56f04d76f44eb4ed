//! Keeps closed blocks in the spool and hands them to the writer.

use shared::item;
use tokio::time::Instant;

use crate::ship::blocks::Fate;
use crate::ship::decode::{Decoded, decode};
use crate::ship::shipper::Shipper;
use crate::ship::shipper::read::Taken;
use crate::spool::SpoolError;
use crate::spool::quarantine::QuarantineEntry;
use crate::spool::record::{Record, RecordError};
use crate::store::batch::BatchEntry;

impl Shipper {
    /// Hands the blocks of an earlier run to the writer, as they are: whether they are in the table is not known.
    pub(super) fn recover_blocks(&mut self) -> Result<(), SpoolError> {
        for kept in tokio::task::block_in_place(|| self.spool.kept_blocks())? {
            match self.blocks.entry(&kept) {
                Ok(entry) => {
                    self.blocks.recover(&entry);
                    self.add(entry);
                }
                // Its records are read again and go into others.
                Err(error) => tracing::warn!(channel = kept.channel, %error, "a kept block cannot be written"),
            }
        }
        self.send_batch();
        Ok(())
    }

    /// Closes the blocks that are due; all of them if the daemon stops and nothing more is to be read, or if the window is full and
    /// what is open would keep it from moving.
    pub(super) fn close_blocks(&mut self, stopping: bool) -> Result<(), SpoolError> {
        let is_drained = self.window.next() >= *self.durable.borrow();
        if (stopping && is_drained) || self.is_window_full() {
            self.blocks.close_all();
        } else {
            self.blocks.close_due(Instant::now());
        }
        let closed = self.blocks.take_closed();
        if !closed.is_empty() {
            tokio::task::block_in_place(|| self.spool.keep_blocks(&closed))?;
            for kept in closed {
                match self.blocks.entry(&kept) {
                    Ok(entry) => self.add(entry),
                    Err(error) => self.write_singly(&kept.sequences, &error.to_string())?,
                }
            }
            self.send_batch();
        }
        let dissolved = self.blocks.take_dissolved();
        if !dissolved.is_empty() {
            self.write_singly(&dissolved, "they make no block")?;
        }
        self.start_writes();
        Ok(())
    }

    /// Writes the events of a block that cannot be stored as items of their own. Those that were not read yet are when they are.
    pub(super) fn write_singly(&mut self, sequences: &[u64], reason: &str) -> Result<(), SpoolError> {
        self.status.blocks_refused.add(1);
        let (events, first) = (sequences.len(), sequences.first());
        tracing::warn!(events, first, reason, "a block cannot be stored; its events are written one by one");
        let (mut done, mut refused) = (Vec::new(), Vec::new());
        let read = self.window.position()..self.window.next();
        for sequence in sequences.iter().copied().filter(|sequence| read.contains(sequence)) {
            let record = self.read_again(sequence)?;
            match decode(&record) {
                Decoded::Event(entry, ..) => self.take_single(sequence, record, *entry),
                Decoded::Nothing | Decoded::ConnectionEvent(_) => done.push(sequence),
                Decoded::Refused(reason) => refused.push(QuarantineEntry { sequence, reason, record }),
            }
        }
        self.quarantine(&refused)?;
        done.extend(refused.iter().map(|entry| entry.sequence));
        self.acknowledge(&done)
    }

    /// Takes a record that belongs to a block of an earlier run.
    pub(super) fn take_decided(&mut self, sequence: u64, record: Record, entry: BatchEntry, fate: Fate) -> Taken {
        match fate {
            Fate::Writing => Taken::Waits,
            Fate::Stored => Taken::Settled,
            Fate::Refused => {
                self.take_single(sequence, record, entry);
                Taken::Waits
            }
        }
    }

    /// Adds an event to the block of its channel; as an item of its own if no block takes it.
    pub(super) fn collect(&mut self, sequence: u64, record: Record, mut entry: BatchEntry) {
        self.set_origin(&mut entry, &record);
        if let Err(entry) = self.blocks.add(sequence, entry, Instant::now()) {
            self.take_single(sequence, record, *entry);
        }
    }

    /// Adds an event as an item of its own.
    pub(super) fn take_single(&mut self, sequence: u64, record: Record, mut entry: BatchEntry) {
        entry.sequences.push(sequence);
        // Before the name of the daemon, which is left out where it would cost a write unit.
        self.writer.expire(&mut entry);
        self.set_origin(&mut entry, &record);
        self.in_flight.insert(sequence, record);
        self.add(entry);
    }

    fn set_origin(&self, entry: &mut BatchEntry, record: &Record) {
        if let Some(origin) = self.origin.as_ref().filter(|_| !entry.item.contains_key(item::ORIGIN)) {
            item::set_origin(&mut entry.item, origin, record.connection);
        }
    }

    /// Reads a record again.
    pub(super) fn read_again(&self, sequence: u64) -> Result<Record, SpoolError> {
        let read = tokio::task::block_in_place(|| self.spool.read(sequence, 1, 1))?;
        let found = read.into_iter().find(|(found, _)| *found == sequence).map(|(_, record)| record);
        found.ok_or(SpoolError::Damaged { sequence, source: RecordError::Short(0) })
    }
}
