use aws_sdk_dynamodb::Client;
use axum::{Router, http::Uri, routing::get};
use std::sync::Arc;

use crate::{channels::Channels, config::Config, problem::Problem, store::Store, token::Signer};

mod about;
mod candles;
mod channels;
mod coverage;
mod events;
mod export;

/// What every path needs.
pub struct App {
    pub(crate) store: Store,
    pub(crate) signer: Signer,
    pub(crate) config: Config,
    pub(crate) channels: Channels,
}

/// The first words of all paths.
pub const PATHS: [&str; 8] =
    ["bitstamp", "orders", "channels", "coverage", "candles", "export", "health", "openapi.json"];

/// Every path below the root.
pub fn routes(client: Client, config: Config) -> Router {
    let store = Store::new(client, config.table.clone());
    let signer = Signer::new(config.signing_keys.clone());
    Router::new()
        .route("/bitstamp", get(events::of_channel))
        .route("/orders/{id}", get(events::of_order))
        .route("/channels", get(channels::list))
        .route("/coverage", get(coverage::list))
        .route("/candles", get(candles::list))
        .route("/export", get(export::stream))
        .route("/health", get(about::health))
        .route("/openapi.json", get(about::contract))
        .method_not_allowed_fallback(async || Problem::method())
        .fallback(async |uri: Uri| Problem::no_path(uri.path()))
        .with_state(Arc::new(App { store, signer, config, channels: Channels::default() }))
}
