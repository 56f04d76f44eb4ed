//! The newest gaps of the ledger, and what became of each.

use std::collections::VecDeque;
use std::sync::Mutex;

use shared::channel::{Channel, Family};
use shared::coverage::Interval;

use crate::observe::gauges::lock;

/// Largest number of gaps that are remembered.
const REMEMBERED: usize = 2_000;

/// What became of a gap.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum GapState {
    /// It waits to be filled.
    Open,
    /// Its events are being fetched now.
    Filling,
    /// Its events were fetched.
    Filled,
    /// It stays: the exchange keeps no history of the channel, or refuses.
    Stays,
}

impl GapState {
    /// Returns its name in the status.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            GapState::Open => "open",
            GapState::Filling => "filling",
            GapState::Filled => "filled",
            GapState::Stays => "stays",
        }
    }
}

/// A gap of one channel; times in microseconds since the Unix epoch by the exchange's clock, both inclusive.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KnownGap {
    /// The channel.
    pub channel: String,
    /// First moment.
    pub from: u64,
    /// Last moment.
    pub through: u64,
    /// Why events may be missing; `None` if an earlier run or another daemon entered it.
    pub reason: Option<String>,
    /// What became of it.
    pub state: GapState,
}

/// The newest gaps of this run, oldest first.
#[derive(Debug, Default)]
pub struct Gaps(Mutex<VecDeque<KnownGap>>);

impl Gaps {
    /// Notes a gap that was entered into the ledger. Returns true if it goes on where the channel's last one ended: a gap that lasts
    /// is entered in pieces.
    pub(super) fn entered(&self, channel: &str, interval: &Interval) -> bool {
        let Interval { from, through, reason, .. } = interval;
        let mut gaps = lock(&self.0);
        let last = gaps.iter_mut().rev().find(|gap| gap.channel == channel);
        if let Some(last) = last.filter(|last| last.through + 1 == *from) {
            last.through = *through;
            last.reason.clone_from(reason);
            last.state = state_of_new(channel);
            return true;
        }
        add(
            &mut gaps,
            KnownGap {
                channel: channel.to_owned(),
                from: *from,
                through: *through,
                reason: reason.clone(),
                state: state_of_new(channel),
            },
        );
        false
    }

    /// Notes what became of the gaps of a channel that overlap the interval `from..=through`. The interval is the gap filler's: other
    /// daemons may have captured a part of what this one missed.
    pub fn set(&self, channel: &Channel, from: u64, through: u64, state: GapState) {
        let mut gaps = lock(&self.0);
        let mut is_known = false;
        for gap in gaps.iter_mut() {
            if gap.channel == channel.as_str() && gap.from <= through && gap.through >= from {
                gap.state = state;
                is_known = true;
            }
        }
        if !is_known {
            let channel = channel.to_string();
            add(&mut gaps, KnownGap { channel, from, through, reason: None, state });
        }
    }

    /// Returns how many gaps are in a state.
    #[must_use]
    pub fn count(&self, state: GapState) -> u64 {
        lock(&self.0).iter().filter(|gap| gap.state == state).count() as u64
    }

    /// Returns the newest gaps, newest first.
    #[must_use]
    pub fn newest(&self, most: usize) -> Vec<KnownGap> {
        lock(&self.0).iter().rev().take(most).cloned().collect()
    }
}

fn add(gaps: &mut VecDeque<KnownGap>, gap: KnownGap) {
    if gaps.len() >= REMEMBERED {
        gaps.pop_front();
    }
    gaps.push_back(gap);
}

/// Returns the state of a gap that was just entered.
fn state_of_new(channel: &str) -> GapState {
    match Channel::from_frame(channel.to_owned()).family() {
        Family::LiveTrades | Family::LiveOrders => GapState::Open,
        _ => GapState::Stays,
    }
}

#[cfg(test)]
mod tests {
    use shared::coverage::State;

    use super::*;

    fn entered(gaps: &Gaps, channel: &str, from: u64, through: u64) -> bool {
        let reason = Some("the daemon was down".to_owned());
        gaps.entered(channel, &Interval { from, through, state: State::Gap, reason })
    }

    #[test]
    fn a_gap_that_lasts_is_one_gap() {
        let gaps = Gaps::default();
        let told = [("a", 10, 19), ("a", 20, 29), ("b", 20, 29), ("a", 30, 39), ("a", 41, 49)];
        let goes_on = told.map(|(channel, from, through)| entered(&gaps, channel, from, through));
        assert_eq!(goes_on, [false, true, false, true, false]);
        let ends: Vec<_> = gaps.newest(9).into_iter().map(|gap| (gap.channel, gap.from, gap.through)).collect();
        let expected = [("a", 41, 49), ("b", 20, 29), ("a", 10, 39)];
        assert_eq!(ends, expected.map(|(channel, from, through)| (channel.to_owned(), from, through)));
    }

    #[test]
    fn what_becomes_of_a_gap_is_told() {
        let (gaps, trades) = (Gaps::default(), "live_trades_btcusd");
        entered(&gaps, trades, 10, 19);
        entered(&gaps, trades, 30, 39);
        entered(&gaps, "order_book_btcusd", 10, 19);
        assert_eq!((gaps.count(GapState::Open), gaps.count(GapState::Stays)), (2, 1), "no history of books is kept");
        let channel: Channel = trades.parse().unwrap();
        gaps.set(&channel, 12, 15, GapState::Filling);
        assert_eq!((gaps.count(GapState::Filling), gaps.count(GapState::Open)), (1, 1));
        gaps.set(&channel, 12, 15, GapState::Filled);
        gaps.set(&channel, 1, 2, GapState::Stays);
        let states: Vec<_> = gaps.newest(2).into_iter().map(|gap| (gap.from, gap.reason, gap.state)).collect();
        let reason = Some("the daemon was down".to_owned());
        assert_eq!(states[0], (1, None, GapState::Stays), "an earlier run's");
        assert_eq!(states[1], (10, reason, GapState::Stays));
        assert_eq!(gaps.count(GapState::Filled), 1);
    }

    #[test]
    fn memory_is_bounded() {
        let gaps = Gaps::default();
        for from in 0..10_000 {
            entered(&gaps, "live_trades_btcusd", from * 10, from * 10 + 5);
        }
        assert_eq!(gaps.newest(10_000).len(), REMEMBERED);
    }
}
