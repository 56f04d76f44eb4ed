//! Decides which events share a block, and which stay single items.

use serde::{Deserialize, Serialize};
use shared::{
    block::{
        AddError,
        stored::{BlockItem, OpenBlock},
    },
    item::Item,
};

use crate::condition::MOST_ATTRIBUTES;
use crate::expiry::Expiry;

/// The name under which this program writes blocks; a daemon's name ends in 16 hex digits.
pub const WRITER: &str = "compact";
/// The most events of a block, as of the daemon's.
const MOST_EVENTS: u32 = 4_096;
/// A run's number stands above these bits of the sequence of its blocks.
const RUN_SHIFT: u32 = 32;

/// Events that stay single items, by reason.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Singles {
    /// The codec cannot hold them exactly: binary values, sets, more than 96 KB, a spelling of a number that it does not keep.
    pub codec: u64,
    /// Their key names another time than `nmicrotimestamp`, or none, so that copies of them could not be told apart in blocks.
    pub time: u64,
    /// They expire at another time than the table's record of how long items are kept says.
    pub expires: u64,
    /// More attributes than fit into a condition.
    pub attributes: u64,
}

impl Singles {
    /// Adds others.
    pub fn add(&mut self, other: &Singles) {
        self.codec += other.codec;
        self.time += other.time;
        self.expires += other.expires;
        self.attributes += other.attributes;
    }

    /// All of them.
    #[must_use]
    pub fn sum(&self) -> u64 {
        self.codec + self.time + self.expires + self.attributes
    }
}

/// A block and the events in it, and what was read for it.
#[derive(Clone, Debug)]
pub struct Packed {
    /// The block.
    pub block: BlockItem,
    /// Its events as they were read, without `expires`, in its order.
    pub events: Vec<Item>,
}

/// What was read since the last count was taken.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Tally {
    /// Events read.
    pub events: u64,
    /// Those of them that stay single.
    pub singles: Singles,
}

/// Packs the events of a channel, which come in the order of time.
#[derive(Debug)]
pub struct Packer {
    channel: String,
    expiry: Expiry,
    run: u32,
    next: u32,
    open: Option<(OpenBlock, Vec<Item>)>,
    tally: Tally,
}

impl Packer {
    /// Nothing packed yet. `run` and `next` make the keys of its blocks unique.
    #[must_use]
    pub fn new(channel: &str, expiry: &Expiry, run: u32, next: u32) -> Packer {
        let (channel, expiry) = (channel.to_owned(), expiry.clone());
        Packer { channel, expiry, run, next, open: None, tally: Tally::default() }
    }

    /// The number of the next block.
    #[must_use]
    pub fn next(&self) -> u32 {
        self.next
    }

    /// What was read since this was last asked.
    pub fn take_tally(&mut self) -> Tally {
        std::mem::take(&mut self.tally)
    }

    /// Adds an event; returns the block that it did not fit into any more, or that it fills.
    pub fn add(&mut self, item: Item) -> Option<Packed> {
        self.tally.events += 1;
        let Some(item) = self.expiry.take(&self.channel, item) else {
            self.tally.singles.expires += 1;
            return None;
        };
        if item.len() > MOST_ATTRIBUTES {
            self.tally.singles.attributes += 1;
            return None;
        }
        let (mut block, mut events) = self.open.take().unwrap_or_else(|| self.begin());
        let mut full = None;
        let mut added = block.add(&item);
        if added == Err(AddError::Full) && !events.is_empty() {
            full = self.finish((block, events));
            (block, events) = self.begin();
            added = block.add(&item);
        }
        match added {
            Ok(()) => events.push(item),
            Err(AddError::NoTime) => self.tally.singles.time += 1,
            Err(_) => self.tally.singles.codec += 1,
        }
        match block.builder().count() < MOST_EVENTS {
            true => self.open = Some((block, events)),
            // A block that this event filled is not that which it did not fit into.
            false => full = self.finish((block, events)),
        }
        full
    }

    /// The last block.
    pub fn end(&mut self) -> Option<Packed> {
        let open = self.open.take()?;
        self.finish(open)
    }

    fn begin(&mut self) -> (OpenBlock, Vec<Item>) {
        let sequence = (u64::from(self.run) << RUN_SHIFT) | u64::from(self.next);
        self.next += 1;
        (OpenBlock::new(&self.channel, WRITER, sequence), Vec::new())
    }

    /// Finishes a block and decodes it: an event that does not come out as it went in stays single.
    fn finish(&mut self, (block, events): (OpenBlock, Vec<Item>)) -> Option<Packed> {
        if events.is_empty() {
            return None;
        }
        let sequence = (u64::from(self.run) << RUN_SHIFT) | u64::from(self.next - 1);
        let decoded = block.finish().and_then(|block| Ok((block.events()?, block)));
        let Ok((decoded, block)) = decoded else {
            self.tally.singles.codec += events.len() as u64;
            return None;
        };
        if decoded == events {
            return Some(Packed { block, events });
        }
        let count = events.len();
        let exact: Vec<Item> = events
            .into_iter()
            .zip(decoded)
            .filter(|(event, decoded)| event == decoded)
            .map(|(event, _)| event)
            .collect();
        self.tally.singles.codec += (count - exact.len()) as u64;
        let mut block = OpenBlock::new(&self.channel, WRITER, sequence);
        let mut kept = Vec::with_capacity(exact.len());
        for event in exact {
            match block.add(&event) {
                Ok(()) => kept.push(event),
                Err(_) => self.tally.singles.codec += 1,
            }
        }
        self.finish((block, kept))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_dynamodb::types::AttributeValue;
    use shared::{
        block::stored::SPAN,
        item::EXPIRES,
        keep::Keeps,
        table::{CHANNEL, ID, MICROTIMESTAMP, NMICROTIMESTAMP},
    };

    const CHANNEL_NAME: &str = "live_orders_btcusd";

    fn event(time: u64) -> Item {
        let text = |text: String| AttributeValue::S(text);
        Item::from([
            (CHANNEL.to_owned(), text(CHANNEL_NAME.to_owned())),
            (ID.to_owned(), AttributeValue::N(time.to_string())),
            (MICROTIMESTAMP.to_owned(), text(format!("{time}#0"))),
            (NMICROTIMESTAMP.to_owned(), AttributeValue::N(time.to_string())),
        ])
    }

    fn pack(events: impl IntoIterator<Item = Item>) -> (Vec<Packed>, Tally) {
        pack_by(&Expiry::default(), events)
    }

    fn pack_by(expiry: &Expiry, events: impl IntoIterator<Item = Item>) -> (Vec<Packed>, Tally) {
        let mut packer = Packer::new(CHANNEL_NAME, expiry, 7, 0);
        let mut blocks: Vec<_> = events.into_iter().filter_map(|event| packer.add(event)).collect();
        blocks.extend(packer.end());
        (blocks, packer.take_tally())
    }

    #[test]
    fn blocks_end_by_count_and_by_time_and_hold_every_event_in_order() {
        let dense: Vec<_> = (0..10_000).map(|number| event(1_000_000 + number)).collect();
        let (blocks, tally) = pack(dense.clone());
        assert_eq!(blocks.iter().map(|packed| packed.events.len()).collect::<Vec<_>>(), [4_096, 4_096, 1_808]);
        assert_eq!(tally, Tally { events: 10_000, singles: Singles::default() });
        let sparse: Vec<_> = (0..100).map(|number| event(1_000_000 + number * SPAN / 4)).collect();
        let (blocks, _) = pack(sparse.clone());
        assert!(blocks.iter().all(|packed| packed.events.len() == 5), "a span is inclusive");
        let all: Vec<_> = blocks.into_iter().flat_map(|packed| packed.block.events().unwrap()).collect();
        assert_eq!(all, sparse);
    }

    #[test]
    fn what_a_block_cannot_hold_stays_single_and_is_counted() {
        let with = |name: &str, value: AttributeValue| {
            let mut item = event(1_000_001);
            item.insert(name.to_owned(), value);
            item
        };
        let mut many = event(1_000_001);
        many.extend((0..100).map(|number| (format!("a{number}"), AttributeValue::Bool(true))));
        let odd = [
            with("bytes", AttributeValue::B(vec![1].into())),
            // A block would give back 1.5.
            with("price", AttributeValue::N("1.50".to_owned())),
            with(NMICROTIMESTAMP, AttributeValue::N("2000000".to_owned())),
            with(EXPIRES, AttributeValue::N("9".to_owned())),
            many,
        ];
        let (blocks, tally) = pack([event(1_000_000)].into_iter().chain(odd).chain([event(1_000_002)]));
        assert_eq!(tally.singles, Singles { codec: 2, time: 1, expires: 1, attributes: 1 });
        assert_eq!(blocks.len(), 1);
        assert_eq!(blocks.first().unwrap().block.count(), 2);
    }

    #[test]
    fn an_event_that_expires_as_the_record_says_is_packed_and_another_stays() {
        let mut keeps = Keeps::default();
        assert!(keeps.set(CHANNEL_NAME, Some(100), 2_000_000));
        let expiry = Expiry::from(keeps);
        let with = |time: u64, expires: Option<u64>| {
            let mut item = event(time);
            item.extend(expires.map(|expires| (EXPIRES.to_owned(), AttributeValue::N(expires.to_string()))));
            item
        };
        let kept = [with(1_999_999, None), with(2_000_000, Some(102)), with(2_000_001, Some(103))];
        let odd = [with(1_999_999, Some(102)), with(2_000_000, None), with(2_000_001, Some(102))];
        let (blocks, tally) = pack_by(&expiry, kept.iter().cloned().chain(odd));
        assert_eq!(tally.singles, Singles { expires: 3, ..Singles::default() });
        let block = &blocks.first().unwrap().block;
        assert!(!expiry.item(block).contains_key(EXPIRES), "its first event is kept for ever");
        let given = block.events().unwrap();
        assert!(given.iter().map(|event| expiry.give(CHANNEL_NAME, event)).eq(kept));
        let (blocks, _) = pack_by(&expiry, [with(2_000_000, Some(102)), with(2_000_001, Some(103))]);
        assert_eq!(expiry.item(&blocks.first().unwrap().block)[EXPIRES], AttributeValue::N("103".to_owned()));
    }

    #[test]
    fn no_two_blocks_have_one_key() {
        let (one, _) = pack((0..9_000).map(|_| event(5)));
        let keys: std::collections::BTreeSet<_> = one.iter().map(|packed| packed.block.key()).collect();
        assert_eq!(keys.len(), 3);
    }
}
