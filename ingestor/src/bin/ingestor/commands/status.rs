//! `ingestor status`: shows how the running daemon does.

use std::io::Write;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};
use ingestor::config::Config;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::daemon::Daemon;
use figures::Figures;

mod figures;

/// Time over which rates are counted.
const SAMPLE: Duration = Duration::from_secs(1);

const EXAMPLES: &str = "\
Examples:
  ingestor status
  ingestor status --json | jq .rates
  ingestor status --listen 10.0.0.5:9464

It asks the daemon that listens at --listen (127.0.0.1:9464 unless set), which counts for a second, so that it can show rates.
A browser shows more at http://127.0.0.1:9464/status.
Exit codes: 0 healthy, 1 not healthy, 69 no daemon answers there.";

pub(super) fn command() -> Command {
    let json = Arg::new("json")
        .long("json")
        .action(ArgAction::SetTrue)
        .help("As one JSON object, with all metrics and the status document");
    Command::new("status").about("How the running daemon does, in a few lines").after_help(EXAMPLES).arg(json)
}

pub(super) async fn run(matches: &ArgMatches, config: &Config, out: &mut dyn Write) -> anyhow::Result<u8> {
    let daemon = Daemon::of(config)?;
    // Health first: it tells the daemon from something else that listens there.
    let (healthy, health) = daemon.health().await?;
    let document = daemon.status().await?;
    let figures = match &document {
        Some(document) => Figures::of_document(document),
        None => counted_here(&daemon).await?,
    };
    if matches.get_flag("json") {
        let rates = json!({
            "received_per_second": figures.received_per_second,
            "stored_per_second": figures.stored_per_second,
        });
        let report = json!({
            "address": daemon.address.to_string(),
            "healthy": healthy,
            "health": health,
            "rates": rates,
            "metrics": daemon.metrics().await?,
            "status": document,
        });
        serde_json::to_writer_pretty(&mut *out, &report)?;
        writeln!(out)?;
    } else {
        writeln!(out, "{} at {}", if healthy { "healthy" } else { "NOT HEALTHY" }, daemon.address)?;
        figures.write(out)?;
        trouble(&health, out)?;
    }
    Ok(u8::from(!healthy))
}

/// Reads a daemon whose status document is none of this version by its metrics, twice within a second for the rates.
async fn counted_here(daemon: &Daemon) -> anyhow::Result<Figures> {
    writeln!(
        std::io::stderr(),
        "the daemon at {} is of another version than this command: read from its metrics",
        daemon.address
    )?;
    let (before, begun) = (daemon.metrics().await?, Instant::now());
    tokio::time::sleep(SAMPLE).await;
    Ok(Figures::of_metrics(&before, &daemon.metrics().await?, begun.elapsed()))
}

fn trouble(health: &Value, out: &mut dyn Write) -> std::io::Result<()> {
    let sentences = health.get("trouble").and_then(Value::as_array).into_iter().flatten();
    let mut all: Vec<&str> = sentences.filter_map(Value::as_str).collect();
    if all.is_empty() {
        all.push("none");
    }
    for sentence in all {
        writeln!(out, "trouble      {sentence}")?;
    }
    Ok(())
}
