//! `compact`: see `--help` and the README beside it.

use std::process::ExitCode;

use backfill::client::connect_to;
use backfill::error::Error;
use backfill::program::{self, print, status};
use compact::args::{Cli, Command, JobArgs};
use compact::expand::expand;
use compact::plan::plan;
use compact::report;
use compact::run::run;
use tokio_util::sync::CancellationToken;

#[tokio::main]
async fn main() -> ExitCode {
    program::main(command).await
}

async fn command(cli: Cli, stop: &CancellationToken) -> Result<u8, Error> {
    let connect = async |job: &JobArgs| connect_to(job.endpoint_url.as_deref(), job.region.as_deref()).await;
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
        Command::Expand(args) => {
            let report = expand(&connect(&args.job).await, &args, stop, &status).await?;
            print(args.job.json, &report, report::expand);
            Ok(report.exit_code())
        }
    }
}
