//! Decides which intervals of a channel are captured and which are gaps, and enters them.

use shared::coverage::{Interval, Record, State};

use crate::ledger::chain::Chain;
use crate::ledger::entry::LedgerEntry;
use crate::ledger::interval::{self, pieces};
use crate::ledger::state::LedgerState;
use crate::ledger::{Ledger, chain};
use crate::spool::record::ConnectionEvent;

/// Gap reason for connections that were open when the previous process ended.
const NOT_RUNNING: &str = "the daemon was not running";
/// Gap reason for what no connection proves because the daemon's times before and after a step do not fit together.
const CLOCK_SET: &str = "the daemon's clock was set";

impl Ledger {
    /// Ends the covered intervals: the daemon's times until now and from `at` on do not fit together. Enters what is
    /// certain; what follows begins with the connections that are open at `at`, and with a new measurement of the skew.
    pub(super) fn end_covered_intervals(&mut self, event: &ConnectionEvent, at: u64) {
        let before = self.state.now;
        self.enter_all(before);
        let restarted = *event == ConnectionEvent::Started;
        for connection in self.state.connections.keys().copied().filter(|_| restarted).collect::<Vec<_>>() {
            self.lost(connection, before, NOT_RUNNING);
        }
        self.state.connections.retain(|_, connection| !restarted && connection.ended.is_none());
        for connection in self.state.connections.values_mut() {
            connection.confirm_again(at);
        }
        for known in self.state.channels.values_mut() {
            known.covered = None;
            if known.chain.is_none() && known.reason.is_none() {
                known.reason = Some((CLOCK_SET.to_owned(), at));
            }
        }
        self.state.skew.reset();
    }

    /// Ends a connection at `at` (the daemon's clock): channels that it carried alone have a gap from there.
    pub(super) fn lost(&mut self, connection: u32, at: u64, reason: &str) {
        let open = self.state.connections.get(&connection).filter(|connection| connection.ended.is_none());
        let Some(open) = open else { return };
        let channels: Vec<String> = open.channels.keys().cloned().collect();
        // An earlier gap has its own reason.
        channels.iter().for_each(|channel| self.enter(channel, at));
        if let Some(connection) = self.state.connections.get_mut(&connection) {
            connection.ended = Some(at);
        }
        for channel in channels {
            if interval::is_live(&self.state.connections, &channel) {
                continue;
            }
            let Some(known) = self.state.channels.get_mut(&channel) else { continue };
            known.reason = Some((reason.to_owned(), at));
            self.enter(&channel, at);
        }
    }

    pub(super) fn enter_all(&mut self, now: u64) {
        for channel in self.state.channels.keys().cloned().collect::<Vec<_>>() {
            self.enter(&channel, now);
        }
        interval::forget(&mut self.state.connections, now);
    }

    /// Enters the intervals of a channel that can be decided by `now` (the daemon's clock).
    pub(super) fn enter(&mut self, channel: &str, now: u64) {
        let LedgerState { connections, channels, outbox, skew, .. } = &mut self.state;
        let Some(known) = channels.get_mut(channel) else { return };
        let mut first = known.done == 0;
        let live = interval::is_live(connections, channel);
        let Some(bounds) = skew.bounds() else { return };
        let mut found = interval::advance(&mut known.covered, connections, channel, now, bounds);
        if let Some(chain) = &mut known.chain {
            // A chain may go on over a short loss: then nothing was sent meanwhile.
            let gone = !interval::was_live(connections, channel, now);
            found = chain.advance(live, now, gone.then(|| bounds.late(now)));
        }
        for (through, state) in found {
            let from = known.done + 1;
            // Whatever an event's time says, nothing is complete that has not happened yet.
            let through = if state == State::Captured { through.min(bounds.late(now)) } else { through };
            if through < from {
                continue;
            }
            known.done = through;
            // Before the first moment nothing is known, which is not a gap.
            if std::mem::take(&mut first) && state == State::Gap {
                continue;
            }
            known.entered = true;
            let default = if known.chain.is_some() { chain::BROKEN } else { interval::UNPROVED };
            let reason = known.reason.as_ref().map_or(default, |(reason, _)| reason);
            let reason = (state == State::Gap).then(|| reason.to_owned());
            for (from, through) in pieces(from, through, state) {
                let frames = if state == State::Captured { std::mem::take(&mut known.frames) } else { 0 };
                let interval = Interval { from, through, state, reason: reason.clone() };
                let record = Record { daemon: self.daemon.clone(), channel: channel.to_owned(), interval, frames };
                outbox.push(LedgerEntry::Interval(record));
            }
        }
        let settled =
            |chain: &Chain| chain.is_whole() && known.reason.as_ref().is_none_or(|(_, at)| at + chain::SETTLE < now);
        let begun = known.covered.is_some_and(|covered| covered.begun);
        if live && known.chain.as_ref().map_or(begun, settled) {
            known.reason = None;
        }
    }
}
