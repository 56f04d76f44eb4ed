//! Reads events of one channel or of several, page by page.
//!
//! Events of several channels are merged in the total order of [`crate::query::page`], which holds across channels: its last part is the
//! primary key. Each channel is read ahead a little; what is certain is everything up to the nearest end of what was read, because
//! behind that end the channel may have more. Whoever keeps the reader (an export) reads nothing twice; a page of HTTP forgets what
//! was read beyond its end, so the first pieces are small.

use futures_util::{StreamExt, stream};
use std::collections::VecDeque;
use tokio::time::Instant;

use crate::query::page::{Feed, Page, Row};
use crate::query::store::{Store, StoreError};
use crate::range::{Order, Position, Range, Subject};

/// The events of a page of several channels without a limit of the caller.
const EVENTS: usize = 2_000;
/// The most pieces of one channel in a page, each twice as long as the one before; a page that needs more is shorter.
const MOST_ROUNDS: usize = 12;
/// The most concurrent queries of one request.
pub(crate) const AT_ONCE: usize = 32;

/// Reads a range page by page and remembers the position in each channel.
pub struct Reader {
    order: Order,
    heads: Vec<Head>,
    /// Merged rows that are not returned yet, in order.
    merged: VecDeque<Row>,
    doubles: usize,
    cut_short: bool,
}

/// The state of one channel, or of one order.
struct Head {
    feed: Feed,
    /// Rows that are read but not merged yet, in order.
    rows: VecDeque<Row>,
    has_more: bool,
    /// The most events of the last piece; the next one has twice as many.
    piece: usize,
}

impl Head {
    /// Returns true if all rows of the channel are merged and the range has more.
    fn is_empty(&self) -> bool {
        self.has_more && self.rows.is_empty()
    }
}

impl Reader {
    /// Returns a reader of `range` on these channels, behind `after`; without channels, of the range's own subject.
    #[must_use]
    pub fn new(range: &Range, channels: &[String], after: Option<Position>) -> Reader {
        let on = |channel: &String| Range { subject: Subject::Channel(channel.clone()), ..range.clone() };
        let mut ranges: Vec<_> = channels.iter().map(on).collect();
        if ranges.is_empty() {
            ranges.push(range.clone());
        }
        let head = |range: &Range| {
            let feed = Feed::new(range, after.clone());
            Head { feed, rows: VecDeque::new(), has_more: true, piece: 0 }
        };
        let heads = ranges.iter().map(head).collect();
        Reader { order: range.order, heads, merged: VecDeque::new(), doubles: 0, cut_short: false }
    }

    /// Ends the pages of one channel early: [`Feed::with_pages_of`].
    #[must_use]
    pub fn with_pages_of(mut self, bytes: usize) -> Reader {
        let small = |head: Head| Head { feed: head.feed.with_pages_of(bytes), ..head };
        self.heads = self.heads.into_iter().map(small).collect();
        self
    }

    /// Returns a reader of an order's events behind `after`, as items and in blocks of these channels.
    #[must_use]
    pub fn of_order(range: &Range, channels: &[String], after: Option<Position>) -> Reader {
        let feed = Feed::of_order(range, after, channels);
        let heads = vec![Head { feed, rows: VecDeque::new(), has_more: true, piece: 0 }];
        Reader { order: range.order, heads, merged: VecDeque::new(), doubles: 0, cut_short: false }
    }

    /// Reads the next page: of one channel as [`Feed::page`], of several at most `limit` events, or about 2,000 without a limit.
    ///
    /// # Errors
    ///
    /// As [`Feed::page`].
    pub async fn page(&mut self, store: &Store, limit: Option<usize>, deadline: Instant) -> Result<Page, StoreError> {
        if let [head] = self.heads.as_mut_slice() {
            return head.feed.page(store, limit, deadline).await;
        }
        let wanted = limit.unwrap_or(EVENTS);
        for _ in 0..MOST_ROUNDS {
            if self.merged.len() >= wanted || !self.has_more() {
                break;
            }
            match self.read_on(store, wanted, deadline).await {
                Ok(()) => self.merge(),
                Err(error) if self.merged.is_empty() => return Err(error),
                Err(error) => {
                    tracing::warn!(%error, "page ends early");
                    self.cut_short = true;
                    break;
                }
            }
        }
        let taken = self.merged.len().min(limit.unwrap_or(usize::MAX));
        let rows: Vec<_> = self.merged.drain(..taken).collect();
        let is_end = self.merged.is_empty() && !self.has_more();
        let next = rows.last().filter(|_| !is_end).map(|row| row.position.clone());
        let (cut_short, doubles) = (std::mem::take(&mut self.cut_short), std::mem::take(&mut self.doubles));
        Ok(Page { rows, next, cut_short, doubles })
    }

    fn has_more(&self) -> bool {
        self.heads.iter().any(|head| head.has_more || !head.rows.is_empty())
    }

    /// Reads a piece of each channel whose rows are all merged.
    async fn read_on(&mut self, store: &Store, wanted: usize, deadline: Instant) -> Result<(), StoreError> {
        let first = (wanted / self.heads.len()).max(1);
        let mut reads = Vec::new();
        for (place, head) in self.heads.iter_mut().enumerate().filter(|(_, head)| head.is_empty()) {
            head.piece = (head.piece * 2).clamp(first, wanted.max(first));
            let (feed, piece) = (&mut head.feed, head.piece);
            reads.push(async move { (place, feed.page(store, Some(piece), deadline).await) });
        }
        // What one channel has read is kept where another one fails.
        let read: Vec<(usize, Result<Page, StoreError>)> =
            stream::iter(reads).buffer_unordered(AT_ONCE).collect().await;
        let mut outcome = Ok(());
        for (place, page) in read {
            let page = match page {
                Ok(page) => page,
                Err(error) => {
                    outcome = Err(error);
                    continue;
                }
            };
            self.doubles += page.doubles;
            self.cut_short |= page.cut_short;
            if let Some(head) = self.heads.get_mut(place) {
                head.has_more = page.next.is_some();
                head.rows = page.rows.into();
            }
        }
        outcome
    }

    /// Merges the rows before the nearest end of a piece: behind it, that channel may have more.
    fn merge(&mut self) {
        let order = self.order;
        let ends = self.heads.iter().filter(|head| head.has_more).filter_map(|head| head.rows.back());
        let border = ends.map(|row| row.position.clone()).min_by(|left, right| order.compare(left, right));
        let mut certain: Vec<Row> = Vec::new();
        for head in &mut self.heads {
            let is_beyond = |row: &Row| border.as_ref().is_some_and(|border| order.is_before(border, &row.position));
            let count = head.rows.partition_point(|row| !is_beyond(row));
            certain.extend(head.rows.drain(..count));
        }
        certain.sort_by(|left, right| order.compare(&left.position, &right.position));
        self.merged.extend(certain);
    }
}
