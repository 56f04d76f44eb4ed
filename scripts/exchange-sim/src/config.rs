//! What a simulator is started with.

use std::net::{Ipv4Addr, SocketAddr};
use std::path::PathBuf;
use std::time::Duration;

use crate::faults;

/// Settings of one simulator; `Config::default()` is a seeded flow at the exchange's usual rates on a free loopback port.
#[derive(Debug, Clone)]
pub struct Config {
    /// Address of the one port that serves WebSocket and REST. Default 127.0.0.1:0 (a free port).
    pub listen: SocketAddr,
    /// Seed of every decision of the flow. Same seed, same sequence of orders; ids and times follow the real clock.
    pub seed: u64,
    /// Multiple of the default rates (240 events a second on `live_orders_btcusd` and the others in proportion).
    pub rate: f64,
    /// Markets that exist, in the exchange's spelling (`btcusd`, `btcusd-perp`). Any other market is acknowledged and silent.
    pub markets: Vec<String>,
    /// Where events come from.
    pub source: Source,
    /// File to which everything that was generated and sent is written, see [`crate::truth`].
    pub truth: Option<PathBuf>,
    /// Script of faults, each at its time after the start.
    pub faults: Vec<faults::Step>,
    /// Time between two protocol-level pings of the server. Default 54 s, as observed on the exchange.
    pub ping_every: Duration,
    /// How long a client may take no data before its connection is closed. Default 30 s.
    pub stall: Duration,
    /// Frames that may wait for one connection before it is closed as too slow. Default 65,536.
    pub queue_frames: usize,
    /// Bytes that may wait for one connection before it is closed as too slow. Default 64 MiB.
    pub queue_bytes: usize,
    /// Order events, and as many trades, kept for each market for the REST history. Default 250,000, at most a day old.
    pub history: usize,
    /// Orders that rest on each book before the first event. Default 1,500; 0 starts from an empty book.
    pub resting: usize,
    /// Wait for [`crate::Simulator::resume`] before the first event, so that a test can subscribe first. Default false.
    pub paused: bool,
}

/// Where events come from.
#[derive(Debug, Clone)]
pub enum Source {
    /// The seeded order flow of [`crate::flow`].
    Flow,
    /// A file of recorded frames, see [`crate::recording`].
    Recording {
        /// The file, one recorded frame a line.
        path: PathBuf,
        /// Multiple of the recorded speed; infinity sends as fast as the sockets take it.
        speed: f64,
    },
}

impl Default for Config {
    fn default() -> Self {
        Self {
            listen: SocketAddr::from((Ipv4Addr::LOCALHOST, 0)),
            seed: 1,
            rate: 1.0,
            markets: ["btcusd", "ethusd", "xrpusd", "btceur", "btcusd-perp", "ethusd-perp"].map(String::from).to_vec(),
            source: Source::Flow,
            truth: None,
            faults: Vec::new(),
            ping_every: Duration::from_secs(54),
            stall: Duration::from_secs(30),
            queue_frames: 65_536,
            queue_bytes: 64 << 20,
            history: 250_000,
            resting: 1_500,
            paused: false,
        }
    }
}
