//! Two daemons that take turns: one writes, the other keeps watch.

use std::time::Duration;

use exchange_sim::faults::Fault;

use crate::support::{Bench, Daemon, until, until_async};

#[tokio::test(flavor = "multi_thread")]
async fn the_other_adds_what_was_missed_and_takes_over() {
    let bench = Bench::new(51, 1.0).await;
    let mut settings = bench.settings();
    for (key, value) in [("lease", "4s"), ("ping_every", "500ms"), ("heartbeat_every", "500ms")] {
        settings.insert(key.to_owned(), value.to_owned());
    }
    let first = Daemon::start(&settings).await;
    first.until_metric("bitstamp_writes", |writes| writes == 1.0).await;
    until("the first subscribed", || bench.simulator.subscriptions() == 4).await;
    // What is sent before a connection is proved, nobody has proved: the other one comes later.
    tokio::time::sleep(Duration::from_secs(5)).await;
    bench.simulator.resume();
    first.until_metric("bitstamp_stored_total", |stored| stored > 500.0).await;
    settings.insert("spool_dir".to_owned(), bench.folder.path().join("other").display().to_string());
    let other = Daemon::start(&settings).await;
    until("both subscribed", || bench.simulator.subscriptions() == 8).await;

    // Of the trades that the first misses the other knows once the first has said that it missed them.
    first.until_metric("bitstamp_stored_total", |stored| stored > 2_000.0).await;
    bench.simulator.inject(Fault::Cut.on(1));
    other.until_metric("bitstamp_skipped_total", |skipped| skipped > 1_000.0).await;
    other.until_metric("bitstamp_stored_total", |stored| stored > 0.0).await;
    assert_eq!(first.metric("bitstamp_writes").await, 1.0);
    assert_eq!(other.metric("bitstamp_writes").await, 0.0);
    let (skipped, stored) = (other.metric("bitstamp_skipped_total").await, other.metric("bitstamp_stored_total").await);
    eprintln!("the other skipped {skipped} and added {stored}");
    assert!(stored < skipped, "{stored} {skipped}");

    first.kill();
    other.until_metric("bitstamp_writes", |writes| writes == 1.0).await;
    let before = other.metric("bitstamp_stored_total").await;
    other.until_metric("bitstamp_stored_total", |stored| stored > before + 2_000.0).await;
    bench.simulator.pause();
    until_async("drained", async || {
        let received = other.metric("bitstamp_received_total").await;
        tokio::time::sleep(Duration::from_secs(1)).await; // what is on its way arrives
        let now = other.metrics().await.unwrap();
        now["bitstamp_received_total"] == received && now["bitstamp_spool_records"] < 20.0
    })
    .await;
    assert_eq!(other.terminate(Duration::from_secs(20)).await, 0);

    let comparison = bench.compare().await;
    assert_eq!((comparison.missing.as_slice(), comparison.extra), (&[][..], 0));
    let lease = bench.all_items().await.into_iter().find(|item| item["channel"].as_s().unwrap() == "_lease").unwrap();
    assert_eq!(lease["number"].as_n().unwrap(), "2", "it changed hands once");
    assert!(lease["owner"].is_null(), "it was given back: {lease:?}");
}
