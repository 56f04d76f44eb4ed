//! What is wrong before anything is captured.

use std::collections::BTreeMap;
use std::process::Stdio;

use aws_sdk_dynamodb::types::{AttributeDefinition, BillingMode, KeySchemaElement, KeyType, ScalarAttributeType};

use crate::support::{Bench, command};

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
