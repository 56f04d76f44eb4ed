//! A clock that is wrong or is set, and times that cannot be: nothing is called captured that was missed.

use std::sync::Arc;
use std::sync::atomic::{AtomicI64, Ordering};
use std::time::Duration;

use exchange_sim::faults::Fault;
use ingestor::clock::Wall;
use ingestor::config::Config;
use ingestor::observe::status::Component;
use ingestor::pipeline::Pipeline;
use ingestor::store::table;
use shared::coverage::State;
use shared::key::Keyed;
use shared::time::Micros;

use crate::support::{Bench, CHANNELS, is_in, until, until_async, until_drained};

const SECOND: i64 = 1_000_000;

/// The daemon with one connection and a machine's clock that `offset` moves.
async fn start(bench: &Bench, offset: &Arc<AtomicI64>) -> Pipeline {
    let mut settings = bench.settings();
    settings.insert("heartbeat_every".to_owned(), "300ms".to_owned());
    settings.insert("request_timeout".to_owned(), "60s".to_owned());
    let config = Config::read(&settings, &Default::default(), None).unwrap();
    let config = Config { wall: Wall::Offset(offset.clone()), ..config };
    let client = table::connect(&config).await;
    let daemon = Pipeline::start(config, client).await.unwrap();
    until("subscribed", || bench.simulator.subscriptions() == 4).await;
    daemon
}

/// Goes on until everything of the trades' channel from now on is captured for a while.
async fn until_captured(bench: &Bench) {
    let now = ingestor::clock::system_micros() + 3_000_000;
    until_async("captured again", async || {
        bench
            .ledger(CHANNELS[0])
            .await
            .iter()
            .any(|interval| interval.state == State::Captured && interval.through > now)
    })
    .await;
}

/// Compares what is missing with the ledger.
async fn assert_no_false_captured(bench: &Bench, daemon: Pipeline) {
    bench.simulator.pause();
    until_drained(&daemon.spool()).await;
    daemon.stop().await.unwrap();
    let comparison = bench.compare().await;
    assert_eq!(comparison.extra, 0);
    assert!(!comparison.missing.is_empty(), "the loss lost nothing");
    for (channel, time) in &comparison.missing {
        let ledger = bench.ledger(channel).await;
        assert!(!is_in(&ledger, State::Captured, *time), "{channel} {time} was missed: {ledger:#?}");
    }
}

async fn lose_some(bench: &Bench, daemon: &Pipeline) {
    let status = daemon.status();
    let losses = status.losses.get();
    bench.simulator.inject(Fault::Down { lasting: Duration::from_millis(1_500) });
    until("lost", || status.losses.get() > losses).await;
    until("back", || status.subscriptions.get() == 4 && bench.simulator.subscriptions() == 4).await;
}

async fn a_step(seed: u64, before: i64, by: i64) {
    let bench = Bench::new(seed, 0.2).await;
    let offset = Arc::new(AtomicI64::new(before));
    let daemon = start(&bench, &offset).await;
    let status = daemon.status();
    bench.simulator.resume();
    until("stored", || status.stored.get() > 200).await;
    lose_some(&bench, &daemon).await;
    if by != 0 {
        offset.fetch_add(by, Ordering::Relaxed);
        until("noticed", || status.clock_steps.get() == 1).await;
        lose_some(&bench, &daemon).await;
    }
    until_captured(&bench).await;
    lose_some(&bench, &daemon).await;
    let skew = status.clock_skew.get().unwrap();
    // Set back, the daemon's own clock stays ahead.
    let expected = if by < 0 { before } else { before + by };
    assert!((skew - expected).abs() < 2 * SECOND, "{skew}");
    assert_eq!(status.trouble().contains_key(&Component::Clock), skew.abs() > SECOND * 3 / 2);
    until_captured(&bench).await;
    assert_no_false_captured(&bench, daemon).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_ten_seconds_ahead() {
    a_step(81, 10 * SECOND, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_ten_seconds_behind() {
    a_step(82, -10 * SECOND, 0).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_forward_by_three_seconds() {
    a_step(83, -3 * SECOND, 3 * SECOND).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_back_by_three_seconds() {
    a_step(84, 3 * SECOND, -3 * SECOND).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_forward_by_an_hour() {
    a_step(85, 0, 3_600 * SECOND).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_set_back_by_an_hour() {
    a_step(86, 3_600 * SECOND, -3_600 * SECOND).await;
}

/// An hour behind, every event seems to come from the future: nothing is called captured, and it is said.
#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_is_an_hour_behind() {
    let bench = Bench::new(87, 0.2).await;
    let offset = Arc::new(AtomicI64::new(-3_600 * SECOND));
    let daemon = start(&bench, &offset).await;
    let status = daemon.status();
    bench.simulator.resume();
    until("said", || status.trouble().contains_key(&Component::Clock)).await;
    until("counted", || status.implausible.get() > 20).await;
    lose_some(&bench, &daemon).await;
    offset.store(0, Ordering::Relaxed);
    until_captured(&bench).await;
    until("no trouble", || !status.trouble().contains_key(&Component::Clock)).await;
    assert_no_false_captured(&bench, daemon).await;
}

/// Stored and found, but of no consequence for anything else.
#[tokio::test(flavor = "multi_thread")]
async fn times_that_cannot_be_touch_nothing_else() {
    let bench = Bench::new(88, 0.2).await;
    let daemon = start(&bench, &Arc::default()).await;
    let status = daemon.status();
    bench.simulator.resume();
    until("stored", || status.stored.get() > 200).await;
    bench.simulator.inject(Fault::OddTimes { count: 10 });
    until("counted", || status.implausible.get() == 10).await;
    until_captured(&bench).await;
    bench.drain(&daemon).await;
    daemon.stop().await.unwrap();
    let now = ingestor::clock::system_micros();
    assert!(status.newest_stored.get() <= now, "the age of the newest event would read zero");
    bench.assert_table_is_truth().await;
    let beyond =
        |item: &shared::item::Item| item["nmicrotimestamp"].as_n().unwrap().parse::<u64>().unwrap() > Micros::END.0;
    assert!(!bench.items().await.iter().any(beyond), "an item that no query reaches");
    for channel in CHANNELS {
        let ledger = bench.ledger(channel).await;
        assert!(ledger.len() < 50 && ledger.iter().all(|interval| interval.through <= now), "{channel}: {ledger:#?}");
    }
    let is_odd = |frame: &&String| {
        let time = Keyed::of(&crate::support::parse(frame)).unwrap().time;
        time.is_none_or(|time| time.0.abs_diff(now) > 86_400_000_000)
    };
    assert_eq!(bench.generated().iter().filter(is_odd).count(), 10);
}
