//! Gaps are filled from the exchange's history, or stay gaps.

use std::collections::BTreeMap;
use std::io::Read as _;
use std::time::Duration;

use exchange_sim::faults::Fault;
use flate2::read::GzDecoder;
use ingestor::observe::status::Component;
use ingestor::pipeline::Pipeline;
use serde_json::Value;
use shared::coverage::{Interval, State, merge};
use shared::item::SOURCE;

use crate::support::{Bench, CHANNELS, is_in, until, until_async, until_drained, until_within};

/// What is behind a gap is entered with the ledger's next full minute, and a busy machine is slow; attempts are 15 s apart at most.
const PATIENCE: Duration = Duration::from_secs(600);

fn settings(bench: &Bench) -> BTreeMap<String, String> {
    let mut settings = bench.settings();
    for (key, value) in
        [("fill_after", "1s"), ("request_timeout", "10s"), ("ping_every", "500ms"), ("heartbeat_every", "500ms")]
    {
        settings.insert(key.to_owned(), value.to_owned());
    }
    settings
}

/// Runs until something was missed on every channel, and goes on.
pub(crate) async fn miss(bench: &Bench, daemon: &Pipeline) {
    miss_on(bench, daemon, (4, 4_500), Duration::from_secs(4)).await;
}

/// The same for so many channels, once so many events are stored; the exchange is down for `lasting`.
async fn miss_on(bench: &Bench, daemon: &Pipeline, (channels, events): (usize, u64), lasting: Duration) {
    let status = daemon.status();
    until("subscribed", || bench.simulator.subscriptions() == channels).await;
    bench.simulator.resume();
    until("stored", || status.stored.get() > events).await;
    bench.simulator.inject(Fault::Down { lasting });
    until("lost", || status.losses.get() > 0).await;
    bench.note_undelivered(daemon);
    until("subscribed again", || bench.simulator.subscriptions() == channels).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_was_missed_is_fetched_and_the_gap_is_called_filled() {
    let bench = Bench::new(41, 0.6).await;
    let daemon = bench.start(&settings(&bench)).await;
    miss(&bench, &daemon).await;
    let status = daemon.status();
    until_within(PATIENCE, "filled", async || status.filled.get() >= 4).await;
    for channel in CHANNELS {
        let goes_on = async || {
            let ledger = bench.ledger(channel).await;
            let end =
                |state| ledger.iter().filter(|interval| interval.state == state).map(|interval| interval.through).max();
            end(State::Captured) > end(State::Filled)
        };
        until_async("captured behind its gap", goes_on).await;
    }
    bench.drain(&daemon).await;
    daemon.stop().await.unwrap();

    let comparison = bench.compare().await;
    eprintln!("{} events, {} of them filled", comparison.generated.len(), comparison.filled);
    assert!(comparison.filled > 100, "{}", comparison.filled);
    assert_eq!((comparison.missing.as_slice(), comparison.extra), (&[][..], 0));
    for channel in CHANNELS {
        let ledger = bench.ledger(channel).await;
        let first = ledger.iter().map(|interval| interval.from).min().unwrap();
        let last =
            ledger.iter().filter(|interval| interval.state == State::Captured).map(|interval| interval.through).max();
        let states: Vec<_> = merge(&ledger, first, last.unwrap()).iter().map(|interval| interval.state).collect();
        assert_eq!(states, [State::Captured, State::Filled, State::Captured], "{channel}: {ledger:#?}");
    }
}

/// Nothing of the channel of trades is in the table before its gap; order events have measured the clock meanwhile.
#[tokio::test(flavor = "multi_thread")]
async fn a_gap_before_the_first_trade_is_filled() {
    let bench = Bench::new(47, 0.3).await;
    let mut settings = settings(&bench);
    settings.insert("channels".to_owned(), "live_trades_ethusd,live_orders_btcusd".to_owned());
    let daemon = bench.start(&settings).await;
    let status = daemon.status();
    until("subscribed", || bench.simulator.subscriptions() == 2).await;
    bench.simulator.resume();
    until("stored", || status.stored.get() > 20).await;
    let captured = async || is_any(&bench.ledger("live_trades_ethusd").await, State::Captured);
    until_async("captured", captured).await;
    bench.simulator.inject(Fault::Down { lasting: Duration::from_secs(3) });
    until("lost", || status.losses.get() > 0).await;
    bench.note_undelivered(&daemon);
    let items = bench.items().await;
    let before = items.iter().filter(|item| item["channel"].as_s().unwrap() == "live_trades_ethusd").count();
    eprintln!("{before} trades are stored before the gap");
    until("subscribed again", || bench.simulator.subscriptions() == 2).await;
    let filled = async || is_any(&bench.ledger("live_trades_ethusd").await, State::Filled);
    until_within(PATIENCE, "filled", filled).await;
    bench.drain(&daemon).await;
    daemon.stop().await.unwrap();
    let comparison = bench.compare().await;
    let ours = comparison.missing.iter().filter(|(channel, _)| channel == "live_trades_ethusd").count();
    assert_eq!((ours, comparison.extra), (0, 0));
}

fn is_any(ledger: &[Interval], state: State) -> bool {
    ledger.iter().any(|interval| interval.state == state)
}

/// The exchange leaves out trades, which no connection can notice: its own list of trades tells.
#[tokio::test(flavor = "multi_thread")]
async fn trades_that_were_never_sent_are_found_and_filled() {
    let bench = Bench::new(44, 1.0).await;
    let mut settings = settings(&bench);
    for (key, value) in [("channels", "live_trades_btcusd"), ("audit_every", "3s")] {
        settings.insert(key.to_owned(), value.to_owned());
    }
    let daemon = bench.start(&settings).await;
    let status = daemon.status();
    until("subscribed", || bench.simulator.subscriptions() == 1).await;
    bench.simulator.resume();
    until("stored", || status.stored.get() > 10).await;
    tokio::time::sleep(Duration::from_secs(5)).await; // nothing is promised of the time before the connection is proved
    bench.simulator.inject(Fault::Drop { count: 3 });
    until_within(PATIENCE, "found", async || status.audit_missing.get() == 3).await;
    until_within(PATIENCE, "filled", async || status.filled_events.get() == 3).await;
    bench.drain(&daemon).await;
    daemon.stop().await.unwrap();
    assert_eq!((status.audit_missing.get(), status.losses.get()), (3, 0));

    let comparison = bench.compare().await;
    let ours: Vec<_> = comparison.missing.iter().filter(|(channel, _)| channel == "live_trades_btcusd").collect();
    assert_eq!((ours.len(), comparison.filled, comparison.extra), (0, 3, 0), "{ours:?}");
    let ledger = bench.ledger("live_trades_btcusd").await;
    for item in bench.items().await.iter().filter(|item| item.contains_key(SOURCE)) {
        let time = item["nmicrotimestamp"].as_n().unwrap().parse().unwrap();
        assert!(is_in(&ledger, State::Filled, time) && is_in(&ledger, State::Gap, time), "{time}: {ledger:?}");
        assert!(!is_in(&ledger, State::Captured, time), "{time}: {ledger:?}");
    }
}

/// At the start of a channel, and once in a while; not at each start of the daemon.
#[tokio::test(flavor = "multi_thread")]
async fn an_order_book_is_stored_when_order_events_begin() {
    let bench = Bench::new(45, 1.0).await;
    let mut settings = bench.settings();
    settings.insert("snapshot_every".to_owned(), "1h".to_owned());
    let books = async || {
        let items = bench.all_items().await;
        let names = items.iter().map(|item| item["channel"].as_s().unwrap().clone());
        let mut books: Vec<_> = names.filter(|name| name.starts_with("_snapshot:")).collect();
        books.sort_unstable();
        books
    };
    for run in ["first", "second"] {
        let daemon = bench.start(&settings).await;
        let status = daemon.status();
        until("subscribed", || bench.simulator.subscriptions() == 4).await;
        bench.simulator.resume();
        if run == "first" {
            until("books", || status.books.get() == 2).await;
        } else {
            // Both channels have been looked at.
            let asked = bench.proxy.counts().requested("Query");
            until("asked", || bench.proxy.counts().requested("Query") >= asked + 2).await;
        }
        bench.simulator.pause();
        until_drained(&daemon.spool()).await;
        daemon.stop().await.unwrap();
        assert_eq!(books().await, ["_snapshot:live_orders_btcusd", "_snapshot:live_orders_ethusd"], "{run} run");
    }
    settings.insert("snapshot_every".to_owned(), "1s".to_owned());
    let daemon = bench.start(&settings).await;
    let status = daemon.status();
    bench.simulator.resume();
    until("new ones", || status.books.get() > 3).await;
    daemon.stop().await.unwrap();
}

/// The exchange takes longer than five seconds for every answer.
#[tokio::test(flavor = "multi_thread")]
async fn a_slow_history_is_waited_for() {
    let bench = Bench::new(48, 0.6).await;
    bench.simulator.inject("rest:slow=6:60m:/order_data/".parse::<Fault>().unwrap());
    let mut settings = settings(&bench);
    settings.insert("channels".to_owned(), "live_orders_btcusd,live_orders_ethusd".to_owned());
    let daemon = bench.start(&settings).await;
    miss_on(&bench, &daemon, (2, 500), Duration::from_secs(2)).await;
    let status = daemon.status();
    until_within(PATIENCE, "filled", async || status.filled.get() >= 2).await;
    bench.drain(&daemon).await;
    daemon.stop().await.unwrap();
    let comparison = bench.compare().await;
    assert!(comparison.filled > 50, "{}", comparison.filled);
    let ours = comparison.missing.iter().filter(|(channel, _)| channel.starts_with("live_orders")).count();
    assert_eq!((ours, comparison.extra), (0, 0));
}

/// None of these answers is about what was asked, so none of them is a refusal, however many come.
#[tokio::test(flavor = "multi_thread")]
async fn a_history_in_maintenance_is_asked_again_until_it_answers() {
    let bench = Bench::new(43, 0.6).await;
    for answer in ["page:4", "403:1", "429=1:1", "limited:1", "503:1", "cut:1", "short:1"] {
        bench.simulator.inject(format!("rest:{answer}:/order_data/").parse::<Fault>().unwrap());
    }
    let daemon = bench.start(&settings(&bench)).await;
    miss(&bench, &daemon).await;
    let status = daemon.status();
    let filled = async || {
        assert_eq!(status.unfillable.get(), 0, "given up");
        status.filled.get() >= 4 && !status.trouble().contains_key(&Component::History)
    };
    until_within(PATIENCE, "filled", filled).await;
    bench.drain(&daemon).await;
    daemon.stop().await.unwrap();

    let comparison = bench.compare().await;
    assert!(comparison.filled > 100, "{}", comparison.filled);
    assert_eq!((comparison.missing.as_slice(), comparison.extra), (&[][..], 0));
}

/// Of trades less is told than the stream tells, so what the stream delivered is left as it is.
#[tokio::test(flavor = "multi_thread")]
async fn a_refused_history_leaves_the_gap_and_an_order_book_behind_it() {
    let bench = Bench::new(42, 0.6).await;
    bench.simulator.inject("rest:refused:60m:/order_data/".parse::<Fault>().unwrap());
    let daemon = bench.start(&settings(&bench)).await;
    miss(&bench, &daemon).await;
    let status = daemon.status();
    // Trades are fetched, order events are not.
    until_within(PATIENCE, "given up", async || status.unfillable.get() >= 2 && status.filled.get() >= 2).await;
    let book = || async {
        let items = bench.all_items().await;
        items.into_iter().find(|item| item["channel"].as_s().unwrap() == "_snapshot:live_orders_btcusd")
    };
    until_async("an order book", async || book().await.is_some()).await;
    bench.drain(&daemon).await;
    daemon.stop().await.unwrap();

    let item = book().await.unwrap();
    assert_eq!((item["part"].as_n().unwrap().as_str(), item["parts"].as_n().unwrap().as_str()), ("0", "1"));
    let mut text = String::new();
    GzDecoder::new(item["body"].as_b().unwrap().as_ref()).read_to_string(&mut text).unwrap();
    let book: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(book["microtimestamp"].as_str(), item["nmicrotimestamp"].as_n().ok().map(String::as_str));
    assert_eq!(book["bids"][0].as_array().map(Vec::len), Some(3), "price, amount, order id");
    let ledger = bench.ledger("live_orders_btcusd").await;
    let gap = ledger.iter().find(|interval| interval.state == State::Gap).unwrap();
    assert!(book["microtimestamp"].as_str().unwrap().parse::<u64>().unwrap() > gap.through);
    assert!(ledger.iter().all(|interval| interval.state != State::Filled), "{ledger:#?}");
    let comparison = bench.compare().await;
    assert!(comparison.missing.iter().all(|(channel, _)| channel.starts_with("live_orders_")));
    assert_eq!(comparison.extra, 0);
}
