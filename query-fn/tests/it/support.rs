//! The table and the service that the tests run against.

use aws_sdk_dynamodb::{
    Client,
    types::{PutRequest, WriteRequest},
};
use query_fn::config::Config;
use query_fn::http::token::random_key;
use query_fn::routes::router;
use serde_json::{Map, Value};
use shared::{
    frame::Frame,
    item::{self, Item},
    time::Micros,
};
use std::ffi::OsString;
use std::time::Duration;
use tokio::net::TcpListener;

use crate::cutter::cutter;
pub(crate) use crate::table::{client, create_table, whole_engine};

/// A table on an embedded engine and the router in front of it, each on a socket of its own.
pub(crate) struct Service {
    pub(crate) url: String,
    pub(crate) store: Client,
    pub(crate) table: String,
    pub(crate) http: reqwest::Client,
}

impl Service {
    pub(crate) async fn start() -> Service {
        Service::on(&engine().await).await
    }

    /// A new table on an engine that runs already.
    pub(crate) async fn on(endpoint: &str) -> Service {
        let store = client(endpoint);
        let table = format!("query-fn-{:016x}", rand::random::<u64>());
        create_table(&store, &table).await;
        let url = serve(store.clone(), config(&table)).await;
        Service { url, store, table, http: reqwest::Client::new() }
    }

    /// Another router on the same table: it knows nothing of what the first one has read.
    pub(crate) async fn another_router(&self) -> String {
        self.router_with(|_| {}).await
    }

    pub(crate) async fn router_with(&self, change: impl FnOnce(&mut Config)) -> String {
        let mut config = config(&self.table);
        change(&mut config);
        serve(self.store.clone(), config).await
    }

    pub(crate) async fn get(&self, path: &str) -> reqwest::Response {
        self.http.get(format!("{}{path}", self.url)).send().await.unwrap()
    }

    pub(crate) async fn json(&self, path: &str) -> (u16, Map<String, Value>) {
        let response = self.get(path).await;
        let status = response.status().as_u16();
        let body = response.bytes().await.unwrap();
        (status, serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{path}: {error}: {body:?}")))
    }

    pub(crate) async fn put(&self, items: Vec<Item>) {
        for chunk in items.chunks(25) {
            let puts = chunk.iter().map(|item| {
                let put = PutRequest::builder().set_item(Some(item.clone())).build().unwrap();
                WriteRequest::builder().put_request(put).build()
            });
            let answer = self.store.batch_write_item().request_items(&self.table, puts.collect()).send().await.unwrap();
            assert!(answer.unprocessed_items.unwrap_or_default().is_empty());
        }
    }
}

/// The engine under the tests: another one (DynamoDB Local) where `DYNAMODB_ENDPOINT` names it, with pages that end anywhere
/// where `CUT_PAGES` has a seed.
pub(crate) async fn engine() -> String {
    let engine = whole_engine().await;
    match std::env::var("CUT_PAGES").ok().map(|seed| seed.parse().expect("CUT_PAGES is a number")) {
        Some(seed) => cutter(engine, seed).await,
        None => engine,
    }
}

/// The settings of a service: the defaults, but with all the time for the ledger that a busy machine may need.
pub(crate) fn config(table: &str) -> Config {
    config_with_keys(table, vec![random_key()])
}

/// The same with keys that are known.
pub(crate) fn config_with_keys(table: &str, keys: Vec<Vec<u8>>) -> Config {
    Config { ledger_time_budget: Duration::from_secs(20), ..Config::new(table, keys) }
}

/// The function's binary: another build (as it is uploaded) where `QUERY_FN_BINARY` names it.
pub(crate) fn binary() -> OsString {
    std::env::var_os("QUERY_FN_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_query-fn").into())
}

pub(crate) async fn serve(store: Client, config: Config) -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(axum::serve(listener, router(store, config)).into_future());
    url
}

/// The item of a message, as the daemon stores it.
pub(crate) fn stored(message: &str, received_at: u64) -> Item {
    match Frame::parse(message.as_bytes()).unwrap() {
        Frame::Event(event) => item::from_event(event, Micros(received_at)).unwrap(),
        Frame::Control(control) => panic!("{control:?}"),
    }
}

/// A trade like the exchange's.
pub(crate) fn trade(id: u64, time: u64) -> String {
    format!(
        r#"{{"data":{{"id":{id},"timestamp":"{}","amount":0.00310009,"amount_str":"0.00310009","price":29422,"price_str":"29422","type":0,"microtimestamp":"{time}","buy_order_id":1647817207170000,"sell_order_id":1647817207170001}},"channel":"live_trades_btcusd","event":"trade"}}"#,
        time / 1_000_000
    )
}
