use std::collections::{BTreeMap, BTreeSet};

use serde::{Deserialize, Serialize};
use shared::coverage::{LONGEST, Record, State, Stretch};

use crate::ledger::chain::Chain;
use crate::ledger::run::{Line, Run};
use crate::spool::record::Story;

pub use crate::ledger::entry::{Entry, Mark};

/// What goes in and what comes out.
mod entry;

/// What the connections prove of a channel.
mod run;

/// What the exchange's own chain of order events proves of a channel.
mod chain;

/// What of a connection's end or a restart is said where nothing better is known.
const NOT_RUNNING: &str = "the daemon was not running";

/// Which stretches of which channel are complete, worked out from the records of the spool in their order and from nothing
/// else: what stands in it follows from what is stored.
///
/// - A connection has delivered everything that was sent from the confirmation of a subscription to the last heartbeat that
///   was answered. The union over the connections counts.
/// - Times of events are the exchange's, times of connections the daemon's: both ends of a union are drawn in by
///   two seconds, for the way from the exchange and for what the two clocks differ.
/// - Order events name their predecessor. Where they do, only an unbroken chain is called captured, and a chain that goes on
///   over a lost connection proves that nothing was sent meanwhile.
///
/// It is applied when the spool's position passes a record, and saved with the position. So it never speaks of an event that
/// is neither in the table nor in the quarantine, and a crash changes nothing that it would say.
#[derive(Debug)]
pub struct Ledger {
    daemon: String,
    configured: BTreeSet<String>,
    book: Book,
    /// So many of the outbox's last entries were not taken yet.
    fresh: usize,
    changed: bool,
}

/// What is saved.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Book {
    /// When the last story happened, by the daemon's clock.
    now: u64,
    /// Minutes since the Unix epoch, of the last entry of all channels.
    minute: u64,
    lines: BTreeMap<u32, Line>,
    tracks: BTreeMap<String, Track>,
    /// Entries that are not known to be in the table.
    outbox: Vec<Entry>,
}

/// One channel.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Track {
    /// The last moment that was entered, or that nothing can be said of; zero before the first.
    done: u64,
    /// Whether anything was entered.
    #[serde(default)]
    entered: bool,
    /// Events since the last entry.
    frames: u64,
    /// Why it is not connected, or was not a moment ago, and since when.
    reason: Option<(String, u64)>,
    run: Option<Run>,
    chain: Option<Chain>,
}

impl Ledger {
    /// A ledger that goes on where `saved` ended; `channels` are subscribed to from now on.
    ///
    /// # Errors
    ///
    /// `saved` is not what [`Ledger::save`] wrote.
    pub fn new<'a>(
        daemon: String,
        channels: impl IntoIterator<Item = &'a str>,
        saved: Option<&[u8]>,
    ) -> Result<Ledger, serde_json::Error> {
        let book: Book = saved.map(serde_json::from_slice).transpose()?.unwrap_or_default();
        let configured = channels.into_iter().map(str::to_owned).collect();
        let fresh = book.outbox.len();
        Ok(Ledger { daemon, configured, book, fresh, changed: false })
    }

    /// What must be saved with the spool's position, if anything has changed that would be missed.
    pub fn save(&mut self) -> Option<Vec<u8>> {
        std::mem::take(&mut self.changed)
            .then(|| serde_json::to_vec(&self.book).expect("numbers, strings and maps always become json"))
    }

    /// What is to be written and not yet known to be in the table.
    #[must_use]
    pub fn outbox(&self) -> &[Entry] {
        &self.book.outbox
    }

    /// What is to be written and was not taken before.
    pub fn take(&mut self) -> Vec<Entry> {
        let taken = self.book.outbox.len() - std::mem::take(&mut self.fresh);
        self.book.outbox.iter().skip(taken).cloned().collect()
    }

    /// An entry is in the table.
    pub fn settle(&mut self, entry: &Entry) {
        self.book.outbox.retain(|waiting| waiting != entry);
        self.changed = true;
    }

    /// The spool's position passed a record.
    pub fn apply(&mut self, mark: Mark) {
        let before = self.book.outbox.len();
        self.note(mark);
        self.fresh += self.book.outbox.len() - before;
    }

    fn note(&mut self, mark: Mark) {
        match mark {
            Mark::Event(channel, time, ids) => {
                let track = self.book.tracks.entry(channel).or_default();
                track.frames += 1;
                if let Some((id, before)) = ids {
                    match &mut track.chain {
                        Some(chain) => chain.link(id, before, time, self.book.now),
                        None => {
                            // The chain says of its first seconds what the connection cannot prove.
                            track.done = if track.entered { track.done.max(time) } else { time };
                            track.chain = Some(Chain::new(id, time));
                        }
                    }
                }
            }
            Mark::Story(connection, at, story) => {
                self.changed = true;
                self.book.now = at;
                self.story(connection, at, story);
                if at / LONGEST > self.book.minute {
                    self.book.minute = at / LONGEST;
                    self.enter_all(at);
                }
            }
        }
    }

    fn story(&mut self, connection: u32, at: u64, story: Story) {
        match story {
            Story::Connected => {
                self.book.lines.insert(connection, Line::default());
            }
            Story::Subscribed { channel } => {
                let was_live = run::is_live(&self.book.lines, &channel);
                if let Some(line) = self.book.lines.get_mut(&connection) {
                    line.channels.insert(channel.clone(), at);
                }
                if !self.book.tracks.contains_key(&channel) {
                    self.book.outbox.push(Entry::Channel(channel.clone(), at));
                    self.book.tracks.insert(channel.clone(), Track::default());
                }
                if !was_live {
                    self.enter(&channel, at);
                }
            }
            Story::Proved { through } => {
                if let Some(line) = self.book.lines.get_mut(&connection) {
                    line.proved = through;
                }
            }
            Story::Lost { reason } => self.lost(connection, at, &reason),
            Story::Started => {
                self.enter_all(at);
                for connection in self.book.lines.keys().copied().collect::<Vec<_>>() {
                    self.lost(connection, at, NOT_RUNNING);
                }
                self.book.lines.clear();
                // What is not configured any more is not missing.
                self.book.tracks.retain(|channel, _| self.configured.contains(channel));
            }
            // The sockets close and say why.
            Story::IntakeStopped | Story::IntakeResumed => {}
        }
    }

    /// A connection ended: what it carried alone has a gap from here.
    fn lost(&mut self, connection: u32, at: u64, reason: &str) {
        let Some(line) = self.book.lines.get_mut(&connection).filter(|line| line.ended.is_none()) else { return };
        line.ended = Some(at);
        for channel in line.channels.keys().cloned().collect::<Vec<_>>() {
            if run::is_live(&self.book.lines, &channel) {
                continue;
            }
            let Some(track) = self.book.tracks.get_mut(&channel) else { continue };
            track.reason = Some((reason.to_owned(), at));
            self.enter(&channel, at);
        }
    }

    fn enter_all(&mut self, now: u64) {
        for channel in self.book.tracks.keys().cloned().collect::<Vec<_>>() {
            self.enter(&channel, now);
        }
        run::forget(&mut self.book.lines, now);
    }

    /// Enters what is certain of a channel by now.
    fn enter(&mut self, channel: &str, now: u64) {
        let Book { lines, tracks, outbox, .. } = &mut self.book;
        let Some(track) = tracks.get_mut(channel) else { return };
        let first = track.done == 0;
        let live = run::is_live(lines, channel);
        let mut found = run::advance(&mut track.run, lines, channel, now);
        if let Some(chain) = &mut track.chain {
            // A chain may go on over a short loss: then nothing was sent meanwhile.
            found = chain.advance(live, !run::was_live(lines, channel, now), now);
        }
        for (through, state) in found {
            let from = track.done + 1;
            if through < from {
                continue;
            }
            track.done = through;
            // Before the first moment nothing is known, which is not a gap.
            if first && state == State::Gap {
                continue;
            }
            track.entered = true;
            let default = if track.chain.is_some() { chain::BROKEN } else { run::UNPROVED };
            let reason = track.reason.as_ref().map_or(default, |(reason, _)| reason);
            let reason = (state == State::Gap).then(|| reason.to_owned());
            for (from, through) in pieces(from, through, state) {
                let frames = if state == State::Captured { std::mem::take(&mut track.frames) } else { 0 };
                let stretch = Stretch { from, through, state, reason: reason.clone() };
                let record = Record { daemon: self.daemon.clone(), channel: channel.to_owned(), stretch, frames };
                outbox.push(Entry::Stretch(record));
            }
        }
        let settled =
            |chain: &Chain| chain.is_whole() && track.reason.as_ref().is_none_or(|(_, at)| at + chain::SETTLE < now);
        if live && track.chain.as_ref().is_none_or(settled) {
            track.reason = None;
        }
    }
}

/// Cuts a stretch, unless it is a gap, to the length that readers rely on.
pub fn pieces(from: u64, through: u64, state: State) -> impl Iterator<Item = (u64, u64)> {
    let length = if state == State::Gap { u64::MAX } else { LONGEST };
    let mut next = Some(from);
    std::iter::from_fn(move || {
        let from = next.take()?;
        let end = from.saturating_add(length - 1).min(through);
        next = (end < through).then_some(end + 1);
        Some((from, end))
    })
}
