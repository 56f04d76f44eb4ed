//! A store that answers with everything it can, in a seeded mix.

use std::time::Duration;

use fault_proxy::config::Outage;
use fault_proxy::mix::FaultProbabilities;
use fault_proxy::proxy::Proxy;
use ingestor::observe::status::Component;
use ingestor::pipeline::Pipeline;
use ingestor::store::reader::{Side, StoreReader};

use crate::support::{Bench, CHANNELS, client, until, until_async};

#[tokio::test(flavor = "multi_thread")]
async fn a_rough_store_loses_nothing_and_makes_nobody_spin() {
    let bench = Bench::new(11, 2.0).await;
    bench.proxy.set_mix(FaultProbabilities::rough());
    let mut settings = bench.settings();
    settings.insert("request_timeout".to_owned(), "500ms".to_owned());
    let daemon = bench.start(&settings).await;
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
    let status = daemon.status();
    until("subscribed", || bench.simulator.subscriptions() == 4).await;
    bench.simulator.resume();
    // Before its first write the daemon asks for the table and its record, which the other test is about.
    until("an event is stored", || status.stored.get() > 0).await;
    bench.proxy.set_mix(FaultProbabilities { server_error: 1.0, ..FaultProbabilities::default() });
    assert_rarely_asked(&bench, &daemon, "BatchWriteItem").await;
    bench.proxy.set_mix(FaultProbabilities::default());
    bench.drain(&daemon).await;
    bench.assert_table_is_truth().await;
    daemon.stop().await.unwrap();
}

/// A store that has failed every request since the daemon started: nothing is written before the table and the record of how long
/// items are kept could be read, and nothing is lost.
#[tokio::test(flavor = "multi_thread")]
async fn a_store_that_fails_from_the_start_is_rarely_asked() {
    let bench = Bench::new(15, 1.0).await;
    bench.proxy.set_mix(FaultProbabilities { server_error: 1.0, ..FaultProbabilities::default() });
    let daemon = bench.start(&bench.settings()).await;
    until("subscribed", || bench.simulator.subscriptions() == 4).await;
    bench.simulator.resume();
    assert_rarely_asked(&bench, &daemon, "DescribeTable").await;
    assert_eq!(bench.proxy.counts().requested("BatchWriteItem"), 0);
    let trouble = daemon.status().trouble();
    assert!(trouble.contains_key(&Component::Table), "{trouble:?}");
    bench.proxy.set_mix(FaultProbabilities::default());
    bench.drain(&daemon).await;
    until("the trouble is over", || !daemon.status().trouble().contains_key(&Component::Table)).await;
    bench.assert_table_is_truth().await;
    daemon.stop().await.unwrap();
}

/// Asserts that the store is asked again, and not in a loop.
async fn assert_rarely_asked(bench: &Bench, daemon: &Pipeline, action: &str) {
    let spool = daemon.spool();
    until("100 events wait", || spool.depth() > 100).await;
    let asked = || bench.proxy.counts().requested(action);
    let before = asked();
    tokio::time::sleep(Duration::from_secs(5)).await; // the rate over a fixed time is what is measured
    let attempts = asked() - before;
    eprintln!("{attempts} times {action} in 5 s");
    assert!(attempts < 300, "{attempts} times {action} in 5 s");
    until("it goes on trying", || asked() > before).await;
}

/// Answers with status 200 that do not say what became of each item: without a body, `{}`, and with unprocessed items that were
/// not sent. Half of the requests take no effect.
#[tokio::test(flavor = "multi_thread")]
async fn an_answer_that_does_not_account_for_every_item_is_no_answer() {
    let bench = Bench::new(13, 1.0).await;
    let daemon = bench.start(&bench.settings()).await;
    let (status, spool) = (daemon.status(), daemon.spool());
    // The description of the table, too, would be asked for again for as long as its answer is empty.
    until("subscribed", || bench.simulator.subscriptions() == 4).await;
    bench.simulator.resume();
    until("an event is stored", || status.stored.get() > 0).await;
    bench.drain(&daemon).await;
    for mix in [
        FaultProbabilities { empty: 1.0, ..FaultProbabilities::default() },
        FaultProbabilities { bare: 1.0, ..FaultProbabilities::default() },
        FaultProbabilities { foreign_unprocessed: 1.0, ..FaultProbabilities::default() },
    ] {
        bench.proxy.set_mix(mix);
        let (stored, failures) = (status.stored.get(), status.failures.get());
        until("subscribed", || bench.simulator.subscriptions() == 4).await;
        bench.simulator.resume();
        until("100 events wait and 20 requests failed", || {
            spool.depth() > 100 && status.failures.get() > failures + 20
        })
        .await;
        assert_eq!(status.stored.get(), stored, "nothing is stored by an answer that says nothing: {mix:?}");
        let said = status.trouble().into_values().any(|trouble| trouble.contains("does not say what became of every"));
        assert!(said, "{:?}", status.trouble());
        bench.proxy.set_mix(FaultProbabilities::default());
        bench.drain(&daemon).await;
        bench.assert_table_is_truth().await;
    }
    // The channel list is written by PutItem on a condition.
    until_async("the channel list", async || {
        let items = bench.all_items().await;
        items.iter().filter(|item| item["channel"].as_s().unwrap() == "_channels").count() == CHANNELS.len()
    })
    .await;
    assert_eq!(spool.quarantine().count(), 0);
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_empty_answer_gives_nobody_the_lease_and_finds_nothing_missing() {
    let bench = Bench::new(14, 1.0).await;
    let mut settings = bench.settings();
    settings.insert("lease".to_owned(), "2s".to_owned());
    let daemon = bench.start(&settings).await;
    let status = daemon.status();
    until("it writes", || status.writes.get() == 1).await;
    bench.proxy.set_mix(FaultProbabilities { empty: 1.0, ..FaultProbabilities::default() });
    until("the lease runs out", || status.writes.get() == 0).await;
    let asked = bench.proxy.counts().requested("Query");
    until("it was asked for five times more", || {
        assert_eq!(status.writes.get(), 0, "an empty answer gives no lease");
        bench.proxy.counts().requested("Query") >= asked + 5
    })
    .await;
    let stored = StoreReader { client: client(&bench.proxy.url()).await, table: "bitstamp-live".to_owned() };
    stored.has(CHANNELS[0], "1").await.unwrap_err();
    stored.nearest(CHANNELS[0], 1, Side::After, 1).await.unwrap_err();
    stored.ledger(CHANNELS[0], 1).await.unwrap_err();
    bench.proxy.set_mix(FaultProbabilities::default());
    until("it writes again", || status.writes.get() == 1).await;
    daemon.stop().await.unwrap();
}

/// A role that may write batches but not single items: the channel list waits, the events do not, even where there are fewer writers
/// than channels.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_channel_list_does_not_keep_events_from_the_table() {
    let bench = Bench::new(15, 0.1).await;
    let mut config = fault_proxy::config::Config::new(bench.proxy.url(), 15);
    let allowed = ["DescribeTable", "Query", "BatchWriteItem"];
    config.allow = Some(allowed.map(str::to_owned).into());
    let proxy = Proxy::start(config).await.unwrap();
    let mut settings = bench.settings();
    settings.insert("endpoint_url".to_owned(), proxy.url());
    settings.insert("writers".to_owned(), "2".to_owned());
    let daemon = bench.start(&settings).await;
    let status = daemon.status();
    until("subscribed", || bench.simulator.subscriptions() == 4).await;
    bench.simulator.resume();
    until("stored", || status.stored.get() > 50).await;
    let trouble = status.trouble()[&Component::Channels].clone();
    assert!(trouble.contains("permission is missing: dynamodb:PutItem"), "{trouble}");
    bench.drain(&daemon).await;
    bench.assert_table_is_truth().await;
    assert!(bench.all_items().await.iter().all(|item| item["channel"].as_s().unwrap() != "_channels"));
    // It still tries to list its channels.
    daemon.stop().await.unwrap();
}

/// A table whose index is of another type refuses every write. That is no fault of the items.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_refuses_everything_fills_no_quarantine() {
    let bench = Bench::new(91, 0.3).await;
    let daemon = bench.start(&bench.settings()).await;
    let (status, spool) = (daemon.status(), daemon.spool());
    until("subscribed", || bench.simulator.subscriptions() == 4).await;
    bench.simulator.resume();
    until("stored", || status.stored.get() > 100).await;
    bench.proxy.set_down(Some(Outage::WrongIndex));
    let said = || status.trouble().get(&Component::Table).cloned().unwrap_or_default();
    until("it is said", || said().contains("the table takes no item")).await;
    let received = status.received.get();
    until("captured meanwhile", || status.received.get() > received + 300).await;
    assert_eq!(spool.quarantine().count(), 0);
    bench.proxy.set_down(None);
    bench.drain(&daemon).await;
    assert_eq!(spool.quarantine().count(), 0);
    bench.assert_table_is_truth().await;
    daemon.stop().await.unwrap();
}

/// The channel list is written once: a refusal that passes must not be taken for the end of the matter.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_refuses_everything_at_first_gets_its_channel_list() {
    let bench = Bench::new(92, 0.3).await;
    let daemon = bench.start(&bench.settings()).await;
    bench.proxy.set_down(Some(Outage::WrongIndex));
    let status = daemon.status();
    until("subscribed", || bench.simulator.subscriptions() == 4).await;
    bench.simulator.resume();
    let asked = || bench.proxy.counts().requested("PutItem");
    until("each entry was refused and tried again", || asked() >= 2 * CHANNELS.len() as u64).await;
    assert!(status.trouble().contains_key(&Component::Channels), "{:?}", status.trouble());
    bench.proxy.set_down(None);
    until_async("the channel list", async || {
        let items = bench.all_items().await;
        items.iter().filter(|item| item["channel"].as_s().unwrap() == "_channels").count() == CHANNELS.len()
    })
    .await;
    until("the trouble is over", || !status.trouble().contains_key(&Component::Channels)).await;
    daemon.stop().await.unwrap();
}
