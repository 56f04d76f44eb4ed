//! Follows the newest events of channels, in the order of time.
//!
//! The index is ordered by exchange time, but events become readable in another order: two daemons, concurrent writes and the index's own
//! replication overtake each other. A place in the order is exact only where nothing can arrive behind it any more, so an event is held back
//! until it, or a newer one, has been readable for the window. Then everything up to it is released in order (docs/adr/0023-tail-waits.md):
//!
//! - A poll asks each channel for its newest event, one Query for items and one for blocks. Its time and the moment at which it was seen are a [`Sighting`].
//! - A sighting as old as the window is the end of a sweep: the range from the place to its time is read as any range is, and given out.
//! - What becomes readable within the window after a newer event is therefore shown in its order. What comes later is not shown.
//! - Between two events of one microsecond the place has the keys of those that were given out, because an event that a second daemon writes
//!   again gets another received time, and with it another position among its equals. So nothing is shown twice, however late it is written.

use futures_util::{StreamExt, TryStreamExt, stream};
use std::{collections::VecDeque, time::Duration};
use tokio::time::{Instant, sleep_until};

use crate::query::page::{self, Page, Row};
use crate::query::reader::AT_ONCE;
use crate::query::store::{Store, StoreError};
use crate::range::{self, Order, Range, Subject};

mod place;

pub use place::{Place, Sighting};

/// The most channels of one tail: all of them are asked at the same time.
pub const MOST_CHANNELS: usize = AT_ONCE;
/// The polls in a window. An event is released at the latest one poll and three Querys after its window.
const POLLS: u32 = 6;
/// The longest time of one step; a store that takes longer is asked again later, for less.
const PATIENCE: Duration = Duration::from_secs(4);
/// The fewest and the most rows of a step, of all channels together; the most are about 0.5 MB of order events.
const ROWS: std::ops::RangeInclusive<usize> = 50..=1_000;
/// The pauses after a failed step.
const AGAIN: std::ops::Range<Duration> = Duration::from_millis(500)..Duration::from_secs(4);
/// The time by which an event may be ahead of this machine's clock, microseconds. One further ahead is held back until then: behind a single
/// event with a wrong date nothing else would be shown.
const AHEAD: u64 = 10_000_000;

/// A reader that follows channels. Its memory is bounded: the rows of one step, and a few sightings.
pub struct Tail {
    channels: Vec<String>,
    window: Duration,
    place: Place,
    /// Sightings of ever newer events, the oldest first; none is older than the window, except the first.
    sightings: VecDeque<(Instant, Sighting)>,
    sweep: Option<Sweep>,
    /// Rows that are read and not taken yet.
    rows: VecDeque<Row>,
    /// The last time of the last step, of which all events are taken or in `rows`.
    read: Option<u64>,
    next_poll: Instant,
    pause: Duration,
    /// The most rows of the next step.
    limit: usize,
}

/// The reading of a range whose events are all released, from the place on.
struct Sweep {
    /// The channels that have events from the place on.
    channels: Vec<String>,
    /// The last time of the range, microseconds since the Unix epoch.
    to: u64,
}

impl Tail {
    /// Returns a tail of `channels`, at most [`MOST_CHANNELS`], that goes on at `place` and holds events back for `window`.
    #[must_use]
    pub fn new(channels: Vec<String>, place: Place, window: Duration) -> Tail {
        let now = Instant::now();
        let mut sightings = VecDeque::new();
        if let Some(sighting) = place.sighting {
            // The age counts on while nobody is connected, so that also a client that is cut off again and again gets on.
            let age = Duration::from_micros(range::now().saturating_sub(sighting.seen)).min(window);
            sightings.push_back((now.checked_sub(age).unwrap_or(now), sighting));
        }
        let (rows, pause, limit) = (VecDeque::new(), AGAIN.start, *ROWS.end());
        Tail { channels, window, place, sightings, sweep: None, rows, read: None, next_poll: now, pause, limit }
    }

    /// Takes the next row that is released, if one is read; the place is behind it then.
    pub fn take(&mut self) -> Option<Row> {
        let row = self.rows.pop_front()?;
        self.place.pass(&row.position);
        self.settle();
        Some(row)
    }

    /// Returns the place behind the last row that was taken.
    #[must_use]
    pub fn place(&self) -> Place {
        let mut place = self.place.clone();
        // The oldest one: the first that is released, also for a client that never stays for the window.
        let oldest = self.sightings.front().map(|(_, sighting)| *sighting);
        place.sighting = oldest.filter(|sighting| sighting.newest >= place.from);
        place
    }

    /// Polls once, so that the place has what there is to see. A store that is busy shows nothing.
    ///
    /// # Errors
    ///
    /// As [`Tail::wait`].
    pub async fn look(&mut self, store: &Store) -> Result<(), StoreError> {
        match self.step(store).await {
            Err(StoreError::Busy(_)) => Ok(()),
            outcome => outcome,
        }
    }

    /// Waits until a row can be taken; returns false if none can at `until`. While the store is busy it is asked again, ever more rarely.
    ///
    /// # Errors
    ///
    /// A [`StoreError`] that does not pass by itself.
    ///
    /// # Cancel safety
    ///
    /// If it is dropped, at most a Query is sent again.
    pub async fn wait(&mut self, store: &Store, until: Instant) -> Result<bool, StoreError> {
        loop {
            if !self.rows.is_empty() {
                return Ok(true);
            }
            if Instant::now() >= until {
                return Ok(false);
            }
            if self.sweep.is_none() {
                let next = self.due().map_or(self.next_poll, |due| due.min(self.next_poll));
                sleep_until(next.min(until)).await;
                if next > until {
                    return Ok(false);
                }
            }
            match self.step(store).await {
                Ok(()) => self.pause = AGAIN.start,
                Err(StoreError::Busy(reason)) => {
                    tracing::warn!(reason, "tail waits for the store");
                    self.limit = (self.limit / 2).max(*ROWS.start());
                    sleep_until((Instant::now() + self.pause).min(until)).await;
                    self.pause = (self.pause * 2).min(AGAIN.end);
                }
                Err(error) => return Err(error),
            }
        }
    }

    /// Reads on in the sweep, or polls and begins one.
    async fn step(&mut self, store: &Store) -> Result<(), StoreError> {
        let deadline = Instant::now() + PATIENCE;
        let Some(Sweep { channels, to }) = &self.sweep else { return self.poll(store, deadline).await };
        let limit = (self.limit / channels.len()).max(*ROWS.start());
        let range = |channel| self.range(channel, *to, Order::Ascending);
        let reads: Vec<_> = channels.iter().map(|channel| piece(store, range(channel), limit, deadline)).collect();
        let pieces: Vec<(Vec<Row>, u64)> = stream::iter(reads).buffered(AT_ONCE).try_collect().await?;
        let through = pieces.iter().map(|(_, through)| *through).min().unwrap_or(*to);
        if through < self.place.from {
            // More events of one microsecond than a step reads.
            self.limit *= 2;
            return Ok(());
        }
        let rows = pieces.into_iter().flat_map(|(rows, _)| rows);
        let is_new = |row: &Row| row.position.time <= through && !self.place.is_passed(&row.position);
        let mut rows: Vec<_> = rows.filter(is_new).collect();
        rows.sort_by(|left, right| left.position.cmp(&right.position));
        (self.rows, self.read) = (rows.into(), Some(through));
        self.limit = (self.limit * 2).min(*ROWS.end());
        self.settle();
        Ok(())
    }

    /// Returns the moment at which the oldest sighting is as old as the window.
    fn due(&self) -> Option<Instant> {
        self.sightings.front().map(|(at, _)| *at + self.window)
    }

    /// Asks each channel for its newest event, and begins a sweep to the newest time that is released.
    async fn poll(&mut self, store: &Store, deadline: Instant) -> Result<(), StoreError> {
        let started = Instant::now();
        self.next_poll = started + self.window / POLLS;
        let newest = self.newest(store, deadline).await?;
        let ahead = newest.iter().filter_map(|(_, time)| *time).max();
        let known = self.sightings.back().map(|(_, sighting)| sighting.newest);
        if let Some(newest) = ahead.filter(|time| known.is_none_or(|known| *time > known)) {
            // The moment after the answer: the event was readable then, and nobody knows since when.
            self.sightings.push_back((Instant::now(), Sighting { newest, seen: range::now() }));
        }
        let mut released = None;
        while let Some((_, sighting)) = self.sightings.pop_front_if(|(at, _)| *at + self.window <= started) {
            released = Some(sighting.newest);
        }
        let Some(to) = released.filter(|to| *to >= self.place.from) else { return Ok(()) };
        // What is released was readable when this poll began, so a channel without anything new has nothing to release.
        let channels: Vec<_> = newest.into_iter().filter(|(_, time)| time.is_some()).map(|(name, _)| name).collect();
        self.sweep = Some(Sweep { channels, to }).filter(|sweep| !sweep.channels.is_empty());
        Ok(())
    }

    /// Returns the time of each channel's newest event from the place on.
    async fn newest(&self, store: &Store, deadline: Instant) -> Result<Vec<(String, Option<u64>)>, StoreError> {
        let to = range::now().saturating_add(AHEAD);
        let range = |channel| self.range(channel, to.max(self.place.from), Order::Descending);
        let reads: Vec<_> = self.channels.iter().map(|channel| newest(store, range(channel), deadline)).collect();
        stream::iter(reads).buffered(AT_ONCE).try_collect().await
    }

    fn range(&self, channel: &str, to: u64, order: Order) -> Range {
        Range { subject: Subject::Channel(channel.to_owned()), from: self.place.from, to, order, said: None }
    }

    /// Moves behind the last step once all of its rows are taken: whatever else is in its time comes too late.
    fn settle(&mut self) {
        if let Some(read) = self.read.take_if(|_| self.rows.is_empty()) {
            self.place = Place::at(read.saturating_add(1));
            self.sweep.take_if(|sweep| read >= sweep.to);
        }
    }
}

/// Reads the first rows of a channel's range; returns them with the time up to which, inclusive, none is left out.
async fn piece(store: &Store, range: Range, limit: usize, deadline: Instant) -> Result<(Vec<Row>, u64), StoreError> {
    let Page { rows, next, .. } = page::read(store, &range, None, Some(limit), deadline).await?;
    // The next piece begins with a time, not behind an event: the place of an event within its microsecond changes if another daemon writes it again.
    // Only the limit ends a page between two events of one.
    let through = match next {
        None => range.to,
        Some(last) if rows.len() < limit => last.time,
        Some(last) => last.time.saturating_sub(1),
    };
    Ok((rows, through))
}

/// Reads the time of the newest event of a channel's range; returns it with the channel.
async fn newest(store: &Store, range: Range, deadline: Instant) -> Result<(String, Option<u64>), StoreError> {
    let (answer, of_blocks) =
        tokio::try_join!(store.query(&range, Some(1), None, deadline), page::newest(store, &range, deadline))?;
    let time = answer.items.into_iter().next().map(|item| Row::from(item).position.time);
    Ok((range.subject.name().to_owned(), time.max(of_blocks)))
}
