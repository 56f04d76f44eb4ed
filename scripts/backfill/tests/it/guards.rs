//! What is refused, what is said, what is kept.

use std::collections::BTreeSet;

use fault_proxy::config::Config;
use fault_proxy::proxy::Proxy;

use crate::{
    ended::ended,
    fixture::{Fixture, create_table, fill},
    support::{Desk, Engine, TABLE, client, each_item, embedded, interrupt, wait_for},
};

async fn table(items: u64, poisoned: usize, with_index: bool) -> (Engine, aws_sdk_dynamodb::Client) {
    let engine = embedded();
    let client = client(&engine.url);
    create_table(&client, TABLE, with_index).await;
    fill(&client, TABLE, &Fixture::new(11, items, poisoned), 0..items).await;
    (engine, client)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_three_commands_in_order() {
    let (engine, _client) = table(500, 0, false).await;
    let desk = Desk::new(&engine.url);
    let plan = desk.run("plan --count --max-wcu 100").await.assert_code(0);
    for said in
        ["to write              500", "nothing was changed", "missing: `backfill run --create-index`", "live_orders_"]
    {
        assert!(plan.out.contains(said), "{said}: {}", plan.out);
    }
    let run = desk.run("run --create-index --force").await.assert_code(0);
    assert!(run.out.contains("updated               500"), "{}", run.out);
    let verify = desk.run("verify").await.assert_code(0);
    assert!(verify.out.contains("all right") && verify.out.contains("live_trades_btcusd"), "{}", verify.out);
    let again = desk.run("run --force").await.assert_code(0);
    assert!(again.out.contains("nothing to do, every item was right already"), "{}", again.out);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_changes_nothing_and_its_units_are_those_of_the_run() {
    let (engine, client) = table(400, 4, true).await;
    let desk = Desk::new(&engine.url);
    let plan = desk.run("plan --count --json").await.assert_code(0).json();
    let verify = desk.run("verify --json").await.assert_code(4).json();
    assert_eq!((verify["missing"].as_u64(), verify["rejects"].as_u64()), (Some(396), Some(4)));
    let run = desk.run("run --force --json").await.assert_code(3).json();
    let units = |value: &serde_json::Value| value.as_f64().unwrap();
    let planned = units(&plan["write_units_table"]) + units(&plan["write_units_index"]);
    assert!((planned - units(&run["totals"]["write_units"])).abs() < 1e-6, "{plan}\n{run}");
    assert_eq!(plan["to_write"], run["totals"]["updated"]);
    drop(client);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_a_way_back_nothing_is_changed_unless_forced() {
    let (engine, _client) = table(50, 0, true).await;
    let desk = Desk::new(&engine.url);
    let refused = desk.run("run").await.assert_code(2);
    assert!(refused.err.contains("point-in-time recovery") && refused.err.contains("--force"), "{refused:?}");
    desk.run("verify").await.assert_code(4);

    for (status, code) in [("DISABLED", 2), ("ENABLED", 0)] {
        let mut config = Config::new(&engine.url, 1);
        let backups = format!(
            r#"{{"ContinuousBackupsDescription":{{"ContinuousBackupsStatus":"ENABLED","PointInTimeRecoveryDescription":{{"PointInTimeRecoveryStatus":"{status}"}}}}}}"#
        );
        config.canned.insert("DescribeContinuousBackups".to_owned(), (200, backups));
        let proxy = Proxy::start(config).await.unwrap();
        Desk::new(&proxy.url()).run("run").await.assert_code(code);
        proxy.shutdown().await;
    }
    desk.run("verify").await.assert_code(0);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn arguments_that_do_not_fit_the_table_are_refused_by_name() {
    let (engine, _client) = table(10, 0, true).await;
    let desk = Desk::new(&engine.url);
    for (arguments, said) in [
        ("run --force --table elsewhere", "check --table"),
        ("run --force --to-attribute microtimestamp --from-attribute id", "part of the key"),
        ("run --force --to-attribute microtimestamp", "the same"),
        ("run --force --to-type S", "see --to-type"),
        ("run --force --index other", "--create-index creates it"),
        ("run --force --index-partition event", "expected (event, nmicrotimestamp)"),
        ("run --force --share 50", "--share needs provisioned capacity"),
    ] {
        let refused = desk.run(arguments).await;
        assert!(refused.code == Some(2) || refused.code == Some(1), "{arguments}: {refused:?}");
        assert!(refused.err.contains(said), "{arguments}: {refused:?}");
    }
    desk.run("verify").await.assert_code(4);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn ctrl_c_keeps_what_is_done_and_other_arguments_do_not_go_on_with_it() {
    let (engine, _client) = table(2_000, 5, true).await;
    let desk = Desk::new(&engine.url);
    let child = desk.start("run --force --max-wcu 800 --page-items 100");
    wait_for(&desk.checkpoint()).await;
    interrupt(&child);
    let ended = tokio::task::spawn_blocking(move || ended(child.wait_with_output().unwrap())).await.unwrap();
    let ended = ended.assert_code(130);
    assert!(ended.err.contains("the same command goes on"), "{ended:?}");

    let other = desk.run("run --force --accept-ms").await.assert_code(2);
    assert!(other.err.contains("accept_ms = false, this one has true") && other.err.contains("--restart"), "{other:?}");
    let report = desk.run("run --force --json --segments 1").await.assert_code(3).json();
    assert_eq!((report["resumed"].as_bool(), report["totals"]["items"].as_u64()), (Some(true), Some(2_000)));
    assert_eq!(desk.rejects().len(), 5);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_progress_may_be_kept_in_the_table() {
    let (engine, client) = table(2_000, 5, true).await;
    let desk = Desk::new(&engine.url);
    let run = "run --force --checkpoint-item --page-items 100";
    let child = desk.start(&format!("{run} --max-wcu 800"));
    wait_for(&desk.path("backfill-bitstamp-live.rejects.jsonl")).await;
    tokio::time::sleep(std::time::Duration::from_millis(500)).await;
    interrupt(&child);
    tokio::task::spawn_blocking(move || ended(child.wait_with_output().unwrap())).await.unwrap().assert_code(130);
    let count = async || {
        let mut count = 0;
        each_item(&client, TABLE, |_| count += 1).await;
        count
    };
    assert_eq!(count().await, 2_001, "the checkpoint is an item");
    assert!(!desk.checkpoint().try_exists().unwrap());

    let verify = desk.run("verify --json").await.assert_code(4).json();
    assert_eq!(verify["items"], 2_000, "it is not one of the table's items");
    let report = desk.run(&format!("{run} --json")).await.assert_code(3).json();
    assert_eq!((report["resumed"].as_bool(), report["totals"]["items"].as_u64()), (Some(true), Some(2_000)));
    assert_eq!(count().await, 2_000);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn several_segments_do_the_same_as_one() {
    let (engine, _client) = table(1_000, 7, true).await;
    let desk = Desk::new(&engine.url);
    let report = desk.run("run --force --segments 7 --page-items 50 --json").await.assert_code(3).json();
    assert_eq!((report["totals"]["updated"].as_u64(), report["totals"]["rejects"].as_u64()), (Some(993), Some(7)));
    let distinct: BTreeSet<String> = desk.rejects().iter().map(|line| line["key"].to_string()).collect();
    assert_eq!(distinct.len(), 7);
    desk.run("verify --segments 5").await.assert_code(3);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_denied_action_is_named_with_the_permission() {
    let (engine, _client) = table(10, 0, true).await;
    let all = ["DescribeTable", "DescribeContinuousBackups", "Scan", "PartiQLUpdate"];
    for denied in ["DescribeTable", "Scan", "PartiQLUpdate"] {
        let mut config = Config::new(&engine.url, 1);
        let rest = all.iter().filter(|action| **action != denied).map(|action| (*action).to_owned());
        config.allow = Some(rest.collect());
        let proxy = Proxy::start(config).await.unwrap();
        let refused = Desk::new(&proxy.url()).run("run --force").await.assert_code(1);
        assert!(refused.err.contains(&format!("the role needs dynamodb:{denied}")), "{refused:?}");
        proxy.shutdown().await;
    }
}
