//! Every rule of the WebSocket side, over a real socket.

use std::time::Duration;

use exchange_sim::Config;
use exchange_sim::Simulator;
use exchange_sim::truth::{self, Line, What};
use futures_util::SinkExt;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::{MaybeTlsStream, client_async};

use crate::support::{Client, DEADLINE, paused, scratch, until};

async fn started() -> (Simulator, Client) {
    let simulator = Simulator::start(paused()).await.unwrap();
    let client = Client::connect(&simulator).await;
    (simulator, client)
}

#[tokio::test]
async fn a_subscription_is_acknowledged_and_again_if_it_is_asked_again() {
    let (simulator, mut client) = started().await;
    for _ in 0..2 {
        client.ask("bts:subscribe", "live_trades_btcusd").await;
        assert_eq!(
            client.text().await,
            r#"{"event":"bts:subscription_succeeded","channel":"live_trades_btcusd","data":{}}"#
        );
    }
    assert_eq!(simulator.subscriptions(), 1);
}

#[tokio::test]
async fn only_subscribed_channels_arrive_and_none_after_unsubscribing() {
    let (simulator, mut client) = started().await;
    client.subscribe("live_orders_btcusd").await;
    client.subscribe("order_book_ethusd").await;
    simulator.resume();
    let mut seen = std::collections::BTreeSet::new();
    while seen.len() < 2 {
        seen.insert(client.json().await["channel"].as_str().unwrap().to_owned());
    }
    assert_eq!(seen.into_iter().collect::<Vec<_>>(), ["live_orders_btcusd", "order_book_ethusd"]);
    client.ask("bts:unsubscribe", "live_orders_btcusd").await;
    while client.text().await != r#"{"event":"bts:unsubscription_succeeded","channel":"live_orders_btcusd","data":{}}"# {
    }
    for _ in 0..20 {
        assert_eq!(client.json().await["channel"], "order_book_ethusd");
    }
}

#[tokio::test]
async fn nothing_comes_before_the_ack_and_no_snapshot_after_it() {
    let simulator = Simulator::start(Config { paused: false, ..paused() }).await.unwrap();
    let mut client = Client::connect(&simulator).await;
    assert_eq!(client.subscribe("live_orders_btcusd").await, Vec::<String>::new());
    simulator.pause();
    let at = simulator.emitted();
    client.subscribe("order_book_btcusd").await;
    client.ask("bts:heartbeat", "").await;
    // While nothing happens, the ack is followed by no book: the heartbeat's answer is the next frame but orders.
    while client.json().await["event"] != "bts:heartbeat" {}
    assert_eq!(simulator.emitted(), at);
}

#[tokio::test]
async fn a_heartbeat_is_answered() {
    let (_simulator, mut client) = started().await;
    client.send(r#"{"event":"bts:heartbeat"}"#).await;
    assert_eq!(client.text().await, r#"{"event":"bts:heartbeat","channel":"","data":{"status":"success"}}"#);
}

#[tokio::test]
async fn every_error_has_the_exchange_s_form() {
    let (_simulator, mut client) = started().await;
    let cases = [
        ("no json", json!(null), "Incorrect JSON format."),
        (r#"{"event":"bts:subscribe","data":{}}"#, json!(null), "Bad subscription string."),
        (r#"{"event":"bts:dance","data":{"channel":"live_trades_btcusd"}}"#, json!(null), "Bad subscription string."),
        (
            r#"{"event":"bts:subscribe","data":{"channel":"live_trades_BTCUSD"}}"#,
            json!(null),
            "Invalid channel provided.",
        ),
        (
            r#"{"event":"bts:subscribe","data":{"channel":"live_trades_btc/usd"}}"#,
            json!(null),
            "Invalid channel provided.",
        ),
        (
            r#"{"event":"bts:subscribe","data":{"channel":"live_candles_btcusd"}}"#,
            json!(null),
            "Invalid channel provided.",
        ),
        (
            r#"{"event":"bts:subscribe","data":{"channel":"private-my_orders_btcusd-1"}}"#,
            json!(4009),
            "Connection is unauthorized.",
        ),
    ];
    for (message, code, text) in cases {
        client.send(message).await;
        let expected = json!({"event": "bts:error", "channel": "", "data": {"code": code, "message": text}});
        assert_eq!(client.json().await, expected, "{message}");
    }
}

#[tokio::test]
async fn an_unknown_market_is_acknowledged_and_silent() {
    let (simulator, mut client) = started().await;
    client.subscribe("live_orders_nosuchusd").await;
    simulator.resume();
    until(|| simulator.emitted() > 500).await;
    client.ask("bts:heartbeat", "").await;
    assert_eq!(client.json().await["event"], "bts:heartbeat");
}

#[tokio::test]
async fn the_1025th_subscription_closes_silently() {
    let (simulator, mut client) = started().await;
    for number in 0..1_024 {
        client.subscribe(&format!("live_trades_m{number}usd")).await;
    }
    // A channel that is already subscribed to does not count.
    client.subscribe("live_trades_m7usd").await;
    assert_eq!(simulator.subscriptions(), 1_024);
    client.ask("bts:subscribe", "live_trades_onetoomany").await;
    let (texts, close) = client.rest().await;
    assert_eq!((texts, close), (vec![], None));
}

#[tokio::test]
async fn a_message_of_513_bytes_closes_with_1009() {
    let (_simulator, mut client) = started().await;
    let message = |length: usize| format!(r#"{{"event":"bts:heartbeat","filler":"{}"}}"#, "x".repeat(length - 37));
    assert_eq!(message(512).len(), 512);
    client.send(&message(512)).await;
    assert_eq!(client.json().await["event"], "bts:heartbeat");
    client.send(&message(513)).await;
    let (_, close) = client.rest().await;
    let close = close.expect("a close frame");
    assert_eq!((u16::from(close.code), close.reason.as_str()), (1009, "read limited at 513 bytes"));
}

#[tokio::test]
async fn the_server_pings_and_answers_pings() {
    let config = Config { ping_every: Duration::from_millis(20), ..paused() };
    let simulator = Simulator::start(config).await.unwrap();
    let mut client = Client::connect(&simulator).await;
    for _ in 0..2 {
        assert!(matches!(client.next().await, Some(Ok(Message::Ping(_)))));
    }
    client.socket.send(Message::Ping("mine".into())).await.unwrap();
    while !matches!(client.next().await, Some(Ok(Message::Pong(payload))) if payload == "mine") {}
}

#[tokio::test]
async fn a_client_that_does_not_read_is_closed_and_the_truth_says_so() {
    let path = scratch("slow.ndjson");
    let config = Config { truth: Some(path.clone()), rate: 200.0, queue_bytes: 1 << 20, ..paused() };
    let simulator = Simulator::start(config).await.unwrap();
    let mut client = Client::connect(&simulator).await;
    client.subscribe("order_book_btcusd").await;
    client.subscribe("live_orders_btcusd").await;
    simulator.resume();
    until(|| simulator.connections() == 0).await;
    simulator.pause();
    let (received, close) = client.rest().await;
    assert_eq!(close, None);
    simulator.shutdown().await;
    let lines = truth::read(&path).unwrap();
    let closed = lines.iter().find_map(|line| match line {
        Line::Change { what: What::Closed(reason), sent, .. } => Some((reason.clone(), sent.unwrap())),
        _ => None,
    });
    let (reason, sent) = closed.expect("a closed line");
    assert_eq!(reason, "slow client");
    // What arrived is the beginning of what the truth says was queued, without a hole, and at least what was handed over
    // whole to the socket unless the reset took it.
    let queued: Vec<&str> = truth::sent_to(&lines, 1).map(|frame| frame.frame.as_str()).collect();
    assert!(queued.len() as u64 > sent);
    assert!(received.len() < queued.len());
    assert_eq!(received, queued[..received.len()]);
}

#[tokio::test]
async fn a_head_in_pieces_is_still_a_websocket_request() {
    let simulator = Simulator::start(paused()).await.unwrap();
    let address = simulator.ws_url().replace("ws://", "");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let head = "GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n\
                Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n\r\n";
    for piece in head.as_bytes().chunks(40) {
        stream.write_all(piece).await.unwrap();
        stream.flush().await.unwrap();
        tokio::task::yield_now().await;
    }
    let mut answer = [0; 12];
    tokio::time::timeout(DEADLINE, stream.read_exact(&mut answer)).await.unwrap().unwrap();
    assert_eq!(&answer, b"HTTP/1.1 101");
}

#[tokio::test]
async fn a_connection_that_has_served_rest_may_become_a_websocket() {
    let simulator = Simulator::start(paused()).await.unwrap();
    let address = simulator.ws_url().replace("ws://", "");
    let mut stream = TcpStream::connect(&address).await.unwrap();
    stream.write_all(format!("GET /api/v2/markets/ HTTP/1.1\r\nHost: {address}\r\n\r\n").as_bytes()).await.unwrap();
    let mut answer = Vec::new();
    // The body of `/markets/` is the one JSON array of the answer.
    while !answer.ends_with(b"]") {
        let read = tokio::time::timeout(DEADLINE, stream.read_buf(&mut answer)).await.unwrap().unwrap();
        assert!(read > 0, "{}", String::from_utf8_lossy(&answer));
    }
    assert!(answer.starts_with(b"HTTP/1.1 200"));
    let (socket, response) = client_async(simulator.ws_url(), MaybeTlsStream::Plain(stream)).await.unwrap();
    assert_eq!(response.status(), 101);
    let mut client = Client { socket };
    client.subscribe("live_trades_btcusd").await;
    assert_eq!(simulator.subscriptions(), 1);
}

#[tokio::test]
async fn at_shutdown_the_client_gets_what_is_queued_and_a_close_frame() {
    let (simulator, mut client) = started().await;
    client.subscribe("live_orders_btcusd").await;
    simulator.resume();
    until(|| simulator.emitted() > 200).await;
    simulator.pause();
    let (_, (texts, close)) = tokio::join!(simulator.shutdown(), client.rest());
    assert!(!texts.is_empty());
    assert_eq!(u16::from(close.expect("a close frame").code), 1001);
}
