//! The daemon's command line: arguments, logs, exit codes.

use std::collections::BTreeMap;
use std::convert::Infallible;
use std::io::Write as _;
use std::process::ExitCode;
use std::time::Duration;

use anyhow::Context as _;
use clap::{Arg, ArgMatches, Command};
use ingestor::config::{Config, Faults, SETTINGS};
use ingestor::observe::logs;
use ingestor::observe::status::Status;
use ingestor::pipeline::{Pipeline, PipelineError};
use ingestor::spool::SpoolError;
use ingestor::store::table;
use tokio::signal::unix::{SignalKind, signal};

use crate::commands::{EXIT_CONFIG, EXIT_DISK, EXIT_IN_USE, EXIT_SOFTWARE};

mod commands;

/// Interval at which the service manager is asked for more time to start.
const ASK_EVERY: Duration = Duration::from_secs(20);

const EXAMPLES: &str = "\
Examples:
  ingestor --channels live_trades_btcusd,live_orders_btcusd --region eu-central-1
  ingestor --config /etc/bitstamp-live.toml
  ingestor --endpoint-url http://127.0.0.1:8000 --spool-dir /tmp/spool
  ingestor check --config /etc/bitstamp-live.toml
  ingestor status

Without a command it runs the daemon, until SIGTERM or Ctrl-C. `ingestor help COMMAND` shows examples of each command.
Each setting may also stand in the file under its name (spool_max = \"2GiB\") or in the environment
(BITSTAMP_LIVE_SPOOL_MAX). A flag beats the environment, the environment the file.
Exit codes of the daemon: 0 stopped in order, 70 a part of it failed, 74 disk failed, 75 spool in use, 78 wrong configuration, 1
anything else. A table or an exchange that is missing, refuses or cannot be reached is said in the log and /health and tried again.";

// One thread carries twenty times the busiest flow seen; each further one costs memory, because the heap is divided among them.
#[tokio::main(worker_threads = 1)]
async fn main() -> ExitCode {
    let arguments = command().get_matches();
    let capturing = arguments.subcommand().is_none();
    let default = if capturing { "info,fjall=warn,lsm_tree=warn" } else { "warn,fjall=error,lsm_tree=error" };
    logs::start(logs::filter("BITSTAMP_LOG", default));
    let config = configuration(&arguments);
    let ended = match arguments.subcommand() {
        None => capture(config).await.map(|()| 0),
        Some((name, matches)) => commands::run(name, matches, config).await,
    };
    match ended {
        Ok(code) => ExitCode::from(code),
        Err(error) => {
            report(&error);
            exit_code(&error)
        }
    }
}

fn exit_code(error: &anyhow::Error) -> ExitCode {
    match (error.downcast_ref::<Faults>(), error.downcast_ref::<PipelineError>()) {
        (Some(_), _) | (_, Some(PipelineError::Config(_))) => ExitCode::from(EXIT_CONFIG),
        (_, Some(PipelineError::Ended(_) | PipelineError::Hangs(_))) => ExitCode::from(EXIT_SOFTWARE),
        (_, Some(PipelineError::Spool(SpoolError::InUse(_)))) => ExitCode::from(EXIT_IN_USE),
        (_, Some(PipelineError::Spool(_))) => ExitCode::from(EXIT_DISK),
        _ => commands::exit_code(error).map_or(ExitCode::FAILURE, ExitCode::from),
    }
}

fn command() -> Command {
    let settings = SETTINGS.iter().map(|setting| {
        let default = match setting.default {
            "" => String::new(),
            default => format!(" [default: {default}]"),
        };
        Arg::new(setting.key)
            .long(setting.key.replace('_', "-"))
            .value_name(setting.value)
            .global(true)
            .help_heading("Settings")
            .help(format!("{}{default}", setting.help))
    });
    Command::new("ingestor")
        .version(env!("CARGO_PKG_VERSION"))
        .about("Captures channels of Bitstamp's WebSocket into a DynamoDB table and never loses a frame silently")
        .after_help(EXAMPLES)
        .subcommands(commands::all())
        .arg(
            Arg::new("config")
                .long("config")
                .value_name("FILE")
                .global(true)
                .help_heading("Settings")
                .help("A TOML file with settings"),
        )
        .args(settings)
}

fn configuration(arguments: &ArgMatches) -> Result<Config, Faults> {
    let file = match arguments.get_one::<String>("config") {
        Some(path) => {
            let text = std::fs::read_to_string(path).map_err(|error| Faults(vec![format!("{path}: {error}")]))?;
            Some((path.as_str(), text))
        }
        None => None,
    };
    let flags: BTreeMap<String, String> = SETTINGS
        .iter()
        .filter_map(|setting| Some((setting.key.to_owned(), arguments.get_one::<String>(setting.key)?.clone())))
        .collect();
    let environment = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)))
        .collect();
    Config::read(&flags, &environment, file.as_ref().map(|(path, text)| (*path, text.as_str())))
}

async fn capture(config: Result<Config, Faults>) -> anyhow::Result<()> {
    let config = config?;
    let client = table::connect(&config).await;
    let mut terminate = signal(SignalKind::terminate()).context("cannot listen for SIGTERM")?;
    let mut interrupt = signal(SignalKind::interrupt()).context("cannot listen for Ctrl-C")?;
    let pipeline = tokio::select! {
        started = Pipeline::start(config, client) => started?,
        _ = terminate.recv() => return stopped_early(),
        _ = interrupt.recv() => return stopped_early(),
        never = ask_for_time() => match never {},
    };
    // Nobody may be listening: only a service manager sets the socket.
    let _told = sd_notify::notify(&[sd_notify::NotifyState::Ready]);
    let status = pipeline.status();
    let stopped = pipeline
        .run(async move {
            tokio::select! {
                _ = terminate.recv() => {}
                _ = interrupt.recv() => {}
                () = keep_watchdog(&status) => {}
            }
            let _told = sd_notify::notify(&[sd_notify::NotifyState::Stopping]);
            tracing::info!("stopping");
        })
        .await?;
    tracing::info!(left = stopped.left, "stopped");
    Ok(())
}

fn stopped_early() -> anyhow::Result<()> {
    tracing::info!("stopped before it had started");
    Ok(())
}

/// Tells the service manager that a start may take longer, which it does while the disk is full. Never ends.
async fn ask_for_time() -> Infallible {
    loop {
        tokio::time::sleep(ASK_EVERY).await;
        let micros = u32::try_from(ASK_EVERY.as_micros() * 3).expect("a minute fits");
        let _told = sd_notify::notify(&[sd_notify::NotifyState::ExtendTimeoutUsec(micros)]);
    }
}

/// Tells the service manager's watchdog, where there is one, that what is received becomes durable. Never ends.
///
/// Silence is the message: where the disk hangs, nothing that was received by one tick is durable by the next, and the
/// manager ends the process.
async fn keep_watchdog(status: &Status) {
    let limit = sd_notify::watchdog_enabled().filter(|limit| !limit.is_zero());
    let Some(limit) = limit else { return std::future::pending().await };
    let mut ticks = tokio::time::interval(limit / 3);
    let (mut received, mut durable) = (0, 0);
    loop {
        ticks.tick().await;
        let now_durable = status.durable.get();
        if now_durable >= received || now_durable > durable {
            let _told = sd_notify::notify(&[sd_notify::NotifyState::Watchdog]);
        }
        (received, durable) = (status.received.get(), now_durable);
    }
}

/// Prints the error for the person who started the program; the exit code stands without it.
fn report(error: &anyhow::Error) {
    let _said = writeln!(std::io::stderr(), "ingestor: {error:#}");
}
