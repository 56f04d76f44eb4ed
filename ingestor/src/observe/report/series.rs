//! The metrics by name, with their help texts and values. Units are the base units of Prometheus, seconds and bytes; the names that end in `_us`
//! are the older ones, in microseconds.

use std::sync::atomic::Ordering;

use crate::observe::status::Status;
use crate::spool::Spool;

/// Returns name, help and value of each counter; values count from the daemon's start.
pub(super) fn counters(status: &Status) -> [(&'static str, &'static str, u64); 37] {
    let gap_micros = status.gap_micros.get();
    [
        ("bitstamp_connects_total", "Connections to the exchange opened", status.connects.get()),
        ("bitstamp_losses_total", "Connections to the exchange lost", status.losses.get()),
        ("bitstamp_unconfirmed_total", "Subscriptions not confirmed in time", status.unconfirmed.get()),
        ("bitstamp_heartbeats_answered_total", "Heartbeats answered by the exchange", status.proofs.get()),
        ("bitstamp_exchange_errors_total", "Error messages of the exchange", status.exchange_errors.get()),
        ("bitstamp_refused_total", "Messages that could not be received", status.refused.get()),
        ("bitstamp_received_total", "Data messages received on any connection", status.received.get()),
        ("bitstamp_received_bytes_total", "Bytes of data messages received", status.received_bytes.get()),
        ("bitstamp_duplicates_total", "Data messages that another connection brought first", status.duplicates.get()),
        ("bitstamp_durable_total", "Data messages durable in the spool", status.durable.get()),
        ("bitstamp_stored_total", "Events acknowledged by the table", status.stored.get()),
        ("bitstamp_stored_bytes_total", "Size of the items that hold these events in bytes", status.stored_bytes.get()),
        ("bitstamp_write_units_total", "Write units of these items, table and index", status.write_units.get()),
        ("bitstamp_blocks_total", "Blocks acknowledged by the table", status.blocks.get()),
        ("bitstamp_block_events_total", "Events in these blocks", status.block_events.get()),
        ("bitstamp_block_bytes_total", "Size of the blocks' items in bytes", status.block_bytes.get()),
        ("bitstamp_block_write_units_total", "Write units of the blocks, table and index", status.block_units.get()),
        ("bitstamp_blocks_refused_total", "Blocks whose events were written one by one", status.blocks_refused.get()),
        ("bitstamp_quarantined_total", "Records put into the quarantine", status.quarantined.get()),
        (
            "bitstamp_key_conflicts_total",
            "Events that differ from an earlier one of their key",
            status.key_conflicts.get(),
        ),
        ("bitstamp_write_attempts_total", "Write requests to the table", status.attempts.get()),
        ("bitstamp_throttled_table_total", "Write requests throttled by the table", status.throttled_table.get()),
        ("bitstamp_throttled_index_total", "Write requests throttled by the index", status.throttled_index.get()),
        ("bitstamp_write_failures_total", "Write requests that failed otherwise", status.failures.get()),
        ("bitstamp_unprocessed_total", "Items returned as unprocessed", status.unprocessed.get()),
        ("bitstamp_gaps_total", "Gaps entered into the ledger", status.gaps.get()),
        ("bitstamp_gap_seconds_total", "Length of these gaps in seconds", gap_micros / 1_000_000),
        ("bitstamp_gap_us_total", "Older name of bitstamp_gap_seconds_total, in microseconds", gap_micros),
        ("bitstamp_skipped_total", "Events left to the daemon that holds the lease", status.skipped.get()),
        ("bitstamp_gaps_filled_total", "Gaps filled from the exchange's history", status.filled.get()),
        ("bitstamp_events_filled_total", "Events stored from the exchange's history", status.filled_events.get()),
        ("bitstamp_twins_removed_total", "Fetched trades removed for captured ones", status.twins_removed.get()),
        ("bitstamp_gaps_unfillable_total", "Refusals of the exchange to fill a gap", status.unfillable.get()),
        (
            "bitstamp_audit_missing_total",
            "Trades listed by the exchange that the table lacked",
            status.audit_missing.get(),
        ),
        ("bitstamp_order_books_total", "Order books stored regularly", status.books.get()),
        ("bitstamp_implausible_times_total", "Events with a time that cannot be", status.implausible.get()),
        ("bitstamp_clock_steps_total", "Steps of this machine's clock", status.clock_steps.get()),
    ]
}

/// Returns name, help and value of each gauge. `newest_age`: age of the newest stored event in microseconds.
#[expect(clippy::cast_precision_loss, reason = "metrics are floats; counts stay exact to 2^53")]
pub(super) fn gauges(status: &Status, spool: &Spool, newest_age: u64) -> [(&'static str, &'static str, f64); 18] {
    let seconds = |micros: u64| micros as f64 / 1e6;
    let (sync, write, skew) =
        (status.sync_micros.get(), status.write_micros.get(), status.clock_skew.get().unwrap_or(0) as f64);
    let durable = *spool.durable().borrow();
    let stopped = f64::from(u8::from(status.intake_stopped.load(Ordering::Relaxed)));
    [
        ("bitstamp_writes", "1 while this daemon writes, 0 while another holds the lease", status.writes.get() as f64),
        ("bitstamp_connections", "Open connections to the exchange", status.connections.get() as f64),
        ("bitstamp_subscriptions", "Confirmed subscriptions", status.subscriptions.get() as f64),
        ("bitstamp_sync_seconds", "Longest time to durable of the last fsync, in seconds", seconds(sync)),
        ("bitstamp_sync_us", "Older name of bitstamp_sync_seconds, in microseconds", sync as f64),
        ("bitstamp_write_seconds", "Duration of a write request, smoothed, in seconds", seconds(write)),
        ("bitstamp_write_us", "Older name of bitstamp_write_seconds, in microseconds", write as f64),
        ("bitstamp_write_limit", "Write requests allowed at once", status.write_limit.get() as f64),
        (
            "bitstamp_newest_stored_age_seconds",
            "Age of the newest stored event, before the first one time since the start, in seconds",
            seconds(newest_age),
        ),
        (
            "bitstamp_newest_stored_age_us",
            "Older name of bitstamp_newest_stored_age_seconds, in microseconds",
            newest_age as f64,
        ),
        ("bitstamp_clock_skew_seconds", "This machine's clock minus the exchange's, in seconds", skew / 1e6),
        ("bitstamp_clock_skew_us", "Older name of bitstamp_clock_skew_seconds, in microseconds", skew),
        ("bitstamp_spool_records", "Records that wait in the spool", spool.depth() as f64),
        ("bitstamp_spool_bytes", "Size of the spool in bytes", spool.bytes() as f64),
        ("bitstamp_spool_max_bytes", "Limit of the spool in bytes", spool.max_bytes() as f64),
        ("bitstamp_spool_durable_sequence", "Sequence number of the newest durable record", durable as f64),
        ("bitstamp_quarantine_records", "Records in the quarantine", spool.quarantine().count() as f64),
        ("bitstamp_intake_stopped", "1 while the spool is full and events are missed", stopped),
    ]
}
