//! The command line of the local system: arguments, terminal, exit codes.

use std::io::{IsTerminal as _, Write as _};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::ExitCode;
use std::time::Duration;

use clap::{Args, Parser, Subcommand};
use local::screen::{self, Snapshot};
use local::store::Place;
use local::system::{Options, Source, System};
use local::verify;
use tokio::time::Instant;
use tracing_subscriber::{filter::LevelFilter, layer::SubscriberExt as _, util::SubscriberInitExt as _};

const EXAMPLES: &str = "\
Examples:
  bitstamp-live                                    capture the live exchange into ./data/live
  bitstamp-live demo                               the same from the built-in simulator, without any network
  bitstamp-live demo --run-for 60 --check          a minute of demo, then compare every event with what was sent
  bitstamp-live --channels live_trades_xrpusd      other channels
  bitstamp-live --storage 'live_orders_*=blocks'   order events in blocks, at a hundredth of the cost of single ones
  bitstamp-live --region eu-central-1 --table t    into a DynamoDB table of your account

While it runs: curl 'http://127.0.0.1:8080/bitstamp?channel=live_trades_btcusd&from=2026-01-01T00:00:00Z'
Exit codes: 0 stopped in order, 1 failed, 2 wrong arguments or --check found a difference.";

/// Captures Bitstamp's order flow, stores it and serves it, all on this machine.
#[derive(Parser)]
#[command(name = "bitstamp-live", version, after_help = EXAMPLES, args_conflicts_with_subcommands = false)]
struct Arguments {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    common: Common,
}

#[derive(Subcommand)]
enum Command {
    /// Capture from the built-in simulator; needs no network
    Demo(Demo),
}

#[derive(Args)]
struct Demo {
    /// Seed of the order flow
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Multiple of the usual rates (240 events a second on live_orders_btcusd)
    #[arg(long, default_value_t = 1.0)]
    rate: f64,
    /// At the end compare everything stored with what the simulator sent
    #[arg(long)]
    check: bool,
}

#[derive(Args)]
struct Common {
    /// Channels to capture, separated by commas
    #[arg(long, global = true, value_delimiter = ',', default_values_t = [
        "live_trades_btcusd", "live_orders_btcusd", "live_trades_ethusd", "live_orders_ethusd",
    ].map(str::to_owned))]
    channels: Vec<String>,
    /// How channels are stored: each event by itself, or many in a block, e.g. live_orders_*=blocks
    #[arg(long, global = true, value_name = "CHANNEL=STORAGE,..", default_value = "", hide_default_value = true)]
    storage: String,
    /// How long items are kept, e.g. 90d or live_orders_*=30d; the embedded store deletes nothing [default: for ever]
    #[arg(long, global = true, value_name = "TIME|CHANNEL=TIME,..", default_value = "", hide_default_value = true)]
    keep: String,
    /// The exchange's WebSocket
    #[arg(long, global = true, default_value = "wss://ws.bitstamp.net")]
    url: String,
    /// Folder of the spool and the embedded store
    #[arg(long, global = true, default_value = "data")]
    data: PathBuf,
    /// Another DynamoDB instead of the embedded store, e.g. http://127.0.0.1:8000
    #[arg(long, global = true)]
    endpoint_url: Option<String>,
    /// DynamoDB in this AWS region instead of the embedded store
    #[arg(long, global = true)]
    region: Option<String>,
    /// The table
    #[arg(long, global = true, default_value = shared::table::DEFAULT_TABLE)]
    table: String,
    /// Where the query API is served
    #[arg(long, global = true, default_value = "127.0.0.1:8080")]
    listen: SocketAddr,
    /// Where metrics, health and status are served; port 0: any free one
    #[arg(long, global = true, default_value = "127.0.0.1:0")]
    metrics: SocketAddr,
    /// Stop after so many seconds
    #[arg(long, global = true, value_name = "SECONDS")]
    run_for: Option<u64>,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    // People see the status; who wants logs asks for them.
    let filter = ingestor::observe::logs::filter("BITSTAMP_LOG", "off");
    let logs = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_writer(std::io::stderr);
    logs.finish().with(filter).init();
    match run(arguments).await {
        Ok(true) => ExitCode::SUCCESS,
        Ok(false) => ExitCode::from(2),
        Err(error) => {
            say(&format!("bitstamp-live: {error:#}\n"));
            ExitCode::FAILURE
        }
    }
}

/// Whether what was checked, if anything, was right.
async fn run(arguments: Arguments) -> anyhow::Result<bool> {
    let Arguments { command, common } = arguments;
    let demo = command.map(|Command::Demo(demo)| demo);
    let data = common.data.join(if demo.is_some() { "demo" } else { "live" });
    let truth = demo.as_ref().filter(|demo| demo.check).map(|_| data.join("truth.ndjson"));
    std::fs::create_dir_all(&data)
        .map_err(|error| anyhow::anyhow!("cannot create `{}`: {error}; choose another with --data", data.display()))?;
    let place = match (&common.endpoint_url, &common.region) {
        (None, None) => Place::File(data.join("store.db")),
        (endpoint_url, region) => Place::Elsewhere { endpoint_url: endpoint_url.clone(), region: region.clone() },
    };
    let options = Options {
        source: source(demo.as_ref(), &common, truth.as_deref()),
        channels: common.channels.clone(),
        storage: common.storage.clone(),
        keep: common.keep.clone(),
        data: data.clone(),
        place: place.clone(),
        table: common.table.clone(),
        listen: common.listen,
        metrics: common.metrics,
    };
    let system = System::start(options).await?;
    let started = ingestor::clock::system_micros();
    say(&heading(demo.as_ref(), &common, &place, system.address()));
    let last = show(&system, &common.channels, demo.is_some(), common.run_for.map(Duration::from_secs)).await;

    if truth.is_some() {
        say(&format!("draining {} records before the check\n", system.spool().depth()));
        tokio::select! {
            () = system.drain() => {}
            () = shutdown_signal() => {}
        }
    }
    let (api, spool, status) = (system.address(), system.spool(), system.status());
    let (captured, stopped) = system.stop_capturing().await?;
    let end = Snapshot::take(&status, &spool, &common.channels);
    say(&format!("\n{} events stored in this run; {} left in the spool for the next\n", end.stored, stopped.left));
    if let Some(command) = screen::curl(&end, api).filter(|_| last.stored > 0) {
        say(&format!("start again and read it:  {command}\n"));
    }
    let right = match truth {
        None => true,
        Some(truth) => {
            let comparison = verify::check(&truth, api, &common.channels, started.saturating_sub(5_000_000)).await?;
            say(&format!("check: {comparison}\n"));
            comparison.is_perfect()
        }
    };
    captured.stop().await;
    Ok(right)
}

/// Returns where events come from. `truth`: where the simulator writes what it sends.
fn source(demo: Option<&Demo>, common: &Common, truth: Option<&Path>) -> Source {
    let Some(demo) = demo else { return Source::Exchange(common.url.clone()) };
    Source::Simulator(Box::new(exchange_sim::Config {
        seed: demo.seed,
        rate: demo.rate,
        truth: truth.map(Path::to_path_buf),
        ..exchange_sim::Config::default()
    }))
}

fn heading(demo: Option<&Demo>, common: &Common, place: &Place, api: SocketAddr) -> String {
    let source = match demo {
        Some(demo) => format!("simulator, seed {}", demo.seed),
        None => common.url.clone(),
    };
    let place = match place {
        Place::File(file) => file.display().to_string(),
        Place::Elsewhere { endpoint_url: Some(url), .. } => url.clone(),
        Place::Elsewhere { region, .. } => region.clone().unwrap_or_default(),
    };
    format!(
        "bitstamp-live: {source} -> table {} in {place}, served on http://{api}; Ctrl-C stops\nstatus page: http://{api}/status\n\n",
        common.table
    )
}

/// Shows the status until Ctrl-C, SIGTERM or the end of the time; in place on a terminal, a line every 10 s elsewhere.
async fn show(system: &System, channels: &[String], demo: bool, run_for: Option<Duration>) -> Snapshot {
    let terminal = std::io::stdout().is_terminal();
    let every = Duration::from_secs(if terminal { 1 } else { 10 });
    let end = run_for.map(|duration| Instant::now() + duration);
    let stop = shutdown_signal();
    tokio::pin!(stop);
    let (status, spool) = (system.status(), system.spool());
    let mut before = Snapshot::take(&status, &spool, channels);
    let mut lines = 0;
    let mut hinted = false;
    loop {
        let next = Instant::now() + every;
        let more = tokio::select! {
            () = &mut stop => false,
            () = tokio::time::sleep_until(end.map_or(next, |end| end.min(next))) => end.is_none_or(|end| Instant::now() < end),
        };
        let now = Snapshot::take(&status, &spool, channels);
        if now.trouble.contains_key(&ingestor::observe::status::Component::Exchange) && !demo && !hinted {
            say("without a network:  cargo run -- demo\n");
            hinted = true;
            lines = 0;
        }
        if terminal {
            let text = screen::block(&before, &now, system.address());
            let up = if lines > 0 { format!("\x1b[{lines}A\x1b[J") } else { String::new() };
            lines = text.lines().count();
            say(&format!("{up}{text}"));
        } else {
            say(&format!("{}\n", screen::summary(&before, &now)));
        }
        if !more {
            return now;
        }
        before = now;
    }
}

async fn shutdown_signal() {
    use tokio::signal::unix::{SignalKind, signal};
    let Ok(mut terminate) = signal(SignalKind::terminate()) else {
        return std::future::pending().await;
    };
    tokio::select! {
        _ = terminate.recv() => {}
        // Where Ctrl-C cannot be listened to, SIGTERM is what is left.
        Ok(()) = tokio::signal::ctrl_c() => {}
    }
}

/// A terminal or pipe that is gone is no reason to stop capturing.
fn say(text: &str) {
    let mut out = std::io::stdout().lock();
    let _said = out.write_all(text.as_bytes()).and_then(|()| out.flush());
}
