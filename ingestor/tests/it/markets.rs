//! Markets that are missing at the start, leave or join while the daemon runs.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use exchange_sim::faults::Fault;
use ingestor::observe::status::Component;
use shared::coverage::State;
use tokio::io::copy_bidirectional;
use tokio::net::{TcpListener, TcpStream};
use tokio::time::Instant;

use crate::support::{Bench, until, until_async};

const ETHER: &str = "live_trades_ethusd";

fn delist() -> Fault {
    Fault::Delist { market: "ethusd".to_owned() }
}

fn settings(bench: &Bench, channels: &str) -> BTreeMap<String, String> {
    let mut settings = bench.settings();
    for (key, value) in [("channels", channels), ("markets_every", "200ms"), ("heartbeat_every", "100ms")] {
        settings.insert(key.to_owned(), value.to_owned());
    }
    settings
}

async fn until_subscribed(bench: &Bench, count: usize) {
    let simulator = &bench.simulator;
    until("subscribed", || (simulator.connections(), simulator.subscriptions()) == (1, count)).await;
}

/// The exchange would confirm the missing market's subscription and stay silent for ever.
#[tokio::test(flavor = "multi_thread")]
async fn a_missing_market_keeps_no_other_from_being_captured_and_joins_when_it_is_there() {
    let bench = Bench::new(91, 1.0).await;
    bench.simulator.inject(delist());
    let daemon = bench.start(&settings(&bench, "live_trades_btcusd,live_trades_ethusd")).await;
    until_subscribed(&bench, 1).await;
    let trouble = || daemon.status().trouble().remove(&Component::Markets);
    let said = trouble().unwrap();
    assert!(said.contains("no such market: `live_trades_ethusd`; did you mean"), "{said}");
    bench.simulator.inject(Fault::List { market: "ethusd".to_owned() });
    until_subscribed(&bench, 2).await;
    until("no trouble", || trouble().is_none()).await;
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_market_that_leaves_the_list_becomes_a_gap_with_a_reason() {
    let bench = Bench::new(92, 1.0).await;
    let daemon = bench.start(&settings(&bench, "live_trades_btcusd,live_trades_ethusd")).await;
    until_subscribed(&bench, 2).await;
    bench.simulator.resume();
    // Long enough for something to be captured before; without it the gap would be entered a minute later.
    let begun = Instant::now();
    until("six seconds have passed", || begun.elapsed() > Duration::from_secs(6)).await;
    bench.simulator.inject(delist());
    until_subscribed(&bench, 1).await;
    let reason = "the exchange's list of markets changed";
    until_async("a gap with the reason", async || {
        let intervals = bench.ledger(ETHER).await;
        intervals.iter().any(|interval| interval.state == State::Gap && interval.reason.as_deref() == Some(reason))
    })
    .await;
    assert!(bench.ledger("live_trades_btcusd").await.iter().all(|interval| interval.state != State::Gap));
    assert!(daemon.status().trouble()[&Component::Markets].contains(ETHER));
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_wildcard_waits_for_markets_that_are_out_of_reach_at_the_start() {
    let bench = Bench::new(93, 1.0).await;
    let gate = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = gate.local_addr().unwrap();
    let behind = bench.simulator.rest_url().replace("http://", "").replace("/api/v2", "");
    let is_open = Arc::new(AtomicBool::new(false));
    let reachable = is_open.clone();
    tokio::spawn(async move {
        loop {
            let (mut near, _) = gate.accept().await.unwrap();
            if !reachable.load(Ordering::Relaxed) {
                continue;
            }
            let mut far = TcpStream::connect(&behind).await.unwrap();
            tokio::spawn(async move { copy_bidirectional(&mut near, &mut far).await });
        }
    });
    let mut settings = settings(&bench, "live_trades_*,live_orders_btcusd");
    settings.insert("rest_url".to_owned(), format!("http://{address}/api/v2"));
    let daemon = bench.start(&settings).await;
    until_subscribed(&bench, 1).await;
    let trouble = || daemon.status().trouble().remove(&Component::Markets);
    assert!(trouble().unwrap().contains("wildcards wait for them"));
    is_open.store(true, Ordering::Relaxed);
    until_subscribed(&bench, exchange_sim::Config::default().markets.len() + 1).await;
    until("no trouble", || trouble().is_none()).await;
    // One that is new joins too.
    bench.simulator.inject(delist());
    until("left", || trouble().is_none() && bench.simulator.subscriptions() == 6).await;
    bench.simulator.inject(Fault::List { market: "ethusd".to_owned() });
    until_subscribed(&bench, 7).await;
    daemon.stop().await.unwrap();
}
