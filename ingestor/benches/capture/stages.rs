//! What the daemon does to each event, by itself: the ceilings beside which the daemon is measured.

use std::time::{Duration, Instant};

use aws_sdk_dynamodb::types::{PutRequest, WriteRequest};
use futures_util::StreamExt as _;
use ingestor::spool::Spool;
use ingestor::spool::record::{Payload, Record};
use ingestor::store::table;
use shared::frame::Frame;
use shared::item::{self, Item};
use shared::time::Micros;

use crate::daemon::{self, TABLE, cpu_seconds};

/// As many requests at once as the daemon may have.
const WRITERS: usize = 16;

/// An order event as the exchange sends them since 2026; `begin` is the time of the first one, microseconds since the Unix epoch. An event far
/// from the time of its receipt would be stored by itself.
pub(crate) fn frame(number: u64, begin: u64) -> String {
    let micros = begin + number * 1_000;
    let id = 2_050_558_851_342_339 + number;
    format!(
        r#"{{"data":{{"id":{id},"id_str":"{id}","order_type":0,"order_subtype":5,"datetime":"{}","microtimestamp":"{micros}","amount":0.06214,"amount_str":"0.06214000","amount_traded":"0","amount_at_create":"0.06214000","price":58356.1,"price_str":"58356.10","is_liquidation":false}},"channel":"live_orders_btcusd","event":"order_created","event_id":"{}","pre_event_id":"{}","order_source":"orderbook"}}"#,
        micros / 1_000_000,
        event_id(micros),
        event_id(micros - 1_000),
    )
}

fn event_id(micros: u64) -> String {
    let hex = format!("{micros:016x}");
    let (a, rest) = hex.split_at(8);
    let (b, c) = rest.split_at(4);
    format!("{a}-{b}-{c}-0000-000102000020")
}

/// Parses, builds and spools all frames, as fast as one core can.
pub(crate) fn on_one_core(frames: &[String]) {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), 8 << 30).unwrap();
    let before = cpu_seconds("self");
    let started = Instant::now();
    let mut synced = Instant::now();
    let mut built = 0;
    let mut received_at = 0;
    for chunk in frames.chunks(256) {
        let records: Vec<Record> = chunk
            .iter()
            .map(|frame| {
                received_at += 1;
                let payload = Payload::Text(frame.as_bytes().to_vec());
                Record { received_at: Micros(received_at), connection: 1, payload }
            })
            .collect();
        spool.append(&records).unwrap();
        if synced.elapsed() >= Duration::from_millis(25) {
            spool.sync().unwrap();
            synced = Instant::now();
            built += build(&spool, built);
        }
    }
    spool.sync().unwrap();
    while built < frames.len() as u64 {
        built += build(&spool, built);
    }
    let (wall, cpu) = (started.elapsed().as_secs_f64(), cpu_seconds("self") - before);
    let events = frames.len() as f64;
    println!(
        "parse + item + spool: {:.0} events/s of wall time, {:.0} events a CPU second ({cpu:.2} s)",
        events / wall,
        events / cpu
    );
}

/// Reads everything durable, builds its items, and acknowledges it; returns how many.
fn build(spool: &Spool, from: u64) -> u64 {
    let mut count = 0;
    loop {
        let records = spool.read(from + count, 500, 1 << 20).unwrap();
        if records.is_empty() {
            return count;
        }
        for (_, record) in &records {
            let Payload::Text(text) = &record.payload else { panic!("not a frame") };
            std::hint::black_box(to_item(text, record.received_at));
        }
        count += records.len() as u64;
        spool.acknowledge(from + count, None).unwrap();
    }
}

fn to_item(text: &[u8], received_at: Micros) -> Item {
    match Frame::parse(text).unwrap() {
        Frame::Event(event) => item::from_event(event, received_at).unwrap(),
        Frame::Control(control) => panic!("{control:?}"),
    }
}

/// Writes ready-made items without a daemon; returns the events a second.
pub(crate) async fn bare_loop(frames: &[String]) -> f64 {
    let client = &daemon::client(&daemon::store().await).await;
    table::create(client, TABLE).await.unwrap();
    let batches: Vec<Vec<WriteRequest>> = frames
        .chunks(25)
        .map(|chunk| {
            chunk
                .iter()
                .map(|frame| {
                    let item = to_item(frame.as_bytes(), Micros(1));
                    let put = PutRequest::builder().set_item(Some(item)).build().unwrap();
                    WriteRequest::builder().put_request(put).build()
                })
                .collect()
        })
        .collect();
    let started = Instant::now();
    futures_util::stream::iter(batches)
        .for_each_concurrent(WRITERS, async |batch| {
            let answer = client.batch_write_item().request_items(TABLE, batch).send().await.unwrap();
            assert!(answer.unprocessed_items().is_none_or(|items| items.is_empty()));
        })
        .await;
    let rate = frames.len() as f64 / started.elapsed().as_secs_f64();
    println!("bare loop of BatchWriteItem, ready-made items: {rate:.0} events/s");
    rate
}
