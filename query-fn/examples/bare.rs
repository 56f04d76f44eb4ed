//! The bare call that a page rests on, again and again: one Query of 1 MB through the SDK, its items dropped.
//! Prints milliseconds of wall time and of CPU a call.
//!
//!     cargo run --profile lambda -p query-fn --example bare -- http://127.0.0.1:8000 50

use anyhow::Context;
use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    types::AttributeValue,
};
use std::time::Instant;

#[tokio::main(flavor = "current_thread")]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let endpoint = arguments.next().context("endpoint")?;
    let calls: u32 = arguments.next().context("number of calls")?.parse()?;
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(endpoint)
        .build();
    let client = Client::from_conf(config);
    let mut items = query(&client).await?;
    let (started, cpu) = (Instant::now(), cpu_seconds()?);
    for _ in 0..calls {
        items = query(&client).await?;
    }
    let wall = started.elapsed().as_secs_f64() * 1000.0 / f64::from(calls);
    let cpu = (cpu_seconds()? - cpu) * 1000.0 / f64::from(calls);
    eprintln!("{items} items, {wall:.2} ms wall, {cpu:.2} ms cpu a call");
    Ok(())
}

async fn query(client: &Client) -> anyhow::Result<usize> {
    let answer = client
        .query()
        .table_name(shared::table::DEFAULT_TABLE)
        .index_name(shared::table::INDEX)
        .key_condition_expression("channel = :channel AND nmicrotimestamp BETWEEN :from AND :to")
        .expression_attribute_values(":channel", AttributeValue::S("live_trades_btcusd".to_owned()))
        .expression_attribute_values(":from", AttributeValue::N("0".to_owned()))
        .expression_attribute_values(":to", AttributeValue::N("2000000000000000".to_owned()))
        .send()
        .await?;
    Ok(answer.items().len())
}

/// User and system time of this process, by the kernel's accounting of scheduled nanoseconds.
fn cpu_seconds() -> anyhow::Result<f64> {
    let text = std::fs::read_to_string("/proc/self/schedstat")?;
    let nanoseconds: f64 = text.split(' ').next().context("schedstat")?.parse()?;
    Ok(nanoseconds / 1e9)
}
