//! Command-line arguments of the three commands.

use std::{path::PathBuf, time::Duration};

use backfill::args::positive;
use clap::{Args, Parser, Subcommand};
use shared::table::DEFAULT_TABLE;

/// Packs single events of a table into blocks, and takes blocks apart again.
#[derive(Clone, Debug, Parser)]
#[command(
    version,
    after_help = "In this order:
  compact plan 'live_orders_*' --from -90d     what would be done, what it costs and saves, how long it takes
  compact run 'live_orders_*' --from -90d      does it; the same command goes on after Ctrl-C, kill -9 or a lost network
  compact expand 'live_orders_*' --from -90d   takes the blocks that `run` made apart again

The last 24 hours are never touched. Exit codes: 0 all done, 3 done but something was left as it is (the report names it), 2 refused before
anything was changed, 130 interrupted, 1 any other failure. `compact COMMAND --help` has examples."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The three commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Says what a run would do, cost, save and take; changes nothing
    #[command(after_help = "Examples:
  compact plan 'live_orders_*' --from 2026-01-01 --max-wcu 1000
  compact plan live_orders_btcusd --count --json       reads the whole range: exact")]
    Plan(PlanArgs),
    /// Packs the single events of a range into blocks
    #[command(after_help = "Examples:
  compact run 'live_orders_*' --from 2026-01-01 --to 2026-06-30 --max-wcu 1000
  compact run live_orders_btcusd 'order_book_*'        everything but the last 24 hours
  compact run '*' --endpoint-url http://127.0.0.1:8000 --force")]
    Run(RunArgs),
    /// Takes the blocks of a range apart into single events
    #[command(after_help = "Examples:
  compact expand 'live_orders_*' --from 2026-01-01 --to 2026-06-30
  compact expand live_orders_btcusd --all              the daemon's own blocks too")]
    Expand(ExpandArgs),
}

/// Which events of which table.
#[derive(Clone, Debug, Args)]
pub struct JobArgs {
    /// Channels, as names or patterns with `*`: 'live_orders_*'; those of the table's list `_channels` that match
    #[arg(required = true, value_name = "CHANNEL")]
    pub channels: Vec<String>,
    /// First time, inclusive: RFC 3339, a day (2026-11-20), microseconds since the Unix epoch, or -90d; by default the first event
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub from: Option<String>,
    /// Last time, inclusive; at most, and by default, 24 hours before now
    #[arg(long, value_name = "TIME", allow_hyphen_values = true)]
    pub to: Option<String>,
    /// The table
    #[arg(long, default_value = DEFAULT_TABLE)]
    pub table: String,
    /// An endpoint other than the region's: DynamoDB Local, the embedded engine
    #[arg(long, value_name = "URL", env = "AWS_ENDPOINT_URL_DYNAMODB")]
    pub endpoint_url: Option<String>,
    /// The region; by default that of the environment or the profile
    #[arg(long)]
    pub region: Option<String>,
    /// Write units a second at most, those of the index included
    #[arg(long, value_name = "UNITS", value_parser = positive)]
    pub max_wcu: Option<f64>,
    /// Read units a second at most
    #[arg(long, value_name = "UNITS", value_parser = positive)]
    pub max_rcu: Option<f64>,
    /// Give up after so many seconds without any progress
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub patience: u64,
    /// The report as one JSON object on standard output
    #[arg(long)]
    pub json: bool,
}

impl JobArgs {
    /// How long to go on without progress.
    #[must_use]
    pub fn patience(&self) -> Duration {
        Duration::from_secs(self.patience)
    }
}

/// How a table is changed.
#[derive(Clone, Debug, Args)]
pub struct ChangeArgs {
    /// Calls in flight at most
    #[arg(long, value_name = "N", default_value_t = 16, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub concurrency: u32,
    /// Go on without point-in-time recovery: a mistake cannot be undone
    #[arg(long)]
    pub force: bool,
    /// Where the progress is kept; by default ./compact-TABLE.run.json or ./compact-TABLE.expand.json
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
    /// Forget the progress and begin anew
    #[arg(long)]
    pub restart: bool,
}

/// `compact plan`
#[derive(Clone, Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "see its type")]
    pub job: JobArgs,
    /// Read the whole range instead of a sample: exact, and costs what reading it costs
    #[arg(long)]
    pub count: bool,
    /// Places of the range to look at, 10 seconds each
    #[arg(long, value_name = "N", default_value_t = 24, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub sample: u32,
    /// Money for a million write units (on demand, us-east-1 since November 2024)
    #[arg(long, value_name = "USD", default_value_t = 0.625)]
    pub price_write: f64,
    /// Money for a million read units
    #[arg(long, value_name = "USD", default_value_t = 0.125)]
    pub price_read: f64,
    /// Money for a gigabyte and month of storage
    #[arg(long, value_name = "USD", default_value_t = 0.25)]
    pub price_storage: f64,
}

/// `compact run`
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "see its type")]
    pub job: JobArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "see its type")]
    pub change: ChangeArgs,
}

/// `compact expand`
#[derive(Clone, Debug, Args)]
pub struct ExpandArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "see its type")]
    pub job: JobArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "see its type")]
    pub change: ChangeArgs,
    /// Take the blocks of daemons apart too, not only those of `compact run`
    #[arg(long)]
    pub all: bool,
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::CommandFactory;

    #[test]
    fn the_command_line_is_consistent() {
        Cli::command().debug_assert();
    }

    #[test]
    fn channels_are_required_and_times_may_be_relative() {
        assert!(Cli::try_parse_from(["compact", "run"]).is_err());
        let cli = Cli::parse_from(["compact", "run", "live_orders_*", "--from", "-90d", "--to", "-7d"]);
        let Command::Run(args) = cli.command else { panic!("not a run") };
        assert_eq!((args.job.from.as_deref(), args.job.to.as_deref()), (Some("-90d"), Some("-7d")));
    }
}
