//! Starts and stops exchange, daemon and query API in one process.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use anyhow::Context as _;
use exchange_sim::Simulator;
use ingestor::observe::status::Status;
use ingestor::pipeline::{Pipeline, Stopped};
use ingestor::spool::Spool;
use query_fn::http::server::Limits;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::site;
use crate::store::{self, Place};

mod settings;

/// How often a drain looks whether it is done.
const DRAIN_LOOK: Duration = Duration::from_millis(200);

/// What to start.
#[derive(Clone, Debug)]
pub struct Options {
    /// Where events come from.
    pub source: Source,
    /// Channels to capture.
    pub channels: Vec<String>,
    /// How they are stored, as the daemon's `storage` says it; empty: each event by itself.
    pub storage: String,
    /// How long items are kept, as the daemon's `keep` says it; empty: for ever.
    pub keep: String,
    /// The folder of the spool and the embedded store.
    pub data: PathBuf,
    /// Where the table lives.
    pub place: Place,
    /// Its name.
    pub table: String,
    /// Where the query API is served.
    pub listen: SocketAddr,
    /// Where metrics, health and status are served.
    pub metrics: SocketAddr,
}

/// Where events come from.
#[derive(Clone, Debug)]
pub enum Source {
    /// The exchange, or whatever speaks like it at this address.
    Exchange(String),
    /// The built-in simulator.
    Simulator(Box<exchange_sim::Config>),
}

/// The running system.
pub struct System {
    pipeline: Pipeline,
    simulator: Option<Simulator>,
    address: SocketAddr,
    stop: CancellationToken,
    servers: Vec<JoinHandle<()>>,
}

impl System {
    /// Starts everything: store, simulator, daemon, and the query API with the daemon's status page.
    ///
    /// # Errors
    ///
    /// One sentence that names what is in the way.
    pub async fn start(options: Options) -> anyhow::Result<System> {
        let stop = CancellationToken::new();
        let mut servers = Vec::new();
        let api = TcpListener::bind(options.listen).await.with_context(|| {
            format!("cannot serve on {}; stop what uses it or choose another with --listen", options.listen)
        })?;
        let address = api.local_addr()?;

        let (endpoint_url, region) = match &options.place {
            Place::File(file) => {
                let engine = store::open(file).await?;
                let url = engine.url.clone();
                let stopped = stop.clone();
                servers.push(tokio::spawn(async move {
                    let until = stopped.cancelled_owned();
                    if let Err(error) =
                        dynoxide::server::serve_with_shutdown(engine.listener, engine.database, until).await
                    {
                        tracing::error!(error, "the store ended");
                    }
                }));
                (Some(url), Some("local".to_owned()))
            }
            Place::Elsewhere { endpoint_url, region } => (endpoint_url.clone(), region.clone()),
        };
        let simulator = match &options.source {
            Source::Exchange(_) => None,
            Source::Simulator(config) => Some(Simulator::start((**config).clone()).await?),
        };
        let url = match (&simulator, &options.source) {
            (Some(simulator), _) => simulator.ws_url(),
            (None, Source::Exchange(url)) => url.clone(),
            (None, Source::Simulator(_)) => unreachable!("a simulator was started for it"),
        };
        let rest_url = simulator.as_ref().map(Simulator::rest_url);
        let config = settings::daemon(&options, url, rest_url, endpoint_url, region)?;
        let client = ingestor::store::table::connect(&config).await;
        let create = matches!(options.place, Place::File(_));
        store::prepare(&client, &config.table, create).await?;
        let query = settings::query(&options, &config.table)?;
        let reader = query_fn::query::connect::connect(config.endpoint_url.clone(), config.region.clone()).await;
        let pipeline = Pipeline::start(config, client).await?;
        let router = site::router(query_fn::routes::router(reader, query), &pipeline.page());
        let stopped = stop.clone();
        servers.push(tokio::spawn(async move {
            query_fn::http::server::serve(api, router, Limits::default(), stopped.cancelled_owned()).await;
        }));
        Ok(System { pipeline, simulator, address, stop, servers })
    }

    /// Where the query API is served.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// What the daemon knows of itself.
    #[must_use]
    pub fn status(&self) -> Arc<Status> {
        self.pipeline.status()
    }

    /// The daemon's spool.
    #[must_use]
    pub fn spool(&self) -> Arc<Spool> {
        self.pipeline.spool()
    }

    /// The simulator, if that is the source.
    #[must_use]
    pub fn simulator(&self) -> Option<&Simulator> {
        self.simulator.as_ref()
    }

    /// Stops the simulator's flow and waits until everything it sent is stored, however long the store takes.
    pub async fn drain(&self) {
        let Some(simulator) = &self.simulator else { return };
        simulator.pause();
        let (status, spool) = (self.status(), self.spool());
        let is_done = || simulator.queued() == 0 && status.durable.get() == status.received.get() && spool.depth() == 0;
        // Nothing signals all of these together. Twice, because a frame may be between the queue and the counter.
        let mut done = 0;
        while done < 2 {
            tokio::time::sleep(DRAIN_LOOK).await;
            done = if is_done() { done + 1 } else { 0 };
        }
    }

    /// Stops capturing and drains; the query API goes on until [`Captured::stop`].
    ///
    /// # Errors
    ///
    /// A stage of the daemon failed.
    pub async fn stop_capturing(self) -> anyhow::Result<(Captured, Stopped)> {
        if let Some(simulator) = &self.simulator {
            simulator.pause();
        }
        let stopped = self.pipeline.stop().await?;
        if let Some(simulator) = self.simulator {
            simulator.shutdown().await;
        }
        Ok((Captured { stop: self.stop, servers: self.servers }, stopped))
    }
}

/// What is left once capturing has stopped: the store and the query API.
pub struct Captured {
    stop: CancellationToken,
    servers: Vec<JoinHandle<()>>,
}

impl Captured {
    /// Stops the rest.
    pub async fn stop(self) {
        self.stop.cancel();
        for server in self.servers {
            // A server that panicked is down, which is what is wanted here.
            let _joined = server.await;
        }
    }
}
