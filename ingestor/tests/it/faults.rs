//! A store that answers with everything it can, in a seeded mix.

use std::time::Duration;

use fault_proxy::mix::Mix;

use crate::support::{Bench, until};

#[tokio::test(flavor = "multi_thread")]
async fn a_rough_store_loses_nothing_and_makes_nobody_spin() {
    let bench = Bench::new(11, 2.0).await;
    bench.proxy.set_mix(Mix::rough());
    let daemon = bench.start(&bench.settings()).await;
    let (status, spool) = (daemon.status(), daemon.spool());
    until("subscribed", || bench.simulator.subscriptions() == 4).await;
    bench.simulator.resume();
    until("6,000 received", || status.received.get() >= 6_000).await;
    bench.drain(&daemon).await;
    let events = bench.assert_table_is_truth().await;

    let attempts = status.attempts.get();
    let counts = bench.proxy.counts();
    let needed = (events as u64).div_ceil(25);
    eprintln!(
        "{events} events, {attempts} attempts ({needed} at least), unprocessed {}, throttled {} table {} index, failed {}",
        status.unprocessed.get(),
        status.throttled_table.get(),
        status.throttled_index.get(),
        status.failures.get(),
    );
    eprintln!("proxy: {counts:?}");
    // Each kind of answer was met, and told apart.
    assert!(status.unprocessed.get() > 0 && status.throttled_table.get() > 0);
    assert!(status.throttled_index.get() > 0 && status.failures.get() > 0);
    assert_eq!(spool.quarantine().count(), 0, "a fault of the store is no fault of the item");
    daemon.stop().await.unwrap();
}

/// A store that fails every request is asked ever more slowly, not in a loop.
#[tokio::test(flavor = "multi_thread")]
async fn attempts_without_progress_become_rare() {
    let bench = Bench::new(12, 1.0).await;
    let daemon = bench.start(&bench.settings()).await;
    let (status, spool) = (daemon.status(), daemon.spool());
    until("subscribed", || bench.simulator.subscriptions() == 4).await;
    bench.proxy.set_mix(Mix { server_error: 1.0, ..Mix::default() });
    bench.simulator.resume();
    until("100 events wait", || spool.depth() > 100).await;
    let before = status.attempts.get();
    tokio::time::sleep(Duration::from_secs(5)).await; // the rate over a fixed time is what is measured
    let attempts = status.attempts.get() - before;
    eprintln!("{attempts} attempts in 5 s");
    assert!(attempts > 0, "it goes on trying");
    assert!(attempts < 300, "{attempts} attempts in 5 s");
    bench.proxy.set_mix(Mix::default());
    bench.drain(&daemon).await;
    bench.assert_table_is_truth().await;
    daemon.stop().await.unwrap();
}
