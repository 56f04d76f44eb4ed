//! An embedded engine with a table of trades, for measurements and for checks by hand: prints the endpoint and serves until
//! it is stopped.
//!
//!     cargo run --release -p query-fn --example engine -- 20000 8000 6 359
//!
//! The last numbers are days of ledger of two daemons (none by default): from the day of the trades on an entry a minute, and before
//! it closed days of one entry each.

use anyhow::Context;
use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    types::{
        AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement, Projection,
        ProjectionType, PutRequest, WriteRequest,
    },
};
use dynoxide::{Database, server::serve_with_shutdown};
use shared::{
    coverage::{
        Interval, Record, State,
        days::{DAY, Run},
    },
    frame::Frame,
    item::{self, Item},
    table::{self, KeyAttribute},
    time::Micros,
};
use tokio::net::TcpListener;

const FIRST: u64 = 1_647_817_207_170_000;
const MINUTE: u64 = 60_000_000;
const DAEMONS: [&str; 2] = ["vm-1-3f2a77c1", "vm-2-81d0aa42"];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let count: u64 = arguments.next().unwrap_or_else(|| "20000".to_owned()).parse().context("number of trades")?;
    let port: u16 = arguments.next().unwrap_or_else(|| "8000".to_owned()).parse().context("port")?;
    let listener = TcpListener::bind(("127.0.0.1", port)).await?;
    let endpoint = format!("http://{}", listener.local_addr()?);
    let engine = tokio::spawn(serve_with_shutdown(listener, Database::memory()?, std::future::pending()));
    let client = client(&endpoint);
    create_table(&client).await?;
    let items: Vec<Item> = (0..count).map(trade).collect::<anyhow::Result<_>>()?;
    for chunk in items.chunks(25) {
        put(&client, chunk).await?;
    }
    let days: u64 = arguments.next().unwrap_or_default().parse().unwrap_or(0);
    let closed: u64 = arguments.next().unwrap_or_default().parse().unwrap_or(0);
    let minutes = (0..days * 1440).flat_map(|minute| DAEMONS.map(|daemon| entry(daemon, minute)));
    let closed = (1..=closed).flat_map(|before| DAEMONS.map(|daemon| closed_day(daemon, FIRST / DAY - before)));
    for chunk in minutes.chain(closed).collect::<Vec<Item>>().chunks(25) {
        put(&client, chunk).await?;
    }
    put(&client, &[channel("live_trades_btcusd", 1), channel("live_orders_btcusd", 2)]).await?;
    eprintln!("{endpoint}: {count} trades from {FIRST} to {}", FIRST + count * 1000);
    engine.await?.map_err(|error| anyhow::anyhow!("the engine stopped: {error}"))
}

fn client(endpoint: &str) -> Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(endpoint)
        .build();
    Client::from_conf(config)
}

async fn put(client: &Client, items: &[Item]) -> anyhow::Result<()> {
    let mut requests = Vec::new();
    for item in items {
        let put = PutRequest::builder().set_item(Some(item.clone())).build()?;
        requests.push(WriteRequest::builder().put_request(put).build());
    }
    client.batch_write_item().request_items(table::DEFAULT_TABLE, requests).send().await?;
    Ok(())
}

/// A captured minute, as a daemon enters it.
fn entry(daemon: &str, minute: u64) -> Item {
    let from = FIRST / DAY * DAY + minute * MINUTE;
    record(daemon, from, from + MINUTE - 1).to_item()
}

/// A captured day, as a daemon puts it together.
fn closed_day(daemon: &str, day: u64) -> Item {
    Run { record: record(daemon, day * DAY, (day + 1) * DAY - 1), entries: 1440 }.to_item()
}

fn record(daemon: &str, from: u64, through: u64) -> Record {
    let interval = Interval { from, through, state: State::Captured, reason: None };
    Record { daemon: daemon.to_owned(), channel: "live_trades_btcusd".to_owned(), interval, frames: 60_000 }
}

/// A trade as the exchange sent them in 2022, one a millisecond.
fn trade(number: u64) -> anyhow::Result<Item> {
    let time = FIRST + number * 1000;
    let message = format!(
        r#"{{"data":{{"id":{},"timestamp":"{}","amount":0.{:08},"amount_str":"0.{:08}","price":{}.1{},"price_str":"{}.1{}","type":{},"microtimestamp":"{time}","buy_order_id":{},"sell_order_id":{}}},"channel":"live_trades_btcusd","event":"trade"}}"#,
        220_000_000 + number,
        time / 1_000_000,
        number * 7919 % 99_999_999 + 1,
        number * 7919 % 99_999_999 + 1,
        41_000 + number % 97,
        number % 9 + 1,
        41_000 + number % 97,
        number % 9 + 1,
        number % 2,
        1_471_000_000_000_000 + number * 3,
        1_471_000_000_000_000 + number * 3 + 1,
    );
    match Frame::parse(message.as_bytes())? {
        Frame::Event(event) => Ok(item::from_event(event, Micros(time + 250))?),
        Frame::Control(control) => anyhow::bail!("{control:?} is no trade"),
    }
}

fn channel(name: &str, number: u64) -> Item {
    Item::from([
        (table::ID.to_owned(), AttributeValue::N(number.to_string())),
        (table::MICROTIMESTAMP.to_owned(), AttributeValue::S(name.to_owned())),
        (table::CHANNEL.to_owned(), AttributeValue::S(query_fn::query::channels::CHANNELS.to_owned())),
        (table::NMICROTIMESTAMP.to_owned(), AttributeValue::N(FIRST.to_string())),
    ])
}

async fn create_table(client: &Client) -> anyhow::Result<()> {
    let schema = |key: &[KeyAttribute]| {
        let element = |(name, _, role): &KeyAttribute| {
            KeySchemaElement::builder().attribute_name(*name).key_type(role.clone()).build()
        };
        key.iter().map(element).collect::<Result<Vec<_>, _>>()
    };
    let (primary, index) = (table::primary_key(), table::index_key());
    let define = |(name, kind, _): &KeyAttribute| {
        AttributeDefinition::builder().attribute_name(*name).attribute_type(kind.clone()).build()
    };
    let definitions = primary.iter().chain(&index).map(define).collect::<Result<Vec<_>, _>>()?;
    let projection = Projection::builder().projection_type(ProjectionType::All).build();
    let global = GlobalSecondaryIndex::builder()
        .index_name(table::INDEX)
        .set_key_schema(Some(schema(&index)?))
        .projection(projection)
        .build()?;
    client
        .create_table()
        .table_name(table::DEFAULT_TABLE)
        .billing_mode(BillingMode::PayPerRequest)
        .set_attribute_definitions(Some(definitions))
        .set_key_schema(Some(schema(&primary)?))
        .global_secondary_indexes(global)
        .send()
        .await?;
    Ok(())
}
