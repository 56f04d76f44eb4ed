//! What the programs of this folder have around their commands: logs, signals, reports, exit codes.

use std::io::IsTerminal;
use std::process::ExitCode;

use clap::Parser;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

use crate::error::Error;
use crate::signals::stop_on_signals;

/// Reads the arguments and runs the command. It stops in order at the first signal. An error goes to standard error and decides the exit code.
pub async fn main<C: Parser>(command: impl AsyncFnOnce(C, &CancellationToken) -> Result<u8, Error>) -> ExitCode {
    let default = || Targets::new().with_default(LevelFilter::WARN).with_target("backfill", LevelFilter::INFO);
    let filter = std::env::var("RUST_LOG").ok().and_then(|given| given.parse().ok()).unwrap_or_else(default);
    let logs = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_writer(std::io::stderr);
    logs.with_ansi(std::io::stderr().is_terminal()).finish().with(filter).init();
    let arguments = C::parse();
    let stop = CancellationToken::new();
    if let Err(error) = stop_on_signals(&stop) {
        return end(Err(anyhow::Error::from(error).context("cannot wait for signals")));
    }
    end(command(arguments, &stop).await.map_err(anyhow::Error::from))
}

fn end(outcome: anyhow::Result<u8>) -> ExitCode {
    match outcome {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            status(format!("error: {error:#}"));
            ExitCode::from(error.downcast_ref().map_or(1, Error::exit_code))
        }
    }
}

/// Prints a report to standard output: as one JSON object, or for people.
#[expect(clippy::print_stdout, reason = "the report is the program's output")]
pub fn print<R: Serialize>(json: bool, report: &R, human: fn(&R) -> String) {
    match serde_json::to_string(report) {
        Ok(line) if json => println!("{line}"),
        _ => print!("{}", human(report)),
    }
}

/// Prints a line of progress to standard error.
#[expect(clippy::print_stderr, reason = "progress for people and JSON lines for collectors, apart from the report")]
pub fn status(line: String) {
    eprintln!("{line}");
}
