//! The faults one by one: what a client sees, and what the truth says about it.

use std::time::Duration;

use exchange_sim::Config;
use exchange_sim::Simulator;
use exchange_sim::faults::{Fault, Garbage};
use exchange_sim::truth::{self, Kind, Line, What};
use futures_util::SinkExt;
use serde_json::Value;
use tokio_tungstenite::connect_async;
use tokio_tungstenite::tungstenite::{Error, Message};

use crate::support::{Client, Scratch, paused, scratch, until};

const CHANNEL: &str = "live_orders_btcusd";

/// A paused simulator with a truth file and one subscribed client.
async fn started(name: &str) -> (Simulator, Client, Scratch) {
    let path = scratch(name);
    let simulator = Simulator::start(Config { truth: Some(path.clone()), ..paused() }).await.unwrap();
    let mut client = Client::connect(&simulator).await;
    client.subscribe(CHANNEL).await;
    (simulator, client, path)
}

/// Lets some events happen, then ends; what the client got, and the truth.
async fn finish(simulator: Simulator, client: &mut Client, path: &std::path::Path) -> (Vec<String>, Vec<Line>) {
    let before = simulator.emitted();
    simulator.resume();
    until(|| simulator.emitted() > before + 300).await;
    simulator.pause();
    let (_, (received, _)) = tokio::join!(simulator.shutdown(), client.rest());
    (received, truth::read(path).unwrap())
}

fn sent_to_first(lines: &[Line]) -> Vec<&str> {
    truth::sent_to(lines, 1).map(|frame| frame.frame.as_str()).collect()
}

fn events_of_channel(lines: &[Line]) -> Vec<&str> {
    truth::events(lines).map(|frame| frame.frame.as_str()).filter(|frame| frame.contains(CHANNEL)).collect()
}

fn closed(lines: &[Line]) -> Vec<&str> {
    let reasons = lines.iter().filter_map(|line| match line {
        Line::Change { what: What::Closed(reason), .. } => Some(reason.as_str()),
        _ => None,
    });
    reasons.collect()
}

#[tokio::test]
async fn cut_ends_the_connection_without_a_close_frame() {
    let (simulator, mut client, path) = started("cut.ndjson").await;
    assert_eq!(simulator.inject(Fault::Cut), 1);
    assert_eq!(client.rest().await.1, None);
    until(|| simulator.connections() == 0).await;
    simulator.shutdown().await;
    assert_eq!(closed(&truth::read(&path).unwrap()), ["cut"]);
}

#[tokio::test]
async fn a_fault_may_concern_one_connection_alone() {
    let (simulator, mut first, path) = started("nth.ndjson").await;
    let mut second = Client::connect(&simulator).await;
    assert_eq!(simulator.inject(Fault::Cut.on(3)), 0);
    assert_eq!(simulator.inject(Fault::Cut.on(2)), 1);
    assert_eq!(second.rest().await.1, None);
    until(|| simulator.connections() == 1).await;
    let (received, lines) = finish(simulator, &mut first, &path).await;
    assert_eq!(received, sent_to_first(&lines));
    assert_eq!(closed(&lines), ["cut", "shutdown"]);
}

#[tokio::test]
async fn mute_keeps_the_socket_open_and_silent_then_goes_on() {
    let (simulator, mut client, path) = started("mute.ndjson").await;
    simulator.inject(Fault::Mute { lasting: Some(Duration::from_secs(1)) });
    client.send(r#"{"event":"bts:heartbeat"}"#).await;
    simulator.resume();
    until(|| simulator.emitted() > 100).await;
    simulator.pause();
    // The heartbeat is answered once the mute is over, and what happened during it never comes.
    assert_eq!(client.json().await["event"], "bts:heartbeat");
    let (received, lines) = finish(simulator, &mut client, &path).await;
    let silent = truth::events(&lines).take(50).filter(|frame| frame.frame.contains(CHANNEL));
    assert!(silent.into_iter().all(|frame| frame.connections.is_empty()));
    let sent = sent_to_first(&lines);
    assert!(!sent.is_empty());
    assert!(sent.len() < events_of_channel(&lines).len());
    assert_eq!(received, sent);
}

#[tokio::test]
async fn a_mute_for_ever_ends_with_a_cut() {
    let (simulator, mut client, path) = started("mute-cut.ndjson").await;
    simulator.inject(Fault::Mute { lasting: None });
    client.send(r#"{"event":"bts:heartbeat"}"#).await;
    simulator.resume();
    until(|| simulator.emitted() > 200).await;
    assert_eq!(simulator.connections(), 1);
    simulator.inject(Fault::Cut);
    assert_eq!(client.rest().await, (vec![], None));
    simulator.shutdown().await;
    assert_eq!(closed(&truth::read(&path).unwrap()), ["cut"]);
}

#[tokio::test]
async fn reconnect_is_asked_for_and_enforced_after_the_grace() {
    let (simulator, mut client, path) = started("reconnect.ndjson").await;
    simulator.inject(Fault::Reconnect { grace: Duration::from_millis(100) });
    assert_eq!(client.text().await, r#"{"event":"bts:request_reconnect","channel":"","data":""}"#);
    let (_, close) = client.rest().await;
    assert_eq!(u16::from(close.expect("a close frame").code), 1001);
    until(|| simulator.connections() == 0).await;
    simulator.shutdown().await;
    assert_eq!(closed(&truth::read(&path).unwrap()), ["asked to reconnect"]);
}

#[tokio::test]
async fn withheld_acks_leave_the_channel_unsubscribed() {
    let (simulator, mut client, _) = started("withheld.ndjson").await;
    simulator.inject(Fault::WithholdAcks { count: 1 });
    let mut later = Client::connect(&simulator).await;
    later.ask("bts:subscribe", CHANNEL).await;
    later.ask("bts:heartbeat", "").await;
    assert_eq!(later.json().await["event"], "bts:heartbeat");
    assert_eq!(simulator.subscriptions(), 1);
    later.subscribe(CHANNEL).await;
    simulator.inject(Fault::WithholdAcks { count: 1 }.on(1));
    later.subscribe("live_trades_btcusd").await;
    client.ask("bts:subscribe", "live_trades_btcusd").await;
    client.ask("bts:heartbeat", "").await;
    assert_eq!(client.json().await["event"], "bts:heartbeat");
}

#[tokio::test]
async fn duplicates_follow_their_original() {
    let (simulator, mut client, path) = started("duplicate.ndjson").await;
    simulator.inject(Fault::Duplicate { count: 5 });
    let (received, lines) = finish(simulator, &mut client, &path).await;
    assert_eq!(received, sent_to_first(&lines));
    let twice = received.windows(2).filter(|pair| pair[0] == pair[1]).count();
    assert_eq!(twice, 5);
    assert_eq!(received.len(), events_of_channel(&lines).len() + 5);
}

#[tokio::test]
async fn reordering_swaps_neighbours_and_loses_nothing() {
    let (simulator, mut client, path) = started("reorder.ndjson").await;
    simulator.inject(Fault::Reorder { count: 3 });
    let (received, lines) = finish(simulator, &mut client, &path).await;
    assert_eq!(received, sent_to_first(&lines));
    let events = events_of_channel(&lines);
    assert_ne!(received, events);
    assert_eq!(received[..4], [events[1], events[0], events[3], events[2]]);
    let (mut got, mut made) = (received.iter().map(String::as_str).collect::<Vec<_>>(), events);
    got.sort_unstable();
    made.sort_unstable();
    assert_eq!(got, made);
}

#[tokio::test]
async fn dropped_frames_break_the_chain() {
    let (simulator, mut client, path) = started("drop.ndjson").await;
    simulator.resume();
    let before = client.json().await;
    simulator.pause();
    // What is already under way belongs before the gap.
    client.send(r#"{"event":"bts:heartbeat"}"#).await;
    let mut frames = vec![before];
    loop {
        let frame = client.json().await;
        if frame["event"] == "bts:heartbeat" {
            break;
        }
        frames.push(frame);
    }
    simulator.inject(Fault::Drop { count: 4 });
    let (received, lines) = finish(simulator, &mut client, &path).await;
    frames.extend(received.iter().map(|frame| serde_json::from_str::<Value>(frame).unwrap()));
    let breaks = frames.windows(2).filter(|pair| pair[1]["pre_event_id"] != pair[0]["event_id"]).count();
    assert_eq!(breaks, 1);
    assert_eq!(frames.len() + 4, events_of_channel(&lines).len());
}

#[tokio::test]
async fn garbage_of_every_kind_arrives_and_is_in_the_truth() {
    let (simulator, mut client, path) = started("garbage.ndjson").await;
    simulator.inject(Fault::Garbage { count: 6, kind: None });
    let mut kinds = Vec::new();
    for _ in 0..5 {
        match client.next().await.unwrap().unwrap() {
            Message::Text(text) if text.len() > 1 << 20 => kinds.push("oversize"),
            Message::Text(text) if serde_json::from_str::<Value>(&text).is_err() => kinds.push("invalid"),
            Message::Text(text) if text.contains("no number") => kinds.push("types"),
            Message::Text(_) => kinds.push("ids"),
            Message::Binary(_) => kinds.push("binary"),
            other => panic!("unexpected {other:?}"),
        }
    }
    assert_eq!(kinds, ["invalid", "types", "ids", "binary", "oversize"]);
    assert!(matches!(client.next().await, Some(Err(Error::Utf8(_)))));
    simulator.shutdown().await;
    let lines = truth::read(&path).unwrap();
    let garbage: Vec<_> = truth::sent_to(&lines, 1).filter(|frame| frame.kind == Kind::Garbage).collect();
    assert_eq!(garbage.len(), 6);
    assert_eq!(garbage.iter().filter(|frame| frame.hex.is_some()).count(), 2);
    let utf8 = garbage[5].hex.as_ref().unwrap();
    assert!(utf8.contains("fffe"), "{utf8}");
}

#[tokio::test]
async fn good_frames_follow_garbage_that_a_client_survives() {
    let (simulator, mut client, path) = started("survive.ndjson").await;
    simulator.inject(Fault::Garbage { count: 2, kind: Some(Garbage::WrongTypes) });
    let (received, lines) = finish(simulator, &mut client, &path).await;
    assert_eq!(received, sent_to_first(&lines));
    assert_eq!(received.len(), events_of_channel(&lines).len() + 2);
}

#[tokio::test]
async fn slow_delays_frames_and_loses_none() {
    let (simulator, mut client, path) = started("slow.ndjson").await;
    let (delay, lasting) = (Duration::from_millis(1), Duration::from_millis(200));
    simulator.inject(Fault::Slow { delay, lasting });
    let (received, lines) = finish(simulator, &mut client, &path).await;
    assert_eq!(received, sent_to_first(&lines));
    assert_eq!(received, events_of_channel(&lines));
}

#[tokio::test]
async fn down_cuts_all_and_refuses_new_connections_for_a_while() {
    let (simulator, mut client, path) = started("down.ndjson").await;
    simulator.inject(Fault::Down { lasting: Duration::from_secs(1) });
    assert_eq!(client.rest().await.1, None);
    assert!(connect_async(simulator.ws_url()).await.is_err());
    while connect_async(simulator.ws_url()).await.is_err() {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    simulator.shutdown().await;
    assert_eq!(closed(&truth::read(&path).unwrap())[0], "down");
}

#[tokio::test]
async fn a_script_lets_faults_happen_by_themselves() {
    let steps =
        vec!["300ms:cut".parse().unwrap(), Fault::Down { lasting: Duration::ZERO }.at(Duration::from_secs(600))];
    let simulator = Simulator::start(Config { faults: steps, ..paused() }).await.unwrap();
    let mut client = Client::connect(&simulator).await;
    assert_eq!(client.rest().await, (vec![], None));
}

#[tokio::test]
async fn an_application_that_is_mute_still_answers_pings() {
    let (simulator, mut client, path) = started("app-mute.ndjson").await;
    simulator.inject(Fault::AppMute { lasting: Some(Duration::from_secs(1)) });
    client.send(r#"{"event":"bts:heartbeat"}"#).await;
    client.socket.send(Message::Ping(Vec::new().into())).await.unwrap();
    simulator.resume();
    until(|| simulator.emitted() > 100).await;
    simulator.pause();
    assert!(matches!(client.next().await, Some(Ok(Message::Pong(_)))), "a pong, and nothing else");
    let (received, lines) = finish(simulator, &mut client, &path).await;
    let silent = truth::events(&lines).take(50).filter(|frame| frame.frame.contains(CHANNEL));
    assert!(silent.into_iter().all(|frame| frame.connections.is_empty()));
    assert_eq!(received, sent_to_first(&lines));
}

#[tokio::test]
async fn a_lost_heartbeat_is_never_answered() {
    let (simulator, mut client, _) = started("lost-heartbeat.ndjson").await;
    simulator.inject(Fault::LoseHeartbeats { count: 1 });
    client.ask("bts:heartbeat", "").await;
    client.ask("bts:unsubscribe", CHANNEL).await;
    assert_eq!(client.json().await["event"], "bts:unsubscription_succeeded");
    client.ask("bts:heartbeat", "").await;
    assert_eq!(client.json().await["event"], "bts:heartbeat");
}

#[tokio::test]
async fn control_messages_come_in_odd_forms() {
    let (simulator, mut client, path) = started("odd-control.ndjson").await;
    simulator.inject(Fault::OddControl { count: 5 });
    for expected in ["bts:error", "bts:error", "bts:maintenance", "bts:subscription_succeeded", "bts:error"] {
        assert_eq!(client.json().await["event"], expected);
    }
    let (received, lines) = finish(simulator, &mut client, &path).await;
    assert_eq!(received, sent_to_first(&lines), "they are no data and not in the truth");
}

#[tokio::test]
async fn trades_with_impossible_times_are_events() {
    let (simulator, mut client, path) = started("odd-times.ndjson").await;
    client.subscribe("live_trades_btcusd").await;
    simulator.inject(Fault::OddTimes { count: 5 });
    let mut times = Vec::new();
    for _ in 0..5 {
        let frame = client.json().await;
        times.push(frame["data"]["microtimestamp"].as_str().unwrap().parse::<u64>().unwrap());
    }
    times.sort_unstable();
    assert_eq!((times[0], times[1], times[4]), (1, 4_102_444_800_000_000, u64::MAX));
    let (_, lines) = finish(simulator, &mut client, &path).await;
    assert_eq!(truth::events(&lines).take(5).filter(|frame| frame.connections == [1]).count(), 5);
}

#[tokio::test]
async fn a_delisted_market_is_confirmed_and_silent_until_it_is_listed_again() {
    let (simulator, mut client, path) = started("delist.ndjson").await;
    simulator.inject(Fault::Delist { market: "btcusd".to_owned() });
    let listed = async || {
        let url = format!("{}/markets/", simulator.rest_url());
        reqwest::get(url).await.unwrap().text().await.unwrap().contains(r#""btcusd""#)
    };
    assert!(!listed().await);
    // Acknowledged as before.
    client.subscribe(CHANNEL).await;
    simulator.resume();
    until(|| simulator.emitted() > 300).await;
    simulator.pause();
    client.ask("bts:heartbeat", "").await;
    assert_eq!(client.json().await["event"], "bts:heartbeat", "nothing came before it");
    simulator.inject(Fault::List { market: "btcusd".to_owned() });
    assert!(listed().await);
    let (received, lines) = finish(simulator, &mut client, &path).await;
    assert!(!received.is_empty());
    assert_eq!(received, events_of_channel(&lines));
}
