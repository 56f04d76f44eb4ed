//! How much one core captures, and what the whole daemon costs beside the store's own ceiling.
//!
//! `cargo bench -p ingestor` (events: `-- 1000000`; only what concerns blocks: `-- blocks`). One run, the same frames:
//!
//! 1. parse + item + spool: every frame is appended and fsynced as the intake does it, read back, parsed and built;
//! 2. a bare loop of BatchWriteItem calls with ready-made items into an embedded store in memory: the ceiling;
//! 3. the daemon as a process of its own, from the WebSocket into the same kind of store, with its CPU time and peak memory: single events,
//!    then blocks;
//! 4. the daemon with blocks at the busiest market's usual rate (`BENCH_SECONDS`, 60 unless it is set): its CPU time, and how old an event
//!    is when a reader finds it.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark prints and may panic"
)]

mod daemon;
mod paced;
mod stages;

use std::fs;
use std::io::Write as _;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use exchange_sim::{Simulator, Source};
use ingestor::store::table;

use crate::daemon::{Daemon, Storage};

fn main() {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let events: u64 = arguments.iter().find_map(|argument| argument.parse().ok()).unwrap_or(200_000);
    let only_blocks = arguments.iter().any(|argument| argument == "blocks");
    // The last event is of now.
    let begin = (ingestor::clock::system_micros() / 1_000 - events) * 1_000;
    let frames: Vec<String> = (0..events).map(|number| stages::frame(number, begin)).collect();
    let bytes: usize = frames.iter().map(String::len).sum();
    println!("{events} order events, {} bytes each", bytes / frames.len());

    let folder = tempfile::tempdir().unwrap();
    let recording = write(&folder.path().join("frames.ndjson"), &frames);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    if !only_blocks {
        stages::on_one_core(&frames);
        let bare = runtime.block_on(stages::bare_loop(&frames));
        let daemon = runtime.block_on(whole_daemon(&recording, events, Storage::Events));
        println!("daemon / bare loop: {:.2}", daemon / bare);
    }
    runtime.block_on(whole_daemon(&recording, events, Storage::Blocks));
    runtime.block_on(paced::at_the_usual_rate());
}

fn write(path: &Path, frames: &[String]) -> PathBuf {
    let mut file = std::io::BufWriter::new(fs::File::create(path).unwrap());
    for frame in frames {
        writeln!(file, "{frame}").unwrap();
    }
    file.flush().unwrap();
    path.to_owned()
}

/// The daemon takes a recording as fast as it can; returns the events that it stores a second.
async fn whole_daemon(recording: &Path, events: u64, storage: Storage) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let engine = daemon::store().await;
    table::create(&daemon::client(&engine).await, daemon::TABLE).await.unwrap();
    let source = Source::Recording { path: recording.to_owned(), speed: f64::INFINITY };
    let simulator = Simulator::start(exchange_sim::Config { source, paused: true, ..exchange_sim::Config::default() })
        .await
        .unwrap();

    let daemon = Daemon::start(&simulator, &engine, folder.path(), storage).await;
    let before = daemon.cpu_seconds();
    let started = Instant::now();
    simulator.resume();
    let events = events as f64;
    let mut received_in = None;
    loop {
        let metrics = daemon.metrics().await;
        if metrics.value("bitstamp_durable_total") >= events {
            received_in.get_or_insert(started.elapsed());
        }
        if metrics.value("bitstamp_stored_total") >= events {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await; // another process does not signal
    }
    let elapsed = started.elapsed().as_secs_f64();
    let cpu = daemon.cpu_seconds() - before;
    let received = received_in.map_or(elapsed, |time| time.as_secs_f64());
    println!(
        "whole daemon, {storage:?}: {:.0} events/s received and durable, {:.0} events/s stored",
        events / received,
        events / elapsed
    );
    println!("  its CPU: {:.1} s per million events; peak memory {} KiB", cpu / events * 1e6, daemon.peak_kib());
    daemon.kill();
    events / elapsed
}
