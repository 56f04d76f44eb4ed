//! The daemon itself does not run for a while: that is no silence of the exchange.

use std::collections::BTreeMap;
use std::process::Command;
use std::time::Duration;

use exchange_sim::faults::Fault;

use crate::support::{Bench, Daemon, Shim, until, until_async};

/// Two connections, a second for an answer.
fn settings(bench: &Bench) -> BTreeMap<String, String> {
    let mut settings = bench.settings();
    settings.insert("connections".to_owned(), "2".to_owned());
    settings.insert("heartbeat_every".to_owned(), "500ms".to_owned());
    settings.insert("answer_within".to_owned(), "1s".to_owned());
    settings
}

/// The daemon's connections, confirmed, with events on the way.
async fn started(bench: &Bench, disk: Option<&Shim>) -> Daemon {
    let daemon = Daemon::start_on(&settings(bench), disk).await;
    until("subscribed twice", || bench.simulator.subscriptions() == 8).await;
    bench.simulator.resume();
    daemon.until_metric("bitstamp_stored_total", |stored| stored > 300.0).await;
    daemon
}

async fn assert_nothing_was_lost(bench: &Bench, daemon: Daemon) {
    let stored = daemon.metric("bitstamp_stored_total").await;
    daemon.until_metric("bitstamp_stored_total", |now| now > stored + 300.0).await;
    assert_eq!(daemon.metric("bitstamp_losses_total").await, 0.0, "a connection was given up");
    let generated = bench.generated().len() as f64;
    until_async("stored", async || daemon.metric("bitstamp_stored_total").await >= generated).await;
    assert_eq!(bench.assert_table_is_truth().await as f64, generated);
    assert_eq!(daemon.terminate(Duration::from_secs(60)).await, 0);
}

fn signal(daemon: &Daemon, name: &str) {
    assert!(Command::new("kill").args([name, &daemon.id().to_string()]).status().unwrap().success());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stopped_process_gives_up_no_connection() {
    let bench = Bench::new(75, 1.0).await;
    let daemon = started(&bench, None).await;
    bench.simulator.pause();
    // An exchange far away: most of the time a heartbeat is under way.
    bench.simulator.inject(Fault::Slow { delay: Duration::from_millis(400), lasting: Duration::from_secs(14) });
    for _ in 0..5 {
        tokio::time::sleep(Duration::from_millis(700)).await; // questions are asked
        signal(&daemon, "-STOP");
        tokio::time::sleep(Duration::from_secs(2)).await; // the pause, twice as long as an answer may take
        signal(&daemon, "-CONT");
    }
    tokio::time::sleep(Duration::from_secs(2)).await; // the exchange is near again
    bench.simulator.resume();
    assert_nothing_was_lost(&bench, daemon).await;
}

/// The disk takes nothing, so the queue before it fills and the sockets' tasks wait.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_queue_gives_up_no_connection() {
    let bench = Bench::new(76, 3.0).await;
    let disk = Shim::disk(bench.folder.path());
    let daemon = started(&bench, Some(&disk)).await;
    let received = daemon.metric("bitstamp_received_total").await;
    disk.set(Some("slow"));
    daemon.until_metric("bitstamp_received_total", |now| now > received + 4_096.0).await;
    tokio::time::sleep(Duration::from_secs(4)).await; // the queue stays full
    bench.simulator.pause();
    disk.set(None);
    assert_nothing_was_lost(&bench, daemon).await;
}
