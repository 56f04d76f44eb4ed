//! The work whose instructions `scripts/instructions.sh` counts: `instructions OPERATION ROUNDS`.
//!
//! Each operation works on the frames of `shared/tests/golden`, which never change.
#![expect(clippy::print_stdout, clippy::unwrap_used, reason = "it prints its result, and it may panic")]

// The daemon's library takes minutes to build in release; its record needs nothing of it.
#[path = "../../../ingestor/src/spool/record.rs"]
#[expect(
    dead_code,
    unreachable_pub,
    reason = "what is public there is private here, and connection events are not counted"
)]
mod record;

use std::hint::black_box;

use codec::answer::Answer;
use codec::item::Item as PageItem;
use codec::{block as page_block, csv, json};
use record::{Payload, Record};
use serde_json::{Map, Value, json};
use shared::attribute;
use shared::block::{self, stored::BlockItem};
use shared::frame::Frame;
use shared::item::{self, Item};
use shared::time::Micros;

const ORDERS: &str = include_str!("../../../shared/tests/golden/orders.frames");
const TRADES: &str = include_str!("../../../shared/tests/golden/trades.frames");
const CHANNEL: &str = "live_orders_btcusd";
/// Events of a page.
const PAGE: usize = 1_000;

fn main() {
    let mut arguments = std::env::args().skip(1);
    let operation = arguments.next().expect("the name of an operation");
    let rounds: usize = arguments.next().expect("a number of rounds").parse().unwrap();
    let (orders, trades) = (frames(ORDERS), frames(TRADES));
    let items: Vec<Item> = orders.iter().map(|(received, frame)| to_item(frame, *received)).collect();
    let body = answer(&items);
    let page = Answer::parse(&body).unwrap().items.0;
    let stored = BlockItem::new(CHANNEL, "a", 1, block::encode(CHANNEL, &items).unwrap()).unwrap();
    let work: &dyn Fn() -> usize = match operation.as_str() {
        "frame_to_item" => &|| orders.iter().chain(&trades).map(|(at, frame)| to_item(frame, *at).len()).sum(),
        "record" => &|| orders.iter().map(|(at, frame)| through_the_spool(frame, *at)).sum(),
        "answer" => &|| Answer::parse(&body).unwrap().items.0.len(),
        "page_json" => &|| page_json(&page),
        "page_csv" => &|| page_csv(&page),
        "block_build" => &|| block::encode(CHANNEL, &items).unwrap().len(),
        "block_read" => &|| page_block::events(&stored, &(Micros(0)..=Micros(u64::MAX)), None).unwrap().items.len(),
        other => panic!("no operation {other}"),
    };
    println!("{operation}: {}", measured(rounds, work));
}

/// Callgrind counts what runs within this function: not what is prepared, which takes more and, with its seeded hash maps, never the same.
#[inline(never)]
fn measured(rounds: usize, work: &dyn Fn() -> usize) -> usize {
    (0..rounds).map(|_| black_box(work())).sum()
}

/// Times of receipt and frames.
fn frames(lines: &str) -> Vec<(Micros, &str)> {
    let parted = lines.lines().map(|line| line.split_once(' ').unwrap());
    parted.map(|(received, frame)| (Micros(received.parse().unwrap()), frame)).collect()
}

fn to_item(frame: &str, received: Micros) -> Item {
    let Frame::Event(event) = Frame::parse(frame.as_bytes()).unwrap() else { panic!("a control message: {frame}") };
    item::from_event(event, received).unwrap()
}

fn through_the_spool(frame: &str, received_at: Micros) -> usize {
    let record = Record { received_at, connection: 1, payload: Payload::Text(frame.as_bytes().to_vec()) };
    let Payload::Text(text) = Record::decode(&record.encode()).unwrap().payload else { panic!("another kind") };
    text.len()
}

/// The answer of DynamoDB with a page of items.
fn answer(items: &[Item]) -> Vec<u8> {
    let items: Vec<_> = items.iter().cycle().take(PAGE).map(typed).collect();
    json!({ "Items": items, "Count": PAGE, "ScannedCount": PAGE }).to_string().into_bytes()
}

fn typed(item: &Item) -> Value {
    let of_type = |value: Value| match value {
        Value::Number(digits) => json!({ "N": digits.to_string() }),
        Value::Bool(flag) => json!({ "BOOL": flag }),
        text => json!({ "S": text }),
    };
    let fields = item.iter().map(|(name, value)| (name.clone(), of_type(attribute::to_json(value).unwrap())));
    // Sorted by name, so that every run has the same bytes.
    Value::Object(fields.collect::<Map<_, _>>())
}

fn page_json(items: &[PageItem]) -> usize {
    let (mut out, mut writer) = (Vec::new(), json::Writer::new(None));
    items.iter().for_each(|item| writer.event(&mut out, item));
    out.len()
}

fn page_csv(items: &[PageItem]) -> usize {
    let columns = ["channel", "event", "nmicrotimestamp", "id", "price", "amount"];
    let mut out = Vec::new();
    csv::header(&mut out, &columns, csv::Rest::Kept);
    items.iter().for_each(|item| csv::record(&mut out, item, &columns, csv::Rest::Kept));
    out.len()
}
