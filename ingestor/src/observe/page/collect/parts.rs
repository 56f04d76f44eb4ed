//! The parts of the document, each from its counters.

use std::collections::BTreeMap;
use std::sync::atomic::Ordering;

use shared::channel::Channel;

use crate::observe::document::{
    Blocks, Channel as ChannelRow, Connection, Connections, Gap, Gaps, Loss, PassedTrouble, Spool as SpoolRow, Writes,
};
use crate::observe::gaps::{GapState, KnownGap};
use crate::observe::page::rates::{Sample, a_second, micros};
use crate::observe::status::{ChannelStatus, Status};
use crate::observe::trouble::PastTrouble;
use crate::spool::Spool;

/// Number of gaps in the document.
const GAPS: usize = 20;

/// Returns a number whose zero says that it is not known.
pub(super) fn known(number: u64) -> Option<u64> {
    Some(number).filter(|number| *number > 0)
}

/// Returns how long before `now` a time is; `None` if that is not known.
pub(super) fn age(time: u64, now: u64) -> Option<u64> {
    known(time).map(|time| now.saturating_sub(time))
}

pub(super) fn past(status: &Status) -> Vec<PassedTrouble> {
    let row = |trouble: PastTrouble| PassedTrouble {
        component: trouble.component.name().to_owned(),
        reason: trouble.reason,
        lasted_us: micros(trouble.lasted),
        ended_us: micros(trouble.ended),
    };
    status.past_troubles().into_iter().map(row).collect()
}

pub(super) fn connections(status: &Status, now: u64) -> Connections {
    let list = status.open.all().into_iter().map(|(number, connection)| Connection {
        number,
        state: connection.state().to_owned(),
        age_us: micros(connection.opened.elapsed()),
        last_message_age_us: age(connection.last_message.get(), now),
        proved_age_us: age(connection.proved.get(), now),
        channels: connection.channels.len() as u64,
        confirmed: connection.confirmed.get(),
    });
    let loss = status.open.last_loss().map(|loss| Loss {
        connection: loss.connection,
        age_us: now.saturating_sub(loss.at),
        reason: loss.reason,
    });
    Connections {
        open: status.connections.get(),
        opened: status.connects.get(),
        lost: status.losses.get(),
        subscriptions: status.subscriptions.get(),
        heartbeats_answered: status.proofs.get(),
        last_loss: loss,
        list: list.collect(),
    }
}

/// Lists channels with events in this run, and those that a connection asks for.
pub(super) fn channels(status: &Status, sample: &Sample, since: Option<&Sample>, now: u64) -> Vec<ChannelRow> {
    let mut all: BTreeMap<Channel, ChannelStatus> = status.channels();
    for (_, connection) in status.open.all() {
        for channel in connection.channels.iter().filter(|channel| !all.contains_key(*channel)).collect::<Vec<_>>() {
            all.insert(channel.clone(), ChannelStatus::default());
        }
    }
    let rate = |channel: &Channel| {
        let since = since?;
        let count = |sample: &Sample| sample.events.get(channel).copied().unwrap_or_default();
        Some(a_second(count(sample).saturating_sub(count(since)), sample.at - since.at))
    };
    let row = |(channel, status): (Channel, ChannelStatus)| ChannelRow {
        events_per_second: rate(&channel),
        channel: channel.to_string(),
        events: status.events,
        stored: status.stored,
        stored_bytes: status.bytes,
        stored_units: status.units,
        newest_age_us: age(status.newest.0, now),
    };
    all.into_iter().map(row).collect()
}

pub(super) fn spool(status: &Status, spool: &Spool, now: u64) -> SpoolRow {
    let (records, position) = (spool.depth(), spool.position());
    let since = status.backlog.since(position).filter(|_| records > 0);
    SpoolRow {
        bytes: spool.bytes(),
        max_bytes: spool.max_bytes(),
        records,
        oldest_age_us: since.map(|since| now.saturating_sub(since)),
        intake_stopped: status.intake_stopped.load(Ordering::Relaxed),
        sync_us: known(status.sync_micros.get()),
    }
}

pub(super) fn writes(status: &Status) -> Writes {
    Writes {
        batches: status.batches.get(),
        requests: status.attempts.get(),
        throttled_table: status.throttled_table.get(),
        throttled_index: status.throttled_index.get(),
        failed: status.failures.get(),
        unprocessed: status.unprocessed.get(),
        limit: known(status.write_limit.get()),
        duration_us: known(status.write_micros.get()),
    }
}

pub(super) fn blocks(status: &Status) -> Blocks {
    Blocks {
        total: status.blocks.get(),
        events: status.block_events.get(),
        bytes: status.block_bytes.get(),
        units: status.block_units.get(),
    }
}

pub(super) fn gaps(status: &Status) -> Gaps {
    let row = |gap: KnownGap| Gap {
        channel: gap.channel,
        from: gap.from,
        through: gap.through,
        reason: gap.reason,
        state: gap.state.name().to_owned(),
    };
    Gaps {
        entered: status.gaps.get(),
        length_us: status.gap_micros.get(),
        filled: status.filled.get(),
        filled_events: status.filled_events.get(),
        unfillable: status.unfillable.get(),
        open: status.known_gaps.count(GapState::Open),
        filling: status.known_gaps.count(GapState::Filling),
        last: status.known_gaps.newest(GAPS).into_iter().map(row).collect(),
    }
}
