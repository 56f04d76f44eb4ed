//! Runs the router: inside Lambda as the function, elsewhere as an HTTP server.

use anyhow::{Context, bail};
use axum::{body::Body, http::Request};
use clap::Parser;
use query_fn::config::{self, Config};
use query_fn::http::server::{self, Limits};
use query_fn::http::token;
use query_fn::query::connect::connect;
use query_fn::routes::router;
use std::{io::IsTerminal, net::SocketAddr, process::ExitCode, time::Duration};
use tokio::{net::TcpListener, runtime::Builder};
use tower::ServiceExt;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Serves a bitstamp-live table over HTTP.
///
/// Inside Lambda (AWS_LAMBDA_RUNTIME_API is set) it is the function and takes no arguments.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Arguments {
    /// Address to serve on.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Table to read [env: BITSTAMP_LIVE_TABLE] [default: bitstamp-live].
    #[arg(long)]
    table: Option<String>,
    /// Any DynamoDB endpoint instead of AWS's: the embedded store, DynamoDB Local, ScyllaDB Alternator.
    #[arg(long)]
    endpoint_url: Option<String>,
    /// AWS region; by default as the AWS SDK finds it (AWS_REGION, profile).
    #[arg(long)]
    region: Option<String>,
}

const EXAMPLES: &str = "Examples:
  query-fn --table bitstamp-live --region eu-central-1
  query-fn --endpoint-url http://127.0.0.1:8000 --region eu-central-1 --listen 127.0.0.1:8080
  curl '127.0.0.1:8080/bitstamp?channel=live_trades_btcusd&from=2026-11-20T00:00:00Z&limit=10'

Environment (the names without LIVE_ are accepted too):
  BITSTAMP_LIVE_TABLE                  table
  BITSTAMP_LIVE_TOKEN_KEYS             keys of the page tokens, base64, the first signs, all verify; needed inside Lambda,
                                       elsewhere random where not set
  BITSTAMP_LIVE_TIME_BUDGET_MS         the longest that a request may take (default 25000)
  BITSTAMP_LIVE_EXPORT_TIME_BUDGET_MS  the same for /export (default 840000)
  BITSTAMP_LIVE_EXPORT_BYTES           the largest answer of /export and /tail (default 190000000)
  BITSTAMP_LIVE_TAIL_TIME_BUDGET_MS    the longest answer of /tail (default 300000)
  BITSTAMP_LIVE_LEDGER_TIME_BUDGET_MS  the longest that a page waits for its ledger (default 500)
  BITSTAMP_LIVE_TAIL_WINDOW_MS         how long /tail holds an event back for late ones (default 1500)
  BITSTAMP_LIVE_TAIL_VIEWERS           the most viewers of /tail at once (default 64)
  BITSTAMP_LIVE_CLOSED_AFTER_SECONDS   ranges that ended so long ago are cached for ever (default 172800)
  BITSTAMP_LIVE_DATA_VERSION           set another value after old data was changed, so that caches fetch it again
  BITSTAMP_LIVE_CORS_ORIGINS           origins whose pages may read the answers (default *)
  BITSTAMP_LIVE_STREAM                 1: inside Lambda, answer in the streaming form (for /export and /tail)
  RUST_LOG                             what to log (default info)

Exit codes: 0 stopped by Ctrl-C or SIGTERM, 1 failed, 2 wrong arguments, 78 wrong configuration.";

/// The longest time of the request that warms the function up: Lambda allows 10 s for everything before the first request.
const WARM_UP: Duration = Duration::from_secs(3);
/// The exit code of a wrong configuration, `EX_CONFIG` of sysexits.h.
const EXIT_CONFIG: u8 = 78;

fn main() -> ExitCode {
    let arguments = match variable("AWS_LAMBDA_RUNTIME_API") {
        Some(_) => None,
        None => Some(Arguments::parse()),
    };
    log(arguments.is_none());
    let config = match Config::from_env(&variable) {
        Ok(config) => config,
        Err(error) => {
            tracing::error!(%error, "cannot start");
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    let result = match arguments {
        // The function answers one request at a time: more threads would only make its start slower.
        None => run(Builder::new_current_thread(), function(config)),
        Some(arguments) => run(Builder::new_multi_thread(), serve(config, arguments)),
    };
    match result {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "stopped");
            ExitCode::FAILURE
        }
    }
}

/// Runs a program on a runtime of its own.
fn run(mut builder: Builder, program: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    builder.enable_all().build().context("starting the runtime")?.block_on(program)
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn log(in_lambda: bool) {
    let given = variable("RUST_LOG").and_then(|given| given.parse().ok());
    let filter = given.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
    let builder = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_writer(std::io::stderr);
    if in_lambda {
        builder.json().without_time().finish().with(filter).init();
    } else {
        builder.with_ansi(std::io::stderr().is_terminal()).finish().with(filter).init();
    }
}

/// Serves Lambda. Everything that a first request would otherwise wait for is done before it is fetched: credentials, the connection and its TLS,
/// the list of channels.
async fn function(mut config: Config) -> anyhow::Result<()> {
    if config.signing_keys.is_empty() {
        bail!(
            "BITSTAMP_LIVE_TOKEN_KEYS is not set: instances of the function must share a key to continue each other's pages"
        );
    }
    let streamed = config::named(&variable, config::STREAM).is_some_and(|value| value == "1");
    if !streamed {
        config.buffer_exports();
    }
    let router = router(connect(None, None).await, config);
    let warm_up = Request::get("/channels").body(Body::empty())?;
    if tokio::time::timeout(WARM_UP, router.clone().oneshot(warm_up)).await.is_err() {
        tracing::warn!("warm-up took too long");
    }
    query_fn::http::lambda::run(router, streamed)
        .await
        .map_err(|error| anyhow::anyhow!("the runtime API failed: {error}"))
}

async fn serve(mut config: Config, arguments: Arguments) -> anyhow::Result<()> {
    if let Some(table) = arguments.table {
        config.table = table;
    }
    if config.signing_keys.is_empty() {
        config.signing_keys.push(token::random_key());
    }
    let table = config.table.clone();
    let client = connect(arguments.endpoint_url, arguments.region).await;
    let listener =
        TcpListener::bind(arguments.listen).await.with_context(|| format!("cannot listen on {}", arguments.listen))?;
    tracing::info!(address = %listener.local_addr()?, table, "serving");
    server::serve(listener, router(client, config), Limits::default(), stop()).await;
    Ok(())
}

async fn stop() {
    let terminated = async {
        match tokio::signal::unix::signal(tokio::signal::unix::SignalKind::terminate()) {
            Ok(mut signal) => {
                signal.recv().await;
            }
            Err(_) => std::future::pending().await,
        }
    };
    tokio::select! {
        () = terminated => {}
        _ = tokio::signal::ctrl_c() => {}
    }
    tracing::info!("stopping");
}
