//! Collects the events of a channel in blocks, and knows which records belong to a block whose borders are decided.
//!
//! An event joins the open block of its channel. A block is closed when its age is over, when it holds 4,096 events, when one more event
//! would make it too long or too large ([`OpenBlock`]), and when the shipper says so: its window is full, or the daemon stops. A closed block is
//! kept in the spool before it is written ([`crate::spool::blocks`]); only then is it an entry for the writer.
//!
//! After a start the kept blocks are written again as they are. Their records are read from the spool like all others, but what becomes
//! of each is what becomes of the block.

use std::collections::{BTreeMap, HashSet};
use std::time::Duration;

use shared::block::AddError;
use shared::block::stored::{BlockItem, OpenBlock, SPAN, StoredError};
use shared::channel::Channel;
use shared::item::Item;
use shared::table::NMICROTIMESTAMP;
use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_128;

use crate::config::storage::{Storage, Storages};
use crate::spool::blocks::KeptBlock;
use crate::store::batch::{BatchEntry, BlockNote};

mod packer;

pub use packer::Packer;

/// Largest number of events in a block: 17 s of the busiest market's average. A reader decodes a block as a whole.
const MOST_EVENTS: u32 = 4_096;

/// What becomes of a record of a block whose borders were decided before the daemon started.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Fate {
    /// The block is being written: the record is settled with it.
    Writing,
    /// The block is in the table.
    Stored,
    /// The table refuses the block: the event is written by itself.
    Refused,
}

/// The open block of a channel.
struct Collecting {
    block: OpenBlock,
    sequences: Vec<u64>,
    /// Hashes of the keys of its events: a message that arrived twice is one event.
    keys: HashSet<u128>,
    /// When it is closed, full or not.
    due: Instant,
}

/// Collects events in blocks; pure, the time is passed in.
pub struct BlockStage {
    storages: Storages,
    age: Duration,
    /// The daemon's name, which is part of a block's key.
    daemon: String,
    open: BTreeMap<Channel, Collecting>,
    /// Blocks whose borders are decided and that are not kept yet.
    closed: Vec<KeptBlock>,
    /// Records of blocks that could not be made.
    dissolved: Vec<u64>,
    /// By record the first record of its block, for blocks of earlier runs.
    recovered: BTreeMap<u64, u64>,
    /// What is known of these blocks, by their first records.
    fates: BTreeMap<u64, Fate>,
    /// Number of blocks that are kept and neither stored nor refused.
    writing: usize,
}

impl BlockStage {
    /// Creates a stage without blocks. `age`: how long a block stays open; `daemon`: the daemon's name.
    #[must_use]
    pub fn new(storages: Storages, age: Duration, daemon: String) -> BlockStage {
        BlockStage {
            storages,
            age,
            daemon,
            open: BTreeMap::new(),
            closed: Vec::new(),
            dissolved: Vec::new(),
            recovered: BTreeMap::new(),
            fates: BTreeMap::new(),
            writing: 0,
        }
    }

    /// Returns true if some channel is stored in blocks.
    pub(super) fn is_used(&self) -> bool {
        self.storages.has_blocks()
    }

    /// Returns true if events of a channel are stored in blocks.
    pub(super) fn takes(&self, channel: &Channel) -> bool {
        self.storages.of(channel) == Storage::Blocks
    }

    /// Returns true if no record waits for a block.
    pub(super) fn is_idle(&self) -> bool {
        self.open.is_empty() && self.closed.is_empty() && self.dissolved.is_empty() && self.writing == 0
    }

    /// Returns true if a block is open.
    pub(super) fn has_open(&self) -> bool {
        !self.open.is_empty()
    }

    /// Adds an event and the record that it came from. Returns the entry if it is to be stored by itself: it is more than [`SPAN`] earlier
    /// than the block's latest event, or no block takes it.
    pub(super) fn add(&mut self, sequence: u64, entry: BatchEntry, now: Instant) -> Result<(), Box<BatchEntry>> {
        let key = xxh3_128(format!("{} {}", entry.key.id, entry.key.microtimestamp).as_bytes());
        if let Some(open) = self.open.get_mut(&entry.channel) {
            if open.keys.contains(&key) {
                open.sequences.push(sequence);
                return Ok(());
            }
            match open.block.add(&entry.item) {
                Ok(()) => {
                    open.sequences.push(sequence);
                    open.keys.insert(key);
                    if open.block.builder().count() >= MOST_EVENTS {
                        self.close(&entry.channel);
                    }
                    return Ok(());
                }
                Err(AddError::Full) if !is_late(&open.block, &entry.item) => self.close(&entry.channel),
                Err(_) => return Err(Box::new(entry)),
            }
        }
        let mut block = OpenBlock::new(entry.channel.as_str(), &self.daemon, sequence);
        if block.add(&entry.item).is_err() {
            return Err(Box::new(entry));
        }
        let keys = HashSet::from([key]);
        let due = now + self.age;
        self.open.insert(entry.channel, Collecting { block, sequences: vec![sequence], keys, due });
        Ok(())
    }

    /// Returns when the next block is to be closed.
    pub(super) fn due(&self) -> Option<Instant> {
        self.open.values().map(|open| open.due).min()
    }

    /// Closes blocks whose age is over, and with them those whose age is nearly over: blocks that are closed together share an fsync.
    pub(super) fn close_due(&mut self, now: Instant) {
        if self.due().is_some_and(|due| due <= now) {
            let until = now + self.age / 8;
            let due = self.open.iter().filter(|(_, open)| open.due <= until).map(|(channel, _)| channel.clone());
            for channel in due.collect::<Vec<_>>() {
                self.close(&channel);
            }
        }
    }

    /// Closes all blocks.
    pub(super) fn close_all(&mut self) {
        while let Some(channel) = self.open.keys().next().cloned() {
            self.close(&channel);
        }
    }

    fn close(&mut self, channel: &Channel) {
        let Some(Collecting { block, mut sequences, .. }) = self.open.remove(channel) else { return };
        // A standby that takes over writes what it reads before what it had parked.
        sequences.sort_unstable();
        match block.finish() {
            Ok(item) => {
                let data = item.data().to_vec();
                self.closed.push(KeptBlock { channel: channel.to_string(), sequences, data });
            }
            Err(error) => {
                tracing::warn!(%channel, %error, "events make no block; they are written one by one");
                self.dissolved.extend(sequences);
            }
        }
    }

    /// Takes the closed blocks, to be kept and then written.
    pub(super) fn take_closed(&mut self) -> Vec<KeptBlock> {
        std::mem::take(&mut self.closed)
    }

    /// Takes the records of blocks that could not be made; their events are stored one by one.
    pub(super) fn take_dissolved(&mut self) -> Vec<u64> {
        std::mem::take(&mut self.dissolved)
    }

    /// Creates the entry that writes a kept block. The same block always makes the same entry.
    ///
    /// # Errors
    ///
    /// Returns the reason if the table cannot hold the block.
    pub(super) fn entry(&mut self, kept: &KeptBlock) -> Result<BatchEntry, StoredError> {
        let first = kept.sequences.first().copied().unwrap_or_default();
        let item = BlockItem::new(&kept.channel, &self.daemon, first, kept.data.clone())?;
        self.writing += 1;
        let channel = Channel::from_frame(kept.channel.clone());
        let note = BlockNote { first, events: item.count() };
        let entry = BatchEntry::of_item(item.key(), channel, item.times().1, item.to_attributes());
        Ok(BatchEntry { sequences: kept.sequences.clone(), block: Some(note), ..entry })
    }

    /// Notes that a block's entry of an earlier run is being written.
    pub(super) fn recover(&mut self, entry: &BatchEntry) {
        if let Some(first) = entry.sequences.first() {
            self.fates.insert(*first, Fate::Writing);
            self.recovered.extend(entry.sequences.iter().map(|sequence| (*sequence, *first)));
        }
    }

    /// Returns what becomes of a record because of a block of an earlier run; `None` if it belongs to none.
    pub(super) fn fate(&self, sequence: u64) -> Option<Fate> {
        self.fates.get(self.recovered.get(&sequence)?).copied()
    }

    /// Notes what became of a block.
    pub(super) fn settle(&mut self, note: &BlockNote, fate: Fate) {
        self.writing = self.writing.saturating_sub(1);
        if let Some(known) = self.fates.get_mut(&note.first) {
            *known = fate;
        }
    }

    /// Forgets the records before the position.
    pub(super) fn pass(&mut self, position: u64) {
        while let Some(first) = self.recovered.first_entry().filter(|first| *first.key() < position) {
            first.remove();
        }
        if self.recovered.is_empty() {
            self.fates.clear();
        }
    }
}

/// Returns true if an event is so much earlier than the block's latest one that no block holds both.
fn is_late(block: &OpenBlock, item: &Item) -> bool {
    let time = item.get(NMICROTIMESTAMP).and_then(|time| time.as_n().ok()?.parse::<u64>().ok());
    let last = block.builder().times().map(|(_, last)| last.0);
    time.zip(last).is_some_and(|(time, last)| last.saturating_sub(time) > SPAN)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;
    use aws_sdk_dynamodb::types::AttributeValue;
    use proptest::prelude::*;
    use shared::key::Key;
    use shared::table::{CHANNEL, EVENT, ID, MICROTIMESTAMP, RECEIVED_AT};
    use shared::time::Micros;

    const AGE: Duration = Duration::from_secs(1);
    const START: u64 = 1_790_000_000_000_000;

    #[derive(Clone, Debug)]
    enum Step {
        /// An event of a channel, so long after the one before it (negative: so long before), or the last one of the channel again; `parked`:
        /// it is added only after the next one.
        Event {
            channel: u8,
            after: i64,
            again: bool,
            parked: bool,
        },
        /// So many milliseconds go by.
        Wait(u64),
        CloseAll,
        /// The daemon starts again: what is not kept is read again.
        Start,
    }

    fn step() -> impl Strategy<Value = Step> {
        let after = prop_oneof![
            6 => 0_i64..400_000,
            1 => -400_000_i64..0,
            1 => prop_oneof![-25_000_000_i64..-9_000_000, 9_000_000_i64..25_000_000],
        ];
        prop_oneof![
            20 => (0_u8..3, after, prop::bool::weighted(0.1), prop::bool::weighted(0.1))
                .prop_map(|(channel, after, again, parked)| Step::Event { channel, after, again, parked }),
            3 => (0_u64..1_500).prop_map(Step::Wait),
            1 => Just(Step::CloseAll),
            1 => Just(Step::Start),
        ]
    }

    fn stage() -> BlockStage {
        BlockStage::new(Storages::default(), AGE, "vm-1".to_owned())
    }

    fn event(channel: u8, number: u64, time: u64) -> BatchEntry {
        let channel = Channel::from_frame(format!("live_orders_{channel}"));
        let key = Key { id: number.to_string(), microtimestamp: format!("{time}#{number:016x}") };
        let item = Item::from([
            (CHANNEL.to_owned(), AttributeValue::S(channel.to_string())),
            (ID.to_owned(), AttributeValue::N(key.id.clone())),
            (MICROTIMESTAMP.to_owned(), AttributeValue::S(key.microtimestamp.clone())),
            (NMICROTIMESTAMP.to_owned(), AttributeValue::N(time.to_string())),
            (EVENT.to_owned(), AttributeValue::S("order_created".to_owned())),
            (RECEIVED_AT.to_owned(), AttributeValue::N((time + 20_000).to_string())),
        ]);
        BatchEntry::of_item(key, channel, Micros(time), item)
    }

    /// What a stage was given, and what it made of it.
    #[derive(Default)]
    struct Model {
        /// The events by sequence.
        given: BTreeMap<u64, BatchEntry>,
        /// The blocks by their keys.
        blocks: BTreeMap<Key, (KeptBlock, Item)>,
        /// Records that are settled by a block or stand alone.
        settled: HashSet<u64>,
    }

    impl Model {
        /// Keeps what was closed; some of it is known to be in the table.
        fn keep(&mut self, stage: &mut BlockStage) {
            assert!(stage.take_dissolved().is_empty());
            for kept in stage.take_closed() {
                let entry = stage.entry(&kept).unwrap();
                let note = entry.block.unwrap();
                assert_eq!((entry.sequences.clone(), note.first), (kept.sequences.clone(), kept.sequences[0]));
                for sequence in &kept.sequences {
                    assert!(self.settled.insert(*sequence), "{sequence} is in two blocks, or in one and alone");
                }
                stage.settle(&note, Fate::Stored);
                let before = self.blocks.insert(entry.key, (kept, entry.item));
                assert!(before.is_none(), "two blocks have one key");
            }
        }

        /// Starts again from the records that no block and no item has, as the shipper would: kept blocks are written as they are.
        fn start(&mut self) -> BlockStage {
            let mut stage = stage();
            for (kept, item) in self.blocks.values() {
                let entry = stage.entry(kept).unwrap();
                assert_eq!(&entry.item, item, "the same block makes the same entry");
                stage.recover(&entry);
            }
            for sequence in self.given.keys() {
                assert_eq!(stage.fate(*sequence).is_some(), self.is_in_block(*sequence));
            }
            stage
        }

        fn is_in_block(&self, sequence: u64) -> bool {
            self.blocks.values().any(|(kept, _)| kept.sequences.contains(&sequence))
        }

        fn add(&mut self, stage: &mut BlockStage, sequence: u64, now: Instant) {
            if let Err(entry) = stage.add(sequence, self.given[&sequence].clone(), now) {
                assert_eq!(entry.item, self.given[&sequence].item);
                assert!(self.settled.insert(sequence));
            }
        }

        fn judge(&self) {
            assert_eq!(self.settled.len(), self.given.len(), "every record is settled once");
            for (kept, item) in self.blocks.values() {
                let block = BlockItem::from_attributes(item).unwrap();
                let events = block.events().unwrap();
                let expected: Vec<&Item> = kept.sequences.iter().map(|sequence| &self.given[sequence].item).collect();
                assert!(
                    expected.iter().all(|item| events.iter().filter(|event| event == item).count() == 1),
                    "once each"
                );
                assert!(events.iter().all(|event| expected.contains(&event)), "nothing else");
                assert!(kept.sequences.is_sorted_by(|one, other| one < other));
                assert!(block.times().1.0 - block.times().0.0 <= SPAN);
            }
        }
    }

    proptest! {
        /// Whatever comes, and whenever the daemon starts again: each record is in one block or alone, and a block comes back event by
        /// event.
        #[test]
        fn every_record_is_in_one_block_or_alone(steps in prop::collection::vec(step(), 1..150)) {
            let (mut stage, mut model, mut now) = (stage(), Model::default(), Instant::now());
            let (mut times, mut last, mut waiting) = ([START; 3], BTreeMap::new(), Vec::new());
            for step in steps {
                match step {
                    Step::Event { channel, after, again, parked } => {
                        let sequence = model.given.len() as u64;
                        let entry = match last.get(&channel) {
                            Some(entry) if again => BatchEntry::clone(entry),
                            _ => {
                                let time = &mut times[usize::from(channel)];
                                *time = time.saturating_add_signed(after);
                                event(channel, sequence, *time)
                            }
                        };
                        last.insert(channel, entry.clone());
                        model.given.insert(sequence, entry);
                        waiting.push(sequence);
                        if !parked {
                            while let Some(sequence) = waiting.pop() {
                                model.add(&mut stage, sequence, now);
                            }
                        }
                    }
                    Step::Wait(millis) => {
                        now += Duration::from_millis(millis);
                        stage.close_due(now);
                        prop_assert!(stage.due().is_none_or(|due| due > now && due <= now + AGE));
                    }
                    Step::CloseAll => {
                        stage.close_all();
                        prop_assert!(!stage.has_open());
                    }
                    Step::Start => {
                        model.keep(&mut stage);
                        stage = model.start();
                        waiting.clear();
                        let open: Vec<u64> =
                            model.given.keys().copied().filter(|sequence| !model.settled.contains(sequence)).collect();
                        open.into_iter().for_each(|sequence| model.add(&mut stage, sequence, now));
                    }
                }
                model.keep(&mut stage);
            }
            waiting.into_iter().for_each(|sequence| model.add(&mut stage, sequence, now));
            stage.close_all();
            model.keep(&mut stage);
            prop_assert_eq!(stage.has_open() || stage.due().is_some(), false);
            model.judge();
        }
    }

    #[test]
    fn a_block_that_is_full_is_followed_by_the_next() {
        let (mut stage, now) = (stage(), Instant::now());
        for number in 0..u64::from(MOST_EVENTS) + 1 {
            stage.add(number, event(0, number, START + number), now).unwrap();
        }
        let closed = stage.take_closed();
        assert_eq!(closed.iter().map(|kept| kept.sequences.len()).collect::<Vec<_>>(), [MOST_EVENTS as usize]);
        assert!(stage.has_open());
    }

    /// What is forgotten is what the position has passed.
    #[test]
    fn fates_are_known_until_the_position_has_passed() {
        let mut stage = stage();
        stage.add(3, event(0, 1, START), Instant::now()).unwrap();
        stage.add(5, event(0, 2, START), Instant::now()).unwrap();
        stage.close_all();
        let kept = stage.take_closed();
        let entry = stage.entry(&kept[0]).unwrap();
        assert_eq!(stage.fate(3), None, "of this run");
        stage.recover(&entry);
        assert_eq!([3, 4, 5].map(|sequence| stage.fate(sequence)), [Some(Fate::Writing), None, Some(Fate::Writing)]);
        stage.settle(&entry.block.unwrap(), Fate::Refused);
        stage.pass(4);
        assert_eq!([3, 5].map(|sequence| stage.fate(sequence)), [None, Some(Fate::Refused)]);
        stage.pass(6);
        assert_eq!(stage.fate(5), None);
        assert!(stage.is_idle());
    }
}
