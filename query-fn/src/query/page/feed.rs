//! Reads a range piece by piece: items and blocks side by side, merged.

use futures_util::{StreamExt, stream};
use rust_decimal::Decimal;
use std::collections::VecDeque;
use tokio::{task::yield_now, time::Instant};

use super::blocks::Blocks;
use super::singles::{Progress, Singles};
use super::{Page, Row, copies, doubles, rest};
use crate::config::MOST_BYTES;
use crate::query::reader::AT_ONCE;
use crate::query::store::{Store, StoreError};
use crate::range::{Position, Range};

mod order;

use order::MOST_ROUNDS;

/// Reads a range page by page, and keeps what it has read beyond a page.
pub struct Feed {
    range: Range,
    after: Option<Position>,
    singles: Singles,
    /// Of the channel, or of every channel that may have the order.
    blocks: Vec<Blocks>,
    /// Rows that are not certain yet: of their times there may be more.
    pool: Vec<Row>,
    /// Rows that are certain, in order.
    ready: VecDeque<Row>,
    doubles: usize,
    /// The size of a page of events from blocks without a limit, in bytes as JSON; at most twice as many.
    most_bytes: usize,
}

/// Returns how many items are read beyond the limit, so that as a rule one Query shows where its last tie ends: at most 45 events were
/// seen within one millisecond on the busiest channel. Small pages read less ahead: they are frequent, and ties that long are rare.
fn lookahead(limit: usize) -> usize {
    limit.clamp(8, 48)
}

/// What is to be done next for a page.
enum Step {
    Done,
    Both,
    Singles,
    Blocks,
    Decode,
}

impl Feed {
    /// Returns a feed of the range behind `after`.
    #[must_use]
    pub fn new(range: &Range, after: Option<Position>) -> Feed {
        let range = rest(range, after.as_ref());
        Feed {
            singles: Singles::new(range.clone()),
            blocks: vec![Blocks::new(&range)],
            range,
            after,
            pool: Vec::new(),
            ready: VecDeque::new(),
            doubles: 0,
            most_bytes: MOST_BYTES,
        }
    }

    /// Ends a page without a limit where events from blocks have about `bytes` as JSON, twice as many at most; what is read beyond it waits in its blocks.
    #[must_use]
    pub fn with_pages_of(self, bytes: usize) -> Feed {
        Feed { most_bytes: bytes, ..self }
    }

    /// Reads the next page: at most `limit` events, what one Query for items returns (1 MB), or about as many as fit into an answer.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store fails before an event could be returned. If it fails later, the events read so far are a shorter page.
    pub async fn page(&mut self, store: &Store, limit: Option<usize>, deadline: Instant) -> Result<Page, StoreError> {
        self.singles.take_spent();
        let (mut cut_short, mut rounds) = (false, 0);
        let is_tired = loop {
            let step = self.next(limit);
            rounds += usize::from(matches!(step, Step::Blocks));
            let is_tired = rounds > MOST_ROUNDS && self.may_end_early();
            if is_tired || matches!(step, Step::Done) {
                break is_tired;
            }
            match self.take(step, store, limit, deadline).await {
                Ok(()) => self.release(),
                Err(error) if self.ready.is_empty() => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, "page ends early");
                    cut_short = true;
                    break false;
                }
            }
        };
        let taken = self.ready.len().min(limit.unwrap_or(usize::MAX));
        let rows: Vec<_> = self.ready.drain(..taken).collect();
        let has_more = !(self.ready.is_empty() && self.is_over());
        let last = rows.last().map(|row| row.position.clone());
        let next = if is_tired && self.ready.is_empty() { self.reached() } else { last.filter(|_| has_more) };
        Ok(Page { rows, next, cut_short, doubles: std::mem::take(&mut self.doubles) })
    }

    /// Returns the time of the first event of the range, microseconds since the Unix epoch; `None` if there is none.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store fails.
    pub async fn first_time(mut self, store: &Store, deadline: Instant) -> Result<Option<u64>, StoreError> {
        let order = self.range.order;
        loop {
            let frontier = self.frontier();
            let first = self.pool.iter().map(|row| row.position.time).min_by_key(|time| order.rank(*time));
            if frontier.is_none() || first.is_some_and(|time| Some(order.rank(time)) <= frontier) {
                return Ok(first);
            }
            let step = self.next(Some(1));
            self.take(step, store, Some(1), deadline).await?;
        }
    }

    /// Returns the read units that the feed has cost; `None` if the store does not tell.
    #[must_use]
    pub fn units(&self) -> Option<Decimal> {
        let all = self.blocks.iter().map(|blocks| blocks.units).chain([self.singles.units]);
        all.sum()
    }

    /// Returns true if nothing is left to read.
    fn is_over(&self) -> bool {
        self.frontier().is_none()
    }

    /// Returns the place in the order before which everything was read; `None` at the end of the range.
    fn frontier(&self) -> Option<u64> {
        self.blocks.iter().map(Blocks::frontier).chain([self.singles.frontier()]).flatten().min()
    }

    fn next(&self, limit: Option<usize>) -> Step {
        let Some(frontier) = self.frontier() else { return Step::Done };
        let is_singles = self.singles.frontier() == Some(frontier);
        let needs_query = self.limiting(frontier).any(Blocks::needs_query);
        let step = match self.singles.progress {
            // An item of the order says in which channel its blocks are.
            Progress::Unread if needs_query && !self.is_of_order() => Step::Both,
            _ if is_singles => Step::Singles,
            _ if needs_query => Step::Blocks,
            _ => Step::Decode,
        };
        let found = self.ready.len();
        let bytes = found.saturating_mul(self.event_bytes());
        let is_full = limit.is_some_and(|limit| found >= limit)
            || bytes >= self.most_bytes
            || (is_singles && self.singles.is_spent());
        let has_more = || self.has_more_than(limit.map_or(found, |limit| limit.min(found)));
        // Of blocks that lie behind one another no row shows that there are more, however many are read.
        let is_too_full = limit.is_none() && bytes >= self.most_bytes.saturating_mul(2);
        if found > 0 && (is_too_full || (is_full && has_more())) {
            return Step::Done;
        }
        step
    }

    /// Returns the blocks that hold the frontier back.
    fn limiting(&self, frontier: u64) -> impl Iterator<Item = &Blocks> {
        self.blocks.iter().filter(move |blocks| blocks.frontier() == Some(frontier))
    }

    fn event_bytes(&self) -> usize {
        self.blocks.iter().map(|blocks| blocks.event_bytes).max().unwrap_or_default()
    }

    /// Returns true if a row was seen behind the first `taken` ones. Of the position's own time any may be before it.
    fn has_more_than(&self, taken: usize) -> bool {
        let after = self.after.as_ref().map(|after| after.time);
        self.ready.len() > taken || self.pool.iter().any(|row| Some(row.position.time) != after)
    }

    async fn take(
        &mut self,
        step: Step,
        store: &Store,
        limit: Option<usize>,
        deadline: Instant,
    ) -> Result<(), StoreError> {
        let most = limit.map(|limit| i32::try_from(limit.saturating_add(lookahead(limit))).unwrap_or(i32::MAX));
        let frontier = self.frontier();
        let (singles, blocks) = (&mut self.singles, self.blocks.as_mut_slice());
        match step {
            Step::Done => {}
            Step::Both => {
                // Each keeps what it has read even where the other fails.
                let blocks = read_blocks(blocks, frontier, store, limit.is_some(), deadline);
                let (rows, blocks) = tokio::join!(singles.read(store, most, deadline), blocks);
                let rows = rows.map(|rows| self.pool.extend(rows));
                rows.and(blocks)?;
            }
            Step::Singles => self.pool.extend(singles.read(store, most, deadline).await?),
            Step::Blocks => read_blocks(blocks, frontier, store, limit.is_some(), deadline).await?,
            Step::Decode => {
                let next = blocks.iter_mut().find(|blocks| blocks.frontier() == frontier);
                self.pool.extend(next.map_or(Ok(Vec::new()), Blocks::decode)?);
                // A page decodes for milliseconds; meanwhile others want to go on.
                yield_now().await;
            }
        }
        if self.is_of_order() {
            self.narrow();
        }
        Ok(())
    }

    /// Moves the rows that have become certain out of the pool.
    fn release(&mut self) {
        let (order, frontier) = (self.range.order, self.frontier());
        let is_certain = |row: &mut Row| frontier.is_none_or(|frontier| order.rank(row.position.time) < frontier);
        let mut certain: Vec<_> = self.pool.extract_if(.., is_certain).collect();
        copies::remove(&mut certain, order);
        self.doubles += doubles::remove(&mut certain);
        if self.is_of_order() {
            self.stop_behind(&certain);
        }
        let after = self.after.as_ref();
        certain.retain(|row| after.is_none_or(|after| order.is_before(after, &row.position)));
        self.ready.extend(certain);
    }
}

/// Reads more blocks of each channel that holds the frontier back.
async fn read_blocks(
    blocks: &mut [Blocks],
    frontier: Option<u64>,
    store: &Store,
    is_few: bool,
    deadline: Instant,
) -> Result<(), StoreError> {
    let limiting = blocks.iter_mut().filter(|blocks| blocks.frontier() == frontier && blocks.needs_query());
    let reads: Vec<_> = limiting.map(|blocks| blocks.read(store, is_few, deadline)).collect();
    let read: Vec<Result<(), StoreError>> = stream::iter(reads).buffer_unordered(AT_ONCE).collect().await;
    read.into_iter().collect()
}
