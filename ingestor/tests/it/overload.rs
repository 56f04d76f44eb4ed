//! More than one partition of the index takes.

use std::time::Duration;

use fault_proxy::budgets::Budgets;
use tokio::time::Instant;

use crate::support::{Bench, Daemon, until};

/// One channel at five times what its partition of the index takes: the spool absorbs it, the writer finds the rate by itself.
/// `OVERLOAD_UNITS=1000 OVERLOAD_SECONDS=60` is the figure in docs/performance.md.
#[tokio::test(flavor = "multi_thread")]
async fn a_hot_channel_is_absorbed_and_drained_at_the_limit() {
    let number = |name: &str, default| std::env::var(name).map_or(default, |text| text.parse().unwrap());
    let (units, seconds) = (number("OVERLOAD_UNITS", 60_u32), number("OVERLOAD_SECONDS", 5_u32));
    // At 1.0 the channel has 240 events a second, of one unit each.
    let bench = Bench::new(91, 5.0 * f64::from(units) / 240.0).await;
    bench.proxy.set_budgets(Some(Budgets { index_units: f64::from(units), ..Budgets::default() }));
    let mut settings = bench.settings();
    settings.insert("channels".to_owned(), "live_orders_btcusd".to_owned());
    let daemon = Daemon::start(&settings).await;
    until("subscribed", || bench.simulator.subscriptions() == 1).await;
    bench.simulator.resume();
    tokio::time::sleep(Duration::from_secs(seconds.into())).await; // the length of the overload
    bench.simulator.pause();
    let (sent, stored) = (bench.sent(), daemon.metric("bitstamp_stored_total").await);
    let (begun, deadline) = (Instant::now(), Duration::from_secs(600 + u64::from(seconds) * 10));
    while daemon.metric("bitstamp_stored_total").await < sent as f64 {
        assert!(begun.elapsed() < deadline, "does not drain");
        tokio::time::sleep(Duration::from_millis(50)).await; // another process does not signal
    }
    let drained = (sent as f64 - stored) / begun.elapsed().as_secs_f64();
    let attempts = daemon.metric("bitstamp_write_attempts_total").await;
    let throttled = daemon.metric("bitstamp_throttled_index_total").await;
    let (peak, _) = daemon.memory();
    assert_eq!(daemon.terminate(Duration::from_secs(60)).await, 0);
    let events = bench.assert_table_is_truth().await;
    eprintln!(
        "{events} events in {seconds} s, {stored:.0} stored meanwhile; then {drained:.0} a second of {units} units, {:.0} %; \
         {attempts:.0} requests, {throttled:.0} throttled; peak {peak} KiB",
        drained / f64::from(units) * 100.0
    );
    assert!(throttled > 0.0, "the limit was met");
}
