//! `kill -9` at seeded moments under load.

use std::time::Duration;

use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;

use crate::support::{Bench, Daemon, assert_prefixes, until};

const KILLS: usize = 20;

/// What the spool had acknowledged is in the table, and nothing twice. Of each connection the table holds the first so many
/// frames without a hole; only what was still on its way when the daemon was killed is missing.
#[tokio::test(flavor = "multi_thread")]
async fn kill_9_loses_no_durable_frame() {
    let bench = Bench::new(21, 2.0).await;
    let mut dice = ChaCha8Rng::seed_from_u64(bench.seed);
    let settings = bench.settings();
    bench.simulator.resume();
    let mut durable = Vec::new();
    for _ in 0..KILLS {
        let daemon = Daemon::start(&settings).await;
        until("subscribed", || bench.simulator.subscriptions() == 4).await;
        daemon.until_metric("bitstamp_durable_total", |frames| frames > 0.0).await;
        tokio::time::sleep(Duration::from_millis(dice.random_range(0..600))).await; // the seeded moment
        durable.push(daemon.metric("bitstamp_durable_total").await);
        daemon.kill();
        until("the simulator noticed", || bench.simulator.connections() == 0).await;
    }
    bench.simulator.pause();
    let daemon = Daemon::start(&settings).await;
    daemon.until_metric("bitstamp_spool_records", |records| records == 0.0).await;
    assert_eq!(daemon.terminate(Duration::from_secs(10)).await, 0);

    let prefixes = assert_prefixes(&bench.truth(), &bench.items().await);
    assert!(prefixes.len() >= KILLS, "{} connections", prefixes.len());
    for ((stored, sent), durable) in prefixes.iter().zip(&durable) {
        assert!(*stored as f64 >= *durable, "{durable} were durable, {stored} of {sent} are stored");
    }
    let stored: usize = prefixes.iter().map(|(stored, _)| stored).sum();
    let sent: usize = prefixes.iter().map(|(_, sent)| sent).sum();
    eprintln!(
        "{KILLS} kills: {sent} frames sent, {stored} stored without a hole, {} of them known to be durable before the kill",
        durable.iter().sum::<f64>(),
    );
}
