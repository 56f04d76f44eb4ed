//! What the exchange does to a connection.

use std::time::Duration;

use exchange_sim::faults::Fault;
use ingestor::observe::status::Component;
use ingestor::spool::Spool;
use ingestor::spool::record::{ConnectionEvent, Payload};

use shared::coverage::State;

use crate::support::{Bench, CHANNELS, until, until_drained};

/// Connections and what became of them, in the order of the spool.
fn stories(spool: &Spool) -> Vec<(u32, ConnectionEvent)> {
    let records = spool.read(0, usize::MAX, usize::MAX).unwrap().into_iter();
    records
        .filter_map(|(_, record)| match record.payload {
            Payload::ConnectionEvent(story) => Some((record.connection, serde_json::from_slice(&story).unwrap())),
            _ => None,
        })
        .collect()
}

async fn survives(seed: u64, fault: Fault, reason: &str) {
    let bench = Bench::new(seed, 1.0).await;
    let mut settings = bench.settings();
    if matches!(fault, Fault::Mute { .. } | Fault::AppMute { .. } | Fault::LoseHeartbeats { .. }) {
        settings.insert("answer_within".to_owned(), "3s".to_owned());
    }
    let daemon = bench.start(&settings).await;
    let (status, spool) = (daemon.status(), daemon.spool());
    until("subscribed", || bench.simulator.subscriptions() == 4).await;
    bench.simulator.resume();
    until("stored", || status.stored.get() > 50).await;
    let connects = status.connects.get();
    bench.simulator.inject(fault);
    until("a new connection", || status.connects.get() > connects).await;
    until("subscribed again", || status.subscriptions.get() == 4).await;
    let stored = status.stored.get();
    until("stored again", || status.stored.get() > stored + 50).await;
    bench.simulator.pause();
    until_drained(&spool).await;
    let stories: Vec<ConnectionEvent> = stories(&spool).into_iter().map(|(_, story)| story).collect();
    let lost: Vec<_> = stories.iter().filter(|story| matches!(story, ConnectionEvent::Lost { .. })).collect();
    assert!(matches!(lost[..], [ConnectionEvent::Lost { reason: said }] if said.contains(reason)), "{stories:?}");
    let subscribed = stories.iter().filter(|story| matches!(story, ConnectionEvent::Subscribed { .. })).count();
    assert_eq!(subscribed, 8, "{stories:?}");
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_connection_is_opened_again() {
    survives(61, Fault::Cut, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mute_connection_is_found_and_opened_again() {
    survives(62, Fault::Mute { lasting: None }, "no answer to a ping").await;
}

/// A proxy that answers pings says nothing of the application behind it.
#[tokio::test(flavor = "multi_thread")]
async fn a_dead_application_behind_a_live_proxy_is_found() {
    survives(67, Fault::AppMute { lasting: None }, "no answer to a heartbeat").await;
}

/// Answers name no question: where one may be lost, every later one would prove a wrong time.
#[tokio::test(flavor = "multi_thread")]
async fn a_heartbeat_without_an_answer_ends_its_connection() {
    survives(68, Fault::LoseHeartbeats { count: 1 }, "no answer to a heartbeat").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requested_reconnect_is_made() {
    survives(63, Fault::Reconnect { grace: Duration::from_secs(5) }, "asked for a reconnect").await;
}

/// No capture of the request is known: with a channel, with null, without one.
#[tokio::test(flavor = "multi_thread")]
async fn a_request_to_reconnect_is_understood_in_every_form() {
    let bench = Bench::new(69, 1.0).await;
    let daemon = bench.start(&bench.settings()).await;
    let (status, spool) = (daemon.status(), daemon.spool());
    for connects in 1..=4 {
        until("connected", || status.connects.get() == connects && status.subscriptions.get() == 4).await;
        bench.simulator.inject(Fault::Reconnect { grace: Duration::from_secs(60) });
    }
    until("connected for the fifth time", || status.connects.get() == 5).await;
    until_drained(&spool).await;
    assert_eq!(spool.quarantine().count(), 0, "a control message is no data");
    daemon.stop().await.unwrap();
}

/// Whatever begins with `bts:` is about the connection.
#[tokio::test(flavor = "multi_thread")]
async fn odd_control_messages_are_no_data() {
    let bench = Bench::new(70, 1.0).await;
    let daemon = bench.start(&bench.settings()).await;
    let (status, spool) = (daemon.status(), daemon.spool());
    until("subscribed", || status.subscriptions.get() == 4).await;
    bench.simulator.inject(Fault::OddControl { count: 4 });
    bench.simulator.resume();
    until("stored", || status.stored.get() > 50).await;
    bench.drain(&daemon).await;
    assert_eq!((status.exchange_errors.get(), status.connects.get()), (2, 1));
    assert_eq!(spool.quarantine().count(), 0, "a control message is no data");
    bench.assert_table_is_truth().await;
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_unconfirmed_subscription_is_asked_for_again() {
    let bench = Bench::new(64, 1.0).await;
    bench.simulator.inject(Fault::WithholdAcks { count: 2 });
    let mut settings = bench.settings();
    settings.insert("confirm_within".to_owned(), "300ms".to_owned());
    let daemon = bench.start(&settings).await;
    let status = daemon.status();
    until("all confirmed", || status.subscriptions.get() == 4).await;
    assert_eq!(status.unconfirmed.get(), 2);
    assert_eq!(status.connects.get(), 1, "the connection itself was good");
    daemon.stop().await.unwrap();
}

/// One channel that the exchange never confirms: the others are handed from connection to connection without a break.
#[tokio::test(flavor = "multi_thread")]
async fn a_channel_that_is_never_confirmed_costs_the_others_nothing() {
    let bench = Bench::new(71, 1.0).await;
    let mut settings = bench.settings();
    settings.insert("channels".to_owned(), format!("{},live_magic_btcusd", CHANNELS.join(",")));
    settings.insert("confirm_within".to_owned(), "300ms".to_owned());
    let daemon = bench.start(&settings).await;
    let (status, spool) = (daemon.status(), daemon.spool());
    until("asked for again", || status.subscriptions.get() == 4 && status.unconfirmed.get() > 0).await;
    bench.simulator.resume();
    until("stored", || status.stored.get() > 50).await;
    bench.simulator.inject(Fault::Reconnect { grace: Duration::from_secs(60) });
    until("replaced", || status.losses.get() == 1 && status.connections.get() == 1).await;
    until("stored again", || status.stored.get() > 150).await;
    bench.drain(&daemon).await;
    let stories = stories(&spool);
    let lost = stories
        .iter()
        .position(|(connection, story)| *connection == 1 && matches!(story, ConnectionEvent::Lost { .. }));
    let before = stories.iter().take(lost.expect("the first connection ended"));
    let taken_over = before
        .filter(|(connection, story)| *connection == 2 && matches!(story, ConnectionEvent::Subscribed { .. }))
        .count();
    assert_eq!(taken_over, 4, "the first connection ended too early: {stories:?}");
    for channel in CHANNELS {
        let ledger = bench.ledger(channel).await;
        assert!(ledger.iter().all(|interval| interval.state != State::Gap), "{channel}: {ledger:?}");
    }
    daemon.stop().await.unwrap();
}

/// Two equal frames are one item; a frame that overtook another is no fault.
#[tokio::test(flavor = "multi_thread")]
async fn duplicates_and_reordered_frames_change_nothing() {
    let bench = Bench::new(65, 2.0).await;
    let daemon = bench.start(&bench.settings()).await;
    let status = daemon.status();
    until("subscribed", || bench.simulator.subscriptions() == 4).await;
    bench.simulator.inject(Fault::Duplicate { count: 200 });
    bench.simulator.inject(Fault::Reorder { count: 200 });
    bench.simulator.resume();
    until("1,500 received", || status.received.get() >= 1_500).await;
    bench.drain(&daemon).await;
    bench.assert_table_is_truth().await;
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn an_exchange_that_is_down_is_said_and_tried_again() {
    let bench = Bench::new(66, 1.0).await;
    let mut settings = bench.settings();
    settings.insert("url".to_owned(), "ws://127.0.0.1:9".to_owned());
    let daemon = bench.start(&settings).await;
    let status = daemon.status();
    until("said", || status.trouble().contains_key(&Component::Exchange)).await;
    let sentence = status.trouble()[&Component::Exchange].clone();
    assert!(sentence.starts_with("ws://127.0.0.1:9 cannot be reached"), "{sentence}");
    until("tried again", || status.losses.get() >= 3).await;
    daemon.stop().await.unwrap();
}

/// Every recorded frame of the folder, through socket, spool and table, digit by digit.
#[tokio::test(flavor = "multi_thread")]
async fn every_recorded_frame_is_stored() {
    let Some(folder) = std::env::var_os("FRAMES_DIR").map(std::path::PathBuf::from) else {
        eprintln!("SKIPPED: FRAMES_DIR is not set, recorded frames are not replayed");
        return;
    };
    for file in ["cryptofeed_2022-01-04_ws_with_recv_ts.jsonl", "single_frames.jsonl"] {
        let path = folder.join(file);
        let channels = exchange_sim::recording::channels(&path).unwrap();
        let bench = Bench::with(exchange_sim::Config {
            source: exchange_sim::Source::Recording { path, speed: f64::INFINITY },
            ..exchange_sim::Config::default()
        })
        .await;
        let mut settings = bench.settings();
        settings.insert("channels".to_owned(), channels.join(","));
        let daemon = bench.start(&settings).await;
        bench.simulator.finished().await;
        bench.drain(&daemon).await;
        let events = bench.assert_table_is_truth().await;
        eprintln!("{file}: {events} events of {} channels, none missing, extra or altered", channels.len());
        assert_eq!(daemon.spool().quarantine().count(), 0);
        assert!(events >= 24);
        daemon.stop().await.unwrap();
    }
}
