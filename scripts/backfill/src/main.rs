//! `backfill`: see `--help` and the README beside it.

use std::{io::IsTerminal, process::ExitCode};

use backfill::{
    args::{Cli, Command},
    client::connect,
    error::Error,
    plan::plan,
    report,
    run::run,
    signals::stop_on_signals,
    verify::verify,
};
use clap::Parser;
use serde::Serialize;
use tokio_util::sync::CancellationToken;
use tracing_subscriber::EnvFilter;

#[tokio::main]
async fn main() -> ExitCode {
    let filter = EnvFilter::try_from_default_env().unwrap_or_else(|_| EnvFilter::new("warn,backfill=info"));
    let logs = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    logs.with_ansi(std::io::stderr().is_terminal()).init();
    let cli = Cli::parse();
    let stop = CancellationToken::new();
    if let Err(error) = stop_on_signals(&stop) {
        return end(Err(anyhow::Error::from(error).context("cannot wait for signals")));
    }
    end(command(cli.command, &stop).await.map_err(anyhow::Error::from))
}

async fn command(command: Command, stop: &CancellationToken) -> Result<u8, Error> {
    match command {
        Command::Plan(args) => {
            let report = plan(&connect(&args.job).await, &args, stop).await?;
            print(args.job.json, &report, report::plan);
            Ok(0)
        }
        Command::Run(args) => {
            let report = run(&connect(&args.job).await, &args, stop, &status).await?;
            print(args.job.json, &report, report::run);
            Ok(report.exit_code())
        }
        Command::Verify(args) => {
            let report = verify(&connect(&args.job).await, &args, stop, &status).await?;
            print(args.job.json, &report, report::verify);
            Ok(report.exit_code())
        }
    }
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

#[expect(clippy::print_stdout, reason = "the report is this program's output")]
fn print<R: Serialize>(json: bool, report: &R, human: fn(&R) -> String) {
    match serde_json::to_string(report) {
        Ok(line) if json => println!("{line}"),
        _ => print!("{}", human(report)),
    }
}

#[expect(clippy::print_stderr, reason = "progress for people and JSON lines for collectors, apart from the report")]
fn status(line: String) {
    eprintln!("{line}");
}
