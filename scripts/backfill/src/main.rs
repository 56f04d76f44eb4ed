//! `backfill`: see `--help` and the README beside it.

use std::process::ExitCode;

use backfill::args::{Cli, Command};
use backfill::client::connect;
use backfill::error::Error;
use backfill::plan::plan;
use backfill::program::{self, print, status};
use backfill::report;
use backfill::run::run;
use backfill::verify::verify;
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> ExitCode {
    program::main(command).await
}

async fn command(cli: Cli, stop: &CancellationToken) -> Result<u8, Error> {
    match cli.command {
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
