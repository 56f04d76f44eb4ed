use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};
use shared::coverage::State;

/// The longest that an event may be on its way from the moment the exchange stamps it to the daemon, and the most that the
/// two clocks may differ, together. Channels of one connection were seen up to 0.6 s apart.
pub(super) const MARGIN: u64 = 2_000_000;
/// Why there is a gap although a connection was there.
pub(super) const UNPROVED: &str = "no connection answered a heartbeat that proves it";
/// A chain of events may still go on over a loss that is no older than this.
const RECENT: u64 = 30_000_000;
/// How long a connection that ended may still prove something that another one overlaps: far longer than two heartbeats.
const FORGET: u64 = 120_000_000;

/// One connection. Times are the daemon's, microseconds since the Unix epoch.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct Line {
    /// Everything that was sent up to here has arrived.
    pub(super) proved: u64,
    /// When it was lost.
    pub(super) ended: Option<u64>,
    /// When each subscription was confirmed.
    pub(super) channels: BTreeMap<String, u64>,
}

/// A time in which everything that was sent arrived, over one connection or another; grows at its end.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(super) struct Run {
    /// Its beginning.
    pub(super) from: u64,
    /// As far as it is proved.
    pub(super) through: u64,
}

/// Whether any connection carries the channel now.
pub(super) fn is_live(lines: &BTreeMap<u32, Line>, channel: &str) -> bool {
    lines.values().any(|line| line.ended.is_none() && line.channels.contains_key(channel))
}

/// Whether a connection carried the channel within the last half minute.
pub(super) fn was_live(lines: &BTreeMap<u32, Line>, channel: &str, now: u64) -> bool {
    let carried = |line: &&Line| line.channels.contains_key(channel);
    lines.values().filter(carried).any(|line| line.ended.is_none_or(|ended| ended + RECENT > now))
}

/// Drops connections whose proofs are all in the runs.
pub(super) fn forget(lines: &mut BTreeMap<u32, Line>, now: u64) {
    lines.retain(|_, line| line.ended.is_none_or(|ended| ended + FORGET > now));
}

/// What is certain by `now`: from wherever it was known to before, through which moment which state.
pub(super) fn advance(
    run: &mut Option<Run>,
    lines: &BTreeMap<u32, Line>,
    channel: &str,
    now: u64,
) -> Vec<(u64, State)> {
    let proofs: Vec<Proof> = lines.values().filter_map(|line| Proof::of(line, channel)).collect();
    let mut found = Vec::new();
    loop {
        let current = match run {
            Some(current) => current,
            None => match proofs.iter().map(|proof| proof.from).min() {
                None => return found,
                Some(from) => {
                    found.push((from + MARGIN - 1, State::Gap));
                    run.insert(Run { from, through: from })
                }
            },
        };
        while let Some(through) = proofs.iter().filter(|proof| proof.extends(*current)).map(|proof| proof.through).max()
        {
            current.through = through;
        }
        if current.through >= current.from + 2 * MARGIN {
            found.push((current.through - MARGIN, State::Captured));
        }
        if proofs.iter().any(|proof| proof.live && proof.from <= current.through) {
            return found;
        }
        // Nothing will prove more of it: the run is over.
        let later = proofs.iter().map(|proof| proof.from).filter(|from| *from > current.through).min();
        match later {
            Some(from) => {
                found.push((from + MARGIN - 1, State::Gap));
                *run = Some(Run { from, through: from });
            }
            None => {
                found.push((now - 1, State::Gap));
                // Whatever is confirmed from now on begins a new one; an old proof must not.
                *current = Run { from: now, through: now };
                return found;
            }
        }
    }
}

/// What one connection proves of one channel.
struct Proof {
    from: u64,
    through: u64,
    live: bool,
}

impl Proof {
    fn of(line: &Line, channel: &str) -> Option<Proof> {
        let from = *line.channels.get(channel)?;
        Some(Proof { from, through: line.proved.max(from), live: line.ended.is_none() })
    }

    fn extends(&self, run: Run) -> bool {
        self.from <= run.through && self.through > run.through
    }
}
