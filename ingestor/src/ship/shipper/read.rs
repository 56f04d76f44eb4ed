//! Reads records from the spool and decides what becomes of each.

use shared::time::Micros;

use crate::ledger::LedgerInput;
use crate::ship::conflict;
use crate::ship::decode::{Decoded, decode};
use crate::ship::parked::ParkedRecord;
use crate::ship::shipper::Shipper;
use crate::ship::standby::Decision;
use crate::spool::SpoolError;
use crate::spool::quarantine::QuarantineEntry;
use crate::spool::record::Record;
use crate::store::batch::BatchEntry;

/// Largest number of records read at once ...
const READ_RECORDS: usize = 500;
/// ... and largest size in bytes; bounds memory for large frames.
const READ_BYTES: usize = 1 << 20;
/// Largest number of records in flight, read and not settled, however long the oldest of them takes.
const WINDOW: usize = 8_000;
/// Largest number of records in flight while some are parked or in blocks, most of which take no memory but their place.
const WIDE_WINDOW: usize = 32_000;
/// Largest size of frames in flight, in bytes.
const WINDOW_BYTES: usize = 4 << 20;

/// An event, its ledger input (`None` if its time is implausible) and its price.
type Event = (Box<BatchEntry>, Option<LedgerInput>, Option<String>);

/// What became of a record that was read.
pub(super) enum Taken {
    /// It is settled later.
    Waits,
    /// Nothing is to be written.
    Settled,
    /// It belongs into the quarantine.
    Refused(Box<QuarantineEntry>),
}

impl Shipper {
    /// Returns true if there is room for more records.
    pub(super) fn may_read(&self) -> bool {
        self.may_add() && !self.is_window_full()
    }

    /// Returns true if as many records are read and not passed by the position as there may be.
    pub(super) fn is_window_full(&self) -> bool {
        let is_wide = self.blocks.is_used() || !self.parked.is_empty();
        self.window.len() >= if is_wide { WIDE_WINDOW } else { WINDOW }
    }

    fn may_add(&self) -> bool {
        self.ready.is_empty() && self.in_flight.len() < WINDOW && self.in_flight.bytes() < WINDOW_BYTES
    }

    /// Reads the next records of the spool, decodes them and decides on each.
    pub(super) async fn read(&mut self) -> Result<(), SpoolError> {
        let from = self.window.next();
        let records = tokio::task::block_in_place(|| self.spool.read(from, READ_RECORDS, READ_BYTES))?;
        let (mut done, mut refused) = (Vec::new(), Vec::new());
        for (sequence, record) in records {
            self.window.read(sequence);
            match decode(&record) {
                Decoded::Nothing => done.push(sequence),
                Decoded::ConnectionEvent(input) => {
                    self.inputs.push_back((sequence, *input));
                    done.push(sequence);
                }
                Decoded::Refused(reason) => refused.push(QuarantineEntry { sequence, reason, record }),
                Decoded::Event(entry, input, price) => {
                    let event = (entry, input, price);
                    match self.event(sequence, record, event).await {
                        Taken::Waits => {}
                        Taken::Settled => done.push(sequence),
                        Taken::Refused(entry) => refused.push(*entry),
                    }
                }
            }
        }
        self.quarantine(&refused)?;
        done.extend(refused.iter().map(|entry| entry.sequence));
        self.acknowledge(&done)
    }

    /// Decides what becomes of an event.
    async fn event(&mut self, sequence: u64, record: Record, (entry, input, price): Event) -> Taken {
        let (is_conflict, fate) = (self.conflicts.is_conflict(&entry), self.blocks.fate(sequence));
        // Nobody's ledger speaks of an event whose time cannot be.
        let is_plausible = input.is_some();
        self.inputs.extend(input.map(|input| (sequence, input)));
        if is_conflict && fate.is_none() {
            self.status.key_conflicts.add(1);
            let reason = conflict::REASON.to_owned();
            return Taken::Refused(Box::new(QuarantineEntry { sequence, reason, record }));
        }
        self.clock.event(&self.status, &entry, is_plausible);
        if let Some(fate) = fate {
            self.status.event(&entry.channel, price.as_deref());
            return self.take_decided(sequence, record, *entry, fate);
        }
        let decision = match is_plausible {
            true => self.decide(sequence, &record, &entry).await,
            false => Decision::Write,
        };
        match decision {
            Decision::Skip => {
                self.skip(entry.time);
                return Taken::Settled;
            }
            Decision::Wait => {}
            Decision::Write => self.take(sequence, record, *entry, price.as_deref(), is_plausible),
        }
        Taken::Waits
    }

    /// Decides on a record while another daemon may hold the lease; parks it if it must wait.
    async fn decide(&mut self, sequence: u64, record: &Record, entry: &BatchEntry) -> Decision {
        let Some(standby) = &mut self.standby else { return Decision::Write };
        if standby.holds_lease() {
            return Decision::Write;
        }
        let until = standby.until(record.received_at);
        // A channel's records keep their order: those behind one that waits are looked at after it.
        let decision = match self.parked.has(&entry.channel) {
            true => Decision::Wait,
            false => standby.decide(&entry.channel, entry.time, until).await,
        };
        if decision == Decision::Wait {
            self.parked.add(entry.channel.clone(), ParkedRecord { sequence, time: entry.time, until });
        }
        decision
    }

    /// Decides on parked records, as far as that is possible now and there is room. Returns true if there are more.
    pub(super) async fn unpark(&mut self) -> Result<bool, SpoolError> {
        let mut done = Vec::new();
        for channel in self.parked.channels() {
            while let Some(waiting) = self.parked.first(&channel) {
                let Some(standby) = &mut self.standby else { break };
                match standby.decide(&channel, waiting.time, waiting.until).await {
                    Decision::Wait => break,
                    Decision::Skip => {
                        self.skip(waiting.time);
                        done.push(waiting.sequence);
                    }
                    Decision::Write if self.may_add() => {
                        self.take_again(waiting.sequence, &mut done)?;
                        self.start_writes();
                    }
                    Decision::Write => {
                        self.acknowledge(&done)?;
                        return Ok(true);
                    }
                }
                self.parked.remove_first(&channel);
            }
        }
        self.acknowledge(&done)?;
        Ok(false)
    }

    /// Reads a parked record again and writes it.
    fn take_again(&mut self, sequence: u64, done: &mut Vec<u64>) -> Result<(), SpoolError> {
        let record = self.read_again(sequence)?;
        match decode(&record) {
            Decoded::Event(entry, input, price) => {
                self.take(sequence, record, *entry, price.as_deref(), input.is_some());
            }
            Decoded::Nothing | Decoded::ConnectionEvent(_) => done.push(sequence),
            Decoded::Refused(reason) => {
                self.quarantine(&[QuarantineEntry { sequence, reason, record }])?;
                done.push(sequence);
            }
        }
        Ok(())
    }

    /// Leaves an event to the daemon that captured it.
    fn skip(&self, time: Micros) {
        self.status.newest_stored.raise(time.0);
        self.status.skipped.add(1);
    }

    fn take(&mut self, sequence: u64, record: Record, entry: BatchEntry, price: Option<&str>, is_plausible: bool) {
        self.status.event(&entry.channel, price);
        // A block spans seconds: an event of an impossible time has no place in one.
        if is_plausible && self.blocks.takes(&entry.channel) {
            self.collect(sequence, record, entry);
        } else {
            self.take_single(sequence, record, entry);
        }
    }
}
