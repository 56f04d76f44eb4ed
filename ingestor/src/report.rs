use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router};
use metrics::{Key, Label, Level, Metadata, Recorder as _};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use serde_json::{Value, json};

use crate::clock::system_micros;
use crate::spool::Spool;
use crate::status::Status;

/// What `/metrics` and `/health` are made from.
#[derive(Clone)]
pub struct Report {
    status: Arc<Status>,
    spool: Arc<Spool>,
    recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
}

impl Report {
    /// A report on a running daemon.
    #[must_use]
    pub fn new(status: Arc<Status>, spool: Arc<Spool>) -> Report {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        Report { status, spool, recorder: Arc::new(recorder), handle }
    }

    /// The routes.
    pub fn router(self) -> Router {
        Router::new().route("/metrics", get(metrics)).route("/health", get(health)).with_state(self)
    }

    fn counter(&self, name: &'static str, value: u64) {
        self.recorder.register_counter(&Key::from_static_name(name), &METADATA).absolute(value);
    }

    #[expect(clippy::cast_precision_loss, reason = "metrics are floats; counts stay exact to 2^53")]
    fn gauge(&self, key: &Key, value: u64) {
        self.recorder.register_gauge(key, &METADATA).set(value as f64);
    }

    /// The metrics in Prometheus' text format.
    #[must_use]
    pub fn metrics(&self) -> String {
        let status = &self.status;
        for (name, counter) in [
            ("bitstamp_connects_total", &status.connects),
            ("bitstamp_losses_total", &status.losses),
            ("bitstamp_unconfirmed_total", &status.unconfirmed),
            ("bitstamp_exchange_errors_total", &status.exchange_errors),
            ("bitstamp_refused_total", &status.refused),
            ("bitstamp_received_total", &status.received),
            ("bitstamp_received_bytes_total", &status.received_bytes),
            ("bitstamp_duplicates_total", &status.duplicates),
            ("bitstamp_durable_total", &status.durable),
            ("bitstamp_stored_total", &status.stored),
            ("bitstamp_quarantined_total", &status.quarantined),
            ("bitstamp_write_attempts_total", &status.attempts),
            ("bitstamp_throttled_table_total", &status.throttled_table),
            ("bitstamp_throttled_index_total", &status.throttled_index),
            ("bitstamp_write_failures_total", &status.failures),
            ("bitstamp_unprocessed_total", &status.unprocessed),
            ("bitstamp_gaps_total", &status.gaps),
            ("bitstamp_gap_us_total", &status.gap_micros),
            ("bitstamp_skipped_total", &status.skipped),
            ("bitstamp_gaps_filled_total", &status.filled),
            ("bitstamp_events_filled_total", &status.filled_events),
            ("bitstamp_gaps_unfillable_total", &status.unfillable),
        ] {
            self.counter(name, counter.get());
        }
        for (name, value) in [
            ("bitstamp_writes", status.writes.get()),
            ("bitstamp_connections", status.connections.get()),
            ("bitstamp_subscriptions", status.subscriptions.get()),
            ("bitstamp_sync_us", status.sync_micros.get()),
            ("bitstamp_write_us", status.write_micros.get()),
            ("bitstamp_write_limit", status.write_limit.get()),
            ("bitstamp_newest_stored_age_us", age(status.newest_stored.get())),
            ("bitstamp_spool_records", self.spool.depth()),
            ("bitstamp_spool_bytes", self.spool.bytes()),
            ("bitstamp_spool_max_bytes", self.spool.max_bytes()),
            ("bitstamp_spool_durable_sequence", *self.spool.durable().borrow()),
            ("bitstamp_quarantine_records", self.spool.quarantine().count()),
            ("bitstamp_intake_stopped", u64::from(status.intake_stopped.load(Ordering::Relaxed))),
        ] {
            self.gauge(&Key::from_static_name(name), value);
        }
        for (channel, channel_status) in status.channels() {
            let labels = vec![Label::new("channel", channel.to_string())];
            let key = Key::from_parts("bitstamp_channel_stored_total", labels);
            self.recorder.register_counter(&key, &METADATA).absolute(channel_status.stored);
        }
        self.handle.render()
    }

    /// Whether all is well, and what is not.
    #[must_use]
    pub fn health(&self) -> (bool, Value) {
        let status = &self.status;
        let trouble: Vec<String> = status.trouble().into_values().collect();
        let connected = status.connections.get() > 0;
        let stopped = status.intake_stopped.load(Ordering::Relaxed);
        let healthy = connected && !stopped && trouble.is_empty();
        let body = json!({
            "status": if healthy { "ok" } else { "degraded" },
            "connections": status.connections.get(),
            "subscriptions": status.subscriptions.get(),
            "intake_stopped": stopped,
            "spool_records": self.spool.depth(),
            "spool_bytes": self.spool.bytes(),
            "quarantine_records": self.spool.quarantine().count(),
            "stored": status.stored.get(),
            "newest_stored_age_us": age(status.newest_stored.get()),
            "trouble": trouble,
        });
        (healthy, body)
    }
}

/// How old an exchange's time is by this machine's clock; zero before there is one.
fn age(micros: u64) -> u64 {
    if micros == 0 { 0 } else { system_micros().saturating_sub(micros) }
}

const METADATA: Metadata<'static> = Metadata::new(module_path!(), Level::INFO, Some(module_path!()));

async fn metrics(State(report): State<Report>) -> String {
    report.metrics()
}

async fn health(State(report): State<Report>) -> (StatusCode, Json<Value>) {
    match report.health() {
        (true, body) => (StatusCode::OK, Json(body)),
        (false, body) => (StatusCode::SERVICE_UNAVAILABLE, Json(body)),
    }
}
