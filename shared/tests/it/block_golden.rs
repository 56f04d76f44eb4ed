//! Blocks of every version of the format, as they were written: each is readable for ever.

use exchange_sim::model::channel::Family;
use std::fmt::Write as _;
use std::path::PathBuf;

use shared::block::{self, Block};
use shared::item::Item;

use crate::flow;
use crate::same::returned;

/// Frames that no recording has.
const ODD: [&str; 9] = [
    r#"{"data":{"id":2050558851342339,"id_str":"2050558851342339","order_type":0,"microtimestamp":"1789459694223000","amount":1e-8,"amount_str":"1E-8","price":0,"price_str":"0.00"},"channel":"live_orders_x","event":"order_created","event_id":"00065b81-0d69-fe98-0000-006902000020"}"#,
    r#"{"data":{"id":"2050558851342339","order_type":"0","microtimestamp":1789459694223000,"amount_str":"","price_str":"-0"},"channel":"live_orders_x","event":"order_changed"}"#,
    r#"{"data":{"id":2050558851342339,"microtimestamp":"1789459694222000","price":99999999999999999999999999999999999999,"new":[{"":1,"$":[null,true,[]]},"é\n"]},"channel":"live_orders_x","event":"order_deleted","event_id":"late"}"#,
    r#"{"data":{"id":1,"microtimestamp":"1","amount":1e125,"x":1e-130,"y":1e126,"z":-0.0},"channel":"live_orders_x","event":"tomorrow","pre_event_id":7,"order_source":null}"#,
    r#"{"data":{"id":1,"microtimestamp":"1"},"channel":"live_orders_x","event":"tomorrow"}"#,
    r#"{"data":{"id":1,"microtimestamp":"1"},"channel":"live_orders_x","event":"tomorrow"}"#,
    r#"{"data":{"id":9223372036854775808,"microtimestamp":"9999999999999999999"},"channel":"live_orders_x","event":"order_created","event_id":"00065B81-0D69-FE98-0000-006902000020"}"#,
    r#"{"data":{"id":18446744073709551615,"microtimestamp":"1789459694223001","order_type":1,"amount_str":"0.1000000000000000000000"},"channel":"live_orders_x","event":"order_created"}"#,
    r#"{"data":{"id":2050558851342340,"microtimestamp":"1789459694223001","order_type":1,"datetime":"soon"},"channel":"live_orders_x","event":"order_deleted","venue":"spot"}"#,
];

fn folder() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/golden")
}

/// Name, frames and times of receipt of what the golden blocks were made of.
fn contents() -> Vec<(String, Vec<(u64, String)>)> {
    let mut contents: Vec<_> =
        [("orders", Family::LiveOrders), ("trades", Family::LiveTrades), ("books", Family::DiffOrderBook)]
            .into_iter()
            .map(|(name, family)| {
                let events = flow::captured("btcusd", family, 60, 4);
                let received = |item: &Item| item["received_at"].as_n().unwrap().parse().unwrap();
                (name.to_owned(), events.into_iter().map(|event| (received(&event.item), event.frame)).collect())
            })
            .collect();
    let odd = ODD.iter().zip(1_789_459_694_300_000..).map(|(frame, received)| (received, (*frame).to_owned()));
    contents.push(("odd".to_owned(), odd.collect()));
    contents
}

fn items(lines: &[(u64, String)]) -> Vec<Item> {
    lines.iter().map(|(received, frame)| flow::item(frame, *received)).collect()
}

/// The frames of a golden block, each behind its time of receipt.
fn read(name: &str) -> Vec<(u64, String)> {
    let text = std::fs::read_to_string(folder().join(format!("{name}.frames"))).unwrap();
    let line = |line: &str| line.split_once(' ').map(|(received, frame)| (received.parse().unwrap(), frame.to_owned()));
    text.lines().map(|text| line(text).unwrap()).collect()
}

#[test]
fn version_1_is_read() {
    for name in ["orders", "trades", "books", "odd"] {
        let bytes = std::fs::read(folder().join(format!("{name}.v1.block"))).unwrap();
        let expected: Vec<Item> = items(&read(name)).iter().map(returned).collect();
        let channel = expected[0]["channel"].as_s().unwrap();
        let header = *Block::open(channel, &bytes).unwrap().header();
        assert_eq!((header.version, header.count as usize), (1, expected.len()));
        assert_eq!(block::decode(channel, &bytes).unwrap(), expected, "{name}");
    }
}

/// A writer may find a shorter form of the same version; then this test goes, and the one above stays.
#[test]
fn version_1_is_written() {
    for name in ["orders", "trades", "books", "odd"] {
        let items = items(&read(name));
        let bytes = block::encode(items[0]["channel"].as_s().unwrap(), &items).unwrap();
        assert!(bytes == std::fs::read(folder().join(format!("{name}.v1.block"))).unwrap(), "{name}");
    }
}

/// `cargo test -p shared write_golden -- --ignored`: for a new version only; files of a released one never change.
#[test]
#[ignore = "writes the files of the tests above"]
fn write_golden() {
    std::fs::create_dir_all(folder()).unwrap();
    for (name, lines) in contents() {
        let mut text = String::new();
        lines.iter().for_each(|(received, frame)| writeln!(text, "{received} {frame}").unwrap());
        std::fs::write(folder().join(format!("{name}.frames")), text).unwrap();
        let items = items(&lines);
        let bytes = block::encode(items[0]["channel"].as_s().unwrap(), &items).unwrap();
        std::fs::write(folder().join(format!("{name}.v1.block")), bytes).unwrap();
    }
}
