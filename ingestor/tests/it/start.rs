//! What is wrong before anything is captured.

use std::collections::BTreeMap;
use std::process::Stdio;

use aws_sdk_dynamodb::types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};

use crate::support::{Bench, command, until};

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

#[tokio::test(flavor = "multi_thread")]
async fn a_missing_or_wrong_table_is_one_sentence() {
    let bench = Bench::new(81, 1.0).await;
    let mut settings = bench.settings();
    settings.insert("table".to_owned(), "elsewhere".to_owned());
    let (code, said) = run(&settings);
    assert_eq!(code, Some(78), "{said}");
    assert!(
        last_words(&said).starts_with("ingestor: table `elsewhere` does not exist in region local; create it"),
        "{said}"
    );
    assert_eq!(last_words(&said).lines().count(), 1, "{said}");

    let key = |name: &str, role| KeySchemaElement::builder().attribute_name(name).key_type(role).build().unwrap();
    let text = |name: &str| {
        AttributeDefinition::builder().attribute_name(name).attribute_type(ScalarAttributeType::S).build().unwrap()
    };
    bench
        .store
        .create_table()
        .table_name("old-table")
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(text("id"))
        .attribute_definitions(text("microtimestamp"))
        .key_schema(key("id", KeyType::Hash))
        .key_schema(key("microtimestamp", KeyType::Range))
        .send()
        .await
        .unwrap();
    settings.insert("table".to_owned(), "old-table".to_owned());
    let (code, said) = run(&settings);
    assert_eq!(code, Some(78), "{said}");
    assert!(
        last_words(&said).contains(
            "table `old-table` has the key id (S, HASH) + microtimestamp (S, RANGE); \
             expected id (N, HASH) + microtimestamp (S, RANGE)"
        ),
        "{said}"
    );
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

/// The exchange would confirm the subscription and stay silent for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_market_that_the_exchange_does_not_have_is_refused() {
    let bench = Bench::new(83, 1.0).await;
    let mut settings = bench.settings();
    settings.insert("channels".to_owned(), "live_trades_btcusf,live_orders_btcusd".to_owned());
    let (code, said) = run(&settings);
    assert_eq!(code, Some(78), "{said}");
    let words = last_words(&said);
    assert!(
        words.contains("`live_trades_btcusf`: the exchange has no market `btcusf`; did you mean `btcusd`?"),
        "{said}"
    );

    settings.insert("rest_url".to_owned(), "http://127.0.0.1:9".to_owned());
    settings.insert("channels".to_owned(), "live_trades_*".to_owned());
    let (code, said) = run(&settings);
    assert_eq!(code, Some(78), "{said}");
    assert!(last_words(&said).contains("`live_trades_*` cannot be expanded: the exchange's markets"), "{said}");
}

#[tokio::test(flavor = "multi_thread")]
async fn wildcards_are_every_market_of_the_exchange() {
    let bench = Bench::new(84, 1.0).await;
    let mut settings = bench.settings();
    settings.insert("channels".to_owned(), "live_trades_*,order_book_btcusd".to_owned());
    let daemon = bench.start(&settings).await;
    let rest = ingestor::rest::Rest::new(&bench.simulator.rest_url()).unwrap();
    let markets = ingestor::markets::Markets::fetch(&rest).await.unwrap();
    let expected = markets.resolve(&["live_trades_*".parse().unwrap()]).unwrap().len() + 1;
    assert!(expected > 2);
    until("all subscribed", || bench.simulator.subscriptions() == expected).await;
    daemon.stop().await.unwrap();
}
