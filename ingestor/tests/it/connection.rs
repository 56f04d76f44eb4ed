//! What the exchange does to a connection.

use std::time::Duration;

use exchange_sim::faults::Fault;
use ingestor::spool::record::{Content, Story};
use ingestor::status::Part;

use crate::support::{Bench, until};

async fn survives(seed: u64, fault: Fault, reason: &str) {
    let bench = Bench::new(seed, 1.0).await;
    let mut settings = bench.settings();
    if matches!(fault, Fault::Mute { .. }) {
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
    until("drained", || spool.depth() == 0).await;
    let stories: Vec<Story> = spool
        .read(0, usize::MAX, usize::MAX)
        .unwrap()
        .into_iter()
        .filter_map(|(_, record)| match record.content {
            Content::Story(story) => Some(serde_json::from_slice(&story).unwrap()),
            _ => None,
        })
        .collect();
    let lost: Vec<_> = stories.iter().filter(|story| matches!(story, Story::Lost { .. })).collect();
    assert!(matches!(lost[..], [Story::Lost { reason: said }] if said.contains(reason)), "{stories:?}");
    let subscribed = stories.iter().filter(|story| matches!(story, Story::Subscribed { .. })).count();
    assert_eq!(subscribed, 8, "{stories:?}");
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_cut_connection_is_opened_again() {
    survives(61, Fault::Cut, "").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_mute_connection_is_found_and_opened_again() {
    survives(62, Fault::Mute { lasting: None }, "no answer to ping or heartbeat").await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_requested_reconnect_is_made() {
    survives(63, Fault::Reconnect { grace: Duration::from_secs(5) }, "asked for a reconnect").await;
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
    until("said", || status.trouble().contains_key(&Part::Exchange)).await;
    let sentence = status.trouble()[&Part::Exchange].clone();
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
