//! A trade that was fetched and captured is one item in the end, in whatever order that happens.

use std::time::Duration;

use ingestor::observe::status::Component;
use ingestor::ship::decode;
use ingestor::spool::record::{Payload, Record};
use ingestor::store::batch::BatchEntry;
use ingestor::store::reader::StoreReader;
use ingestor::store::twins;
use ingestor::store::writer::Writer;
use shared::channel::Channel;
use shared::item::{Item, SOURCE};
use shared::time::Micros;

use crate::support::{client, engine};

/// What filler and daemon do one after the other.
#[derive(Clone, Copy, Debug)]
enum Step {
    /// The filler looks whether there is anything, then writes if there was nothing.
    Look,
    Fetched,
    LookAgain,
    Captured,
    Late,
}

/// Every order of the steps of both that keeps each one's own.
fn interleavings(filler: &[Step], daemon: &[Step]) -> Vec<Vec<Step>> {
    let (Some((first, rest)), Some((other, others))) = (filler.split_first(), daemon.split_first()) else {
        return vec![[filler, daemon].concat()];
    };
    let mut all = Vec::new();
    for (step, (left, right)) in [(first, (rest, daemon)), (other, (filler, others))] {
        all.extend(interleavings(left, right).into_iter().map(|order| [&[*step][..], &order].concat()));
    }
    all
}

fn entry(id: usize) -> BatchEntry {
    let text = format!(
        r#"{{"data":{{"id":{id},"timestamp":"1700000000","amount_str":"1","price_str":"2","type":0,"microtimestamp":"1700000000123000","buy_order_id":1,"sell_order_id":2}},"channel":"live_trades_btcusd","event":"trade"}}"#
    );
    let record =
        Record { connection: 1, received_at: Micros(1_700_000_000_200_000), payload: Payload::Text(text.into()) };
    decode::entry_of(0, &record).unwrap().unwrap()
}

/// As the filler writes it: found at its second.
fn fetched(id: usize) -> BatchEntry {
    let mut entry = entry(id);
    entry.key.microtimestamp = "1700000000000000".to_owned();
    for (name, value) in [("microtimestamp", "1700000000000000"), (SOURCE, twins::REST)] {
        entry.item.insert(name.to_owned(), aws_sdk_dynamodb::types::AttributeValue::S(value.to_owned()));
    }
    entry
}

#[tokio::test]
async fn in_every_order_one_trade_is_one_item() {
    let client = client(&engine().await).await;
    ingestor::store::table::create(&client, "bitstamp-live").await.unwrap();
    let writer =
        Writer::new(client.clone(), "bitstamp-live".to_owned(), 4, Duration::from_secs(60), Default::default());
    let stored: StoreReader = writer.reader();
    let channel = Channel::from_frame("live_trades_btcusd".to_owned());
    let orders = interleavings(&[Step::Look, Step::Fetched, Step::LookAgain], &[Step::Captured, Step::Late]);
    assert_eq!(orders.len(), 10);
    for (id, order) in orders.iter().enumerate() {
        let mut there = false;
        for step in order {
            match step {
                Step::Look => there = twins::remove(&stored, &channel, &id.to_string()).await.unwrap().any(),
                Step::Fetched if there => {}
                Step::Fetched => {
                    writer.insert_if_absent(fetched(id), Component::Filling).await;
                }
                Step::Captured => {
                    assert_eq!(writer.write(vec![entry(id)]).await.stored.len(), 1);
                    assert!(twins::may_have_one(&entry(id), 1_700_000_001_000_000), "it is late");
                }
                Step::LookAgain | Step::Late => {
                    twins::remove(&stored, &channel, &id.to_string()).await.unwrap();
                }
            }
        }
        let copies = twins::look(&stored, &channel, &id.to_string()).await.unwrap();
        assert!(copies.captured && copies.fetched.is_empty(), "{order:?}: {copies:?}");
    }
    let items: Vec<Item> = client.scan().table_name("bitstamp-live").send().await.unwrap().items.unwrap();
    assert_eq!(items.len(), orders.len());
}

#[test]
fn only_a_late_trade_is_looked_for() {
    let at = 1_700_000_000_123_000;
    assert!(!twins::may_have_one(&entry(1), at + 400_000));
    assert!(twins::may_have_one(&entry(1), at + 600_000));
    let mut ledger = entry(1);
    ledger.key.microtimestamp += "#0011223344556677";
    assert!(!twins::may_have_one(&ledger, u64::MAX), "other events have keys of their own");
}
