//! A table that the new daemon writes to already, while the old items are migrated and verified.

use std::{
    sync::{
        Arc,
        atomic::{AtomicBool, Ordering},
    },
    time::SystemTime,
};

use aws_sdk_dynamodb::{Client, types::AttributeValue};

use crate::{
    fixture::{Fixture, Item, create_table, fill},
    support::{Desk, TABLE, client, embedded},
};

fn item(id: u64, sort: &str, more: &[(&str, AttributeValue)]) -> Item {
    let named = |name: &str, value| (name.to_owned(), value);
    let mut item = Item::from([
        named("id", AttributeValue::N(id.to_string())),
        named("microtimestamp", AttributeValue::S(sort.to_owned())),
        named("channel", AttributeValue::S("live_trades_btcusd".to_owned())),
    ]);
    item.extend(more.iter().map(|(name, value)| named(name, value.clone())));
    item
}

async fn put(client: &Client, item: Item) {
    client.put_item().table_name(TABLE).set_item(Some(item)).send().await.unwrap();
}

fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap().as_micros()).unwrap()
}

/// A trade that was fetched after a gap, as the daemon stores it: its time is the gap's end, its key the exchange's second.
fn fetched() -> Item {
    let derived = AttributeValue::L(vec![AttributeValue::S("microtimestamp".to_owned())]);
    item(
        7,
        "1647817207000000",
        &[
            ("nmicrotimestamp", AttributeValue::N("1647817206999999".to_owned())),
            ("source", AttributeValue::S("rest".to_owned())),
            ("derived", derived),
        ],
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_the_daemon_wrote_is_left_as_it_is() {
    let engine = embedded();
    let client = client(&engine.url);
    create_table(&client, TABLE, true).await;
    fill(&client, TABLE, &Fixture::new(3, 25, 0), 0..10).await;
    put(&client, fetched()).await;
    let lease = [("channel", AttributeValue::S("_lease".to_owned()))];
    put(&client, item(8, "_lease:87855a5e187323c6", &lease)).await;
    let desk = Desk::new(&engine.url);
    let ended = desk.run("run --force --json").await.assert_code(0).json();
    assert_eq!((&ended["totals"]["updated"], &ended["totals"]["rejects"]), (&10.into(), &0.into()), "{ended}");
    let key = [
        ("id".to_owned(), AttributeValue::N("7".to_owned())),
        ("microtimestamp".to_owned(), AttributeValue::S("1647817207000000".to_owned())),
    ];
    let kept = client.get_item().table_name(TABLE).set_key(Some(key.into())).send().await.unwrap().item.unwrap();
    assert_eq!(kept, fetched());
    desk.run("verify").await.assert_code(0);

    // The channels are in the list that the query API reads, once.
    let listed = client
        .query()
        .table_name(TABLE)
        .index_name("channel-nmicrotimestamp-index")
        .key_condition_expression("channel = :c")
        .expression_attribute_values(":c", AttributeValue::S("_channels".to_owned()))
        .send()
        .await
        .unwrap();
    let names: Vec<_> = listed.items().iter().map(|item| item["microtimestamp"].as_s().unwrap().as_str()).collect();
    assert_eq!(ended["channels"].as_u64(), Some(names.len() as u64));
    assert!(!names.is_empty() && names.iter().all(|name| name.starts_with("live_")), "{names:?}");
    let again = desk.run("run --force --json").await.assert_code(0).json();
    assert_eq!((&again["channels"], &again["channels_problem"]), (&0.into(), &serde_json::Value::Null));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_is_verified_while_the_daemon_writes() {
    let engine = embedded();
    let client = client(&engine.url);
    create_table(&client, TABLE, true).await;
    fill(&client, TABLE, &Fixture::new(4, 3_000, 0), 0..3_000).await;
    let desk = Desk::new(&engine.url);
    desk.run("run --force").await.assert_code(0);
    let stop = Arc::new(AtomicBool::new(false));
    let writer = tokio::spawn(write(client.clone(), Arc::clone(&stop)));
    let report = desk.run("verify --json --page-items 50").await.assert_code(0).json();
    stop.store(true, Ordering::Relaxed);
    writer.await.unwrap();
    assert!(report["late"].as_u64().unwrap() > 0, "{report}");
    // What is really missing is still found.
    put(&client, item(1, "1647817207170000", &[])).await;
    desk.run("verify").await.assert_code(4);
}

/// New events, and now and then one of a backlog with an old time.
async fn write(client: Client, stop: Arc<AtomicBool>) {
    let mut id = 1_000_000;
    while !stop.load(Ordering::Relaxed) {
        id += 1;
        let received = now();
        let time = if id % 5 == 0 { 1_647_817_207_170_000 + id } else { received };
        let times = [
            ("nmicrotimestamp", AttributeValue::N(time.to_string())),
            ("received_at", AttributeValue::N((if id % 10 == 0 { time } else { received }).to_string())),
        ];
        put(&client, item(id, &time.to_string(), &times)).await;
    }
}

/// An index that is created charges an entry for every item that has its key, right or not.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_has_the_cost_of_indexing_what_is_right() {
    let engine = embedded();
    let client = client(&engine.url);
    create_table(&client, TABLE, false).await;
    let target = [("nmicrotimestamp", AttributeValue::N("1647817207170000".to_owned()))];
    for id in 0..4 {
        put(&client, item(id, "1647817207170000", &target)).await;
    }
    let plan = Desk::new(&engine.url).run("plan --count --json").await.assert_code(0).json();
    assert_eq!((&plan["to_write"], &plan["right"]), (&0.into(), &4.into()));
    assert_eq!((plan["write_units_table"].as_f64(), plan["write_units_index"].as_f64()), (Some(0.0), Some(4.0)));
}
