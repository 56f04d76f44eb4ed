//! Through a misbehaving endpoint the result is the same, and the rate stays where it was asked to be.

use std::time::Duration;

use fault_proxy::config::{Config, Outage};
use fault_proxy::mix::{Fault, FaultProbabilities};
use fault_proxy::proxy::Proxy;

use crate::{
    ended::ended,
    fixture::{Fixture, create_table, expected, fill, number_of},
    support::{Desk, TABLE, client, each_item, embedded, number, wait_for},
};

fn mix() -> FaultProbabilities {
    FaultProbabilities {
        throttled_table: 0.04,
        throttled_index: 0.04,
        server_error: 0.03,
        closed: 0.01,
        half_written: 0.01,
        slow: 0.02,
        statement_error: 0.10,
        ..FaultProbabilities::default()
    }
}

async fn check_all(client: &aws_sdk_dynamodb::Client, fixture: &Fixture) {
    let (mut items, mut wrong) = (0, 0);
    each_item(client, TABLE, |item| {
        let number = number_of(&item);
        let target = item.get("nmicrotimestamp").map(|target| target.as_n().unwrap().clone());
        let right = if fixture.poisoned.contains(&number) { None } else { Some(expected(number)) };
        wrong += u64::from(target != right);
        items += 1;
    })
    .await;
    assert_eq!((items, wrong), (fixture.items, 0));
}

/// The lower bound needs a machine with nothing else to do, so it is asserted only under BACKFILL_MEASURE=1.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_change_neither_the_result_nor_the_rate() {
    let (seed, items) = (number("BACKFILL_SEED", 8), number("BACKFILL_FAULT_ITEMS", 6_000));
    println!("seed {seed}, {items} items");
    let engine = embedded();
    let direct = client(&engine.url);
    let fixture = Fixture::new(seed, items, 20);
    create_table(&direct, TABLE, true).await;
    fill(&direct, TABLE, &fixture, 0..items).await;
    let mut config = Config::new(&engine.url, seed);
    (config.mix, config.slow_limit) = (mix(), Duration::from_millis(100));
    let proxy = Proxy::start(config).await.unwrap();
    let desk = Desk::new(&proxy.url());
    let max = 2_000;
    let report = desk.run(&format!("run --force --json --max-wcu {max}")).await.assert_code(3).json();
    let counts = proxy.counts();
    let measured = counts.write_units / report["seconds"].as_f64().unwrap();
    let share = measured / f64::from(max);
    println!(
        "{measured:.0} of {max} write units a second as the engine counted them, {:.1} %\n{counts}",
        share * 100.0
    );
    check_all(&direct, &fixture).await;
    assert_eq!(desk.rejects().len(), fixture.poisoned.len());
    for fault in [Fault::ThrottledTable, Fault::ThrottledIndex, Fault::ServerError, Fault::StatementError] {
        assert!(counts.fault(fault) > 0, "{}", fault.name());
    }
    assert!(share <= 1.0, "{share}");
    if number("BACKFILL_MEASURE", 0) == 1 {
        assert!(share >= 0.95, "{share}");
    }
    proxy.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_lost_network_is_waited_for_and_in_the_end_left_with_what_is_done() {
    let engine = embedded();
    let direct = client(&engine.url);
    let fixture = Fixture::new(9, 3_000, 0);
    create_table(&direct, TABLE, true).await;
    fill(&direct, TABLE, &fixture, 0..3_000).await;
    let proxy = Proxy::start(Config::new(&engine.url, 9)).await.unwrap();
    let desk = Desk::new(&proxy.url());
    let run = "run --force --page-items 100 --max-wcu 2000 --patience 1 --json";
    let child = desk.start(run);
    wait_for(&desk.checkpoint()).await;
    proxy.set_down(Some(Outage::Refuse));
    let lost = tokio::task::spawn_blocking(move || ended(child.wait_with_output().unwrap())).await.unwrap();
    let lost = lost.assert_code(1);
    assert!(lost.err.contains("made no progress for 1 s") && lost.err.contains("the same command goes on"), "{lost:?}");
    proxy.set_down(None);
    let report = desk.run(run).await.assert_code(0).json();
    assert_eq!(report["resumed"], true);
    check_all(&direct, &fixture).await;
    assert!(!desk.checkpoint().try_exists().unwrap(), "a finished run leaves no checkpoint");
    proxy.shutdown().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_engine_without_partiql_gets_single_updates() {
    let engine = embedded();
    let direct = client(&engine.url);
    let fixture = Fixture::new(10, 300, 3);
    create_table(&direct, TABLE, true).await;
    fill(&direct, TABLE, &fixture, 0..300).await;
    let mut config = Config::new(&engine.url, 10);
    let unknown = r#"{"__type":"com.amazon.coral.service#UnknownOperationException"}"#;
    config.canned.insert("BatchExecuteStatement".to_owned(), (400, unknown.to_owned()));
    let proxy = Proxy::start(config).await.unwrap();
    let desk = Desk::new(&proxy.url());
    desk.run("run --force").await.assert_code(3);
    check_all(&direct, &fixture).await;
    assert_eq!(proxy.counts().requested("UpdateItem"), 297);
    proxy.shutdown().await;
}
