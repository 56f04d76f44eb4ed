//! Inside Lambda the function, elsewhere an HTTP server: the same router.

use anyhow::{Context, bail};
use aws_config::{BehaviorVersion, Region, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_dynamodb::Client;
use axum::{body::Body, http::Request};
use clap::Parser;
use query_fn::{config::Config, router::router, token};
use std::{io::IsTerminal, net::SocketAddr, process::ExitCode, time::Duration};
use tokio::{net::TcpListener, runtime::Builder};
use tower::ServiceExt;

/// Serves a bitstamp-live table over HTTP.
///
/// Inside Lambda (AWS_LAMBDA_RUNTIME_API is set) it is the function and takes no arguments.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Arguments {
    /// Address to serve on.
    #[arg(long, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Table to read [env: BITSTAMP_TABLE] [default: bitstamp-live].
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

Environment:
  BITSTAMP_TABLE                  table
  BITSTAMP_TOKEN_KEYS             keys of the page tokens, base64, the first signs, all verify; needed inside Lambda,
                                  elsewhere random where not set
  BITSTAMP_TIME_BUDGET_MS         the longest that a request may take (default 25000)
  BITSTAMP_EXPORT_TIME_BUDGET_MS  the same for /export (default 840000)
  BITSTAMP_EXPORT_BYTES           the largest answer of /export (default 190000000)
  BITSTAMP_CLOSED_AFTER_SECONDS   ranges that ended so long ago are cached for ever (default 172800)
  BITSTAMP_DATA_VERSION           set another value after old data was changed, so that caches fetch it again
  BITSTAMP_CORS_ORIGINS           origins whose pages may read the answers (default *)
  BITSTAMP_STREAM                 1: inside Lambda, answer in the streaming form (for /export)
  RUST_LOG                        what to log (default info)

Exit codes: 0 stopped by Ctrl-C or SIGTERM, 1 failed, 2 wrong arguments, 78 wrong configuration.";

/// A buffered answer ends at 6 MB and base64 counts.
const BUFFERED_BYTES: u64 = 4_000_000;
/// Lambda allows 10 s for everything before the first request.
const WARM_UP: Duration = Duration::from_secs(3);
/// `EX_CONFIG` of sysexits.h.
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

/// The function answers one request at a time, so more threads would only make its start slower.
fn run(mut builder: Builder, program: impl Future<Output = anyhow::Result<()>>) -> anyhow::Result<()> {
    builder.enable_all().build().context("starting the runtime")?.block_on(program)
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

fn log(in_lambda: bool) {
    let filter = tracing_subscriber::EnvFilter::try_from_default_env()
        .unwrap_or_else(|_| tracing_subscriber::EnvFilter::new("info"));
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    if in_lambda {
        builder.json().without_time().init();
    } else {
        builder.with_ansi(std::io::stderr().is_terminal()).init();
    }
}

/// Few attempts and short ones: the caller can repeat, and one slow attempt must not use up the time of a page.
async fn client(endpoint_url: Option<String>, region: Option<String>) -> Client {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(1))
        .operation_attempt_timeout(Duration::from_secs(5))
        .operation_timeout(Duration::from_secs(12))
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .retry_config(RetryConfig::standard().with_max_attempts(3).with_max_backoff(Duration::from_secs(1)))
        .timeout_config(timeouts);
    if let Some(region) = region {
        loader = loader.region(Region::new(region));
    }
    if let Some(url) = endpoint_url {
        // Engines on this machine check no signature, but the SDK does not send a request without credentials.
        let local = ["//127.0.0.1", "//localhost", "//[::1]"].iter().any(|host| url.contains(host));
        if local && variable("AWS_ACCESS_KEY_ID").is_none() {
            loader = loader.test_credentials();
        }
        loader = loader.endpoint_url(url);
    }
    Client::new(&loader.load().await)
}

/// Everything that a first request would otherwise wait for is done before the runtime is asked for one: credentials, the
/// connection and its TLS, the list of channels.
async fn function(mut config: Config) -> anyhow::Result<()> {
    if config.signing_keys.is_empty() {
        bail!(
            "BITSTAMP_TOKEN_KEYS is not set: instances of the function must share a key to continue each other's pages"
        );
    }
    let streamed = variable("BITSTAMP_STREAM").is_some_and(|value| value == "1");
    if !streamed {
        config.export_bytes = config.export_bytes.min(BUFFERED_BYTES);
        config.export_time_budget = config.export_time_budget.min(config.time_budget);
    }
    let router = router(client(None, None).await, config);
    let warm_up = Request::get("/channels").body(Body::empty())?;
    if tokio::time::timeout(WARM_UP, router.clone().oneshot(warm_up)).await.is_err() {
        tracing::warn!("warm-up took too long");
    }
    let result =
        if streamed { lambda_http::run_with_streaming_response(router).await } else { lambda_http::run(router).await };
    result.map_err(|error| anyhow::anyhow!("the runtime API failed: {error}"))
}

async fn serve(mut config: Config, arguments: Arguments) -> anyhow::Result<()> {
    if let Some(table) = arguments.table {
        config.table = table;
    }
    if config.signing_keys.is_empty() {
        config.signing_keys.push(token::random_key());
    }
    let table = config.table.clone();
    let client = client(arguments.endpoint_url, arguments.region).await;
    let listener =
        TcpListener::bind(arguments.listen).await.with_context(|| format!("cannot listen on {}", arguments.listen))?;
    tracing::info!(address = %listener.local_addr()?, table, "serving");
    axum::serve(listener, router(client, config)).with_graceful_shutdown(stop()).await.context("serving")
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
