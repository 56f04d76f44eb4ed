use std::io::Write;
use std::time::Duration;

use clap::{Arg, ArgAction, ArgMatches, Command};
use ingestor::config::Config;
use serde_json::{Value, json};
use tokio::time::Instant;

use super::daemon::{Daemon, Metrics};
use super::{counted, grouped, sized};

/// Rates are counted over this time.
const SAMPLE: Duration = Duration::from_secs(1);

const EXAMPLES: &str = "\
Examples:
  ingestor status
  ingestor status --json | jq .rates
  ingestor status --listen 10.0.0.5:9464

It asks the daemon that listens at --listen (127.0.0.1:9464 unless set), twice within a second, so that it can show rates.
Exit codes: 0 healthy, 1 not healthy, 69 no daemon answers there.";

pub(super) fn command() -> Command {
    let json = Arg::new("json").long("json").action(ArgAction::SetTrue).help("As one JSON object, with all metrics");
    Command::new("status").about("How the running daemon does, in a few lines").after_help(EXAMPLES).arg(json)
}

pub(super) async fn run(matches: &ArgMatches, config: &Config, out: &mut dyn Write) -> anyhow::Result<u8> {
    let daemon = Daemon::of(config)?;
    // Health first: it tells the daemon from something else that listens there.
    let (healthy, health) = daemon.health().await?;
    let (before, begun) = (daemon.metrics().await?, Instant::now());
    tokio::time::sleep(SAMPLE).await;
    let (metrics, millis) = (daemon.metrics().await?, begun.elapsed().as_millis());
    let rate = |name: &str| {
        let grown = get(&metrics, name).saturating_sub(get(&before, name));
        u64::try_from(u128::from(grown) * 1_000 / millis.max(1)).unwrap_or(u64::MAX)
    };
    let (received, stored) = (rate("bitstamp_received_total"), rate("bitstamp_stored_total"));
    if matches.get_flag("json") {
        let rates = json!({ "received_per_second": received, "stored_per_second": stored });
        let address = daemon.address.to_string();
        let report =
            json!({ "address": address, "healthy": healthy, "health": health, "rates": rates, "metrics": metrics });
        serde_json::to_writer_pretty(&mut *out, &report)?;
        writeln!(out)?;
    } else {
        writeln!(out, "{} at {}", if healthy { "healthy" } else { "NOT HEALTHY" }, daemon.address)?;
        block(&metrics, received, stored, out)?;
        trouble(&health, &metrics, out)?;
    }
    Ok(u8::from(!healthy))
}

fn block(metrics: &Metrics, received: u64, stored: u64, out: &mut dyn Write) -> std::io::Result<()> {
    let of = |name: &str| get(metrics, name);
    let newest = match of("bitstamp_newest_stored_age_us") {
        0 => String::new(),
        age => format!("; newest event {}.{} s old", age / 1_000_000, age / 100_000 % 10),
    };
    writeln!(
        out,
        "connections  {} open, {}, {} lost so far",
        of("bitstamp_connections"),
        counted(of("bitstamp_subscriptions"), "subscription"),
        grouped(of("bitstamp_losses_total"))
    )?;
    let (all_received, all_stored) = (of("bitstamp_received_total"), of("bitstamp_stored_total"));
    writeln!(
        out,
        "received     {}/s on all connections, {} since the start",
        grouped(received),
        grouped(all_received)
    )?;
    writeln!(out, "stored       {}/s, {} since the start{newest}", grouped(stored), grouped(all_stored))?;
    let (bytes, max) = (sized(of("bitstamp_spool_bytes")), sized(of("bitstamp_spool_max_bytes")));
    writeln!(out, "waiting      {}; spool {bytes} of {max}", counted(of("bitstamp_spool_records"), "record"))?;
    writeln!(out, "quarantine   {}", counted(of("bitstamp_quarantine_records"), "record"))?;
    let (gaps, seconds) = (of("bitstamp_gaps_total"), of("bitstamp_gap_us_total") / 1_000_000);
    writeln!(
        out,
        "gaps         {} over all channels, {} s in all, since the start; filled {}, {} stay",
        grouped(gaps),
        grouped(seconds),
        grouped(of("bitstamp_gaps_filled_total")),
        grouped(of("bitstamp_gaps_unfillable_total"))
    )?;
    if of("bitstamp_writes") == 0 {
        let skipped = grouped(of("bitstamp_skipped_total"));
        writeln!(out, "lease        another daemon has it and writes; {skipped} events passed over that it proved")?;
    }
    let (table, index) = (of("bitstamp_throttled_table_total"), of("bitstamp_throttled_index_total"));
    writeln!(
        out,
        "writes       {} at once allowed; throttled {} (table) and {} (index), failed {} since the start",
        of("bitstamp_write_limit"),
        grouped(table),
        grouped(index),
        grouped(of("bitstamp_write_failures_total"))
    )
}

fn trouble(health: &Value, metrics: &Metrics, out: &mut dyn Write) -> std::io::Result<()> {
    let sentences = health.get("trouble").and_then(Value::as_array).into_iter().flatten();
    let mut all: Vec<&str> = sentences.filter_map(Value::as_str).collect();
    if get(metrics, "bitstamp_intake_stopped") > 0 {
        all.push("the spool is full: intake stopped, events are missed until a tenth is free");
    }
    if all.is_empty() && get(metrics, "bitstamp_connections") == 0 {
        all.push("no connection to the exchange is open");
    }
    if all.is_empty() {
        all.push("none");
    }
    for sentence in all {
        writeln!(out, "trouble      {sentence}")?;
    }
    Ok(())
}

fn get(metrics: &Metrics, name: &str) -> u64 {
    metrics.get(name).copied().unwrap_or_default()
}
