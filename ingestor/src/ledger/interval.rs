//! Works out what the connections prove of a channel.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared::coverage::{LONGEST, State};

use crate::ledger::skew::{LONGEST_DELAY, SkewBounds};

/// Longest delay of an event between the exchange's stamp and its receipt, in microseconds, beyond what [`SkewBounds`]
/// measures: what the exchange may fall further behind from one event to the next. Channels of one connection were seen up to
/// 0.6 s apart.
pub(super) const MARGIN: u64 = 2_000_000;
/// Gap reason for a time in which a connection was open and proved nothing.
pub(super) const UNPROVED: &str = "no connection answered a heartbeat that proves it";
/// Age of a loss, in microseconds, up to which a chain of order events may still go on over it.
const RECENT: u64 = 30_000_000;
/// How long a connection that ended is kept, in microseconds, because it may still prove something that another one
/// overlaps: far longer than two heartbeats.
const FORGET: u64 = 120_000_000;

/// What is known of one connection. Times are the daemon's, microseconds since the Unix epoch.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct ConnectionState {
    /// Everything that was sent until then has arrived.
    pub(super) proved: u64,
    /// When the connection was lost.
    pub(super) ended: Option<u64>,
    /// When each subscription was confirmed.
    pub(super) channels: BTreeMap<String, u64>,
    /// The exchange's time of the first event that was received after each confirmation.
    #[serde(default)]
    firsts: BTreeMap<String, u64>,
}

impl ConnectionState {
    /// Notes that the subscription to a channel was confirmed at `at`.
    pub(super) fn confirm(&mut self, channel: String, at: u64) {
        self.firsts.remove(&channel);
        self.channels.insert(channel, at);
    }

    /// Treats all channels as confirmed at `at`, because the clock was set: times before and after it cannot be compared.
    pub(super) fn confirm_again(&mut self, at: u64) {
        self.proved = at;
        self.channels.values_mut().for_each(|confirmed| *confirmed = at);
        self.firsts.clear();
    }

    /// Notes an event, of whatever channel. Returns the channels of which it is the first since their confirmation.
    pub(super) fn note(&mut self, received: u64, time: u64) -> Vec<String> {
        if self.ended.is_some() || self.firsts.len() == self.channels.len() {
            return Vec::new();
        }
        let waiting =
            |(channel, confirmed): &(&String, &u64)| **confirmed <= received && !self.firsts.contains_key(*channel);
        let begun: Vec<_> = self.channels.iter().filter(waiting).map(|(channel, _)| channel.clone()).collect();
        self.firsts.extend(begun.iter().map(|channel| (channel.clone(), time)));
        begun
    }
}

/// An interval in which everything that was sent arrived, over one connection or another; grows at its end.
/// Microseconds since the Unix epoch by the daemon's clock.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct CoveredInterval {
    /// Begin, inclusive.
    pub(super) from: u64,
    /// End of what is proved so far, inclusive.
    pub(super) through: u64,
    /// True once its begin was decided, and the gap before it entered.
    #[serde(default = "begun")]
    pub(super) begun: bool,
}

/// Earlier versions decided an interval's begin with its first moment.
fn begun() -> bool {
    true
}

impl CoveredInterval {
    fn at(time: u64) -> CoveredInterval {
        CoveredInterval { from: time, through: time, begun: false }
    }

    /// Returns its begin by the exchange's clock; `None` if that cannot be said yet.
    ///
    /// What the exchange sent before the confirmation is missing. By the measured skew that is what it stamped before, unless all
    /// measured events were late. So the first event that came afterwards counts too: what was stamped after it was sent after it.
    fn begin(self, proofs: &[Proof], now: u64, bounds: SkewBounds) -> Option<u64> {
        let least = bounds.late(self.from + MARGIN);
        let most = least + LONGEST_DELAY.cast_unsigned();
        match proofs.iter().filter(|proof| proof.from == self.from).find_map(|proof| proof.first) {
            Some(first) => Some(first.saturating_add(MARGIN).clamp(least, most)),
            None => (now >= self.from + MARGIN + LONGEST_DELAY.cast_unsigned()).then_some(most),
        }
    }
}

/// Returns true if an open connection carries the channel.
pub(super) fn is_live(connections: &BTreeMap<u32, ConnectionState>, channel: &str) -> bool {
    connections.values().any(|connection| connection.ended.is_none() && connection.channels.contains_key(channel))
}

/// Returns true if a connection carried the channel within the last half minute.
pub(super) fn was_live(connections: &BTreeMap<u32, ConnectionState>, channel: &str, now: u64) -> bool {
    let carried = |connection: &&ConnectionState| connection.channels.contains_key(channel);
    connections.values().filter(carried).any(|connection| connection.ended.is_none_or(|ended| ended + RECENT > now))
}

/// Drops connections whose proofs are all in covered intervals.
pub(super) fn forget(connections: &mut BTreeMap<u32, ConnectionState>, now: u64) {
    connections.retain(|_, connection| connection.ended.is_none_or(|ended| ended + FORGET > now));
}

/// Returns what can be decided by `now` (the daemon's clock). Each `(through, state)` extends the interval decided
/// before, through the exchange's time.
pub(super) fn advance(
    covered: &mut Option<CoveredInterval>,
    connections: &BTreeMap<u32, ConnectionState>,
    channel: &str,
    now: u64,
    bounds: SkewBounds,
) -> Vec<(u64, State)> {
    let proofs: Vec<Proof> = connections.values().filter_map(|connection| Proof::of(connection, channel)).collect();
    let mut found = Vec::new();
    loop {
        let current = match covered {
            Some(current) => current,
            None => match proofs.iter().map(|proof| proof.from).min() {
                None => return found,
                Some(from) => covered.insert(CoveredInterval::at(from)),
            },
        };
        while let Some(through) = proofs.iter().filter(|proof| proof.extends(*current)).map(|proof| proof.through).max()
        {
            current.through = through;
        }
        if let Some(begin) = current.begin(&proofs, now, bounds).filter(|_| !current.begun) {
            found.push((begin - 1, State::Gap));
            current.begun = true;
        }
        if current.begun && current.through >= current.from + 2 * MARGIN {
            found.push((bounds.early(current.through - MARGIN), State::Captured));
        }
        if proofs.iter().any(|proof| proof.live && proof.from <= current.through) {
            return found;
        }
        // Nothing will prove more of it: the covered is over.
        let later = proofs.iter().map(|proof| proof.from).filter(|from| *from > current.through).min();
        let Some(from) = later else {
            found.push((bounds.late(now) - 1, State::Gap));
            // Whatever is confirmed from now on begins a new one; an old proof must not.
            *current = CoveredInterval::at(now);
            return found;
        };
        *current = CoveredInterval::at(from);
    }
}

/// What one connection proves of one channel. Times are the daemon's.
struct Proof {
    from: u64,
    through: u64,
    /// The exchange's time of the first event after `from`.
    first: Option<u64>,
    live: bool,
}

impl Proof {
    fn of(connection: &ConnectionState, channel: &str) -> Option<Proof> {
        let from = *connection.channels.get(channel)?;
        let first = connection.firsts.get(channel).copied();
        Some(Proof { from, through: connection.proved.max(from), first, live: connection.ended.is_none() })
    }

    fn extends(&self, covered: CoveredInterval) -> bool {
        self.from <= covered.through && self.through > covered.through
    }
}

/// Cuts an interval into pieces of at most [`LONGEST`], on which readers rely; a gap stays whole.
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
