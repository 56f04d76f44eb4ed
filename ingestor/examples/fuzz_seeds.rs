//! Makes the seeds of the fuzz targets from the simulator's flow: `scripts/fuzz.sh --seeds`.
#![expect(clippy::unwrap_used, reason = "a program that makes files of its own may panic")]

#[path = "../../shared/tests/it/flow.rs"]
mod flow;

use std::path::{Path, PathBuf};

use exchange_sim::model::channel::Family;
use flow::Captured;
use ingestor::spool::record::{Payload, Record};
use serde_json::{Map, Value, json};
use shared::attribute;
use shared::block;
use shared::item::Item;
use shared::time::Micros;

/// Events of each seed: enough that one refers to another.
const EVENTS: usize = 4;

/// Frames that are about the connection.
const CONTROL: [&str; 3] = [
    r#"{"event":"bts:subscription_succeeded","channel":"live_trades_btcusd","data":{}}"#,
    r#"{"event":"bts:request_reconnect","channel":"","data":""}"#,
    r#"{"event":"bts:error","channel":"","data":{"code":null,"message":"Bad subscription string."}}"#,
];

/// Query strings with the headers that the target reads.
const QUERIES: [&str; 6] = [
    "channel=live_trades_btcusd&from=2026-11-21T00:00:00Z&to=now-1h&limit=3&fields=price_str,amount\ntext/csv;q=0.5, */*\ngzip, zstd;q=0.1",
    "channel=live_orders_btcusd,live_*&before=1795226911565000&order=desc&format=ndjson&end=record",
    "channel=live_trades_btcusd&interval=1m&from=-2d&ExclusiveStartKey=ATE3",
    "channel=%2A&event=trade,order_created&after=x\n\n\nATE3",
    "from=2026-11-21&limt=1&limit=1&limit=2",
    "channel=live_trades_btcusd&from=1795226911&to=1795226911565",
];

/// Texts that tokens hold.
const PLACES: [&str; 4] = [
    "1647817207170000|1647817207171000|7|2001939623936278528#trade",
    "1647817207170000|||00ff,1",
    "1647817207170000|5|6|",
    "1 9\n1647817207170000|7|8|9",
];

fn main() {
    let folder = PathBuf::from(std::env::args().nth(1).expect("usage: seeds FOLDER"));
    let orders = flow::captured("btcusd", Family::LiveOrders, EVENTS, 1);
    let trades = flow::captured("btcusd", Family::LiveTrades, EVENTS, 1);
    let funding = flow::captured("btcusd-perp", Family::FundingRate, EVENTS, 1);
    let families = [("orders", &orders), ("trades", &trades), ("funding", &funding)];
    for (name, events) in families {
        let first = events.first().expect("the flow has events");
        write(&folder, "frame", name, first.frame.as_bytes());
        let record =
            Record { received_at: Micros(1), connection: 1, payload: Payload::Text(first.frame.clone().into()) };
        write(&folder, "record", name, &record.encode());
        let channel = first.item.get("channel").and_then(|value| value.as_s().ok()).expect("an item has a channel");
        let bytes = block::encode(channel, events.iter().map(|event| &event.item)).expect("events fit into a block");
        write(&folder, "block", name, &bytes);
        write(&folder, "block_again", name, &bytes);
        let answer = answer(events);
        write(&folder, "answer", name, answer.as_bytes());
        write(&folder, "csv", name, answer.as_bytes());
        let data: Vec<Value> = events.iter().map(data).collect();
        // The first byte is the size of the pieces in which it arrives.
        write(&folder, "history", name, format!("\u{7}{}", Value::Array(data)).as_bytes());
    }
    let book = flow::captured("btcusd", Family::DiffOrderBook, 1, 1);
    write(&folder, "frame", "book", book.first().map(|event| event.frame.as_bytes()).unwrap_or_default());
    for (number, text) in CONTROL.iter().enumerate() {
        write(&folder, "frame", &format!("control-{number}"), text.as_bytes());
    }
    let payloads = [
        Payload::Binary(vec![0, 255]),
        Payload::Refused("too long".to_owned()),
        Payload::ConnectionEvent(br#"{"story":"connected"}"#.to_vec()),
        Payload::Unreadable(vec![9]),
    ];
    for (number, payload) in payloads.into_iter().enumerate() {
        let record = Record { received_at: Micros(2), connection: 2, payload };
        write(&folder, "record", &format!("other-{number}"), &record.encode());
    }
    for (target, texts) in [("query", QUERIES.as_slice()), ("token", PLACES.as_slice())] {
        for (number, text) in texts.iter().enumerate() {
            write(&folder, target, &number.to_string(), text.as_bytes());
        }
    }
}

fn write(folder: &Path, target: &str, name: &str, bytes: &[u8]) {
    let folder = folder.join(target);
    std::fs::create_dir_all(&folder).expect("the folder of a target can be made");
    std::fs::write(folder.join(name), bytes).expect("a seed can be written");
}

/// The data of an event, as an element of the exchange's history.
fn data(event: &Captured) -> Value {
    let frame: Value = serde_json::from_str(&event.frame).expect("a frame is JSON");
    frame.get("data").cloned().unwrap_or_default()
}

/// The answer to a Query with these items.
fn answer(events: &[Captured]) -> String {
    let items: Vec<_> = events.iter().map(|event| typed(&event.item)).collect();
    json!({ "Items": items, "Count": items.len(), "ScannedCount": items.len(), "LastEvaluatedKey": items.last() })
        .to_string()
}

fn typed(item: &Item) -> Value {
    let mut fields: Vec<_> = item.iter().collect();
    fields.sort_by_key(|(name, _)| *name);
    let of_type = |value: &Value| match value {
        Value::Number(digits) => json!({ "N": digits.to_string() }),
        Value::String(text) => json!({ "S": text }),
        Value::Bool(flag) => json!({ "BOOL": flag }),
        Value::Array(names) => json!({ "L": names.iter().map(|name| json!({ "S": name })).collect::<Vec<_>>() }),
        other => panic!("events of these channels have no {other}"),
    };
    let json = |value| attribute::to_json(value).expect("an attribute has a JSON form");
    Value::Object(fields.into_iter().map(|(name, value)| (name.clone(), of_type(&json(value)))).collect::<Map<_, _>>())
}
