//! Settles what was written or refused, and acknowledges it to the spool.

use std::sync::atomic::Ordering;

use shared::channel::Channel;
use shared::item;

use crate::clock::system_micros;
use crate::observe::status::StoredEvents;
use crate::ship::blocks::Fate;
use crate::ship::shipper::Shipper;
use crate::spool::SpoolError;
use crate::spool::quarantine::QuarantineEntry;
use crate::store::batch::BatchEntry;
use crate::store::twins;
use crate::store::writer::Outcome;

impl Shipper {
    /// Settles what was written, except trades that may be in the table twice: those are settled once they are there
    /// once.
    pub(super) fn settle(&mut self, mut outcome: Outcome) -> Result<(), SpoolError> {
        let now = system_micros();
        for entry in outcome.stored.extract_if(.., |entry| twins::may_have_one(entry, now)) {
            self.late.add(entry);
        }
        self.settle_whole(outcome)
    }

    pub(super) fn settle_whole(&mut self, outcome: Outcome) -> Result<(), SpoolError> {
        let mut done = Vec::new();
        for entry in outcome.stored {
            match &entry.ledger {
                Some(entry) => {
                    if let Some(channel) = entry.gap() {
                        self.gap_queue.add(Channel::from_frame(channel.to_owned()));
                    }
                    self.ledger.settle(entry);
                }
                None => self.note_stored(&entry),
            }
            for sequence in &entry.sequences {
                self.in_flight.remove(*sequence);
            }
            done.extend(entry.sequences);
        }
        let (mut refused, mut dissolved) = (Vec::new(), Vec::new());
        for (entry, reason) in outcome.refused {
            if let Some(note) = &entry.block {
                self.blocks.settle(note, Fate::Refused);
                dissolved.push((entry.sequences, reason));
                continue;
            }
            if let Some(entry) = &entry.ledger {
                tracing::error!(?entry, reason, "the table refuses an entry of the ledger");
                self.ledger.settle(entry);
            }
            for sequence in entry.sequences {
                if let Some(record) = self.in_flight.remove(sequence) {
                    refused.push(QuarantineEntry { sequence, reason: reason.clone(), record });
                }
                done.push(sequence);
            }
        }
        self.quarantine(&refused)?;
        self.acknowledge(&done)?;
        for (sequences, reason) in dissolved {
            self.write_singly(&sequences, &reason)?;
        }
        Ok(())
    }

    fn note_stored(&mut self, entry: &BatchEntry) {
        let events = entry.block.map_or(1, |note| note.events.into());
        let bytes = item::size(&entry.item);
        let stored = StoredEvents { events, bytes: bytes as u64, units: item::write_units_of(bytes) };
        self.status.stored(&entry.channel, entry.time, stored);
        if let Some(note) = &entry.block {
            self.blocks.settle(note, Fate::Stored);
            self.status.stored_block(stored);
        }
    }

    pub(super) fn quarantine(&self, entries: &[QuarantineEntry]) -> Result<(), SpoolError> {
        if entries.is_empty() {
            return Ok(());
        }
        for entry in entries {
            tracing::warn!(sequence = entry.sequence, reason = entry.reason, "record goes to the quarantine");
        }
        self.status.quarantined.add(entries.len() as u64);
        tokio::task::block_in_place(|| self.spool.quarantine().put(entries))
    }

    pub(super) fn acknowledge(&mut self, sequences: &[u64]) -> Result<(), SpoolError> {
        for sequence in sequences {
            self.window.settle(*sequence);
        }
        let position = self.window.position();
        self.blocks.pass(position);
        while let Some((_, input)) = self.inputs.pop_front_if(|(sequence, _)| *sequence < position) {
            self.ledger.apply(input);
        }
        self.clock.skew(&self.status, self.ledger.skew());
        let saved = self.ledger.save();
        tokio::task::block_in_place(|| self.spool.acknowledge(position, saved.as_deref()))?;
        self.write_ledger_entries();
        if self.status.intake_stopped.load(Ordering::Relaxed) && self.spool.has_room() {
            self.status.intake_stopped.store(false, Ordering::Relaxed);
        }
        Ok(())
    }
}
