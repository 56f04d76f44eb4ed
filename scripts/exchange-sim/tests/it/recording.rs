//! Recorded frames as a source.

use std::path::{Path, PathBuf};
use std::time::Duration;

use exchange_sim::Config;
use exchange_sim::Simulator;
use exchange_sim::Source;
use exchange_sim::StartError;
use exchange_sim::recording::{self, Recording};
use exchange_sim::truth;

use crate::support::{Client, Scratch, scratch, until};

const FRAMES: &str = concat!(
    r#"{"recv_ts": "100.25", "raw": "{\"event\":\"bts:subscription_succeeded\",\"channel\":\"live_trades_btcusd\",\"data\":{}}"}"#,
    "\n",
    r#"{"recv_ts": "100.5", "raw": "{\"data\": {\"id\": 1}, \"channel\": \"live_trades_btcusd\", \"event\": \"trade\"}"}"#,
    "\n\n",
    r#"{"recv_ts": "101.5", "raw": "{\"data\":{\"id\":2},\"channel\":\"private-my_orders_btcusd-7\",\"event\":\"order_created\"}"}"#,
    "\n",
    r#"{"data":{"id":3},"channel":"live_trades_BTC/USD","event":"trade"}"#,
    "\n",
    r#"{"event":"bts:heartbeat","channel":"","data":{"status":"success"}}"#,
    "\n",
);

fn file(text: &str) -> Scratch {
    let path = scratch("recording.jsonl");
    std::fs::write(&*path, text).unwrap();
    path
}

fn replay(path: &Path, truth: &Path) -> Config {
    let source = Source::Recording { path: path.to_owned(), speed: f64::INFINITY };
    Config { source, truth: Some(truth.to_owned()), ..Config::default() }
}

#[test]
fn control_frames_and_blank_lines_are_passed_over_and_times_kept() {
    let mut recording = Recording::open(&file(FRAMES), 2.0).unwrap();
    let mut entries = Vec::new();
    while let Some(entry) = recording.next_entry().unwrap() {
        entries.push((entry.after, entry.frame));
    }
    let (times, frames): (Vec<Duration>, Vec<String>) = entries.into_iter().unzip();
    assert_eq!(times, [Duration::ZERO, Duration::from_millis(500), Duration::from_micros(500_500)]);
    assert_eq!(frames[0], r#"{"data": {"id": 1}, "channel": "live_trades_btcusd", "event": "trade"}"#);
    assert_eq!(frames[2], r#"{"data":{"id":3},"channel":"live_trades_BTC/USD","event":"trade"}"#);
}

#[test]
fn the_channels_of_a_recording_are_known() {
    let expected = ["live_trades_BTC/USD", "live_trades_btcusd", "private-my_orders_btcusd-7"];
    assert_eq!(recording::channels(&file(FRAMES)).unwrap(), expected);
}

#[tokio::test]
async fn a_recording_that_is_none_is_refused_with_its_line() {
    let path = file("{\"data\":{},\"channel\":\"live_trades_btcusd\"}\nnonsense\n");
    let error = Simulator::start(replay(&path, &scratch("none.ndjson"))).await.unwrap_err();
    let StartError::Recording { source, .. } = error else { panic!("unexpected {error:?}") };
    assert!(source.to_string().starts_with("line 2"), "{source}");
}

#[tokio::test]
async fn a_replay_waits_for_a_client_with_all_channels_even_private_ones() {
    let (path, truth_path) = (file(FRAMES), scratch("replay.ndjson"));
    let simulator = Simulator::start(replay(&path, &truth_path)).await.unwrap();
    let mut client = Client::connect(&simulator).await;
    client.subscribe("live_trades_btcusd").await;
    client.subscribe("live_trades_BTC/USD").await;
    assert_eq!(simulator.emitted(), 0);
    client.subscribe("private-my_orders_btcusd-7").await;
    simulator.finished().await;
    assert!(simulator.is_finished());
    let (_, (received, _)) = tokio::join!(simulator.shutdown(), client.rest());
    let lines = truth::read(&truth_path).unwrap();
    assert_eq!(received, truth::events(&lines).map(|frame| frame.frame.clone()).collect::<Vec<_>>());
    assert_eq!(received.len(), 3);
}

#[tokio::test]
async fn a_replay_can_be_started_without_any_client() {
    let (path, truth_path) = (file(FRAMES), scratch("resumed.ndjson"));
    let simulator = Simulator::start(replay(&path, &truth_path)).await.unwrap();
    simulator.resume();
    simulator.finished().await;
    assert_eq!(simulator.emitted(), 3);
}

#[tokio::test]
async fn more_than_the_queue_holds_arrives_whole() {
    let filler = "x".repeat(2_000);
    let line = |id: usize| {
        format!(r#"{{"data":{{"id":{id},"filler":"{filler}"}},"channel":"live_trades_btcusd","event":"trade"}}"#)
    };
    let lines: Vec<String> = (0..6_000).map(line).collect();
    let path = file(&lines.join("\n"));
    let truth_path = scratch("large.ndjson");
    let config = Config { queue_bytes: 1 << 18, ..replay(&path, &truth_path) };
    let simulator = Simulator::start(config).await.unwrap();
    let mut client = Client::connect(&simulator).await;
    client.subscribe("live_trades_btcusd").await;
    // The client is late: the replay waits for it.
    until(|| simulator.emitted() > 100).await;
    for expected in &lines {
        assert_eq!(client.text().await, *expected);
    }
    simulator.finished().await;
}

#[tokio::test]
async fn every_recorded_frame_reaches_a_client_to_the_byte() {
    let Some(folder) = std::env::var_os("FRAMES_DIR").map(PathBuf::from) else {
        println!("skipped: FRAMES_DIR is not set, so there are no recorded frames");
        return;
    };
    let mut sent = 0;
    for name in ["cryptofeed_2022-01-04_ws_with_recv_ts.jsonl", "single_frames.jsonl"] {
        let path = folder.join(name);
        let mut recording = Recording::open(&path, f64::INFINITY).unwrap();
        let mut expected = Vec::new();
        while let Some(entry) = recording.next_entry().unwrap() {
            expected.push(entry.frame);
        }
        let truth_path = scratch("recorded.ndjson");
        let simulator = Simulator::start(replay(&path, &truth_path)).await.unwrap();
        let mut client = Client::connect(&simulator).await;
        for channel in recording::channels(&path).unwrap() {
            client.subscribe(&channel).await;
        }
        simulator.finished().await;
        let (_, (received, _)) = tokio::join!(simulator.shutdown(), client.rest());
        assert_eq!(received, expected, "{name}");
        sent += received.len();
    }
    println!("{sent} recorded frames");
    assert_eq!(sent, 727 + 24);
}
