//! The store is away for a while.

use std::time::Duration;

use fault_proxy::config::Outage;

use crate::support::{Bench, Daemon, until};

/// `OUTAGE_SECONDS` makes it longer; 1,200 is the figure in docs/performance.md.
#[tokio::test(flavor = "multi_thread")]
async fn the_spool_holds_an_outage_in_the_same_memory_and_drains() {
    let seconds: u64 = std::env::var("OUTAGE_SECONDS").map_or(6, |text| text.parse().unwrap());
    // 240 a second on one channel, the others in proportion: about 500 in all.
    let bench = Bench::new(31, 1.5).await;
    let daemon = Daemon::start(&bench.settings()).await;
    until("subscribed", || bench.simulator.subscriptions() == 4).await;
    bench.simulator.resume();
    daemon.until_metric("bitstamp_stored_total", |stored| stored > 500.0).await;
    for (way, share) in [(Outage::Refuse, 2), (Outage::Mute, 1), (Outage::Unavailable, 1)] {
        bench.proxy.set_down(Some(way));
        let (peak, now) = daemon.memory();
        eprintln!(
            "{way:?}: {:.0} records wait, {now} KiB now, {peak} KiB at most",
            daemon.metric("bitstamp_spool_records").await
        );
        tokio::time::sleep(Duration::from_secs(seconds * share) / 4).await; // the length of the outage
    }
    let waiting = daemon.metric("bitstamp_spool_records").await;
    let (peak, now) = daemon.memory();
    eprintln!("after {seconds} s: {waiting:.0} records wait, {now} KiB now, {peak} KiB at most");
    assert!(waiting > 100.0 * seconds as f64);
    bench.proxy.set_down(None);
    bench.simulator.pause();
    let (sent, begun) = (bench.sent() as f64, tokio::time::Instant::now());
    daemon.until_metric("bitstamp_durable_total", |durable| durable >= sent).await;
    while daemon.metric("bitstamp_spool_records").await > 0.0 {
        assert!(begun.elapsed() < Duration::from_secs(600 + seconds), "does not drain");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let (peak, now) = daemon.memory();
    eprintln!("drained in {:.1} s, {now} KiB now, {peak} KiB at most", begun.elapsed().as_secs_f64());
    assert_eq!(daemon.terminate(Duration::from_secs(60)).await, 0);
    let events = bench.assert_table_is_truth().await;
    eprintln!("{events} events, none missing, none twice");
}
