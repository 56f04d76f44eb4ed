//! The REST side: what clients need to check markets and to fill gaps.

mod disturb;
mod markets;

use std::collections::HashMap;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use axum::Router;
use axum::extract::{Form, Path, Query, RawQuery, State};
use axum::http::{StatusCode, header};
use axum::middleware::from_fn_with_state;
use axum::response::{Html, IntoResponse, Response};
use axum::routing::{get, post};
use serde::Deserialize;
use serde_json::json;
use tokio::time::Instant;

use crate::clock::wall_micros;
use crate::flow::market_state::MarketState;
use crate::flow::snapshots::Group;
use crate::model::event::{OrderEvent, OrderSource, Trade};
use crate::model::frame::{order_history, push};
use crate::model::market::Market;
use crate::model::number::Fixed;
use crate::state::Exchange;

/// The edge keeps an order book for this long, so it may be older than the stream.
const CACHED: Duration = Duration::from_secs(1);
/// Answers kept at most.
const CACHE: usize = 256;
/// What the exchange's web server answers for a path or market that does not exist.
const NOT_FOUND: &str = "<html>\r\n<head><title>404 Not Found</title></head>\r\n<body>\r\n<center><h1>404 Not Found</h1></center>\r\n<hr><center>nginx</center>\r\n</body>\r\n</html>\r\n";

/// State of the REST side.
#[derive(Clone)]
struct Rest {
    exchange: Arc<Exchange>,
    /// Order books by path and query, as the exchange's edge caches them.
    cache: Arc<Mutex<HashMap<String, (Instant, String)>>>,
}

/// All routes, below `/api/v2`.
pub(crate) fn router(exchange: Arc<Exchange>) -> Router {
    Router::new()
        .route("/api/v2/markets/", get(markets::markets))
        .route("/api/v2/trading-pairs-info/", get(markets::trading_pairs))
        .route("/api/v2/currencies/", get(markets::currencies))
        .route("/api/v2/transactions/{market}/", get(transactions))
        .route("/api/v2/order_book/{market}/", get(order_book))
        // Some clients leave the last slash out.
        .route("/api/v2/order_book/{market}", get(order_book))
        .route("/api/v2/order_data/", post(order_data))
        .fallback(async || not_found())
        .layer(from_fn_with_state(Arc::clone(&exchange), disturb::disturb))
        .with_state(Rest { exchange, cache: Arc::default() })
}

#[derive(Deserialize)]
struct Look {
    time: Option<String>,
}

/// Trades of the last minute, hour or day: whole seconds, no order ids, all strings, newest first.
async fn transactions(State(rest): State<Rest>, Path(market): Path<String>, Query(look): Query<Look>) -> Response {
    let seconds = match look.time.as_deref() {
        Some("minute") => 60,
        None | Some("hour") => 3_600,
        Some("day") => 86_400,
        Some(_) => return refused("Invalid time interval"),
    };
    let since = wall_micros().saturating_sub(seconds * 1_000_000);
    let found = with_market(&rest, &market, |market_state| {
        (market_state.market.clone(), market_state.trades(since).copied().collect::<Vec<_>>())
    });
    match found {
        Some((market, trades)) => json_text(list(&trades, |trade| transaction(&market, trade))),
        None => not_found(),
    }
}

fn transaction(market: &Market, trade: &Trade) -> String {
    format!(
        r#"{{"date":"{}","tid":"{}","price":"{}","type":"{}","amount":"{}"}}"#,
        trade.micro / 1_000_000,
        trade.id,
        Fixed { units: trade.price, decimals: market.price_decimals },
        trade.taker as u8,
        Fixed { units: trade.amount, decimals: market.amount_decimals },
    )
}

#[derive(Deserialize)]
struct Grouping {
    group: Option<String>,
}

/// The whole book, up to a second old: any further parameter, such as `_=<ms>`, asks for a fresh one.
async fn order_book(
    State(rest): State<Rest>,
    Path(market): Path<String>,
    Query(grouping): Query<Grouping>,
    RawQuery(query): RawQuery,
) -> Response {
    let group = match grouping.group.as_deref() {
        Some("0") => Group::None,
        None | Some("1") => Group::ByPrice,
        Some("2") => Group::WithIds,
        Some(_) => return refused("Invalid group"),
    };
    let key = format!("{market}?{}", query.unwrap_or_default());
    let mut cache = rest.cache.lock().unwrap_or_else(PoisonError::into_inner);
    cache.retain(|_, (made, _)| made.elapsed() < CACHED);
    if let Some((_, text)) = cache.get(&key) {
        return json_text(text.clone());
    }
    match rest.exchange.lock().book(&market, wall_micros(), group) {
        Some(text) => {
            if cache.len() < CACHE {
                cache.insert(key, (Instant::now(), text.clone()));
            }
            json_text(text)
        }
        None => not_found(),
    }
}

#[derive(Deserialize)]
struct Since {
    market: Option<String>,
    since_id: Option<String>,
    until_id: Option<String>,
}

/// Order events of the last day from the order book, oldest first; triggered stops are left out.
async fn order_data(State(rest): State<Rest>, Form(since): Form<Since>) -> Response {
    let Some(pair) = since.market else { return refused("Missing market") };
    let found = {
        let state = rest.exchange.lock();
        let mut markets = state.flow.iter().flat_map(|flow| &flow.markets);
        let listed = |market_state: &&MarketState| !state.broadcaster.is_delisted(&market_state.market.name);
        markets.find(|market_state| market_state.market.pair() == pair).filter(listed).map(|market_state| {
            let events: Vec<OrderEvent> = market_state.orders(wall_micros()).copied().collect();
            (market_state.market.clone(), events)
        })
    };
    let Some((market, mut events)) = found else { return refused("Invalid market") };
    events.retain(|event| {
        // Ids have one length, so their order as text is their order in time.
        let id = event.event_id.to_string();
        event.source == OrderSource::OrderBook
            && since.since_id.as_ref().is_none_or(|since| *since <= id)
            && since.until_id.as_ref().is_none_or(|until| id < *until)
    });
    json_text(list(&events, |event| order_history(&market, event)))
}

fn with_market<T>(rest: &Rest, market: &str, use_it: impl FnOnce(&MarketState) -> T) -> Option<T> {
    let state = rest.exchange.lock();
    let mut markets = state.flow.iter().flat_map(|flow| &flow.markets);
    markets
        .find(|market_state| market_state.market.name == market && !state.broadcaster.is_delisted(market))
        .map(use_it)
}

fn list<T>(items: &[T], one: impl Fn(&T) -> String) -> String {
    let mut text = String::from("[");
    for (position, item) in items.iter().enumerate() {
        let comma = if position > 0 { "," } else { "" };
        push(&mut text, format_args!("{comma}{}", one(item)));
    }
    text.push(']');
    text
}

fn json_text(text: String) -> Response {
    ([(header::CONTENT_TYPE, "application/json")], text).into_response()
}

fn not_found() -> Response {
    (StatusCode::NOT_FOUND, Html(NOT_FOUND)).into_response()
}

fn refused(reason: &str) -> Response {
    json_error(reason, "API0010")
}

fn json_error(reason: &str, code: &str) -> Response {
    let body = json!({"status": "error", "reason": reason, "code": code}).to_string();
    (StatusCode::BAD_REQUEST, [(header::CONTENT_TYPE, "application/json")], body).into_response()
}
