//! The state that all handlers share.

use aws_sdk_dynamodb::Client;
use std::sync::Arc;
use tokio::sync::Semaphore;

use crate::config::Config;
use crate::http::token::Signer;
use crate::query::channels::Channels;
use crate::query::expiry::{Expiry, Ledgers};
use crate::query::store::Store;

/// The state of the service: table, keys, configuration, cached channels, viewers.
pub(super) struct App {
    /// The table; handlers read it through [`RequestContext::store`](super::context::RequestContext).
    pub(super) store: Store,
    pub(super) signer: Signer,
    pub(super) config: Config,
    pub(super) channels: Channels,
    pub(super) expiry: Expiry,
    /// The places of viewers of `/tail`.
    pub(super) viewers: Arc<Semaphore>,
}

impl App {
    /// Returns the state of a service that reads `config.table` through `client`.
    pub(super) fn new(client: Client, config: Config) -> App {
        let store = Store::new(client, config.table.clone());
        let signer = Signer::new(config.signing_keys.clone());
        let viewers = Arc::new(Semaphore::new(config.tail_viewers));
        App { store, signer, config, channels: Channels::default(), expiry: Expiry::default(), viewers }
    }

    /// Returns what ledgers are read with; `store` counts what it costs.
    pub(super) fn ledgers<'app>(&'app self, store: &'app Store) -> Ledgers<'app> {
        let patience = self.config.ledger_time_budget;
        Ledgers { store, channels: &self.channels, expiry: &self.expiry, patience }
    }
}
