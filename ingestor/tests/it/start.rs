//! What is wrong before anything is captured.

use std::collections::BTreeMap;
use std::process::Stdio;

use aws_sdk_dynamodb::types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};
use fault_proxy::config::Outage;
use ingestor::observe::status::Component;
use ingestor::store::table;

use crate::support::{Bench, DEADLINE, command, until};

fn run(settings: &BTreeMap<String, String>) -> (Option<i32>, String) {
    let output = tokio::task::block_in_place(|| command(settings).stderr(Stdio::piped()).output().unwrap());
    (output.status.code(), String::from_utf8(output.stderr).unwrap())
}

fn last_words(said: &str) -> &str {
    said.find("ingestor: ").and_then(|start| said.get(start..)).unwrap_or_else(|| panic!("{said}"))
}

#[tokio::test(flavor = "multi_thread")]
async fn all_faults_of_a_configuration_in_one_message() {
    let settings = [("url", "http://x"), ("writers", "0"), ("channels", "live_trades_BTCUSD"), ("spool_max", "1 bit")];
    let settings = settings.map(|(key, value)| (key.to_owned(), value.to_owned())).into();
    let (code, said) = run(&settings);
    assert_eq!(code, Some(78), "{said}");
    let words = last_words(&said);
    assert!(words.starts_with("ingestor: 4 faults in the configuration:\n"), "{said}");
    for part in ["--url = `http://x`", "--writers = `0`", "did you mean `live_trades_btcusd`", "--spool-max = `1 bit`"]
    {
        assert!(words.contains(part), "{part} in {said}");
    }
    assert!(!said.contains("panicked") && !said.contains("RUST_BACKTRACE"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_that_is_not_there_is_named() {
    let settings = BTreeMap::from([("config".to_owned(), "/nowhere/a.toml".to_owned())]);
    let (code, said) = run(&settings);
    assert_eq!(code, Some(78), "{said}");
    assert!(last_words(&said).contains("/nowhere/a.toml: No such file"), "{said}");
}

/// The table is missing, then has the wrong keys, then may not be described, then is right: the daemon says so each time,
/// captures meanwhile, and needs nobody.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_is_missing_wrong_or_forbidden_is_waited_for() {
    let bench = Bench::new(89, 0.2).await;
    let mut settings = bench.settings();
    settings.insert("table".to_owned(), "elsewhere".to_owned());
    let daemon = bench.start(&settings).await;
    let (status, spool) = (daemon.status(), daemon.spool());
    let said = |part: &str| status.trouble().get(&Component::Table).is_some_and(|said| said.contains(part));
    until("it is said", || said("table `elsewhere` does not exist in region local; create it")).await;
    until("subscribed", || bench.simulator.subscriptions() == 4).await;
    bench.simulator.resume();
    until("captured into the spool", || spool.depth() > 100).await;

    let key = |name: &str, role| KeySchemaElement::builder().attribute_name(name).key_type(role).build().unwrap();
    let text = |name: &str| {
        AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S).build().unwrap()
    };
    let old = bench.store.create_table().table_name("elsewhere").billing_mode(BillingMode::PayPerRequest);
    let old = old.attribute_definitions(text("id")).attribute_definitions(text("microtimestamp"));
    let old = old.key_schema(key("id", KeyType::Hash)).key_schema(key("microtimestamp", KeyType::Range));
    old.send().await.unwrap();
    until("the keys are named", || {
        said(
            "table `elsewhere` has the key id (S, HASH) + microtimestamp (S, RANGE); \
             expected id (N, HASH) + microtimestamp (S, RANGE)",
        )
    })
    .await;

    bench.proxy.set_down(Some(Outage::Denied));
    until("the permission is named", || said("permission dynamodb:DescribeTable is missing")).await;
    bench.store.delete_table().table_name("elsewhere").send().await.unwrap();
    table::create(&bench.store, "elsewhere").await.unwrap();
    bench.proxy.set_down(None);
    until("no trouble", || status.trouble().is_empty()).await;
    bench.simulator.pause();
    let sent = bench.sent();
    until("everything is stored", || status.stored.get() >= sent && spool.depth() == 0).await;
    assert_eq!(spool.quarantine().count(), 0);
    daemon.stop().await.unwrap();
}

/// A part that is gone must not leave a daemon that looks alive.
#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_ends_ends_the_daemon_by_name() {
    for name in ["socket", "market list", "server of metrics and health", "gap filler", "lease", "shipper"] {
        let bench = Bench::new(90, 0.1).await;
        let mut settings = bench.settings();
        settings.insert("lease".to_owned(), "2s".to_owned());
        let mut daemon = bench.start(&settings).await;
        assert!(daemon.end(name), "no task is called {name}");
        let ended = tokio::time::timeout(DEADLINE, daemon.run(std::future::pending())).await.expect("it ends");
        assert_eq!(ended.unwrap_err().to_string(), format!("the {name} ended unexpectedly"));
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_port_is_named_with_the_remedy() {
    let bench = Bench::new(82, 1.0).await;
    let taken = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut settings = bench.settings();
    settings.insert("listen".to_owned(), taken.local_addr().unwrap().to_string());
    let (code, said) = run(&settings);
    assert_eq!(code, Some(1), "{said}");
    assert!(last_words(&said).contains("stop what uses it or set --listen"), "{said}");
}

/// The exchange would refuse it with an answer that names no channel.
#[tokio::test(flavor = "multi_thread")]
async fn a_mistyped_family_is_refused_with_the_right_name() {
    let settings = BTreeMap::from([("channels".to_owned(), "live_trade_btcusd,live_orders_btcusd".to_owned())]);
    let (code, said) = run(&settings);
    assert_eq!(code, Some(78), "{said}");
    let words = last_words(&said);
    assert!(words.contains("`live_trade_btcusd` is of no known family; did you mean `live_trades_btcusd`?"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wildcards_are_every_market_of_the_exchange() {
    let bench = Bench::new(84, 1.0).await;
    let mut settings = bench.settings();
    settings.insert("channels".to_owned(), "live_trades_*,order_book_btcusd".to_owned());
    let daemon = bench.start(&settings).await;
    let rest = ingestor::exchange::rest::Rest::new(&bench.simulator.rest_url()).unwrap();
    let markets = ingestor::exchange::markets::Markets::fetch(&rest).await.unwrap();
    let expected = markets.resolve(&["live_trades_*".parse().unwrap()]).unwrap().len() + 1;
    assert!(expected > 2);
    until("all subscribed", || bench.simulator.subscriptions() == expected).await;
    daemon.stop().await.unwrap();
}
