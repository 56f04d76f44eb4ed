//! The ledger's state: what is saved with the spool's position.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::ledger::chain::Chain;
use crate::ledger::entry::LedgerEntry;
use crate::ledger::interval::{ConnectionState, CoveredInterval};
use crate::ledger::skew::Skew;

/// How far a plausible time may lie ahead of the daemon's, in microseconds; a later one was saved by an earlier
/// version.
const AHEAD: u64 = 86_400_000_000;

/// The ledger's state, saved with the spool's position.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct LedgerState {
    /// The table that the rest is about; `None` if an earlier version saved the state.
    #[serde(default)]
    table: Option<String>,
    /// Time of the last connection event, by the daemon's clock.
    pub(super) now: u64,
    /// When the daemon's clock was last set, by the clock as it is since. Records behind it with an earlier time were stamped
    /// before.
    #[serde(default)]
    pub(super) clock_set: u64,
    /// When captured time of all channels was last entered, by the daemon's clock.
    #[serde(default)]
    pub(super) entered: u64,
    #[serde(rename = "lines")]
    pub(super) connections: BTreeMap<u32, ConnectionState>,
    #[serde(default)]
    pub(super) skew: Skew,
    #[serde(rename = "tracks")]
    pub(super) channels: BTreeMap<String, ChannelState>,
    /// Entries that are not known to be in the table.
    pub(super) outbox: Vec<LedgerEntry>,
}

/// State of one channel.
#[derive(Debug, Default, Serialize, Deserialize)]
pub(super) struct ChannelState {
    /// Last moment that was entered, or of which nothing can be said; by the exchange's clock, zero before the first.
    pub(super) done: u64,
    /// True once anything was entered.
    #[serde(default)]
    pub(super) entered: bool,
    /// When an entry of the channel list was last made for the channel, by the daemon's clock; zero if not since the start.
    #[serde(default)]
    pub(super) listed: u64,
    /// Number of events since the last entry.
    pub(super) frames: u64,
    /// Why the channel is not connected, or was not a moment ago, and since when by the daemon's clock.
    pub(super) reason: Option<(String, u64)>,
    #[serde(rename = "run")]
    pub(super) covered: Option<CoveredInterval>,
    pub(super) chain: Option<Chain>,
}

impl LedgerState {
    /// Starts over if the table is another one than the last: entries written so far are not in it, and it has no
    /// channel list yet.
    pub(super) fn turn_to(&mut self, table: &str) {
        if self.table.as_deref().is_some_and(|last| last != table) {
            *self = LedgerState {
                now: self.now,
                clock_set: self.clock_set,
                entered: self.entered,
                ..LedgerState::default()
            };
        }
        self.table = Some(table.to_owned());
    }

    /// Repairs what an earlier version saved of an event with an impossible time, which would stay the last one for
    /// ever.
    pub(super) fn forget_impossible_times(&mut self) {
        let end = self.now.saturating_add(AHEAD);
        for known in self.channels.values_mut() {
            if known.chain.as_ref().is_some_and(|chain| chain.latest() > end) {
                known.chain = None;
            }
            if known.done > end {
                known.done = self.now;
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// As version 0.1.0 saved it: the names in the code may change, these do not.
    #[test]
    fn saved_states_keep_their_names() {
        let saved = concat!(
            r#"{"table":"t","now":5,"clock_set":0,"entered":0,"lines":{"1":{"proved":2,"ended":null,"channels":{"c":1}}},"#,
            r#""skew":{"periods":[[0,7]],"latest":3},"tracks":{"c":{"done":4,"entered":true,"listed":1,"frames":3,"#,
            r#""reason":["r",4],"run":{"from":1,"through":2},"chain":null}},"#,
            r#""outbox":[{"stretch":{"daemon":"d","channel":"c","stretch":{"from":1,"through":2,"state":"gap","reason":"r"},"#,
            r#""frames":0}},{"channel":["c",1]}]}"#,
        );
        let state: LedgerState = serde_json::from_str(saved).unwrap();
        let now = saved
            .replace(r#""channels":{"c":1}"#, r#""channels":{"c":1},"firsts":{}"#)
            .replace("[[0,7]]", r#"[{"number":0,"least":7,"slowest":null}]"#)
            .replace(r#""run":{"from":1,"through":2}"#, r#""run":{"from":1,"through":2,"begun":true}"#);
        assert_eq!(serde_json::to_string(&state).unwrap(), now);
        let again: LedgerState = serde_json::from_str(&now).unwrap();
        assert_eq!(serde_json::to_string(&again).unwrap(), now);
        assert!(state.channels.contains_key("c") && state.connections.contains_key(&1));
    }
}
