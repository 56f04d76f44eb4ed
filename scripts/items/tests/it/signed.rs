//! The way to the deployed function, with a server in the place of API Gateway. It hands on what is signed for it, by whom the key belongs to.

use axum::{
    Router,
    body::Body,
    extract::{Request, State},
    http::{Response, StatusCode, header},
};
use query_fn::{
    config::Config,
    http::{invocation::Origin, token::random_key},
};
use std::time::{Duration, SystemTime};
use tokio::net::TcpListener;
use tower::ServiceExt;

use crate::table::{client, create_table, whole_engine};
use crate::{items, said};

const KEY_ID: &str = "AKIDEXAMPLE";
const OPERATOR: &str = "arn:aws:iam::123456789012:user/operator";

async fn gateway(State(service): State<Router>, mut request: Request) -> Response<Body> {
    let signature =
        request.headers().get(header::AUTHORIZATION).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let scope = "/eu-central-1/execute-api/aws4_request, ";
    let signed = ["host", "x-amz-date", "x-amz-security-token"];
    let is_signed = signature.starts_with(&format!("AWS4-HMAC-SHA256 Credential={KEY_ID}/"))
        && signature.contains(scope)
        && signed.iter().all(|name| signature.contains(name) || !request.headers().contains_key(*name));
    if !is_signed {
        let mut response = Response::new(Body::from(r#"{"message":"Forbidden"}"#));
        *response.status_mut() = StatusCode::FORBIDDEN;
        return response;
    }
    let ends = SystemTime::now() + Duration::from_secs(600);
    request.extensions_mut().insert(Origin { id: "r".to_owned(), ends, caller: Some(OPERATOR.to_owned()) });
    let Ok(response) = service.oneshot(request).await;
    response
}

async fn deployed() -> String {
    let endpoint = whole_engine().await;
    create_table(&client(&endpoint), "items-test").await;
    let service = items_fn::routes::router(client(&endpoint), Config::new("items-test", vec![random_key()]));
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/prod", listener.local_addr().unwrap());
    let server = Router::new().fallback(gateway).with_state(service);
    tokio::spawn(axum::serve(listener, server).into_future());
    url
}

#[tokio::test]
async fn requests_are_signed_with_the_credentials_of_the_environment() {
    let url = deployed().await;
    let run = async |key: &str, arguments: &[&str]| {
        let place = ["--url", &url, "--region", "eu-central-1"];
        let mut command = items(&[&place, arguments].concat());
        command.env("AWS_ACCESS_KEY_ID", key).env("AWS_SECRET_ACCESS_KEY", "s").env("AWS_SESSION_TOKEN", "t");
        said(&command.output().await.unwrap())
    };
    let (code, out, told) = run(KEY_ID, &["echo", r#"{"somekey1":"somevalue1"}"#]).await;
    assert_eq!((code, out.as_str()), (Some(0), "{\"somekey1\":\"somevalue1\"}\n"), "{told}");
    let (code, _, told) = run(KEY_ID, &["set", "1", "5", "a=1", "--yes"]).await;
    assert_eq!(code, Some(0), "{told}");
    let (code, out, told) = run(KEY_ID, &["audit", "--from", "-1h"]).await;
    assert_eq!((code, out.contains(OPERATOR)), (Some(0), true), "{told}");
    let (code, _, told) = run("AKIDOTHER", &["echo", "1"]).await;
    assert_eq!((code, told.contains("refused, status 403: Forbidden")), (Some(2), true), "{told}");
}

#[tokio::test]
async fn without_credentials_nothing_is_sent() {
    let url = deployed().await;
    let mut command = items(&["--url", &url, "--region", "eu-central-1", "echo", "1"]);
    let (code, _, told) = said(&command.env("AWS_EC2_METADATA_DISABLED", "true").output().await.unwrap());
    assert_eq!((code, told.contains("no AWS credentials")), (Some(1), true), "{told}");
}
