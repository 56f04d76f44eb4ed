//! The blocks whose borders are decided and that may not be in the table yet.
//!
//! A block is kept as it will be written, its bytes included, before the first attempt to write it. What a crash, a retry, another setting
//! or another version of the encoder could change is decided by then: the block is written again with the same bytes under the same key, and
//! its records go into no other one.
//!
//! Keyspace `blocks`: key = number of the slot (u64, big endian), value = [`KeptBlock`]. A block is needed until the position has passed all
//! of its records. Nothing is removed: its slot then takes the next block, so there are as many slots as blocks were ever open at
//! once, and the engine drops what is overwritten. (Keys that only rise and are removed one by one keep their space.)
//!
//! Value: version (1 byte, 1); length of the channel's name and the name; count of runs of sequences, and for each run the distance from
//! the end of the run before and its length; then the bytes of the block. All numbers are varints: groups of seven bits, the lowest first,
//! all bytes but the last with the high bit.

use fjall::{Database, Keyspace, PersistMode};

use crate::spool::open::options;
use crate::spool::{Spool, SpoolError, lock, storage};

/// Version of a kept block's value.
const VERSION: u8 = 1;
/// No block has more records; bytes that say so are damaged.
const MOST_RECORDS: u64 = 1 << 20;

/// A block and the records that it settles.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeptBlock {
    /// The channel of its events.
    pub channel: String,
    /// Sequences of its records, ascending; not empty.
    pub sequences: Vec<u64>,
    /// The block's bytes ([`shared::block`]).
    pub data: Vec<u8>,
}

/// The slots of the keyspace.
pub(super) struct KeptBlocks {
    keyspace: Keyspace,
    /// Of each slot the last sequence of its block; `None` for one that cannot be read.
    slots: Vec<Option<u64>>,
}

impl KeptBlock {
    fn encode(&self) -> Vec<u8> {
        let mut bytes = vec![VERSION];
        push(&mut bytes, self.channel.len() as u64);
        bytes.extend(self.channel.as_bytes());
        let runs = runs(&self.sequences);
        push(&mut bytes, runs.len() as u64);
        let mut end = 0;
        for (first, length) in runs {
            push(&mut bytes, first - end);
            push(&mut bytes, length);
            end = first + length;
        }
        bytes.extend(&self.data);
        bytes
    }

    /// Reads what [`KeptBlock::encode`] wrote; `None` for other bytes.
    fn decode(bytes: &[u8]) -> Option<KeptBlock> {
        let (version, mut rest) = bytes.split_first()?;
        if *version != VERSION {
            return None;
        }
        let length = usize::try_from(take(&mut rest)?).ok()?;
        let (channel, mut rest) = rest.split_at_checked(length)?;
        let channel = str::from_utf8(channel).ok()?.to_owned();
        let (mut sequences, mut end) = (Vec::new(), 0_u64);
        for _ in 0..take(&mut rest)? {
            let first = end.checked_add(take(&mut rest)?)?;
            let length = take(&mut rest).filter(|length| *length <= MOST_RECORDS - sequences.len() as u64)?;
            end = first.checked_add(length)?;
            sequences.extend(first..end);
        }
        (!sequences.is_empty()).then(|| KeptBlock { channel, sequences, data: rest.to_vec() })
    }
}

impl KeptBlocks {
    pub(super) fn open(database: &Database) -> Result<KeptBlocks, SpoolError> {
        let keyspace = database.keyspace("blocks", options).map_err(storage("opening"))?;
        let mut slots = Vec::new();
        for entry in keyspace.iter() {
            let (_, value) = entry.into_inner().map_err(storage("reading"))?;
            slots.push(KeptBlock::decode(&value).and_then(|block| block.sequences.last().copied()));
        }
        Ok(KeptBlocks { keyspace, slots })
    }
}

impl Spool {
    /// Makes blocks durable, each in a slot of its own. They are there until the position has passed their last records.
    ///
    /// # Errors
    ///
    /// Returns [`SpoolError::Storage`] if the disk fails; the process must end.
    pub fn keep_blocks(&self, blocks: &[KeptBlock]) -> Result<(), SpoolError> {
        if blocks.is_empty() {
            return Ok(());
        }
        let position = self.position();
        let mut kept = lock(&self.blocks);
        let mut batch = self.database.batch();
        let mut slot = 0;
        for block in blocks {
            while kept.slots.get(slot).is_some_and(|last| last.is_some_and(|last| last >= position)) {
                slot += 1;
            }
            batch.insert(&kept.keyspace, (slot as u64).to_be_bytes(), block.encode());
            let last = block.sequences.last().copied();
            match kept.slots.get_mut(slot) {
                Some(free) => *free = last,
                None => kept.slots.push(last),
            }
            slot += 1;
        }
        batch.commit().map_err(storage("keeping blocks"))?;
        self.database.persist(PersistMode::SyncData).map_err(storage("keeping blocks"))
    }

    /// Returns the blocks that have records at or after the position, in the order of their first records.
    ///
    /// A block that this version cannot read is left out: its records go into other blocks, whose events readers merge with it.
    ///
    /// # Errors
    ///
    /// Returns [`SpoolError::Storage`] if the disk fails.
    pub fn kept_blocks(&self) -> Result<Vec<KeptBlock>, SpoolError> {
        let position = self.position();
        let mut found = Vec::new();
        for entry in lock(&self.blocks).keyspace.iter() {
            let (_, value) = entry.into_inner().map_err(storage("reading"))?;
            match KeptBlock::decode(&value) {
                Some(block) if block.sequences.last().is_some_and(|last| *last >= position) => found.push(block),
                Some(_) => {}
                None => tracing::warn!(bytes = value.len(), "a kept block cannot be read"),
            }
        }
        found.sort_by(|one, other| one.sequences.cmp(&other.sequences));
        Ok(found)
    }
}

/// Returns the first sequence and the length of each unbroken run.
fn runs(sequences: &[u64]) -> Vec<(u64, u64)> {
    let mut runs: Vec<(u64, u64)> = Vec::new();
    for sequence in sequences {
        match runs.last_mut() {
            Some((first, length)) if *first + *length == *sequence => *length += 1,
            _ => runs.push((*sequence, 1)),
        }
    }
    runs
}

fn push(bytes: &mut Vec<u8>, mut number: u64) {
    while number >= 0x80 {
        bytes.push((number & 0x7f) as u8 | 0x80);
        number >>= 7;
    }
    bytes.push((number & 0x7f) as u8);
}

fn take(bytes: &mut &[u8]) -> Option<u64> {
    let mut number = 0_u64;
    for shift in (0..64).step_by(7) {
        let (byte, rest) = bytes.split_first()?;
        *bytes = rest;
        let bits = u64::from(byte & 0x7f);
        if shift == 63 && bits > 1 {
            return None;
        }
        number |= bits << shift;
        if byte & 0x80 == 0 {
            return Some(number);
        }
    }
    None
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_block_comes_back(
            channel in "[a-z_]{0,200}",
            sequences in prop::collection::btree_set(prop_oneof![0_u64..300, any::<u64>().prop_map(|n| n >> 1)], 1..200),
            data in prop::collection::vec(any::<u8>(), 0..100),
        ) {
            let block = KeptBlock { channel, sequences: sequences.into_iter().collect(), data };
            prop_assert_eq!(KeptBlock::decode(&block.encode()), Some(block));
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..30)) {
            let mut bytes = bytes;
            if let Some(first) = bytes.first_mut() {
                *first = VERSION;
            }
            if let Some(block) = KeptBlock::decode(&bytes) {
                prop_assert!(block.sequences.len() as u64 <= MOST_RECORDS && block.sequences.is_sorted());
            }
        }
    }

    proptest! {
        #![proptest_config(ProptestConfig { cases: 16, ..ProptestConfig::default() })]

        /// What the position has not passed is there, also after the spool was opened again, and slots are used again.
        #[test]
        fn a_block_is_kept_until_the_position_has_passed_it(
            steps in prop::collection::vec((1_usize..4, 0_u64..6, any::<bool>()), 1..20),
        ) {
            let folder = tempfile::TempDir::new().unwrap();
            let mut spool = Spool::open(folder.path(), 1 << 30).unwrap();
            let (mut next, mut position) = (0_u64, 0_u64);
            let (mut open, mut most) = (Vec::<KeptBlock>::new(), 0);
            for (count, passed, reopen) in steps {
                let new: Vec<_> = (0..count as u64).map(|part| KeptBlock {
                    channel: "a".to_owned(),
                    // They overlap: every second record of a stretch.
                    sequences: (0..3).map(|place| next + part + place * count as u64).collect(),
                    data: vec![1; usize::try_from(next).unwrap() % 50],
                }).collect();
                next += 3 * count as u64;
                spool.keep_blocks(&new).unwrap();
                open.extend(new);
                most = most.max(open.len());
                position = next.min(position + passed);
                spool.acknowledge(position, None).unwrap();
                open.retain(|block| block.sequences.last().unwrap() >= &position);
                if reopen {
                    drop(spool);
                    spool = Spool::open(folder.path(), 1 << 30).unwrap();
                }
                let kept: BTreeSet<Vec<u64>> = spool.kept_blocks().unwrap().into_iter().map(|block| block.sequences).collect();
                let expected: BTreeSet<Vec<u64>> = open.iter().map(|block| block.sequences.clone()).collect();
                prop_assert_eq!(kept, expected);
            }
            prop_assert!(lock(&spool.blocks).slots.len() <= most, "slots are used again");
        }
    }
}
