//! An engine, a table and a proxy before it.

use std::{collections::HashMap, time::Duration};

use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig, timeout::TimeoutConfig},
    types::{
        AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement, KeyType, Projection,
        ProjectionType, PutRequest, ScalarAttributeType, WriteRequest,
    },
};
use dynoxide::{Database, server::serve_with_shutdown};
use fault_proxy::config::Config;
use fault_proxy::proxy::Proxy;
use tokio::net::TcpListener;
use tokio_util::sync::{CancellationToken, DropGuard};

pub(crate) const TABLE: &str = "events";
pub(crate) const INDEX: &str = "channel-nmicrotimestamp-index";

/// An engine in memory with one table, a proxy before it, and a client for each.
pub(crate) struct Setup {
    pub(crate) proxy: Proxy,
    /// Through the proxy, without retries of its own.
    pub(crate) client: Client,
    /// Past the proxy.
    pub(crate) direct: Client,
    _engine: DropGuard,
}

pub(crate) async fn setup(seed: u64, change: impl FnOnce(&mut Config)) -> Setup {
    println!("seed {seed}");
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let engine = format!("http://{}", listener.local_addr().unwrap());
    let stop = CancellationToken::new();
    let stopped = stop.clone().cancelled_owned();
    tokio::spawn(serve_with_shutdown(listener, Database::memory().unwrap(), stopped));
    let direct = client(&engine);
    create_table(&direct).await;
    let mut config = Config::new(engine, seed);
    change(&mut config);
    let proxy = Proxy::start(config).await.unwrap();
    Setup { client: client(&proxy.url()), proxy, direct, _engine: stop.drop_guard() }
}

pub(crate) fn client(endpoint: &str) -> Client {
    let timeouts = TimeoutConfig::builder().operation_timeout(Duration::from_millis(700)).build();
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .timeout_config(timeouts)
        .endpoint_url(endpoint)
        .build();
    Client::from_conf(config)
}

async fn create_table(client: &Client) {
    let attribute =
        |name: &str, kind| AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build().unwrap();
    let key = |name: &str, kind| KeySchemaElement::builder().attribute_name(name).key_type(kind).build().unwrap();
    let index = GlobalSecondaryIndex::builder()
        .index_name(INDEX)
        .key_schema(key("channel", KeyType::Hash))
        .key_schema(key("nmicrotimestamp", KeyType::Range))
        .projection(Projection::builder().projection_type(ProjectionType::All).build())
        .build()
        .unwrap();
    client
        .create_table()
        .table_name(TABLE)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute("id", ScalarAttributeType::N))
        .attribute_definitions(attribute("channel", ScalarAttributeType::S))
        .attribute_definitions(attribute("nmicrotimestamp", ScalarAttributeType::N))
        .key_schema(key("id", KeyType::Hash))
        .global_secondary_indexes(index)
        .send()
        .await
        .unwrap();
}

pub(crate) type Item = HashMap<String, AttributeValue>;

pub(crate) fn item(id: u32) -> Item {
    HashMap::from([
        ("id".to_owned(), AttributeValue::N(id.to_string())),
        ("channel".to_owned(), AttributeValue::S("live_trades_btcusd".to_owned())),
        ("nmicrotimestamp".to_owned(), AttributeValue::N(format!("1700000000{id:06}"))),
    ])
}

pub(crate) fn puts(ids: std::ops::Range<u32>) -> Vec<WriteRequest> {
    let put = |id| PutRequest::builder().set_item(Some(item(id))).build().unwrap();
    ids.map(|id| WriteRequest::builder().put_request(put(id)).build()).collect()
}

/// The ids in the table, read past the proxy.
pub(crate) async fn stored(client: &Client) -> Vec<u32> {
    let found = client.scan().table_name(TABLE).send().await.unwrap();
    let mut ids: Vec<u32> = found.items().iter().map(id_of).collect();
    ids.sort_unstable();
    ids
}

pub(crate) fn id_of(item: &Item) -> u32 {
    item["id"].as_n().unwrap().parse().unwrap()
}
