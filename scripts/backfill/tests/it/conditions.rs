//! Between reading and writing an item may change: the condition decides, by statement and by `UpdateItem` alike.

use std::{sync::atomic::AtomicBool, time::Duration};

use aws_sdk_dynamodb::{Client, types::AttributeValue};
use backfill::{
    apply::Writer,
    args::{Cli, Command, JobArgs, ScanArgs},
    examine::{Change, ItemClassifier, Verdict},
    limit::CapacityLimiter,
    table_info::describe,
    written::Written,
};
use clap::Parser;
use tokio::sync::Semaphore;
use tokio_util::sync::CancellationToken;

use crate::{
    fixture::{Fixture, Item, create_table, expected, fill},
    support::{Engine, TABLE, client, dynamodb_local, embedded},
};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_item_that_changed_meanwhile_is_looked_at_again() {
    let engine = embedded();
    for single in [false, true] {
        check(&engine, single).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_item_that_changed_meanwhile_is_looked_at_again_on_dynamodb_local() {
    if let Some(engine) = dynamodb_local().await {
        for single in [false, true] {
            check(&engine, single).await;
        }
    }
}

/// `stamp` is the source, so that it can change.
async fn check(engine: &Engine, single: bool) {
    let client = client(&engine.url);
    create_table(&client, TABLE, false).await;
    let fixture = Fixture::new(1, 25, 0);
    fill(&client, TABLE, &fixture, 0..25).await;
    let writer = writer(&client, single).await;
    let mut changes: Vec<Change> = Vec::new();
    for number in 0..6 {
        let item = stamped(&fixture, number);
        client.put_item().table_name(TABLE).set_item(Some(item.clone())).send().await.unwrap();
        let Some(Verdict::Change(change)) = writer.classifier.examine(&item) else { panic!("no change") };
        changes.push(change);
    }
    // 0 stays, 1 is deleted, 2 gets another source, 3 the right target, 4 a wrong target, 5 a source that is no time.
    let gone = fixture.item(1);
    let delete = client.delete_item().table_name(TABLE).key("id", gone["id"].clone());
    delete.key("microtimestamp", gone["microtimestamp"].clone()).send().await.unwrap();
    let put = |number: u64, name: &str, value: AttributeValue| {
        let mut item = stamped(&fixture, number);
        item.insert(name.to_owned(), value);
        client.put_item().table_name(TABLE).set_item(Some(item)).send()
    };
    put(2, "stamp", AttributeValue::S(expected(1_000))).await.unwrap();
    put(3, "nstamp", AttributeValue::N(expected(3))).await.unwrap();
    put(4, "nstamp", AttributeValue::N("7".to_owned())).await.unwrap();
    put(5, "stamp", AttributeValue::S("soon".to_owned())).await.unwrap();

    let Written { updated, right, gone, rejects, .. } = writer.apply(changes).await.unwrap();
    assert_eq!((updated, right, gone, rejects.len()), (3, 1, 1, 1), "single updates: {single}");
    assert!(rejects[0].line.contains("not a number"), "{rejects:?}");
    let targets: Vec<Option<String>> = read_targets(&client, &fixture).await;
    let right = |number: u64| Some(expected(number));
    assert_eq!(targets, [right(0), None, right(1_000), right(3), right(4), None], "single updates: {single}");
    client.delete_table().table_name(TABLE).send().await.unwrap();
}

fn stamped(fixture: &Fixture, number: u64) -> Item {
    let mut item = fixture.item(number);
    item.insert("stamp".to_owned(), AttributeValue::S(expected(number)));
    item
}

async fn read_targets(client: &Client, fixture: &Fixture) -> Vec<Option<String>> {
    let mut targets = Vec::new();
    for number in 0..6 {
        let item = fixture.item(number);
        let get = client.get_item().table_name(TABLE).key("id", item["id"].clone());
        let output = get.key("microtimestamp", item["microtimestamp"].clone()).send().await.unwrap();
        assert_eq!(output.item.is_some(), number != 1, "item {number}");
        targets.push(output.item.and_then(|item| Some(item.get("nstamp")?.as_n().unwrap().clone())));
    }
    targets
}

async fn writer(client: &Client, single: bool) -> Writer {
    let (job, scan) = arguments();
    let stop = CancellationToken::new();
    let info = describe(client, &job, &scan, &stop).await.unwrap();
    Writer {
        client: client.clone(),
        table: TABLE.to_owned(),
        classifier: ItemClassifier::new(&info, &job),
        limiter: CapacityLimiter::new(None, 1.0),
        calls: Semaphore::new(4),
        patience: Duration::from_secs(30),
        single: AtomicBool::new(single),
        stop,
    }
}

fn arguments() -> (JobArgs, ScanArgs) {
    let line = ["backfill", "verify", "--from-attribute", "stamp", "--to-attribute", "nstamp", "--no-index"];
    match Cli::parse_from(line).command {
        Command::Verify(args) => (args.job, args.scan),
        _ => panic!("not verify"),
    }
}
