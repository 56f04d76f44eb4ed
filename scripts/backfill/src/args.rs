//! Command-line arguments of the three commands.

use std::{path::PathBuf, time::Duration};

use clap::{Args, Parser, Subcommand};
use shared::table::{CHANNEL, DEFAULT_TABLE, INDEX, MICROTIMESTAMP, NMICROTIMESTAMP};

use crate::convert::{Accept, Rule, ToType};

mod values;

use values::attribute;
pub use values::positive;

/// Adds a numeric time to every item of a DynamoDB table, so that an index can serve ranges of it.
#[derive(Clone, Debug, Parser)]
#[command(
    version,
    after_help = "In this order:
  backfill plan                            what would be done, what it costs, how long it takes
  backfill run --create-index              does it; the same command goes on after Ctrl-C, kill -9 or a lost network
  backfill verify                          compares every item, and the index with the table

Exit codes: 0 all done, 3 done with rejects, 4 verify found differences, 2 refused before anything was changed,
130 interrupted, 1 any other failure. `backfill COMMAND --help` has examples."
)]
pub struct Cli {
    /// What to do.
    #[command(subcommand)]
    pub command: Command,
}

/// The three commands.
#[derive(Clone, Debug, Subcommand)]
pub enum Command {
    /// Describes table and index, and says what a run would do, cost and take; changes nothing
    #[command(after_help = "Examples:
  backfill plan --table bitstamp --max-wcu 1000
  backfill plan --count --price-write 0.7075 --json")]
    Plan(PlanArgs),
    /// Writes the missing and wrong values
    #[command(after_help = "Examples:
  backfill run --table bitstamp --create-index --max-wcu 1000
  backfill run --share 40                  40 % of the provisioned capacity
  backfill run --accept-ms --rejects not-converted.jsonl
  backfill run --endpoint-url http://127.0.0.1:8000 --force")]
    Run(RunArgs),
    /// Compares target with source in every item, and the index with the table, channel by channel
    #[command(after_help = "Examples:
  backfill verify --table bitstamp
  backfill verify --no-index --json")]
    Verify(VerifyArgs),
}

/// Which table, which attributes, which values.
#[derive(Clone, Debug, Args)]
pub struct JobArgs {
    /// The table
    #[arg(long, default_value = DEFAULT_TABLE, env = "BACKFILL_TABLE")]
    pub table: String,
    /// Where the time is
    #[arg(long, value_name = "NAME", default_value = MICROTIMESTAMP, value_parser = attribute)]
    pub from_attribute: String,
    /// Where it goes
    #[arg(long, value_name = "NAME", default_value = NMICROTIMESTAMP, value_parser = attribute)]
    pub to_attribute: String,
    /// Its type there
    #[arg(long, value_enum, default_value_t = ToType::N)]
    pub to_type: ToType,
    /// The index over it
    #[arg(long, value_name = "NAME", default_value = INDEX)]
    pub index: String,
    /// The index's partition key
    #[arg(long, value_name = "NAME", default_value = CHANNEL, value_parser = attribute)]
    pub index_partition: String,
    /// There is no index and there shall be none
    #[arg(long, conflicts_with = "index")]
    pub no_index: bool,
    /// Multiply numbers whose size says seconds (below 10^11)
    #[arg(long)]
    pub accept_seconds: bool,
    /// Multiply numbers whose size says milliseconds (below 10^14)
    #[arg(long)]
    pub accept_ms: bool,
    /// Ignore spaces around the digits
    #[arg(long)]
    pub accept_spaces: bool,
    /// Take whole numbers that are written with a point or an exponent
    #[arg(long)]
    pub accept_exponent: bool,
    /// An endpoint other than the region's: DynamoDB Local, the embedded engine
    #[arg(long, value_name = "URL", env = "AWS_ENDPOINT_URL_DYNAMODB")]
    pub endpoint_url: Option<String>,
    /// The region; by default that of the environment or the profile
    #[arg(long)]
    pub region: Option<String>,
    /// The report as one JSON object on standard output
    #[arg(long)]
    pub json: bool,
}

impl JobArgs {
    /// The rule by which values are converted.
    pub fn rule(&self) -> Rule {
        Rule {
            to: self.to_type,
            accept: Accept {
                seconds: self.accept_seconds,
                millis: self.accept_ms,
                spaces: self.accept_spaces,
                exponent: self.accept_exponent,
            },
            discriminator: self.is_this_projects(),
        }
    }

    /// The attributes are those of this project's own table, whose newer items carry the target from the start.
    pub fn is_this_projects(&self) -> bool {
        self.from_attribute == MICROTIMESTAMP && self.to_attribute == NMICROTIMESTAMP && self.to_type == ToType::N
    }

    /// The index, unless there shall be none.
    pub fn index(&self) -> Option<&str> {
        (!self.no_index).then_some(self.index.as_str())
    }
}

/// How fast the table is read, and how.
#[derive(Clone, Debug, Args)]
pub struct ScanArgs {
    /// Parallel scans; by default one for each 2 GiB of the table
    #[arg(long, value_name = "N", value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub segments: Option<u32>,
    /// Items in a page
    #[arg(long, value_name = "N", default_value_t = 1000, value_parser = clap::value_parser!(u32).range(1..=10_000))]
    pub page_items: u32,
    /// Read units a second at most
    #[arg(long, value_name = "UNITS", value_parser = positive)]
    pub max_rcu: Option<f64>,
    /// Strongly consistent scan: twice the read units, and items written in the last second are seen too
    #[arg(long)]
    pub consistent_read: bool,
    /// Give up after so many seconds without any progress
    #[arg(long, value_name = "SECONDS", default_value_t = 300)]
    pub patience: u64,
}

impl ScanArgs {
    /// How long to go on without progress.
    pub fn patience(&self) -> Duration {
        Duration::from_secs(self.patience)
    }
}

/// `backfill plan`
#[derive(Clone, Debug, Args)]
pub struct PlanArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "see its type")]
    pub job: JobArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "see its type")]
    pub scan: ScanArgs,
    /// Read the whole table instead of a sample: exact, and costs what a scan costs
    #[arg(long)]
    pub count: bool,
    /// Items to sample
    #[arg(long, value_name = "N", default_value_t = 2000)]
    pub sample: u32,
    /// Write units a second that the run may take, for the estimate of its time
    #[arg(long, value_name = "UNITS", value_parser = positive)]
    pub max_wcu: Option<f64>,
    /// Money for a million write units (on demand, us-east-1 since November 2024)
    #[arg(long, value_name = "USD", default_value_t = 0.625)]
    pub price_write: f64,
    /// Money for a million read units
    #[arg(long, value_name = "USD", default_value_t = 0.125)]
    pub price_read: f64,
}

/// `backfill run`
#[derive(Clone, Debug, Args)]
pub struct RunArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "see its type")]
    pub job: JobArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "see its type")]
    pub scan: ScanArgs,
    /// Write units a second at most, those of the index included
    #[arg(long, value_name = "UNITS", value_parser = positive, conflicts_with = "share")]
    pub max_wcu: Option<f64>,
    /// Take at most this percentage of the provisioned capacity, for reads and for writes
    #[arg(long, value_name = "PERCENT", value_parser = positive)]
    pub share: Option<f64>,
    /// Calls in flight at most
    #[arg(long, value_name = "N", default_value_t = 8, value_parser = clap::value_parser!(u32).range(1..=1000))]
    pub concurrency: u32,
    /// Create the index first if it is missing
    #[arg(long)]
    pub create_index: bool,
    /// Go on without point-in-time recovery: a mistake cannot be undone
    #[arg(long)]
    pub force: bool,
    /// One UpdateItem for each item, where the engine has no PartiQL (found out by itself)
    #[arg(long)]
    pub update_item: bool,
    /// Where the progress is kept; by default ./backfill-TABLE.checkpoint.json
    #[arg(long, value_name = "FILE")]
    pub checkpoint: Option<PathBuf>,
    /// Keep the progress in an item of the table, so that another machine can go on (needs PutItem and DeleteItem)
    #[arg(long, conflicts_with = "checkpoint")]
    pub checkpoint_item: bool,
    /// Forget the progress and begin anew
    #[arg(long)]
    pub restart: bool,
    /// Where values that are not converted go; by default ./backfill-TABLE.rejects.jsonl
    #[arg(long, value_name = "FILE")]
    pub rejects: Option<PathBuf>,
}

impl RunArgs {
    /// The checkpoint's file.
    pub fn checkpoint_file(&self) -> PathBuf {
        let default = || PathBuf::from(format!("backfill-{}.checkpoint.json", self.job.table));
        self.checkpoint.clone().unwrap_or_else(default)
    }

    /// The rejects file.
    pub fn rejects_file(&self) -> PathBuf {
        self.rejects.clone().unwrap_or_else(|| PathBuf::from(format!("backfill-{}.rejects.jsonl", self.job.table)))
    }
}

/// `backfill verify`
#[derive(Clone, Debug, Args)]
pub struct VerifyArgs {
    #[command(flatten)]
    #[expect(missing_docs, reason = "see its type")]
    pub job: JobArgs,
    #[command(flatten)]
    #[expect(missing_docs, reason = "see its type")]
    pub scan: ScanArgs,
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
    fn the_first_systems_names_are_the_defaults() {
        let cli = Cli::parse_from(["backfill", "run"]);
        let Command::Run(args) = cli.command else { panic!("not a run") };
        assert_eq!(
            (args.job.from_attribute.as_str(), args.job.to_attribute.as_str()),
            ("microtimestamp", "nmicrotimestamp")
        );
        assert!(args.job.is_this_projects());
        assert_eq!(args.rejects_file(), PathBuf::from("backfill-bitstamp-live.rejects.jsonl"));
    }

    #[test]
    fn nonsense_is_refused() {
        for bad in [&["--max-wcu", "0"][..], &["--from-attribute", "a\"b"], &["--max-wcu", "5", "--share", "10"]] {
            let all = ["backfill", "run"].iter().chain(bad);
            assert!(Cli::try_parse_from(all).is_err(), "{bad:?}");
        }
    }
}
