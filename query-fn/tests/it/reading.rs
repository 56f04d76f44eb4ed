//! The function reads the store's answers itself: what it reads is what the SDK reads.

use axum::{Router, body::Bytes, extract::State, http::StatusCode, routing::post};
use codec::item::Item;
use proptest::prelude::*;
use query_fn::query::store::{Store, StoreError};
use query_fn::range::{Order, Range, Subject};
use serde_json::{Value, json};
use std::{
    sync::{Arc, Mutex},
    time::Duration,
};
use tokio::{net::TcpListener, runtime::Runtime, time::Instant};

use crate::support::client;

/// A store that says the same whatever it is asked.
#[derive(Clone, Default)]
struct Parrot(Arc<Mutex<(u16, Bytes)>>);

impl Parrot {
    async fn start() -> (Parrot, String) {
        let parrot = Parrot::default();
        let says = |State(parrot): State<Parrot>| async move {
            let (status, body) = parrot.0.lock().unwrap().clone();
            (StatusCode::from_u16(status).unwrap(), body)
        };
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let url = format!("http://{}", listener.local_addr().unwrap());
        let router = Router::new().route("/", post(says)).with_state(parrot.clone());
        tokio::spawn(axum::serve(listener, router).into_future());
        (parrot, url)
    }

    fn says(&self, status: u16, body: impl Into<Bytes>) {
        *self.0.lock().unwrap() = (status, body.into());
    }
}

fn everything() -> Range {
    let subject = Subject::Channel("live_trades_btcusd".to_owned());
    Range { subject, from: 0, to: 1, order: Order::Ascending, said: None }
}

async fn ours(url: &str) -> Result<query_fn::query::store::Answer, StoreError> {
    let store = Store::new(client(url), "any".to_owned());
    store.query(&everything(), None, None, Instant::now() + Duration::from_secs(5)).await
}

/// A value as DynamoDB writes it, with every type that a message can become.
fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        ".{0,30}".prop_map(|text| json!({ "S": text })),
        "-?[0-9]{1,38}(\\.[0-9]{1,5})?".prop_map(|digits| json!({ "N": digits })),
        any::<bool>().prop_map(|flag| json!({ "BOOL": flag })),
        Just(json!({ "NULL": true })),
    ];
    leaf.prop_recursive(3, 20, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(|values| json!({ "L": values })),
            prop::collection::btree_map(".{0,4}", inner, 0..4).prop_map(|fields| json!({ "M": fields })),
        ]
    })
}

fn item() -> impl Strategy<Value = Value> {
    prop::collection::btree_map("id|channel|[ab]|.{0,25}", value(), 0..6).prop_map(|fields| json!(fields))
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 64, ..ProptestConfig::default() })]
    #[test]
    fn as_the_sdk_reads_it(items in prop::collection::vec(item(), 0..5), key in prop::option::of(item()), escaped: bool) {
        let mut body = json!({ "Items": items, "Count": items.len(), "ScannedCount": 7 });
        if let Some(key) = key {
            body["LastEvaluatedKey"] = key;
        }
        let mut body = body.to_string();
        if escaped {
            // The other spelling of the same text.
            body = body.chars().map(|c| if c.is_ascii() { c.to_string() } else { spelled(c) }).collect();
        }
        Runtime::new().unwrap().block_on(async {
            let (parrot, url) = Parrot::start().await;
            parrot.says(200, body);
            let theirs = client(&url).query().table_name("any").send().await.unwrap();
            let ours = ours(&url).await.unwrap();
            let read: Vec<_> = ours.items.iter().map(|item: &Item| item.attributes()).collect();
            prop_assert_eq!(&read, theirs.items());
            let key = theirs.last_evaluated_key.filter(|key| !key.is_empty());
            prop_assert_eq!(ours.stopped_at, key);
            Ok(())
        })?;
    }
}

fn spelled(c: char) -> String {
    c.encode_utf16(&mut [0; 2]).iter().map(|unit| format!("\\u{unit:04x}")).collect()
}

/// Errors are still the SDK's to read, and what is no answer is one more reason to try again later.
#[tokio::test]
async fn errors_are_told_apart() {
    let (parrot, url) = Parrot::start().await;
    let error = |name: &str| format!(r#"{{"__type":"com.amazonaws.dynamodb.v20120810#{name}","message":"no"}}"#);
    parrot.says(400, error("ResourceNotFoundException"));
    assert!(matches!(ours(&url).await, Err(StoreError::Refused(code)) if code == "ResourceNotFoundException"));
    parrot.says(400, error("ProvisionedThroughputExceededException"));
    assert!(
        matches!(ours(&url).await, Err(StoreError::Busy(code)) if code == "ProvisionedThroughputExceededException")
    );
    parrot.says(500, "<html>");
    assert!(matches!(ours(&url).await, Err(StoreError::Busy(_))));
    for broken in ["<html>", r#"{"Items":[{"a":{"S":"cut"#, r#"{"Items":[{"a":{"S":1}}]}"#] {
        parrot.says(200, broken);
        assert!(matches!(ours(&url).await, Err(StoreError::Busy(said)) if said == "broken answer"), "{broken}");
    }
    parrot.says(200, "{}");
    assert!(ours(&url).await.unwrap().items.is_empty());
}
