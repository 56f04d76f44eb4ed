use std::{
    collections::{BTreeMap, BTreeSet},
    io,
    net::SocketAddr,
    sync::Arc,
    time::Duration,
};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use crate::{
    body::Cut,
    budgets::{Budgets, Ledger},
    call::Call,
    counts::Counts,
    fault::handle,
    mix::{Fault, Mix},
    state::Shared,
    upstream::Upstream,
};

/// How a proxy is set up.
#[derive(Clone, Debug)]
pub struct Config {
    /// Where to listen; port 0 takes a free one.
    pub listen: SocketAddr,
    /// The endpoint behind, plain HTTP: `http://127.0.0.1:8000`.
    pub upstream: String,
    /// Every fault follows from it and from the order of calls.
    pub seed: u64,
    /// What goes wrong and how often; nothing by default.
    pub mix: Mix,
    /// Capacity limits; none by default.
    pub budgets: Option<Budgets>,
    /// Actions that are allowed, as policies name them (`Query`, `PartiQLUpdate`); all by default.
    pub allow: Option<BTreeSet<String>>,
    /// Actions answered with this status and body instead of forwarding them: an engine that has or lacks something.
    pub canned: BTreeMap<String, (u16, String)>,
    /// The longest delay of a slow answer; 2 s by default.
    pub slow_limit: Duration,
    /// The index that throttling reasons name for writes, which do not say it themselves.
    pub index: String,
}

impl Config {
    /// A proxy without faults on a free port of the loopback interface.
    pub fn new(upstream: impl Into<String>, seed: u64) -> Self {
        Self {
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            upstream: upstream.into(),
            seed,
            mix: Mix::default(),
            budgets: None,
            allow: None,
            canned: BTreeMap::new(),
            slow_limit: Duration::from_secs(2),
            index: "channel-nmicrotimestamp-index".to_owned(),
        }
    }
}

/// The whole endpoint is down, in one of three ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Down {
    /// Closes every connection, open ones and new ones.
    Refuse,
    /// Accepts connections and calls, answers nothing; these calls are never answered, also not later.
    Mute,
    /// Answers everything with 503.
    Unavailable,
}

/// Why a proxy does not start.
#[derive(Debug, Error)]
pub enum StartError {
    /// The address cannot be listened on.
    #[error("cannot listen on {address}: {source}")]
    Listen {
        /// The address asked for.
        address: SocketAddr,
        /// What the system says.
        source: io::Error,
    },
    /// The endpoint's address is not one of plain HTTP.
    #[error("`{0}` is not an endpoint: expected http://HOST:PORT")]
    Upstream(String),
    /// Probabilities out of range.
    #[error("bad mix: {0}")]
    Mix(String),
}

/// A running proxy. Dropped without [`Proxy::shutdown`] it stops as well, without waiting.
#[derive(Debug)]
pub struct Proxy {
    address: SocketAddr,
    shared: Arc<Shared>,
    tasks: TaskTracker,
}

impl Proxy {
    /// Listens and serves.
    ///
    /// # Errors
    /// When the address is taken, the endpoint is no address, or the mix is impossible.
    pub async fn start(config: Config) -> Result<Self, StartError> {
        if let Some(fault) = config.mix.fault_of_values() {
            return Err(StartError::Mix(fault));
        }
        let upstream = Upstream::new(&config.upstream).ok_or_else(|| StartError::Upstream(config.upstream.clone()))?;
        let listen_error = |source| StartError::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(listen_error)?;
        let address = listener.local_addr().map_err(listen_error)?;
        tracing::info!(%address, upstream = config.upstream, seed = config.seed, "fault proxy listens");
        let shared = Arc::new(Shared::new(config, upstream));
        let tasks = TaskTracker::new();
        tasks.spawn(accept(listener, Arc::clone(&shared), tasks.clone()));
        Ok(Self { address, shared, tasks })
    }

    /// The address for the SDK's endpoint.
    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Changes the mix for all further calls. Probabilities out of range count as their nearest bound.
    pub fn set_mix(&self, mix: Mix) {
        self.shared.change(|state| state.mix = mix);
    }

    /// Changes the capacity limits for all further calls; every bucket begins full.
    pub fn set_budgets(&self, budgets: Option<Budgets>) {
        self.shared.change(|state| state.ledger = budgets.map(Ledger::new));
    }

    /// Takes the endpoint down, or up again with `None`.
    pub fn set_down(&self, down: Option<Down>) {
        let open = self.shared.change(|state| {
            state.down = down;
            (down == Some(Down::Refuse)).then(|| std::mem::replace(&mut state.open, self.shared.stop.child_token()))
        });
        if let Some(connections) = open {
            connections.cancel();
        }
    }

    /// What the proxy saw and did so far.
    pub fn counts(&self) -> Counts {
        self.shared.tally.snapshot()
    }

    /// Closes every connection and waits for the end of all tasks.
    pub async fn shutdown(self) {
        self.shared.stop.cancel();
        self.tasks.close();
        self.tasks.wait().await;
    }
}

impl Drop for Proxy {
    fn drop(&mut self) {
        self.shared.stop.cancel();
    }
}

async fn accept(listener: TcpListener, shared: Arc<Shared>, tasks: TaskTracker) {
    loop {
        let accepted = tokio::select! {
            () = shared.stop.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) if shared.down() == Some(Down::Refuse) => {
                shared.tally.fault(Fault::Down);
                drop(stream);
            }
            Ok((stream, _)) => {
                tasks.spawn(serve(stream, Arc::clone(&shared)));
            }
            Err(error) => {
                tracing::warn!(error = %error, "cannot accept a connection");
                tokio::time::sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, shared: Arc<Shared>) {
    let closed = shared.change(|state| state.open.clone());
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(error = %error, "cannot switch off the delay of small packets");
    }
    let service = service_fn(|request| async {
        let call = Call::read(request).await.map_err(|_| Cut)?;
        handle(&shared, call).await
    });
    let connection = http1::Builder::new().serve_connection(TokioIo::new(stream), service);
    tokio::select! {
        () = closed.cancelled() => {}
        ended = connection => if let Err(error) = ended {
            tracing::debug!(error = %error, "connection ended early");
        }
    }
}
