//! A stand-in for Lambda's Runtime API, and the function that runs under it.
//! (<https://docs.aws.amazon.com/lambda/latest/dg/runtimes-api.html>)

use axum::{
    Router,
    body::Bytes,
    extract::{Path, State},
    http::HeaderMap,
    response::IntoResponse,
    routing::{get, post},
};
use serde_json::Value;
use std::{
    ffi::OsStr,
    process::Stdio,
    sync::Arc,
    time::{Duration, SystemTime},
};
use tokio::{
    net::TcpListener,
    process::{Child, Command},
    sync::{Mutex, mpsc},
    time::timeout,
};

/// What the function sent for one event: the headers of its POST and the body.
pub(crate) type Sent = (HeaderMap, Bytes);

/// A function that runs, and the place where its events come from.
pub(crate) struct Function {
    events: mpsc::Sender<String>,
    answers: mpsc::Receiver<Sent>,
    pub(crate) process: Child,
}

struct Runtime {
    events: Mutex<mpsc::Receiver<String>>,
    answers: mpsc::Sender<Sent>,
}

impl Function {
    /// Starts a program with these variables and a store at `endpoint`.
    pub(crate) async fn start(program: &OsStr, endpoint: &str, variables: &[(&str, String)]) -> Function {
        let (events, to_send) = mpsc::channel(1);
        let (to_keep, answers) = mpsc::channel(1);
        let runtime = Arc::new(Runtime { events: Mutex::new(to_send), answers: to_keep });
        let routes = Router::new()
            .route("/2018-06-01/runtime/invocation/next", get(next))
            .route("/2018-06-01/runtime/invocation/{id}/response", post(response))
            .route("/2018-06-01/runtime/invocation/{id}/error", post(response))
            .with_state(runtime);
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(axum::serve(listener, routes).into_future());
        let process = Command::new(program)
            .env_clear()
            .env("AWS_LAMBDA_RUNTIME_API", address.to_string())
            .env("AWS_LAMBDA_FUNCTION_MEMORY_SIZE", "128")
            .env("AWS_LAMBDA_FUNCTION_VERSION", "$LATEST")
            .env("AWS_REGION", "eu-central-1")
            .env("AWS_ACCESS_KEY_ID", "test")
            .env("AWS_SECRET_ACCESS_KEY", "test")
            .env("AWS_ENDPOINT_URL", endpoint)
            .envs(variables.iter().cloned())
            .stderr(Stdio::inherit())
            .kill_on_drop(true)
            .spawn()
            .unwrap();
        Function { events, answers, process }
    }

    pub(crate) async fn invoke(&mut self, event: &Value) -> Sent {
        self.events.send(event.to_string()).await.unwrap();
        timeout(Duration::from_secs(600), self.answers.recv()).await.expect("an answer in time").unwrap()
    }
}

async fn next(State(runtime): State<Arc<Runtime>>) -> impl IntoResponse {
    let event = runtime.events.lock().await.recv().await.unwrap_or_default();
    let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap();
    let headers = [
        ("lambda-runtime-aws-request-id", "8476a536-e9f4-11e8-9739-2dfe598c3fcd".to_owned()),
        ("lambda-runtime-deadline-ms", (now.as_millis() + 30_000).to_string()),
        (
            "lambda-runtime-invoked-function-arn",
            "arn:aws:lambda:eu-central-1:123456789012:function:query-fn".to_owned(),
        ),
        (
            "lambda-runtime-trace-id",
            "Root=1-5bef4de7-ad49b0e87f6ef6c87fc2e700;Parent=9a9197af755a6419;Sampled=1".to_owned(),
        ),
    ];
    (headers, event)
}

async fn response(
    State(runtime): State<Arc<Runtime>>,
    Path(_): Path<String>,
    headers: HeaderMap,
    body: Bytes,
) -> impl IntoResponse {
    runtime.answers.send((headers, body)).await.unwrap();
    axum::http::StatusCode::ACCEPTED
}
