//! Serves metrics and health over HTTP.

use std::sync::Arc;
use std::sync::atomic::Ordering;

use axum::extract::State;
use axum::http::StatusCode;
use axum::routing::get;
use axum::{Json, Router, middleware};
use metrics::{Key, KeyName, Label, Level, Metadata, Recorder as _, SharedString};
use metrics_exporter_prometheus::{PrometheusBuilder, PrometheusHandle, PrometheusRecorder};
use serde_json::{Value, json};
use tokio::net::TcpListener;

use crate::clock::system_micros;
use crate::observe::page::{About, Source, StatusPage, guard, troubles};
use crate::observe::status::Status;
use crate::observe::watch::Watch;
use crate::spool::Spool;

mod patient;
mod series;

/// Source of `/metrics`, `/health` and `/status`.
#[derive(Clone)]
pub struct Report {
    status: Arc<Status>,
    spool: Arc<Spool>,
    recorder: Arc<PrometheusRecorder>,
    handle: PrometheusHandle,
    /// When the daemon started, microseconds since the Unix epoch by this machine's clock.
    started: u64,
    page: StatusPage,
}

impl Report {
    /// Creates a report on a running daemon.
    #[must_use]
    pub fn new(status: Arc<Status>, spool: Arc<Spool>) -> Report {
        Report::about(status, spool, About::default())
    }

    /// Creates a report on a running daemon, with what its counters do not say.
    #[must_use]
    pub fn about(status: Arc<Status>, spool: Arc<Spool>, about: About) -> Report {
        let recorder = PrometheusBuilder::new().build_recorder();
        let handle = recorder.handle();
        let page = StatusPage::new(Source { status: status.clone(), spool: spool.clone(), about });
        Report { status, spool, recorder: Arc::new(recorder), handle, started: system_micros(), page }
    }

    /// Serves another status page; for tests.
    #[doc(hidden)]
    #[must_use]
    pub fn with_page(self, page: StatusPage) -> Report {
        Report { page, ..self }
    }

    /// Returns the status page, for another server of the same process.
    #[must_use]
    pub fn page(&self) -> StatusPage {
        self.page.clone()
    }

    /// Serves the report and runs the watch; ends only if it can no longer be served.
    pub async fn serve(self, listener: TcpListener, watch: Watch) {
        let (watching, page) = (watch.run(self.spool.clone()), self.page.clone());
        let is_local = listener.local_addr().is_ok_and(|address| address.ip().is_loopback());
        tokio::select! {
            served = axum::serve(patient::Patient(listener), self.router(is_local)) => if let Err(error) = served {
                tracing::error!(%error, "metrics, health and status are no longer served");
            },
            never = watching => match never {},
            never = page.run() => match never {},
        }
    }

    /// Returns the routes. `is_local`: the server is for this machine only, so nobody has to know it by a name.
    fn router(self, is_local: bool) -> Router {
        let page = self.page.router(None);
        let numbers = Router::new().route("/metrics", get(metrics)).route("/health", get(health)).with_state(self);
        let numbers = match is_local {
            true => numbers.layer(middleware::from_fn(guard::own_names_only)),
            false => numbers,
        };
        numbers.merge(page)
    }

    /// Returns the metrics in Prometheus' text format.
    #[must_use]
    pub fn metrics(&self) -> String {
        for (name, help, value) in series::counters(&self.status) {
            self.recorder.describe_counter(KeyName::from_const_str(name), None, SharedString::const_str(help));
            self.recorder.register_counter(&Key::from_static_name(name), &METADATA).absolute(value);
        }
        for (name, help, value) in series::gauges(&self.status, &self.spool, self.newest_stored_age()) {
            self.recorder.describe_gauge(KeyName::from_const_str(name), None, SharedString::const_str(help));
            self.recorder.register_gauge(&Key::from_static_name(name), &METADATA).set(value);
        }
        let (name, help) = ("bitstamp_channel_stored_total", "Items of a channel acknowledged by the table");
        self.recorder.describe_counter(KeyName::from_const_str(name), None, SharedString::const_str(help));
        for (channel, channel_status) in self.status.channels() {
            let key = Key::from_parts(name, vec![Label::new("channel", channel.to_string())]);
            self.recorder.register_counter(&key, &METADATA).absolute(channel_status.stored);
        }
        self.handle.render()
    }

    /// Returns the age of the newest stored event in microseconds; before there is one, how long the daemon has been
    /// running. It grows if nothing is stored from the start, so an alarm on it notices that too.
    fn newest_stored_age(&self) -> u64 {
        let newest = self.status.newest_stored.get();
        system_micros().saturating_sub(if newest == 0 { self.started } else { newest })
    }

    /// Returns whether the daemon is healthy, and the body of `/health`.
    #[must_use]
    pub fn health(&self) -> (bool, Value) {
        let status = &self.status;
        let trouble: Vec<String> = troubles(status).into_iter().map(|trouble| trouble.reason).collect();
        let healthy = trouble.is_empty();
        let body = json!({
            "status": if healthy { "ok" } else { "degraded" },
            "connections": status.connections.get(),
            "subscriptions": status.subscriptions.get(),
            "intake_stopped": status.intake_stopped.load(Ordering::Relaxed),
            "spool_records": self.spool.depth(),
            "spool_bytes": self.spool.bytes(),
            "quarantine_records": self.spool.quarantine().count(),
            "stored": status.stored.get(),
            "newest_stored_age_us": self.newest_stored_age(),
            "trouble": trouble,
        });
        (healthy, body)
    }
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
