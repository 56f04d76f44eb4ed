//! The truth file says what a client received.

use exchange_sim::Config;
use exchange_sim::Simulator;
use exchange_sim::truth::{self, Line, What};

use crate::support::{Client, paused, scratch, until};

#[tokio::test]
async fn a_client_receives_exactly_what_the_truth_says() {
    let path = scratch("truth.ndjson");
    let simulator = Simulator::start(Config { truth: Some(path.clone()), ..paused() }).await.unwrap();
    let (mut first, mut second) = (Client::connect(&simulator).await, Client::connect(&simulator).await);
    for channel in ["live_orders_btcusd", "live_trades_btcusd", "live_orders_ethusd", "diff_order_book_btcusd"] {
        first.subscribe(channel).await;
    }
    second.subscribe("live_orders_btcusd").await;
    simulator.resume();
    until(|| simulator.emitted() > 3_000).await;
    simulator.pause();
    let emitted = simulator.emitted();
    let (_, (received, _), (other, _)) = tokio::join!(simulator.shutdown(), first.rest(), second.rest());
    let lines = truth::read(&path).unwrap();
    let sent = |connection| truth::sent_to(&lines, connection).map(|frame| frame.frame.clone()).collect::<Vec<_>>();
    assert!(received.len() > 1_000 && other.len() > 500, "{} and {}", received.len(), other.len());
    assert_eq!(received, sent(1));
    assert_eq!(other, sent(2));
    assert_eq!(truth::events(&lines).count() as u64, emitted);
    // Nobody took ethusd's trades, and they are in the file all the same.
    let unheard: Vec<_> = truth::events(&lines).filter(|frame| frame.connections.is_empty()).collect();
    assert!(!unheard.is_empty());
    assert!(unheard.into_iter().all(|frame| frame.frame.contains("live_trades_ethusd")));
    let seqs: Vec<u64> = truth::events(&lines).map(|frame| frame.seq).collect();
    assert_eq!(seqs, (1..=emitted).collect::<Vec<_>>());
}

#[tokio::test]
async fn the_story_of_a_connection_is_in_the_file() {
    let path = scratch("story.ndjson");
    let simulator = Simulator::start(Config { truth: Some(path.clone()), ..paused() }).await.unwrap();
    let mut client = Client::connect(&simulator).await;
    client.subscribe("live_orders_btcusd").await;
    client.ask("bts:unsubscribe", "live_orders_btcusd").await;
    assert_eq!(client.json().await["event"], "bts:unsubscription_succeeded");
    client.socket.close(None).await.unwrap();
    client.rest().await;
    until(|| simulator.connections() == 0).await;
    simulator.shutdown().await;
    let story: Vec<What> = truth::read(&path)
        .unwrap()
        .into_iter()
        .map(|line| match line {
            Line::Change { connection: 1, what, .. } => what,
            other => panic!("unexpected {other:?}"),
        })
        .collect();
    let channel = "live_orders_btcusd".to_owned();
    assert!(matches!(&story[0], What::Opened(peer) if peer.starts_with("127.0.0.1:")));
    assert_eq!(
        story[1..],
        [What::Subscribed(channel.clone()), What::Unsubscribed(channel), What::Closed("client closed".into())]
    );
}

#[test]
fn a_file_that_is_no_truth_is_named_with_its_line() {
    let path = scratch("wrong.ndjson");
    std::fs::write(&*path, "{\"connection\":1,\"at\":2,\"closed\":\"cut\",\"sent\":3}\nnot a line\n").unwrap();
    let error = truth::read(&path).unwrap_err().to_string();
    assert!(error.starts_with("line 2 of the truth file"), "{error}");
}
