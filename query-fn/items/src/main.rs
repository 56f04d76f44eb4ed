//! The operators' function inside Lambda. Outside, the program `items` does the same to a local store.

use anyhow::bail;
use clap::Parser;
use items_fn::routes::router;
use query_fn::{config::Config, query::connect::connect};
use std::process::ExitCode;
use tokio::runtime::Builder;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// Reads, creates, updates and deletes single items of a bitstamp-live table, and records each change. Runs inside Lambda only; `items` is the
/// program to call it with, and works on a local store without it.
#[derive(Parser)]
#[command(version, after_help = EXAMPLES)]
struct Arguments {}

const EXAMPLES: &str = "Environment (the names without LIVE_ are accepted too):
  BITSTAMP_LIVE_TABLE           the one table
  BITSTAMP_LIVE_TOKEN_KEYS      keys of the page tokens, base64, the first signs, all verify
  BITSTAMP_LIVE_TIME_BUDGET_MS  the longest that a request may take (default 25000)
  RUST_LOG                      what to log (default info)

Exit codes: 1 failed, 2 not inside Lambda, 78 wrong configuration.";

/// The exit code of a call outside Lambda, as of wrong arguments.
const EXIT_USAGE: u8 = 2;
/// The exit code of a wrong configuration, `EX_CONFIG` of sysexits.h.
const EXIT_CONFIG: u8 = 78;

fn main() -> ExitCode {
    if variable("AWS_LAMBDA_RUNTIME_API").is_none() {
        Arguments::parse();
        eprintln!("items-fn runs inside Lambda only; for a local store: items --endpoint-url URL");
        return ExitCode::from(EXIT_USAGE);
    }
    let given = variable("RUST_LOG").and_then(|given| given.parse().ok());
    let filter = given.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
    let log = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_writer(std::io::stderr);
    log.json().without_time().finish().with(filter).init();
    let config = match Config::from_env(&variable) {
        Ok(config) => config,
        Err(error) => {
            tracing::error!(%error, "cannot start");
            return ExitCode::from(EXIT_CONFIG);
        }
    };
    match run(config) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "stopped");
            ExitCode::FAILURE
        }
    }
}

fn variable(name: &str) -> Option<String> {
    std::env::var(name).ok().filter(|value| !value.is_empty())
}

/// Serves Lambda until it ends the process.
fn run(config: Config) -> anyhow::Result<()> {
    if config.signing_keys.is_empty() {
        bail!(
            "BITSTAMP_LIVE_TOKEN_KEYS is not set: instances of the function must share a key to continue each other's pages"
        );
    }
    // The function answers one request at a time.
    Builder::new_current_thread().enable_all().build()?.block_on(async {
        query_fn::http::lambda::run(router(connect(None, None).await, config), false)
            .await
            .map_err(|error| anyhow::anyhow!("the runtime API failed: {error}"))
    })
}
