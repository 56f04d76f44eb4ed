//! The figures of `ingestor status`, from the status document or, of a daemon of another version, from its metrics.

use std::io::Write;
use std::time::Duration;

use ingestor::observe::document::Document;

use crate::commands::daemon::Metrics;
use crate::commands::{counted, grouped, sized};

/// Number of channels that are shown one by one; `--json` and the status page have all.
const MOST_CHANNELS: usize = 12;

/// What is shown of a daemon; counts since its start.
#[derive(Debug, Default, PartialEq, Eq)]
pub(super) struct Figures {
    pub(super) received_per_second: u64,
    pub(super) stored_per_second: u64,
    connections: u64,
    subscriptions: u64,
    losses: u64,
    received: u64,
    stored: u64,
    /// Age of the newest stored event in microseconds.
    newest_age: Option<u64>,
    /// Bytes and write units of the items that hold the stored events.
    stored_items: [u64; 2],
    /// Blocks, their events, bytes and write units.
    blocks: [u64; 4],
    /// Of each channel its stored events, and the bytes and write units of the items that hold them.
    channels: Vec<(String, [u64; 3])>,
    waiting: u64,
    spool_bytes: u64,
    spool_max_bytes: u64,
    quarantine: u64,
    gaps: u64,
    gap_seconds: u64,
    filled: u64,
    unfillable: u64,
    /// Events passed over, if another daemon writes.
    skipped: Option<u64>,
    write_limit: u64,
    throttled_table: u64,
    throttled_index: u64,
    failed: u64,
}

impl Figures {
    pub(super) fn of_document(status: &Document) -> Figures {
        Figures {
            received_per_second: whole(status.received.per_second),
            stored_per_second: whole(status.stored.per_second),
            connections: status.connections.open,
            subscriptions: status.connections.subscriptions,
            losses: status.connections.lost,
            received: status.received.total,
            stored: status.stored.total,
            newest_age: status.stored.newest_age_us,
            stored_items: [status.stored.bytes, status.cost.units],
            channels: status
                .channels
                .iter()
                .map(|channel| (channel.channel.clone(), [channel.stored, channel.stored_bytes, channel.stored_units]))
                .collect(),
            blocks: [status.blocks.total, status.blocks.events, status.blocks.bytes, status.blocks.units],
            waiting: status.spool.records,
            spool_bytes: status.spool.bytes,
            spool_max_bytes: status.spool.max_bytes,
            quarantine: status.quarantine.records,
            gaps: status.gaps.entered,
            gap_seconds: status.gaps.length_us / 1_000_000,
            filled: status.gaps.filled,
            unfillable: status.gaps.unfillable,
            skipped: (status.lease.role == "standby").then_some(status.lease.skipped),
            write_limit: status.writes.limit.unwrap_or_default(),
            throttled_table: status.writes.throttled_table,
            throttled_index: status.writes.throttled_index,
            failed: status.writes.failed,
        }
    }

    /// Reads metrics; rates are counted from those `before`.
    pub(super) fn of_metrics(before: &Metrics, metrics: &Metrics, over: Duration) -> Figures {
        let of = |name: &str| get(metrics, name);
        let rate = |name: &str| {
            let grown = of(name).saturating_sub(get(before, name));
            u64::try_from(u128::from(grown) * 1_000 / over.as_millis().max(1)).unwrap_or(u64::MAX)
        };
        let stored = of("bitstamp_stored_total");
        Figures {
            received_per_second: rate("bitstamp_received_total"),
            stored_per_second: rate("bitstamp_stored_total"),
            connections: of("bitstamp_connections"),
            subscriptions: of("bitstamp_subscriptions"),
            losses: of("bitstamp_losses_total"),
            received: of("bitstamp_received_total"),
            stored,
            // Before the first event the age counts from the daemon's start.
            newest_age: (stored > 0).then(|| of("bitstamp_newest_stored_age_us")),
            stored_items: ["stored_bytes_total", "write_units_total"].map(|name| of(&format!("bitstamp_{name}"))),
            channels: Vec::new(),
            blocks: ["blocks_total", "block_events_total", "block_bytes_total", "block_write_units_total"]
                .map(|name| of(&format!("bitstamp_{name}"))),
            waiting: of("bitstamp_spool_records"),
            spool_bytes: of("bitstamp_spool_bytes"),
            spool_max_bytes: of("bitstamp_spool_max_bytes"),
            quarantine: of("bitstamp_quarantine_records"),
            gaps: of("bitstamp_gaps_total"),
            gap_seconds: of("bitstamp_gap_us_total") / 1_000_000,
            filled: of("bitstamp_gaps_filled_total"),
            unfillable: of("bitstamp_gaps_unfillable_total"),
            skipped: (of("bitstamp_writes") == 0).then(|| of("bitstamp_skipped_total")),
            write_limit: of("bitstamp_write_limit"),
            throttled_table: of("bitstamp_throttled_table_total"),
            throttled_index: of("bitstamp_throttled_index_total"),
            failed: of("bitstamp_write_failures_total"),
        }
    }

    /// Writes them in lines for people.
    pub(super) fn write(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let Figures { connections, losses, received, stored, gaps, gap_seconds, filled, unfillable, .. } = *self;
        let [losses, received, stored] = [losses, received, stored].map(grouped);
        let subscriptions = counted(self.subscriptions, "subscription");
        writeln!(out, "connections  {connections} open, {subscriptions}, {losses} lost so far")?;
        let per_second = grouped(self.received_per_second);
        writeln!(out, "received     {per_second}/s on all connections, {received} since the start")?;
        let newest = match self.newest_age {
            None => String::new(),
            Some(age) => format!("; newest event {}.{} s old", age / 1_000_000, age / 100_000 % 10),
        };
        writeln!(out, "stored       {}/s, {stored} since the start{newest}", grouped(self.stored_per_second))?;
        self.write_sizes(out)?;
        let (bytes, max) = (sized(self.spool_bytes), sized(self.spool_max_bytes));
        writeln!(out, "waiting      {}; spool {bytes} of {max}", counted(self.waiting, "record"))?;
        writeln!(out, "quarantine   {}", counted(self.quarantine, "record"))?;
        let [gaps, seconds, filled, unfillable] = [gaps, gap_seconds, filled, unfillable].map(grouped);
        writeln!(
            out,
            "gaps         {gaps} over all channels, {seconds} s in all, since the start; filled {filled}, {unfillable} stay"
        )?;
        if let Some(skipped) = self.skipped.map(grouped) {
            writeln!(
                out,
                "lease        another daemon has it and writes; {skipped} events passed over that it proved"
            )?;
        }
        let [table, index, failed] = [self.throttled_table, self.throttled_index, self.failed].map(grouped);
        writeln!(
            out,
            "writes       {} at once allowed; throttled {table} (table) and {index} (index), failed {failed} since the start",
            self.write_limit
        )
    }
}

impl Figures {
    /// Writes what an event takes: as an item of its own, in a block, and on each channel.
    fn write_sizes(&self, out: &mut dyn Write) -> std::io::Result<()> {
        let each = |events: u64, bytes: u64, units: u64| {
            format!("{} bytes and {} write units an event", ratio(bytes, events, 1), ratio(units, events, 4))
        };
        let [blocks, in_blocks, bytes, units] = self.blocks;
        let [all_bytes, all_units] = self.stored_items;
        let single = self.stored.saturating_sub(in_blocks);
        // A daemon of an earlier version does not count bytes.
        if single > 0 && all_bytes > bytes {
            let each = each(single, all_bytes - bytes, all_units.saturating_sub(units));
            writeln!(out, "single       {}; {each}", counted(single, "event"))?;
        }
        if in_blocks > 0 {
            let (events, blocks) = (counted(in_blocks, "event"), counted(blocks, "block"));
            writeln!(out, "in blocks    {events} in {blocks}; {}", each(in_blocks, bytes, units))?;
        }
        let stored = self.channels.iter().filter(|(_, [events, bytes, _])| *events > 0 && *bytes > 0);
        for (channel, [events, bytes, units]) in stored.take(MOST_CHANNELS) {
            writeln!(out, "             {channel}: {}; {}", counted(*events, "event"), each(*events, *bytes, *units))?;
        }
        Ok(())
    }
}

/// Returns a ratio with so many decimal places, cut off.
fn ratio(number: u64, of: u64, places: u32) -> String {
    let scale = 10_u64.pow(places);
    let parts = number.saturating_mul(scale) / of.max(1);
    let width = usize::try_from(places).unwrap_or_default();
    format!("{}.{:0width$}", parts / scale, parts % scale)
}

fn get(metrics: &Metrics, name: &str) -> u64 {
    metrics.get(name).copied().unwrap_or_default()
}

/// Returns a rate as a whole number.
#[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a rate of events is far below 2^53")]
fn whole(rate: Option<f64>) -> u64 {
    rate.unwrap_or_default().round() as u64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ratios_are_cut_off() {
        for (number, of, places, text) in
            [(1_999, 240, 1, "8.3"), (5, 240, 4, "0.0208"), (480, 240, 1, "2.0"), (1, 0, 1, "1.0")]
        {
            assert_eq!(ratio(number, of, places), text);
        }
    }
}
