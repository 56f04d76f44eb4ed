//! `kill -9` at seeded moments under load.

use std::collections::BTreeMap;
use std::time::Duration;

use fault_proxy::mix::FaultProbabilities;
use rand::{RngExt as _, SeedableRng as _};
use rand_chacha::ChaCha8Rng;
use shared::item::Item;

use crate::support::{Bench, Daemon, assert_prefixes, in_blocks, until};

const KILLS: usize = 20;

/// So many kills, unless `KILLS` says otherwise.
fn kills() -> usize {
    std::env::var("KILLS").map_or(KILLS, |text| text.parse().unwrap())
}

/// What the spool had acknowledged is in the table, and nothing twice. Of each connection the table holds the first so many
/// frames without a hole; only what was still on its way when the daemon was killed is missing.
#[tokio::test(flavor = "multi_thread")]
async fn kill_9_loses_no_durable_frame() {
    let bench = Bench::new(21, 2.0).await;
    let settings = bench.settings();
    kill(&bench, &settings).await;
}

/// The same where order events are stored in blocks, by a store that answers badly, so that many a block is on its way when the daemon is
/// killed. A block is written again as it was: no event is in two blocks, or in a block and an item.
#[tokio::test(flavor = "multi_thread")]
async fn kill_9_changes_no_border_of_a_block() {
    let bench = Bench::new(22, 2.0).await;
    let mut settings = bench.settings();
    in_blocks(&mut settings);
    settings.insert("block_age".to_owned(), "100ms".to_owned());
    settings.insert("request_timeout".to_owned(), "500ms".to_owned());
    bench.proxy.set_mix(FaultProbabilities {
        slow: 0.2,
        closed: 0.1,
        half_written: 0.1,
        ..FaultProbabilities::rough()
    });
    kill(&bench, &settings).await;
    let (copies, events, blocks) = (bench.copies().await, bench.items().await, bench.blocks().await);
    eprintln!("{} events, {} blocks", events.len(), blocks.len());
    assert_eq!(copies.len(), events.len(), "an event is there twice");
    let orders = events.iter().filter(|event| event["channel"].as_s().unwrap().starts_with("live_orders")).count();
    let count = |block: &Item| block["count"].as_n().unwrap().parse::<usize>().unwrap();
    assert_eq!(blocks.values().map(count).sum::<usize>(), orders, "order events outside of blocks");
}

/// Kills the daemon again and again under load; what the table has at the end is compared with what was sent.
async fn kill(bench: &Bench, settings: &BTreeMap<String, String>) {
    let mut dice = ChaCha8Rng::seed_from_u64(bench.seed);
    let kills = kills();
    bench.simulator.resume();
    let mut durable = Vec::new();
    for _ in 0..kills {
        let daemon = Daemon::start(settings).await;
        until("subscribed", || bench.simulator.subscriptions() == 4).await;
        daemon.until_metric("bitstamp_durable_total", |frames| frames > 0.0).await;
        tokio::time::sleep(Duration::from_millis(dice.random_range(0..600))).await; // the seeded moment
        durable.push(daemon.metric("bitstamp_durable_total").await);
        daemon.kill();
        until("the simulator noticed", || bench.simulator.connections() == 0).await;
    }
    bench.simulator.pause();
    bench.proxy.set_mix(FaultProbabilities::default());
    let daemon = Daemon::start(settings).await;
    daemon.until_metric("bitstamp_spool_records", |records| records == 0.0).await;
    assert_eq!(daemon.terminate(Duration::from_secs(60)).await, 0);

    let prefixes = assert_prefixes(&bench.truth(), &bench.items().await);
    assert!(prefixes.len() >= kills, "{} connections", prefixes.len());
    for ((stored, sent), durable) in prefixes.iter().zip(&durable) {
        assert!(*stored as f64 >= *durable, "{durable} were durable, {stored} of {sent} are stored");
    }
    let stored: usize = prefixes.iter().map(|(stored, _)| stored).sum();
    let sent: usize = prefixes.iter().map(|(_, sent)| sent).sum();
    eprintln!(
        "{kills} kills: {sent} frames sent, {stored} stored without a hole, {} of them known to be durable before the kill",
        durable.iter().sum::<f64>(),
    );
}
