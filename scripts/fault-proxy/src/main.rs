//! `fault-proxy`: see `--help` and the README beside it.

use std::{net::SocketAddr, process::ExitCode, time::Duration};

use anyhow::Context;
use clap::{Parser, ValueEnum};
use fault_proxy::{
    budgets::Budgets,
    config::{Config, Outage},
    mix::FaultProbabilities,
    proxy::Proxy,
};
use tokio::signal::unix::{SignalKind, signal};

/// A seeded proxy that makes a DynamoDB endpoint misbehave.
#[derive(Parser, Debug)]
#[command(
    version,
    after_help = "Examples:
  fault-proxy --upstream http://127.0.0.1:8000 --seed 7 --mix rough
  fault-proxy --upstream http://127.0.0.1:8000 --unprocessed 0.2 --listen 127.0.0.1:9000
  fault-proxy --upstream http://127.0.0.1:8000 --index-units 1000
  fault-proxy --upstream http://127.0.0.1:8000 --allow Query,DescribeTable"
)]
struct Args {
    /// The endpoint behind: DynamoDB Local or the embedded engine
    #[arg(long, value_name = "URL")]
    upstream: String,
    /// Where to listen
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:9000")]
    listen: SocketAddr,
    /// Every fault follows from it and from the order of calls
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// `rough`: some of everything; single probabilities below replace those of the mix
    #[arg(long, value_enum, default_value_t = Preset::None)]
    mix: Preset,
    #[command(flatten)]
    single: Single,
    /// Write units a second of each partition of the index (the service: 1000); none by default
    #[arg(long, value_name = "UNITS")]
    index_units: Option<f64>,
    /// Write units a second of each partition of the table (the service: 1000); none by default
    #[arg(long, value_name = "UNITS")]
    table_units: Option<f64>,
    /// Write units a second of the whole table, as provisioned
    #[arg(long, value_name = "UNITS")]
    provisioned: Option<f64>,
    /// Allow these actions only, as policies name them: Query,PartiQLUpdate
    #[arg(long, value_name = "ACTION", value_delimiter = ',')]
    allow: Option<Vec<String>>,
    /// The longest delay of a slow answer, in milliseconds
    #[arg(long, value_name = "MS", default_value_t = 2000)]
    slow_limit_ms: u64,
    /// Start with the endpoint down
    #[arg(long, value_enum)]
    down: Option<DownArg>,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Preset {
    None,
    Rough,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum DownArg {
    Refuse,
    Mute,
    Unavailable,
    Denied,
    WrongIndex,
}

/// Probabilities from 0 to 1.
#[derive(clap::Args, Debug)]
#[command(next_help_heading = "Probabilities, 0 to 1")]
struct Single {
    /// Part of a BatchWriteItem comes back as UnprocessedItems
    #[arg(long, value_name = "P")]
    unprocessed: Option<f64>,
    /// Throttling whose reason names the table
    #[arg(long, value_name = "P")]
    throttled_table: Option<f64>,
    /// Throttling whose reason names the index
    #[arg(long, value_name = "P")]
    throttled_index: Option<f64>,
    /// 500 or 503
    #[arg(long, value_name = "P")]
    server_error: Option<f64>,
    /// No answer
    #[arg(long, value_name = "P")]
    timeout: Option<f64>,
    /// The connection is closed without an answer
    #[arg(long, value_name = "P")]
    closed: Option<f64>,
    /// The answer breaks off
    #[arg(long, value_name = "P")]
    half_written: Option<f64>,
    /// The answer is late
    #[arg(long, value_name = "P")]
    slow: Option<f64>,
    /// Errors in some statements of a BatchExecuteStatement
    #[arg(long, value_name = "P")]
    statement_error: Option<f64>,
    /// 200 without a body
    #[arg(long, value_name = "P")]
    empty: Option<f64>,
    /// 200 with the body {}
    #[arg(long, value_name = "P")]
    bare: Option<f64>,
    /// UnprocessedItems that cannot belong to the BatchWriteItem
    #[arg(long, value_name = "P")]
    foreign_unprocessed: Option<f64>,
}

#[tokio::main]
async fn main() -> ExitCode {
    tracing_subscriber::fmt().with_writer(std::io::stderr).init();
    match run(Args::parse()).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            tracing::error!(error = format!("{error:#}"), "fault proxy failed");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "the address and the final counts are this program's output")]
async fn run(args: Args) -> anyhow::Result<()> {
    let down = args.down.map(|down| match down {
        DownArg::Refuse => Outage::Refuse,
        DownArg::Mute => Outage::Mute,
        DownArg::Unavailable => Outage::Unavailable,
        DownArg::Denied => Outage::Denied,
        DownArg::WrongIndex => Outage::WrongIndex,
    });
    let seed = args.seed;
    let proxy = Proxy::start(config(args)).await.context("cannot start")?;
    proxy.set_down(down);
    // Before anybody reads the address: who does may interrupt at once.
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
    println!("listening on {}, seed {seed}; Ctrl-C prints the counts", proxy.url());
    interrupt.recv().await;
    println!("\nseed {seed}\n{}", proxy.counts());
    proxy.shutdown().await;
    Ok(())
}

fn config(args: Args) -> Config {
    let mut config = Config::new(args.upstream, args.seed);
    config.listen = args.listen;
    config.mix = args.single.over(match args.mix {
        Preset::None => FaultProbabilities::default(),
        Preset::Rough => FaultProbabilities::rough(),
    });
    if args.index_units.is_some() || args.table_units.is_some() || args.provisioned.is_some() {
        config.budgets = Some(Budgets {
            index_units: args.index_units.unwrap_or(f64::INFINITY),
            table_units: args.table_units.unwrap_or(f64::INFINITY),
            provisioned: args.provisioned,
            ..Budgets::default()
        });
    }
    config.allow = args.allow.map(|actions| actions.into_iter().collect());
    config.slow_limit = Duration::from_millis(args.slow_limit_ms);
    config
}

impl Single {
    fn over(&self, mix: FaultProbabilities) -> FaultProbabilities {
        FaultProbabilities {
            unprocessed: self.unprocessed.unwrap_or(mix.unprocessed),
            throttled_table: self.throttled_table.unwrap_or(mix.throttled_table),
            throttled_index: self.throttled_index.unwrap_or(mix.throttled_index),
            server_error: self.server_error.unwrap_or(mix.server_error),
            timeout: self.timeout.unwrap_or(mix.timeout),
            closed: self.closed.unwrap_or(mix.closed),
            half_written: self.half_written.unwrap_or(mix.half_written),
            slow: self.slow.unwrap_or(mix.slow),
            statement_error: self.statement_error.unwrap_or(mix.statement_error),
            empty: self.empty.unwrap_or(mix.empty),
            bare: self.bare.unwrap_or(mix.bare),
            foreign_unprocessed: self.foreign_unprocessed.unwrap_or(mix.foreign_unprocessed),
        }
    }
}
