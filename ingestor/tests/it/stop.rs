//! SIGTERM in the middle of a burst.

use std::time::Duration;

use fault_proxy::mix::FaultProbabilities;

use crate::support::{Bench, Daemon, assert_prefixes, until};

/// The store is too slow to drain in time, so part of the burst is left in the spool and written after the next start.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_in_a_burst_is_in_time_and_loses_nothing() {
    let bench = Bench::new(41, 20.0).await;
    bench.proxy.set_mix(FaultProbabilities { slow: 1.0, ..FaultProbabilities::default() });
    let mut settings = bench.settings();
    settings.insert("request_timeout".to_owned(), "5s".to_owned());
    settings.insert("writers".to_owned(), "2".to_owned());
    let daemon = Daemon::start(&settings).await;
    until("subscribed", || bench.simulator.subscriptions() == 4).await;
    bench.simulator.resume();
    daemon.until_metric("bitstamp_durable_total", |frames| frames > 5_000.0).await;
    let durable = daemon.metric("bitstamp_durable_total").await;
    assert_eq!(daemon.terminate(Duration::from_secs(10)).await, 0);
    bench.simulator.pause();
    let lines = bench.truth();
    let before = bench.items().await.len();

    bench.proxy.set_mix(FaultProbabilities::default());
    let daemon = Daemon::start(&settings).await;
    daemon.until_metric("bitstamp_spool_records", |records| records == 0.0).await;
    assert_eq!(daemon.terminate(Duration::from_secs(60)).await, 0);
    // The second daemon was not sent anything: the flow is paused.
    let (count, sent) = assert_prefixes(&lines, &bench.items().await)[0];
    eprintln!("{sent} sent, {durable} durable before the signal, {before} stored at the stop, {count} in the end");
    assert!(count as f64 >= durable, "{durable} were durable, {count} are stored");
    assert!(before < count, "the store was fast enough: nothing was left in the spool, the test shows nothing");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_stop_at_rest_drains_everything() {
    let bench = Bench::new(42, 2.0).await;
    let mut settings = bench.settings();
    settings.insert("stop_within".to_owned(), "2min".to_owned());
    let daemon = bench.start(&settings).await;
    until("subscribed", || bench.simulator.subscriptions() == 4).await;
    bench.simulator.resume();
    let status = daemon.status();
    until("1,000 received", || status.received.get() >= 1_000).await;
    let sent = bench.sent();
    until("received", || status.received.get() >= sent).await;
    let stopped = daemon.stop().await.unwrap();
    assert_eq!(stopped.left, 0);
    bench.assert_table_is_truth().await;
}
