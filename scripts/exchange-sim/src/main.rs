//! The stand-in exchange as a program.

use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use exchange_sim::Config;
use exchange_sim::Simulator;
use exchange_sim::Source;
use exchange_sim::faults;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::SubscriberExt as _;
use tracing_subscriber::util::SubscriberInitExt as _;

/// A stand-in for the Bitstamp exchange: WebSocket v2 and REST on one port.
#[derive(Debug, Parser)]
#[command(name = "exchange-sim", version, after_help = after_help())]
struct Arguments {
    /// Address of the port; port 0 takes a free one
    #[arg(long, value_name = "ADDRESS", default_value = "127.0.0.1:8765")]
    listen: SocketAddr,
    /// Seed of the order flow: same seed, same orders
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Multiple of the usual rates: 1 is 240 events a second on live_orders_btcusd
    #[arg(long, default_value_t = 1.0)]
    rate: f64,
    /// Market that exists (repeatable) [default: btcusd ethusd xrpusd btceur btcusd-perp ethusd-perp]
    #[arg(long = "market", value_name = "MARKET")]
    markets: Vec<String>,
    /// Send the frames of this file instead of a made-up flow, once a client has subscribed to all of its channels
    #[arg(long, value_name = "FILE")]
    recording: Option<PathBuf>,
    /// Multiple of the recording's speed; `inf` is as fast as the sockets take it
    #[arg(long, default_value_t = 1.0, requires = "recording")]
    speed: f64,
    /// Write everything that is generated and sent to this file (NDJSON)
    #[arg(long, value_name = "FILE")]
    truth: Option<PathBuf>,
    /// Let something go wrong at a time after the start (repeatable)
    #[arg(long = "fault", value_name = "TIME:FAULT[@N]")]
    faults: Vec<faults::Step>,
}

fn after_help() -> String {
    format!(
        "Faults (@N: only on the Nth open connection; durations as 500ms, 10s, 2m):\n  {}\n\n\
Examples:\n  \
exchange-sim\n  \
exchange-sim --rate 2 --truth out.ndjson\n  \
exchange-sim --fault 10s:cut --fault 20s:mute:5s@1 --fault 30s:garbage:6\n  \
exchange-sim --recording frames.jsonl --speed inf",
        faults::script::FORMS
    )
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let given = std::env::var("RUST_LOG").ok().and_then(|given| given.parse().ok());
    let filter = given.unwrap_or_else(|| Targets::new().with_default(LevelFilter::INFO));
    let logs = tracing_subscriber::fmt().with_max_level(LevelFilter::TRACE).with_writer(std::io::stderr);
    logs.finish().with(filter).init();
    match run(arguments).await {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("error: {error:#}");
            ExitCode::FAILURE
        }
    }
}

#[expect(clippy::print_stdout, reason = "the addresses and the figures at the end are the program's output")]
async fn run(arguments: Arguments) -> anyhow::Result<()> {
    let seed = arguments.seed;
    // Listened to before anything is printed: whoever reads the addresses may already send a signal.
    let stop = stop_signal()?;
    let simulator = Simulator::start(config(arguments)).await?;
    println!("websocket  {}", simulator.ws_url());
    println!("rest       {}", simulator.rest_url());
    println!("seed       {seed}");
    stop.await;
    let emitted = simulator.emitted();
    simulator.shutdown().await;
    println!("stopped after {emitted} events");
    Ok(())
}

/// Resolves at Ctrl-C or SIGTERM.
#[cfg(unix)]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    use tokio::signal::unix::{SignalKind, signal};
    let (mut interrupt, mut terminate) = (signal(SignalKind::interrupt())?, signal(SignalKind::terminate())?);
    Ok(async move {
        tokio::select! {
            _ = interrupt.recv() => {}
            _ = terminate.recv() => {}
        }
    })
}

/// Resolves at Ctrl-C.
#[cfg(not(unix))]
fn stop_signal() -> std::io::Result<impl Future<Output = ()>> {
    Ok(async {
        if let Err(error) = tokio::signal::ctrl_c().await {
            tracing::error!(%error, "interrupts cannot be heard");
        }
    })
}

fn config(arguments: Arguments) -> Config {
    let Arguments { listen, seed, rate, markets, recording, speed, truth, faults } = arguments;
    let default = Config::default();
    Config {
        listen,
        seed,
        rate,
        markets: if markets.is_empty() { default.markets } else { markets },
        source: recording.map_or(Source::Flow, |path| Source::Recording { path, speed }),
        truth,
        faults,
        ..default
    }
}
