//! What a proxy is started with, and how its whole endpoint may fail.

use std::{
    collections::{BTreeMap, BTreeSet},
    net::SocketAddr,
    time::Duration,
};

use crate::budgets::Budgets;
use crate::mix::FaultProbabilities;

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
    pub mix: FaultProbabilities,
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
            mix: FaultProbabilities::default(),
            budgets: None,
            allow: None,
            canned: BTreeMap::new(),
            slow_limit: Duration::from_secs(2),
            index: "channel-nmicrotimestamp-index".to_owned(),
        }
    }
}

/// The whole endpoint is down, or refuses, in one of five ways.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outage {
    /// Closes every connection, open ones and new ones.
    Refuse,
    /// Accepts connections and calls, answers nothing; these calls are never answered, also not later.
    Mute,
    /// Answers everything with 503.
    Unavailable,
    /// Refuses every call with `AccessDeniedException`, as while permissions are changed.
    Denied,
    /// Refuses every write with the `ValidationException` of an index key of another type, as behind a wrong index.
    WrongIndex,
}
