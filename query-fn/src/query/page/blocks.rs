//! The events of a range that are in blocks.
//!
//! A block is found by the time of its first event, and its last one is at most [`SPAN`] later. Ascending, a range is read from its begin less
//! the span; descending, what is later than the last block read and the span is certain. Blocks are decoded one by one, as they are needed.

use aws_sdk_dynamodb::types::AttributeValue;
use base64::{Engine, engine::general_purpose::STANDARD};
use codec::{block, item::Item};
use rust_decimal::Decimal;
use shared::{
    block::stored::{self, BlockItem, DATA, SPAN, StoredError, THROUGH, channel_of},
    key::order_time,
    table::NMICROTIMESTAMP,
    time::Micros,
};
use std::collections::VecDeque;
use tokio::time::Instant;

use super::singles::Progress;
use super::{Row, number};
use crate::query::store::{Store, StoreError};
use crate::range::{Order, Range, Subject};

/// The blocks of the first Query if few events are wanted, and if as many as fit are: at one block a second the first ten reach back by the
/// span. Each further Query asks for twice as many.
const FEW: i32 = 16;
const MANY: i32 = 64;
/// The most blocks of one Query; 1 MB ends it as a rule.
const MOST: i32 = 4_096;

/// How long before the time of its id an order may have an event, microseconds: ids have milliseconds, and times are the exchange's.
const EARLIER: u64 = 1_000_000;

/// Reads the blocks of a channel.
pub(super) struct Blocks {
    order: Order,
    /// The range of blocks, by their first events.
    range: Range,
    /// The times of the events that are wanted.
    times: (u64, u64),
    /// The id of the order whose events alone are wanted.
    order_id: Option<String>,
    progress: Progress,
    /// The first time of the last block that was read.
    last: Option<u64>,
    /// Blocks that are not decoded yet, by their edges.
    queue: VecDeque<Queued>,
    batch: i32,
    /// About how many bytes an event of the last block has as JSON; 0 before the first block.
    pub(super) event_bytes: usize,
    /// The read units so far; `None` if the store does not tell.
    pub(super) units: Option<Decimal>,
}

struct Queued {
    /// The place in the order before which the block has no event.
    edge: u64,
    item: Item,
}

impl Blocks {
    /// Returns the blocks of the range's channel. Channels of trades, reserved ones and orders have none.
    pub(super) fn new(range: &Range) -> Blocks {
        let mut of_blocks = range.clone();
        let mut progress = Progress::Over;
        if let Subject::Channel(name) = &range.subject
            && stored::has_blocks(name)
        {
            of_blocks.subject = Subject::Channel(stored::partition(name));
            of_blocks.from = range.from.saturating_sub(SPAN);
            progress = Progress::Unread;
        }
        Blocks {
            order: range.order,
            range: of_blocks,
            times: (range.from, range.to),
            order_id: None,
            progress,
            last: None,
            queue: VecDeque::new(),
            batch: 0,
            event_bytes: 0,
            units: Some(Decimal::ZERO),
        }
    }

    /// Returns the blocks of `channel` with events of the range's order, from the time of its id on.
    pub(super) fn of_order(range: &Range, channel: &str) -> Blocks {
        let id = range.subject.name();
        let begin = order_time(id).map(|Micros(time)| time.saturating_sub(EARLIER));
        let from = begin.map_or(range.from, |begin| begin.max(range.from));
        let range = Range { subject: Subject::Channel(channel.to_owned()), from, ..range.clone() };
        let mut blocks = Blocks { order_id: Some(id.to_owned()), ..Blocks::new(&range) };
        // The id's time says where an order begins; from the first block on, nobody would read.
        if from > range.to || (begin.is_none() && from == 0) {
            blocks.progress = Progress::Over;
        }
        blocks
    }

    /// Returns true if the blocks are those of `channel`.
    pub(super) fn is_of(&self, channel: &str) -> bool {
        channel_of(self.range.subject.name()) == Some(channel)
    }

    /// Reads no further blocks; those that are read are decoded.
    pub(super) fn stop(&mut self) {
        self.progress = Progress::Over;
    }

    /// Returns the place in the order before which every event of a block was decoded; `None` at the end of the range.
    pub(super) fn frontier(&self) -> Option<u64> {
        let queued = self.queue.front().map(|block| block.edge);
        let ends = [queued, self.unread()];
        ends.into_iter().flatten().min()
    }

    /// Returns the place in the order before which no block that is unread has an event.
    fn unread(&self) -> Option<u64> {
        match self.progress {
            Progress::Over => None,
            _ => Some(self.last.map_or(0, |first| self.edge(first, first.saturating_add(SPAN)))),
        }
    }

    /// Returns the place in the order at which a block with these times begins.
    fn edge(&self, first: u64, through: u64) -> u64 {
        self.order.rank(match self.order {
            Order::Ascending => first,
            Order::Descending => through,
        })
    }

    /// Returns true if the next block has to be read first.
    pub(super) fn needs_query(&self) -> bool {
        let queued = self.queue.front().map(|block| block.edge);
        self.unread().is_some_and(|unread| queued.is_none_or(|queued| unread < queued))
    }

    /// Reads more blocks. `is_few` says that few events are wanted.
    pub(super) async fn read(&mut self, store: &Store, is_few: bool, deadline: Instant) -> Result<(), StoreError> {
        if self.progress.is_over() {
            return Ok(());
        }
        let batch = (self.batch * 2).clamp(if is_few { FEW } else { MANY }, MOST);
        let answer = store.query(&self.range, Some(batch), self.progress.start(), deadline).await?;
        (self.progress, self.batch) = (Progress::after(answer.stopped_at), batch);
        self.units = self.units.zip(answer.units).and_then(|(sum, units)| sum.checked_add(units));
        for item in answer.items {
            let (first, through) = times(&item);
            self.last = Some(first);
            if through >= self.times.0 {
                self.queue.push_back(Queued { edge: self.edge(first, through), item });
            }
        }
        self.queue.make_contiguous().sort_by_key(|block| block.edge);
        Ok(())
    }

    /// Decodes the next block; returns its events in the range.
    pub(super) fn decode(&mut self) -> Result<Vec<Row>, StoreError> {
        let Some(next) = self.queue.front() else { return Ok(Vec::new()) };
        let (from, to) = self.times;
        let decoded = of_item(&next.item)
            .and_then(|block| block::events(&block, &(Micros(from)..=Micros(to)), self.order_id.as_deref()));
        let decoded = decoded.map_err(StoreError::Damaged)?;
        self.queue.pop_front();
        self.event_bytes = decoded.bytes.checked_div(decoded.items.len()).unwrap_or(self.event_bytes);
        Ok(decoded.items.into_iter().map(Row::from).collect())
    }
}

/// Returns the times of the first and of the last event of a block.
fn times(item: &Item) -> (u64, u64) {
    let first = number(item, NMICROTIMESTAMP);
    let longest = first.saturating_add(SPAN);
    // What is further is damage, which decoding reports.
    let through = item.number(THROUGH).and_then(|digits| digits.parse().ok());
    (first, through.filter(|through| (first..=longest).contains(through)).unwrap_or(longest))
}

/// The newest blocks that are asked for the newest event: one of each of two daemons.
const NEWEST: i32 = 2;

/// Returns the latest time that a block of the range's channel, read from the newest one on, has an event at in the range.
///
/// # Errors
///
/// [`StoreError`] if the Query fails.
pub async fn newest(store: &Store, range: &Range, deadline: Instant) -> Result<Option<u64>, StoreError> {
    let blocks = Blocks::new(&Range { order: Order::Descending, ..range.clone() });
    if blocks.progress.is_over() {
        return Ok(None);
    }
    let answer = store.query(&blocks.range, Some(NEWEST), None, deadline).await?;
    let ends = answer.items.iter().flat_map(|item| <[u64; 2]>::from(times(item)));
    Ok(ends.filter(|time| (range.from..=range.to).contains(time)).max())
}

/// Returns the time in which a range's channel may have events in blocks, both ends inclusive, microseconds since the Unix epoch; `None` if
/// it has no block there.
///
/// # Errors
///
/// [`StoreError`] if one of the two Querys fails.
pub async fn extent(store: &Store, range: &Range, deadline: Instant) -> Result<Option<(u64, u64)>, StoreError> {
    let end = async |order: Order| {
        let Range { from, to, .. } = range.clone();
        let blocks = Blocks::new(&Range { order, ..range.clone() });
        if blocks.progress.is_over() {
            return Ok(None);
        }
        let answer = store.query(&blocks.range, Some(1), None, deadline).await?;
        Ok::<_, StoreError>(answer.items.first().map(|item| times(item).0).map(|first| match order {
            Order::Ascending => first.max(from),
            Order::Descending => first.saturating_add(SPAN).min(to),
        }))
    };
    let (first, last) = tokio::try_join!(end(Order::Ascending), end(Order::Descending))?;
    Ok(first.zip(last))
}

/// Reads a block from an item of the store, in which bytes are base64.
fn of_item(item: &Item) -> Result<BlockItem, StoredError> {
    let mut attributes = item.attributes();
    if let Some(bytes) = item.text(DATA).and_then(|text| STANDARD.decode(text).ok()) {
        attributes.insert(DATA.to_owned(), AttributeValue::B(bytes.into()));
    }
    BlockItem::from_attributes(&attributes)
}
