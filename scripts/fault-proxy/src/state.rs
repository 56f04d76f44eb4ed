//! State that all connections share.

use std::{
    sync::{Mutex, PoisonError},
    time::Duration,
};

use rand_chacha::ChaCha8Rng;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::allow;
use crate::answer::Resource;
use crate::batch::WriteBatch;
use crate::budgets::TokenBuckets;
use crate::call::Call;
use crate::config::{Config, Outage};
use crate::counts::Tally;
use crate::mix::{Dice, Fault, FaultProbabilities};
use crate::upstream::Upstream;

/// What all connections share.
#[derive(Debug)]
pub(crate) struct Shared {
    pub(crate) tally: Tally,
    upstream: Upstream,
    config: Config,
    pub(crate) stop: CancellationToken,
    state: Mutex<State>,
}

#[derive(Debug)]
pub(crate) struct State {
    dice: Dice,
    pub(crate) mix: FaultProbabilities,
    pub(crate) buckets: Option<TokenBuckets>,
    pub(crate) down: Option<Outage>,
    /// Cancelled to close the connections that are open at this moment.
    pub(crate) open: CancellationToken,
}

impl Shared {
    pub(crate) fn new(config: Config, upstream: Upstream) -> Self {
        let stop = CancellationToken::new();
        let state = State {
            dice: Dice::new(config.seed),
            mix: config.mix,
            buckets: config.budgets.clone().map(TokenBuckets::new),
            down: None,
            open: stop.child_token(),
        };
        Self { tally: Tally::default(), upstream, config, stop, state: Mutex::new(state) }
    }

    pub(crate) fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> T {
        change(&mut self.state.lock().unwrap_or_else(PoisonError::into_inner))
    }

    pub(crate) fn down(&self) -> Option<Outage> {
        self.change(|state| state.down)
    }

    pub(crate) fn throw(&self) -> (Option<Fault>, ChaCha8Rng) {
        self.change(|state| state.dice.throw(&state.mix))
    }

    pub(crate) fn missing_permission(&self, call: &Call) -> Option<(String, String)> {
        allow::missing(self.config.allow.as_ref()?, call)
    }

    pub(crate) fn canned(&self, action: &str) -> Option<&(u16, String)> {
        self.config.canned.get(action)
    }

    /// What each write of the call is short of; empty where no budget speaks.
    pub(crate) fn admit(&self, call: &Call, now: Instant) -> Vec<Option<Resource>> {
        self.change(|state| {
            let Some(buckets) = &mut state.buckets else { return Vec::new() };
            match call.action.as_str() {
                "BatchWriteItem" => {
                    WriteBatch::read(call.json()).map_or_else(Vec::new, |batch| buckets.admit_batch(&batch, now))
                }
                "PutItem" => vec![buckets.admit_put(call, now)],
                _ => Vec::new(),
            }
        })
    }

    pub(crate) fn overdrawn(&self, table: &str) -> bool {
        self.change(|state| state.buckets.as_ref().is_some_and(|buckets| buckets.overdrawn(table, Instant::now())))
    }

    pub(crate) fn charge(&self, table: &str, units: f64) {
        self.change(|state| {
            if let Some(buckets) = &mut state.buckets {
                buckets.charge(table, units, Instant::now());
            }
        });
    }

    pub(crate) fn upstream(&self) -> &Upstream {
        &self.upstream
    }

    pub(crate) fn slow_limit(&self) -> Duration {
        self.config.slow_limit
    }

    pub(crate) fn index(&self) -> &str {
        &self.config.index
    }
}
