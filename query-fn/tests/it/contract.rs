//! `infra/openapi.yaml` says what the router does, no more and no less.

use query_fn::http::request;
use query_fn::routes::PATHS;
use serde_json::Value;
use std::collections::BTreeSet;

use crate::support::Service;

pub(crate) fn contract() -> Value {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../infra/openapi.yaml");
    serde_saphyr::from_str(&std::fs::read_to_string(path).unwrap()).unwrap()
}

/// `UPDATE_CONTRACT=1` writes the served form anew.
#[test]
fn the_served_contract_is_the_yaml_one() {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/src/routes/openapi.json");
    let expected = serde_json::to_string(&contract()).unwrap() + "\n";
    if std::env::var_os("UPDATE_CONTRACT").is_some() {
        std::fs::write(path, &expected).unwrap();
    }
    let served = std::fs::read_to_string(path).unwrap();
    assert!(served == expected, "run UPDATE_CONTRACT=1 cargo test -p query-fn --test it contract");
}

#[test]
fn parameters_are_those_of_the_code() {
    let contract = contract();
    for (path, known) in [
        ("/bitstamp", request::EVENTS),
        ("/orders/{id}", request::ORDERS),
        ("/candles", request::CANDLES),
        ("/count", request::COUNT),
        ("/coverage", request::COVERAGE),
        ("/channels", request::CHANNELS),
        ("/export", request::EXPORT),
        ("/latest", request::LATEST),
        ("/tail", request::TAIL),
    ] {
        let parameters = contract["paths"][path]["get"]["parameters"].as_array().unwrap();
        let resolve = |parameter: &Value| match parameter["$ref"].as_str() {
            Some(reference) => contract.pointer(reference.strip_prefix('#').unwrap()).unwrap().clone(),
            None => parameter.clone(),
        };
        let in_query = parameters.iter().map(resolve).filter(|parameter| parameter["in"] == "query");
        let named: BTreeSet<String> =
            in_query.map(|parameter| parameter["name"].as_str().unwrap().to_owned()).collect();
        assert_eq!(named, known.iter().map(|name| (*name).to_owned()).collect(), "{path}");
    }
}

#[tokio::test]
async fn paths_are_those_of_the_router() {
    let service = Service::start().await;
    let contract = contract();
    let paths = contract["paths"].as_object().unwrap();
    let first_words: BTreeSet<&str> = paths.keys().map(|path| path.split('/').nth(1).unwrap()).collect();
    assert_eq!(first_words, PATHS.into_iter().collect());
    for (path, operations) in paths {
        let path = path.replace("{id}", "7");
        assert_eq!(operations.as_object().unwrap().keys().collect::<Vec<_>>(), ["get"]);
        // Which files there are is known to the page alone: `explorer.rs` asks for each.
        if path == "/assets/{file}" {
            continue;
        }
        let (_, body) = service.json(&path).await;
        assert_ne!(body.get("type"), Some(&"no-such-path".into()), "{path}");
    }
    let (status, body) = service.json("/openapi.json").await;
    assert_eq!((status, Value::Object(body)), (200, contract));
}
