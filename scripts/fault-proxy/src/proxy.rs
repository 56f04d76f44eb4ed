//! Starts and stops the proxy.

use std::{io, net::SocketAddr, sync::Arc, time::Duration};

use hyper::{server::conn::http1, service::service_fn};
use hyper_util::rt::TokioIo;
use thiserror::Error;
use tokio::net::{TcpListener, TcpStream};
use tokio_util::task::TaskTracker;

use crate::body::Cut;
use crate::budgets::{Budgets, TokenBuckets};
use crate::call::Call;
use crate::config::{Config, Outage};
use crate::counts::Counts;
use crate::fault::handle;
use crate::mix::{Fault, FaultProbabilities};
use crate::state::Shared;
use crate::upstream::Upstream;

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
    /// The probabilities are out of range.
    #[error("bad mix: {0}")]
    Probabilities(String),
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
            return Err(StartError::Probabilities(fault));
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
    pub fn set_mix(&self, mix: FaultProbabilities) {
        self.shared.change(|state| state.mix = mix);
    }

    /// Changes the capacity limits for all further calls; every bucket begins full.
    pub fn set_budgets(&self, budgets: Option<Budgets>) {
        self.shared.change(|state| state.buckets = budgets.map(TokenBuckets::new));
    }

    /// Takes the endpoint down, or up again with `None`.
    pub fn set_down(&self, down: Option<Outage>) {
        let open = self.shared.change(|state| {
            state.down = down;
            (down == Some(Outage::Refuse)).then(|| std::mem::replace(&mut state.open, self.shared.stop.child_token()))
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
            Ok((stream, _)) if shared.down() == Some(Outage::Refuse) => {
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
