//! A running simulator: its handle, and its tasks except those of connections, which the listener spawns.

use std::collections::BTreeSet;
use std::io;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use tokio::net::TcpListener;
use tokio::time::{Instant, interval, sleep_until, timeout};
use tokio_util::sync::DropGuard;
use tokio_util::task::TaskTracker;

use crate::broadcast::{Broadcaster, Limits};
use crate::clock::wall_micros;
use crate::config::{Config, Source};
use crate::driver;
use crate::faults::{Aimed, Step};
use crate::flow::{Flow, Plan};
use crate::model::market::Market;
use crate::recording::{self, Recording};
use crate::server::listener;
use crate::state::{Exchange, State};
use crate::truth::writer::Writer;

/// Time between two flushes of the truth file.
const FLUSH: Duration = Duration::from_secs(1);
/// What all tasks together have to end.
const GRACE: Duration = Duration::from_secs(10);

/// A configuration that cannot be started.
#[derive(Debug, thiserror::Error)]
pub enum StartError {
    /// The address is taken or not one of this machine.
    #[error("cannot listen on {address}: choose another with --listen")]
    Listen {
        /// The configured address of the simulator.
        address: SocketAddr,
        /// Why.
        source: io::Error,
    },
    /// Not a name that a market can have.
    #[error("`{0}` is no market: write it in lower case without a separator, as `btcusd` or `btcusd-perp`")]
    Market(String),
    /// A rate or speed that is no positive number.
    #[error("{name} is {value}, but must be a positive number")]
    Positive {
        /// What.
        name: &'static str,
        /// What it is.
        value: f64,
    },
    /// The truth file cannot be created.
    #[error("cannot create the truth file `{path}`")]
    Truth {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The recording cannot be read.
    #[error("cannot read the recording `{path}`")]
    Recording {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
}

/// A running simulator. Dropping it ends it at once; [`Self::shutdown`] ends it in order.
#[derive(Debug)]
pub struct Simulator {
    address: SocketAddr,
    exchange: Arc<Exchange>,
    tasks: TaskTracker,
    _stop: DropGuard,
}

impl Simulator {
    /// Starts a simulator; its port is bound when this returns.
    ///
    /// # Errors
    /// Where the configuration cannot be carried out, see [`StartError`].
    pub async fn start(config: Config) -> Result<Self, StartError> {
        let (state, replay) = prepare(&config)?;
        let listen = |source| StartError::Listen { address: config.listen, source };
        let listener = TcpListener::bind(config.listen).await.map_err(listen)?;
        let address = listener.local_addr().map_err(listen)?;
        let exchange = Arc::new(Exchange::new(state, config.ping_every, config.stall));
        let tasks = TaskTracker::new();
        tasks.spawn(listener::serve(listener, Arc::clone(&exchange), tasks.clone()));
        tasks.spawn(flush(Arc::clone(&exchange)));
        tasks.spawn(script(Arc::clone(&exchange), config.faults));
        match replay {
            Some((recording, channels)) => {
                let channels = (!config.paused).then_some(channels);
                tasks.spawn(driver::run_recording(Arc::clone(&exchange), recording, channels));
            }
            None => {
                if !config.paused {
                    exchange.lock().resume();
                }
                tasks.spawn(driver::run_flow(Arc::clone(&exchange)));
            }
        }
        tasks.close();
        let stop = exchange.shutdown.clone().drop_guard();
        Ok(Self { address, exchange, tasks, _stop: stop })
    }

    /// Address for WebSocket clients: `ws://127.0.0.1:PORT`.
    pub fn ws_url(&self) -> String {
        format!("ws://{}", self.address)
    }

    /// Base of the REST paths, on the same port: `http://127.0.0.1:PORT/api/v2`.
    pub fn rest_url(&self) -> String {
        format!("http://{}/api/v2", self.address)
    }

    /// Lets a fault happen at once: `inject(Fault::Cut)` on all connections, `inject(Fault::Cut.on(2))` on the second
    /// open one. Returns how many connections it concerns.
    pub fn inject(&self, fault: impl Into<Aimed>) -> usize {
        self.exchange.lock().inject(&fault.into())
    }

    /// Stops generating events. When this returns, everything generated is in the queues and in the truth file.
    pub fn pause(&self) {
        self.exchange.lock().pause();
        self.exchange.changed.notify_one();
    }

    /// Goes on generating events, or starts a recording.
    pub fn resume(&self) {
        self.exchange.lock().resume();
        self.exchange.changed.notify_one();
    }

    /// Events generated so far. Books and funding count only where somebody is subscribed to them.
    pub fn emitted(&self) -> u64 {
        self.exchange.lock().broadcaster.emitted
    }

    /// Open WebSocket connections.
    pub fn connections(&self) -> usize {
        self.exchange.lock().broadcaster.connections()
    }

    /// Subscriptions of all open connections together.
    pub fn subscriptions(&self) -> usize {
        self.exchange.lock().broadcaster.subscriptions()
    }

    /// Bytes that still wait in the queues of all connections; 0 after [`Self::pause`] means that everything is with
    /// the sockets.
    pub fn queued(&self) -> usize {
        self.exchange.lock().broadcaster.queued()
    }

    /// Whether a recording has been sent to its end.
    pub fn is_finished(&self) -> bool {
        *self.exchange.finished.borrow()
    }

    /// Waits until the last frame of a recording is in the queues; for ever with a flow.
    pub async fn finished(&self) {
        let mut finished = self.exchange.finished.subscribe();
        if finished.wait_for(|finished| *finished).await.is_err() {
            tracing::debug!("the simulator ended before its recording");
        }
    }

    /// Stops: sends what is queued, closes every socket, and flushes the truth file.
    pub async fn shutdown(self) {
        self.pause();
        self.exchange.shutdown.cancel();
        if timeout(GRACE, self.tasks.wait()).await.is_err() {
            tracing::warn!("some connections did not end in time");
        }
        self.exchange.lock().broadcaster.truth.flush();
    }
}

/// A recording and the channels it has.
type Replay = (Recording, Vec<String>);

/// Checks the configuration and makes what it names, but nothing that runs.
fn prepare(config: &Config) -> Result<(State, Option<Replay>), StartError> {
    positive("the rate", config.rate)?;
    let named = |name: &String| Market::named(name).ok_or_else(|| StartError::Market(name.clone()));
    let markets = config.markets.iter().map(named).collect::<Result<Vec<_>, _>>()?;
    let (flow, recorded, replay) = match &config.source {
        Source::Flow => {
            let Config { seed, rate, resting, history, .. } = *config;
            let plan = Plan { markets, seed, rate, resting, history };
            (Some(Flow::new(&plan, wall_micros())), BTreeSet::new(), None)
        }
        Source::Recording { path, speed } => {
            if *speed != f64::INFINITY {
                positive("the speed", *speed)?;
            }
            let unread = |source| StartError::Recording { path: path.clone(), source };
            let channels = recording::channels(path).map_err(unread)?;
            let recording = Recording::open(path, *speed).map_err(unread)?;
            (None, channels.iter().cloned().collect(), Some((recording, channels)))
        }
    };
    let truth = Writer::create(config.truth.as_deref())
        .map_err(|source| StartError::Truth { path: config.truth.clone().unwrap_or_default(), source })?;
    let broadcaster = Broadcaster::new(truth, Limits { frames: config.queue_frames.max(1), bytes: config.queue_bytes });
    Ok((State::new(broadcaster, flow, recorded), replay))
}

fn positive(name: &'static str, value: f64) -> Result<(), StartError> {
    if value.is_finite() && value > 0.0 { Ok(()) } else { Err(StartError::Positive { name, value }) }
}

/// Flushes the truth file until shutdown.
async fn flush(exchange: Arc<Exchange>) {
    let mut tick = interval(FLUSH);
    loop {
        tokio::select! {
            () = exchange.shutdown.cancelled() => return,
            _ = tick.tick() => exchange.lock().broadcaster.truth.flush(),
        }
    }
}

/// Lets the faults of the script happen at their times.
async fn script(exchange: Arc<Exchange>, mut steps: Vec<Step>) {
    let start = Instant::now();
    steps.sort_by_key(|step| step.at);
    for step in steps {
        tokio::select! {
            () = exchange.shutdown.cancelled() => return,
            () = sleep_until(start + step.at) => {}
        }
        let connections = exchange.lock().inject(&step.aimed);
        tracing::info!(fault = ?step.aimed.fault, connections, "fault");
    }
}
