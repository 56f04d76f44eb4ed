use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use futures_util::StreamExt as _;
use shared::channel::{Channel, Family};
use shared::coverage::{self, Record, State, Stretch};
use shared::event::Event;
use shared::item;
use shared::key::Keyed;
use shared::time::Micros;
use tokio::time::Instant;

use crate::batch::Entry;
use crate::clock::system_micros;
use crate::fill::holes::{Hole, holes};
use crate::ledger::pieces;
use crate::markets::{Markets, MarketsError};
use crate::missed::Missed;
use crate::rest::{Rest, RestError};
use crate::status::{Part, Status};
use crate::stored::Stored;
use crate::writer::{First, Writer};

/// Which gaps may be fetched.
pub mod holes;

/// Trades of `GET /transactions/`.
mod trades;

/// Order events of `POST /order_data/`.
mod orders;

/// The order book, where order events cannot be had.
mod snapshot;

/// The exchange's history reaches back a day; what is older than this would be asked for too late.
const REACH: u64 = 23 * 3_600 * 1_000_000;
/// Wait after an attempt that could not be finished ...
const FIRST_WAIT: Duration = Duration::from_secs(30);
/// ... and at most, because the next attempt may succeed.
const LONGEST_WAIT: Duration = Duration::from_secs(1_800);
/// So many refusals are enough.
const REFUSALS: u32 = 3;
/// Items written at once.
const AT_ONCE: usize = 8;
/// Of [`item::SOURCE`].
const REST: &str = "rest";

/// Looks after the gaps of the ledger: fetches what was missed from the exchange's REST API, a while after the gap, and enters
/// it as filled where it joins what was stored on both sides.
///
/// It remembers only what the exchange refused: what is to be done stands in the table's ledger, whichever daemon entered it, so a
/// restart changes nothing. Everything is written under a key that follows from what the exchange answers, and nothing that is there
/// is replaced.
pub struct Filler {
    rest: Rest,
    stored: Stored,
    writer: Writer,
    status: Arc<Status>,
    daemon: String,
    /// How long after its end a gap is fetched: another daemon may be about to write what this one missed.
    after: Duration,
    channels: BTreeSet<Channel>,
    markets: Option<Markets>,
    /// How often the exchange did not want to fill a gap.
    refusals: BTreeMap<(Channel, Hole), u32>,
}

/// Why a gap is not filled.
#[derive(Debug)]
enum Fault {
    /// It cannot be proved yet; later events may prove it.
    NotYet(&'static str),
    /// Exchange or store could not be asked.
    Later(String),
    /// The exchange does not want to, or what it sends does not fit.
    Refused(String),
}

impl From<RestError> for Fault {
    fn from(error: RestError) -> Fault {
        match error {
            RestError::Unreachable(_) => Fault::Later(error.to_string()),
            RestError::Refused { .. } | RestError::Unreadable(_) => Fault::Refused(error.to_string()),
        }
    }
}

impl From<MarketsError> for Fault {
    fn from(error: MarketsError) -> Fault {
        Fault::Later(error.to_string())
    }
}

impl Filler {
    /// A filler for those of `channels` that the exchange keeps a history of.
    pub fn new(
        rest: Rest,
        stored: Stored,
        writer: Writer,
        status: Arc<Status>,
        daemon: String,
        after: Duration,
        channels: &[Channel],
    ) -> Filler {
        let channels = channels.iter().filter(|channel| is_kept(channel)).cloned().collect();
        Filler { rest, stored, writer, status, daemon, after, channels, markets: None, refusals: BTreeMap::new() }
    }

    /// Runs until it is dropped, which loses nothing. `missed`: channels with a new gap.
    pub async fn run(mut self, missed: Arc<Missed>) {
        let first_wait = self.after.min(FIRST_WAIT);
        // Those of earlier runs and of other daemons.
        let mut due: BTreeMap<Channel, (Instant, Duration)> =
            self.channels.iter().map(|channel| (channel.clone(), (Instant::now() + self.after, first_wait))).collect();
        loop {
            let next = due.iter().min_by_key(|(_, (at, _))| *at).map(|(channel, (at, _))| (channel.clone(), *at));
            let at = next.as_ref().map_or_else(|| Instant::now() + LONGEST_WAIT, |(_, at)| *at);
            tokio::select! {
                channels = missed.take() => {
                    let at = Instant::now() + self.after;
                    for channel in channels.intersection(&self.channels) {
                        due.entry(channel.clone())
                            .and_modify(|due| *due = (due.0.min(at), first_wait))
                            .or_insert((at, first_wait));
                    }
                }
                () = tokio::time::sleep_until(at) => {
                    let Some((channel, (_, wait))) = next.and_then(|(channel, _)| due.remove_entry(&channel)) else { continue };
                    if self.look(&channel).await {
                        due.insert(channel, (Instant::now() + wait, (wait * 2).min(LONGEST_WAIT)));
                    }
                }
            }
        }
    }

    /// Does what can be done for a channel. Whether something is left to be done later.
    async fn look(&mut self, channel: &Channel) -> bool {
        let now = self.now();
        let since = now - REACH;
        let known = match self.stored.ledger(channel.as_str(), since).await {
            Ok(stretches) => coverage::merge(&stretches, since, now),
            Err(error) => {
                tracing::warn!(%channel, error, "the ledger cannot be read to fill gaps");
                return true;
            }
        };
        let until = now.saturating_sub(u64::try_from(self.after.as_micros()).unwrap_or(u64::MAX));
        let mut found = holes(&known, until);
        self.refusals.retain(|(_, hole), _| hole.through > since);
        for hole in found.ready {
            if self.refusals.get(&(channel.clone(), hole)).is_some_and(|count| *count >= REFUSALS) {
                continue;
            }
            found.more |= !self.attend(channel, hole).await;
        }
        found.more
    }

    /// One gap. Whether nothing is left to be done.
    async fn attend(&mut self, channel: &Channel, hole: Hole) -> bool {
        let Hole { from, through } = hole;
        match self.fetch(channel, hole).await {
            Ok(stored) => {
                self.enter(channel, hole, stored).await;
                self.status.filled.add(1);
                tracing::info!(%channel, from, through, stored, "gap filled");
                true
            }
            Err(Fault::NotYet(reason)) => {
                tracing::debug!(%channel, from, through, reason, "gap cannot be filled yet");
                false
            }
            Err(Fault::Later(reason)) => {
                tracing::warn!(%channel, from, through, reason, "gap could not be filled now");
                false
            }
            Err(Fault::Refused(reason)) => {
                let refusals = self.refusals.entry((channel.clone(), hole)).or_default();
                *refusals += 1;
                if *refusals < REFUSALS {
                    return false;
                }
                self.status.unfillable.add(1);
                tracing::warn!(%channel, from, through, reason, "gap stays: the exchange does not fill it");
                if channel.family() == Family::LiveOrders
                    && let Err(fault) = snapshot::take(self, channel, hole).await
                {
                    tracing::warn!(%channel, ?fault, "no order book could be stored behind the gap");
                }
                true
            }
        }
    }

    /// How many events the table did not hold.
    async fn fetch(&mut self, channel: &Channel, hole: Hole) -> Result<u64, Fault> {
        let market = channel.market().unwrap_or_default();
        if channel.family() == Family::LiveTrades {
            return trades::fetch(self, channel, market, hole).await;
        }
        let markets = match self.markets.take() {
            Some(markets) => markets,
            None => Markets::fetch(&self.rest).await?,
        };
        let pair = self.markets.insert(markets).name(market).map(str::to_owned);
        let pair = pair.ok_or_else(|| Fault::Refused(format!("the exchange has no market `{market}`")))?;
        orders::fetch(self, channel, &pair, hole).await
    }

    /// The ledger says what was done.
    async fn enter(&self, channel: &Channel, hole: Hole, stored: u64) {
        let mut frames = stored;
        let records = pieces(hole.from, hole.through, State::Filled).map(|(from, through)| Record {
            daemon: self.daemon.clone(),
            channel: channel.to_string(),
            stretch: Stretch { from, through, state: State::Filled, reason: None },
            frames: std::mem::take(&mut frames),
        });
        for record in records.collect::<Vec<_>>() {
            let name = Channel::from_frame(coverage::ledger_channel(channel.as_str()));
            let time = Micros(record.stretch.through);
            let (key, item) = (record.key(), record.to_item());
            let entry = Entry { sequences: Vec::new(), key, channel: name, time, item, ledger: None };
            for (entry, reason) in self.writer.write(vec![entry]).await.refused {
                tracing::error!(item = ?entry.key, reason, "the table refuses an entry of the ledger");
            }
        }
    }

    /// Microseconds since the Unix epoch by this machine's clock, which the exchange's may differ from by seconds.
    fn now(&self) -> u64 {
        system_micros()
    }

    /// The item of an event that was fetched.
    fn entry(&self, event: Event, keyed: Keyed) -> Result<Entry, Fault> {
        let now = Micros(self.now());
        let (key, channel, time) = (keyed.key.clone(), event.channel.clone(), keyed.time.unwrap_or(now));
        let mut item = item::from_keyed(event, keyed, now).map_err(|error| Fault::Refused(error.to_string()))?;
        item.insert(item::SOURCE.to_owned(), AttributeValue::S(REST.to_owned()));
        Ok(Entry { sequences: Vec::new(), key, channel, time, item, ledger: None })
    }

    /// Writes items where there are none. How many there were none of.
    async fn put(&self, entries: Vec<Entry>) -> Result<u64, Fault> {
        let mut writes = futures_util::stream::iter(entries)
            .map(|entry| self.writer.write_first(entry, Part::Filling))
            .buffer_unordered(AT_ONCE);
        let mut written = 0;
        while let Some(first) = writes.next().await {
            match first {
                First::Written(_) => written += 1,
                First::WasThere(_) => {}
                First::Refused(entry, reason) => {
                    return Err(Fault::Refused(format!("the table refuses {:?}: {reason}", entry.key)));
                }
            }
        }
        self.status.filled_events.add(written);
        Ok(written)
    }
}

/// Of which families the exchange keeps a history.
fn is_kept(channel: &Channel) -> bool {
    matches!(channel.family(), Family::LiveTrades | Family::LiveOrders) && channel.market().is_some()
}
