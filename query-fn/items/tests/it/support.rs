use aws_sdk_dynamodb::Client;
use axum::{Router, body::Body, http::Request};
use base64::{Engine, engine::general_purpose::STANDARD};
use items_fn::{audit, routes::router};
use query_fn::{config::Config, http::invocation::Origin, http::token::random_key};
use serde_json::{Value, json};
use shared::item::Item;
use std::time::{Duration, SystemTime};
use tower::ServiceExt;

use crate::runtime::Function;
use crate::table::{client, create_table, whole_engine};

pub(crate) const OPERATOR: &str = "arn:aws:iam::123456789012:user/operator";
pub(crate) const KINDS: [Kind; 2] = [Kind::Rest, Kind::Http];

/// Who sends the events.
#[derive(Clone, Copy, Debug, PartialEq)]
pub(crate) enum Kind {
    Rest,
    Http,
}

/// An empty table on an engine of its own.
pub(crate) struct Table {
    pub(crate) endpoint: String,
    pub(crate) client: Client,
    pub(crate) name: String,
}

impl Table {
    pub(crate) async fn new() -> Table {
        let endpoint = whole_engine().await;
        let client = client(&endpoint);
        let name = format!("items-{:016x}", rand::random::<u64>());
        create_table(&client, &name).await;
        Table { endpoint, client, name }
    }

    pub(crate) async fn function(&self) -> Function {
        let variables = [
            ("AWS_LAMBDA_FUNCTION_NAME", "items".to_owned()),
            ("BITSTAMP_TABLE", self.name.clone()),
            ("BITSTAMP_TOKEN_KEYS", STANDARD.encode([7; 32])),
        ];
        Function::start(env!("CARGO_BIN_EXE_items-fn").as_ref(), &self.endpoint, &variables).await
    }

    /// The service without Lambda around it, through a client of its own.
    pub(crate) fn service(&self, endpoint: &str) -> Router {
        self.service_with(endpoint, |_| {})
    }

    pub(crate) fn service_with(&self, endpoint: &str, change: impl FnOnce(&mut Config)) -> Router {
        let mut config = Config::new(&self.name, vec![random_key()]);
        change(&mut config);
        router(client(endpoint), config)
    }

    pub(crate) async fn put(&self, item: &Value) {
        let item = typed(item);
        self.client.put_item().table_name(&self.name).set_item(Some(item)).send().await.unwrap();
    }

    pub(crate) async fn item(&self, key: &Value) -> Option<Item> {
        let call = self.client.get_item().table_name(&self.name).set_key(Some(typed(key))).consistent_read(true);
        call.send().await.unwrap().item
    }

    /// All audit items, the oldest first.
    pub(crate) async fn audited(&self) -> Vec<Item> {
        let mut all = self.client.scan().table_name(&self.name).send().await.unwrap().items.unwrap();
        all.retain(|item| audit::sort_key(item).is_some_and(|sort| sort.starts_with("_audit#")));
        all.sort_by_key(|item| audit::sort_key(item).unwrap().to_owned());
        all
    }
}

/// An item or a key in plain JSON as attributes.
pub(crate) fn typed(item: &Value) -> Item {
    items_fn::form::Form::Plain.read_item(item.as_object().unwrap()).unwrap()
}

pub(crate) fn plain(item: &Item) -> Value {
    items_fn::form::Form::Plain.write_item(item)
}

/// An event as API Gateway sends it for a signed request.
pub(crate) fn event(kind: Kind, method: &str, path: &str, query: &[(&str, &str)], body: Option<String>) -> Value {
    let id = format!("request-{:016x}", rand::random::<u64>());
    match kind {
        Kind::Rest => {
            let many: serde_json::Map<_, _> =
                query.iter().map(|(name, value)| ((*name).to_owned(), json!([value]))).collect();
            json!({
                "resource": path, "path": path, "httpMethod": method, "headers": { "x-caller": "somebody else" },
                "multiValueQueryStringParameters": many, "body": body, "isBase64Encoded": false,
                "requestContext": { "requestId": id, "stage": "prod", "identity": { "userArn": OPERATOR } },
            })
        }
        Kind::Http => {
            let pairs: Vec<_> = query.iter().map(|(name, value)| format!("{name}={value}")).collect();
            let body = body.map(|body| STANDARD.encode(body));
            json!({
                "version": "2.0", "rawPath": format!("/prod{path}"), "rawQueryString": pairs.join("&"),
                "headers": { "x-caller": "somebody else" }, "body": body, "isBase64Encoded": true,
                "requestContext": {
                    "requestId": id, "stage": "prod", "http": { "method": method, "path": path },
                    "authorizer": { "iam": { "userArn": OPERATOR, "accountId": "123456789012" } },
                },
            })
        }
    }
}

pub(crate) async fn invoke(function: &mut Function, event: &Value) -> (u64, Value) {
    let (_, sent) = function.invoke(event).await;
    let answer: Value = serde_json::from_slice(&sent).unwrap();
    let text = answer["body"].as_str().unwrap();
    let body = serde_json::from_str(text).unwrap_or_else(|error| panic!("{error}: {answer}"));
    (answer["statusCode"].as_u64().unwrap(), body)
}

/// Sends one operation through the function.
pub(crate) async fn operate(function: &mut Function, kind: Kind, operation: &str, payload: &Value) -> (u64, Value) {
    let body = json!({ "operation": operation, "payload": payload }).to_string();
    invoke(function, &event(kind, "POST", "/items", &[], Some(body))).await
}

/// Sends one request to the service; its caller is `who`.
pub(crate) async fn ask(service: &Router, who: &str, request: Request<Body>) -> (u16, Value) {
    let mut request = request;
    request.extensions_mut().insert(Origin {
        id: format!("request-{:016x}", rand::random::<u64>()),
        ends: SystemTime::now() + Duration::from_secs(600),
        caller: Some(who.to_owned()),
    });
    let response = service.clone().oneshot(request).await.unwrap();
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.unwrap();
    (status, serde_json::from_slice(&body).unwrap())
}

pub(crate) async fn post(service: &Router, who: &str, operation: &str, payload: &Value) -> (u16, Value) {
    let body = json!({ "operation": operation, "payload": payload }).to_string();
    ask(service, who, Request::post("/items").body(Body::from(body)).unwrap()).await
}
