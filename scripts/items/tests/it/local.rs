use serde_json::Value;
use std::process::Stdio;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpListener;

use crate::table::{client, create_table, whole_engine};
use crate::{items, said};

const TABLE: &str = "items-test";
const ID: &str = "12345678901234567890123456789012345678";

async fn store() -> String {
    let endpoint = whole_engine().await;
    create_table(&client(&endpoint), TABLE).await;
    endpoint
}

async fn run(endpoint: &str, arguments: &[&str]) -> (Option<i32>, String, String) {
    let place = ["--endpoint-url", endpoint, "--table", TABLE];
    said(&items(&[&place, arguments].concat()).output().await.unwrap())
}

/// Puts an item that comes in over standard input.
async fn put(endpoint: &str, item: &str, more: &[&str]) -> (Option<i32>, String, String) {
    let place = ["--endpoint-url", endpoint, "--table", TABLE, "put", "-"];
    let mut process = items(&[&place, more].concat())
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    process.stdin.take().unwrap().write_all(item.as_bytes()).await.unwrap();
    said(&process.wait_with_output().await.unwrap())
}

#[tokio::test]
async fn an_item_is_put_corrected_removed_and_all_of_it_is_recorded() {
    let endpoint = store().await;
    assert_eq!(run(&endpoint, &["get", ID, "5"]).await.0, Some(5));
    let item = format!(r#"{{"id":{ID},"microtimestamp":"5","price":29422.10,"note":"x"}}"#);
    let (code, _, told) = put(&endpoint, &item, &["--yes"]).await;
    assert_eq!(code, Some(0), "{told}");
    assert!(told.contains("+ note: \"x\"") && told.contains(&format!("+ id: {ID}")), "{told}");
    let (code, out, _) = run(&endpoint, &["get", ID, "5"]).await;
    assert_eq!(code, Some(0));
    assert!(out.contains(&format!("\"id\": {ID},")) && out.contains("\"price\": 29422.1"), "{out}");
    let (_, typed, _) = run(&endpoint, &["get", ID, "5", "--typed"]).await;
    assert_eq!(serde_json::from_str::<Value>(&typed).unwrap()["price"]["N"], "29422.1");

    let (code, _, told) = run(&endpoint, &["set", ID, "5", "price=1.5", "--remove", "note", "--yes"]).await;
    assert_eq!(code, Some(0), "{told}");
    let expected = ["- note: \"x\"", "- price: 29422.1", "+ price: 1.5"];
    assert!(expected.iter().all(|line| told.lines().any(|said| said == *line)), "{told}");
    let (code, _, told) = run(&endpoint, &["set", ID, "5", "price=1.50", "--yes"]).await;
    assert_eq!((code, told.contains("nothing to change")), (Some(0), true), "{told}");
    let (code, _, told) = put(&endpoint, &item, &["--yes"]).await;
    assert_eq!((code, told.contains("`overwrite` replaces it")), (Some(4), true), "{told}");
    assert_eq!(put(&endpoint, &item, &["--yes", "--overwrite"]).await.0, Some(0));
    assert_eq!(run(&endpoint, &["rm", ID, "5", "--yes"]).await.0, Some(0));
    assert_eq!(run(&endpoint, &["get", ID, "5"]).await.0, Some(5));

    let (code, out, _) = run(&endpoint, &["audit", "--ascending", "--all", "--limit", "1"]).await;
    assert_eq!(code, Some(0));
    let entries: Vec<Value> = out.lines().map(|line| serde_json::from_str(line).unwrap()).collect();
    let operations: Vec<_> = entries.iter().map(|entry| entry["operation"].as_str().unwrap()).collect();
    assert_eq!(operations, ["create", "update", "create", "delete"]);
    assert!(entries.iter().all(|entry| entry["who"] == "local:tester"));
    assert_eq!(run(&endpoint, &["audit", "--to", "2020-01-01"]).await.1, "");
}

#[tokio::test]
async fn without_a_yes_nothing_is_changed() {
    let endpoint = store().await;
    let (code, _, told) = put(&endpoint, r#"{"id":1,"microtimestamp":"5"}"#, &[]).await;
    assert_eq!(code, Some(1));
    assert!(told.contains("+ id: 1") && told.contains("nobody can be asked"), "{told}");
    assert_eq!(run(&endpoint, &["get", "1", "5"]).await.0, Some(5));
}

#[tokio::test]
async fn what_is_wrong_is_said_before_anything_is_sent() {
    let endpoint = store().await;
    for (arguments, code, expected) in [
        (vec!["set", "1", "5", "price_str=84000.1x"], 1, "a text needs its quotes"),
        (vec!["set", "1", "5", "id=2", "--yes"], 2, "the primary key of an item does not change"),
        (vec!["set", "1", "_lease:1", "owner=\"a\"", "--yes"], 2, "true allows to change it"),
        (vec!["set", "1", "5"], 2, "NAME=JSON"),
        (vec!["get", "x", "5"], 1, "no number"),
        (vec!["audit", "--from", "never"], 2, "from: "),
    ] {
        let (ended, _, told) = run(&endpoint, &arguments).await;
        assert_eq!((ended, told.contains(expected)), (Some(code), true), "{arguments:?}: {told}");
    }
    let (code, _, told) = said(&items(&["get", "1", "5"]).output().await.unwrap());
    assert_eq!((code, told.contains("where are the items?")), (Some(1), true), "{told}");
    let (code, out, _) = said(&items(&["--help"]).output().await.unwrap());
    assert_eq!((code, out.contains("Exit codes:")), (Some(0), true), "{out}");
}

/// Ctrl-C while a store does not answer: the program ends at once and says what is known.
#[tokio::test]
async fn ctrl_c_says_whether_anything_was_sent() {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let mut process = items(&["--endpoint-url", &url, "get", "1", "5"]).stderr(Stdio::piped()).spawn().unwrap();
    // The request has come when the connection is there and something was sent.
    let (mut connection, _) = listener.accept().await.unwrap();
    connection.read_u8().await.unwrap();
    let id = process.id().unwrap().to_string();
    assert!(tokio::process::Command::new("kill").args(["-INT", &id]).status().await.unwrap().success());
    let mut told = String::new();
    process.stderr.take().unwrap().read_to_string(&mut told).await.unwrap();
    assert_eq!(process.wait().await.unwrap().code(), Some(130));
    assert!(told.contains("interrupted; nothing was changed"), "{told}");
}
