//! Fills gaps from the exchange's REST API and looks after the ledger in the table.

use std::collections::{BTreeMap, BTreeSet};
use std::sync::Arc;
use std::time::Duration;

use shared::channel::{Channel, Family};
use shared::coverage;
use tokio::time::Instant;

use crate::clock::system_micros;
use crate::exchange::markets::Markets;
use crate::exchange::rest::Rest;
use crate::gap_fill::context::FillContext;
use crate::gap_fill::error::FillError;
use crate::gap_fill::gaps::{Gap, find_gaps};
use crate::gap_fill::schedule::{Remaining, Schedule, Task};
use crate::gap_fill::{orders, snapshot, trades};
use crate::ledger::gap_queue::GapQueue;
use crate::observe::gaps::GapState;
use crate::observe::status::{Component, Status};
use crate::store::reader::StoreReader;
use crate::store::writer::Writer;

mod regular;

pub use regular::Timing;

/// Age up to which a gap is filled, in microseconds. The exchange's history reaches back a day; an hour is left for the
/// attempts.
const REACH: u64 = 23 * 3_600 * 1_000_000;
/// Number of refusals in a row after which a gap counts as unfillable, and is tried only rarely.
const REFUSALS: u32 = 3;
/// Delay before the first look for an order book; by then subscriptions are confirmed.
const SOON: Duration = Duration::from_secs(5);

/// Fills gaps from the exchange's REST API and looks after the ledger in the table: fetches what was missed a while
/// after a gap, enters the gap as filled where the fetched events join the stored ones on both sides, audits trades,
/// stores order books and compacts closed days.
///
/// Gaps are read from the table's ledger, whichever daemon entered them, so a restart changes nothing. An answer that is not
/// about the request (a maintenance page, a rate limit, a cut body) leads to another attempt until the exchange's history
/// ends; a refusal does too, but rarely. Every item has a key that follows from the exchange's answer, and no item that exists
/// is replaced.
pub struct GapFiller {
    context: FillContext,
    /// Channels that the exchange keeps a history of.
    channels: BTreeSet<Channel>,
    all: Vec<Channel>,
    timing: Timing,
    /// Time until which a channel's trades are compared with the exchange's, microseconds since the Unix epoch.
    audited: BTreeMap<Channel, u64>,
    /// First day of a channel that is not compacted yet, since the Unix epoch.
    compacted: BTreeMap<Channel, u64>,
    markets: Option<Markets>,
    /// Gaps that the exchange refused to fill: how often, and when each is tried again.
    refusals: BTreeMap<(Channel, Gap), (u32, Instant)>,
    /// Channels whose gaps cannot be filled now, and why.
    troubled: BTreeMap<Channel, String>,
    schedule: Schedule,
}

impl GapFiller {
    /// Creates a gap filler for `channels`: for the gaps of those that the exchange keeps a history of, and for the
    /// ledger of all.
    pub fn new(
        rest: Rest,
        reader: StoreReader,
        writer: Writer,
        status: Arc<Status>,
        daemon: String,
        timing: Timing,
        channels: &[Channel],
    ) -> GapFiller {
        let all = channels.to_vec();
        let channels = channels.iter().filter(|channel| is_kept(channel)).cloned().collect();
        GapFiller {
            context: FillContext {
                rest,
                reader,
                writer,
                status,
                daemon,
                after: timing.after,
                started: system_micros(),
            },
            channels,
            all,
            timing,
            audited: BTreeMap::new(),
            compacted: BTreeMap::new(),
            markets: None,
            refusals: BTreeMap::new(),
            troubled: BTreeMap::new(),
            schedule: Schedule::new(timing.after),
        }
    }

    /// Runs until it is dropped, which loses nothing. `gap_queue`: channels with newly written gaps.
    pub async fn run(mut self, gap_queue: Arc<GapQueue>) {
        let start = Instant::now() + self.timing.after;
        for channel in &self.all {
            self.schedule.add((Task::Days, channel.clone()), start);
        }
        for channel in &self.channels {
            // Gaps of earlier runs and of other daemons.
            self.schedule.add((Task::Gaps, channel.clone()), start);
            match (channel.family(), self.timing) {
                (Family::LiveOrders, Timing { snapshot: Some(every), .. }) => {
                    self.schedule.add((Task::Book(every), channel.clone()), Instant::now() + SOON);
                }
                (Family::LiveTrades, Timing { audit: Some(every), .. }) => {
                    self.schedule.add((Task::Audit(every), channel.clone()), start);
                }
                _ => {}
            }
        }
        loop {
            let next = self.schedule.next();
            let at = next.as_ref().map_or_else(|| Instant::now() + self.schedule.rarely(), |(_, at)| *at);
            tokio::select! {
                channels = gap_queue.take() => {
                    let at = Instant::now() + self.timing.after;
                    let kept = channels.iter().filter(|channel| is_kept(channel));
                    kept.for_each(|channel| self.schedule.add((Task::Gaps, channel.clone()), at));
                }
                () = tokio::time::sleep_until(at) => {
                    let Some((job, _)) = next else { continue };
                    self.attempt(job).await;
                    self.context.status.set_trouble(Component::History, self.troubled.values().next().cloned());
                }
            }
        }
    }

    /// Fills the channel's ready gaps; returns what is left for a later attempt.
    async fn fill_ready_gaps(&mut self, channel: &Channel) -> Remaining {
        let now = self.context.now();
        let since = now - REACH;
        self.troubled.remove(channel);
        let known = match self.context.reader.ledger(channel.as_str(), since).await {
            Ok(intervals) => coverage::merge(&intervals, since, now),
            Err(error) => {
                self.troubled.insert(channel.clone(), format!("the ledger cannot be read to fill gaps: {error}"));
                return Remaining::Trouble;
            }
        };
        let until = now.saturating_sub(u64::try_from(self.timing.after.as_micros()).unwrap_or(u64::MAX));
        let found = find_gaps(&known, until);
        self.refusals.retain(|(_, gap), _| gap.through > since);
        let mut left = if found.more { Remaining::NotYet } else { Remaining::Nothing };
        for gap in found.ready {
            left = left.max(self.fill_gap(channel, gap).await);
        }
        left
    }

    /// Fills one gap, unless the exchange refused it a short while ago; returns what is left to do.
    async fn fill_gap(&mut self, channel: &Channel, gap: Gap) -> Remaining {
        let Gap { from, through } = gap;
        let refused = self.refusals.get(&(channel.clone(), gap));
        if refused.is_some_and(|(count, next)| *count >= REFUSALS && *next > Instant::now()) {
            return Remaining::Refused;
        }
        let status = self.context.status.clone();
        let now_is = |state| status.known_gaps.set(channel, from, through, state);
        now_is(GapState::Filling);
        let fetched = self.fetch(channel, gap).await;
        now_is(if fetched.is_ok() { GapState::Filled } else { GapState::Open });
        match fetched {
            Ok(stored) => {
                self.context.enter(channel, gap, stored).await;
                self.refusals.remove(&(channel.clone(), gap));
                self.context.status.filled.add(1);
                tracing::info!(%channel, from, through, stored, "gap filled");
                Remaining::Nothing
            }
            Err(FillError::NotYet(reason)) => {
                tracing::debug!(%channel, from, through, reason, "gap cannot be filled yet");
                Remaining::NotYet
            }
            Err(FillError::Later(reason)) => {
                tracing::debug!(%channel, from, through, reason, "gap could not be filled now");
                self.troubled.insert(channel.clone(), reason);
                Remaining::Trouble
            }
            Err(FillError::Refused(reason)) => self.refused(channel, gap, &reason).await,
        }
    }

    /// Counts a refusal. From the third on stores an order book after the gap, if there is none yet.
    async fn refused(&mut self, channel: &Channel, gap: Gap, reason: &str) -> Remaining {
        let next = Instant::now() + self.schedule.rarely();
        let (count, at) = self.refusals.entry((channel.clone(), gap)).or_insert((0, next));
        (*count, *at) = (*count + 1, next);
        let count = *count;
        if count < REFUSALS {
            return Remaining::Trouble;
        }
        self.context.status.known_gaps.set(channel, gap.from, gap.through, GapState::Stays);
        if count == REFUSALS {
            self.context.status.unfillable.add(1);
            let Gap { from, through } = gap;
            tracing::warn!(%channel, from, through, reason, "gap stays: the exchange does not fill it");
        }
        if channel.family() == Family::LiveOrders
            && let Err(error) = snapshot::behind(&self.context, channel, gap).await
        {
            tracing::warn!(%channel, fault = ?error, "no order book could be stored behind the gap");
        }
        Remaining::Refused
    }

    /// Fetches the events of a gap and stores those that are missing; returns how many were stored.
    async fn fetch(&mut self, channel: &Channel, gap: Gap) -> Result<u64, FillError> {
        let market = channel.market().unwrap_or_default();
        if channel.family() == Family::LiveTrades {
            return trades::fetch(&self.context, channel, market, gap).await;
        }
        let markets = match self.markets.take() {
            Some(markets) => markets,
            None => Markets::fetch(&self.context.rest).await?,
        };
        let pair = markets.name(market).map(str::to_owned);
        // Without the market the list is asked for again: it may be listed by then.
        let pair = pair.ok_or_else(|| FillError::Refused(format!("the exchange has no market `{market}`")))?;
        self.markets = Some(markets);
        orders::fetch(&self.context, channel, &pair, gap).await
    }
}

/// Returns true if the exchange keeps a history of the channel's family.
fn is_kept(channel: &Channel) -> bool {
    matches!(channel.family(), Family::LiveTrades | Family::LiveOrders) && channel.market().is_some()
}
