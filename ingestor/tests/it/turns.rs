//! Two daemons that take turns: one writes, the other keeps watch.

use std::time::Duration;

use exchange_sim::faults::Fault;
use ingestor::clock::system_micros;
use shared::coverage::State;
use shared::item::{Item, SOURCE};

use crate::support::{Bench, Daemon, is_in, until, until_async, until_gone};

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
    until_gone("drained", async || {
        let received = other.metric("bitstamp_received_total").await;
        tokio::time::sleep(Duration::from_secs(1)).await; // what is on its way arrives
        let now = other.metrics().await.unwrap();
        let is_quiet = now["bitstamp_received_total"] == received;
        if is_quiet { now["bitstamp_spool_records"] } else { f64::MAX }
    })
    .await;
    assert_eq!(other.terminate(Duration::from_secs(60)).await, 0);

    let comparison = bench.compare().await;
    assert_eq!((comparison.missing.as_slice(), comparison.extra), (&[][..], 0));
    let lease = bench.all_items().await.into_iter().find(|item| item["channel"].as_s().unwrap() == "_lease").unwrap();
    assert_eq!(lease["number"].as_n().unwrap(), "2", "it changed hands once");
    assert!(lease["owner"].is_null(), "it was given back: {lease:?}");
}

/// Daemons with different channels do not take turns: nobody else would write the channels of the one that waits.
#[tokio::test(flavor = "multi_thread")]
async fn daemons_of_different_channels_both_write() {
    let bench = Bench::new(53, 0.1).await;
    let mut settings = bench.settings();
    settings.insert("lease".to_owned(), "2s".to_owned());
    settings.insert("channels".to_owned(), "live_trades_btcusd,live_orders_btcusd".to_owned());
    let first = bench.start(&settings).await;
    settings.insert("channels".to_owned(), "live_trades_ethusd,live_orders_ethusd".to_owned());
    settings.insert("spool_dir".to_owned(), bench.folder.path().join("other").display().to_string());
    let other = bench.start(&settings).await;
    let both = [first.status(), other.status()];
    until("both write", || both.iter().all(|status| status.writes.get() == 1)).await;
    until("both subscribed", || bench.simulator.subscriptions() == 4).await;
    bench.simulator.resume();
    until("both stored", || both.iter().all(|status| status.stored.get() > 10)).await;
    let sent = bench.sent();
    until_gone("drained", async || sent.saturating_sub(both.iter().map(|status| status.stored.get()).sum())).await;
    bench.assert_table_is_truth().await;
    first.stop().await.unwrap();
    other.stop().await.unwrap();
}

/// The leader misses something and fills it from the exchange's history, which tells less than the stream did. The other one has
/// it as it was sent, and comes later.
#[tokio::test(flavor = "multi_thread")]
async fn what_the_leader_had_to_fill_the_other_replaces_by_what_was_sent() {
    let bench = Bench::new(53, 0.2).await;
    let mut settings = bench.settings();
    for (key, value) in [("lease", "4s"), ("fill_after", "12s"), ("ping_every", "500ms"), ("heartbeat_every", "500ms")]
    {
        settings.insert(key.to_owned(), value.to_owned());
    }
    let mut others = settings.clone();
    others.insert("spool_dir".to_owned(), bench.folder.path().join("other").display().to_string());
    settings.insert("answer_within".to_owned(), "2s".to_owned());
    let first = Daemon::start(&settings).await;
    first.until_metric("bitstamp_writes", |writes| writes == 1.0).await;
    until("the first subscribed", || bench.simulator.subscriptions() == 4).await;
    let other = Daemon::start(&others).await;
    until("both subscribed", || bench.simulator.subscriptions() == 8).await;
    tokio::time::sleep(Duration::from_secs(5)).await; // nothing is known of the time before the connections are proved
    bench.simulator.resume();
    first.until_metric("bitstamp_stored_total", |stored| stored > 300.0).await;
    bench.simulator.inject(Fault::Mute { lasting: Some(Duration::from_secs(60)) }.on(1));
    first.until_metric("bitstamp_losses_total", |losses| losses > 0.0).await;
    // As the daemon sees it: the simulator counts the mute connection until it speaks again, and meanwhile the other one captures.
    first.until_metric("bitstamp_subscriptions", |subscriptions| subscriptions == 4.0).await;
    let seen = system_micros();
    let received = other.metric("bitstamp_received_total").await;
    other.until_metric("bitstamp_durable_total", |durable| durable >= received).await;
    other.kill();
    // Of two channels; the others' may take longer.
    first.until_metric("bitstamp_gaps_filled_total", |filled| filled >= 2.0).await;

    let other = Daemon::start(&others).await;
    until("both subscribed", || bench.simulator.subscriptions() == 8).await;
    let wrote = async || other.metric("bitstamp_stored_total").await + other.metric("bitstamp_skipped_total").await;
    until_async("the other caught up", async || wrote().await > received).await;
    bench.simulator.pause();
    // To the last one: trades that wait for the first one's ledger are few.
    for daemon in [&first, &other] {
        until_gone("drained", async || daemon.metric("bitstamp_spool_records").await).await;
    }
    assert_eq!(first.metric("bitstamp_writes").await, 1.0);
    for daemon in [other, first] {
        assert_eq!(daemon.terminate(Duration::from_secs(60)).await, 0);
    }

    let comparison = bench.compare().await;
    assert_eq!(comparison.extra, 0);
    // What neither daemon had is missing until its gap is filled, which the test does not wait for.
    for (channel, time) in &comparison.missing {
        let ledger = bench.ledger(channel).await;
        let is_declared = is_in(&ledger, State::Gap, *time)
            && !is_in(&ledger, State::Captured, *time)
            && !is_in(&ledger, State::Filled, *time);
        assert!(is_declared, "{channel} {time} of {:?}: {ledger:#?}", comparison.missing);
    }
    let items = bench.items().await;
    // A fetched trade names its second only: in the last one, in which the other one ended, nobody may have it as it was sent.
    let is_before = |item: &&Item| {
        let time: u64 = item["nmicrotimestamp"].as_n().unwrap().parse().unwrap();
        time + 1_000_000 < seen
    };
    let poorer: Vec<_> = items.iter().filter(|item| item.contains_key(SOURCE)).filter(is_before).collect();
    for item in &poorer {
        let copies: Vec<_> = items.iter().filter(|copy| copy["id"] == item["id"]).collect();
        let ledger = bench.ledger(item["channel"].as_s().unwrap()).await;
        eprintln!("{item:?}: {} copies of {copies:?}: {ledger:#?}", copies.len());
    }
    assert!(poorer.is_empty(), "{} of {}: {:#?}", poorer.len(), items.len(), poorer[0]);
}
