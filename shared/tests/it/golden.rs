//! Items as they stand in a table, attribute by attribute: what a reader of the table relies on.

use serde_json::Value;
use shared::frame::Frame;
use shared::item::{self, Item};
use shared::time::Micros;

const RECEIVED_AT: Micros = Micros(1_789_459_694_300_001);

fn build(frame: &str) -> Item {
    let Frame::Event(event) = Frame::parse(frame.as_bytes()).unwrap() else { panic!("a control message") };
    item::from_event(event, RECEIVED_AT).unwrap()
}

/// One line an attribute, sorted: `name TYPE value`.
fn spell(item: &Item) -> Vec<String> {
    let mut lines: Vec<_> =
        item.iter().map(|(name, value)| format!("{name} {value:?}").replace("\\\"", "\"")).collect();
    lines.sort();
    lines
}

#[test]
fn a_trade() {
    let item = build(
        r#"{"data":{"id":644000001,"timestamp":"1789459694","amount":1e-8,"amount_str":"1E-8","price":58356.1,"price_str":"58356.10","type":1,"microtimestamp":"1789459694223000","buy_order_id":2050558851342339,"sell_order_id":2050558851342340},"channel":"live_trades_btcusd","event":"trade"}"#,
    );
    assert_eq!(
        spell(&item),
        [
            r#"amount N("1e-8")"#,
            r#"amount_str S("1E-8")"#,
            r#"buy_order_id N("2050558851342339")"#,
            r#"channel S("live_trades_btcusd")"#,
            r#"event S("trade")"#,
            r#"id N("644000001")"#,
            r#"microtimestamp S("1789459694223000")"#,
            r#"nmicrotimestamp N("1789459694223000")"#,
            r#"price N("58356.1")"#,
            r#"price_str S("58356.10")"#,
            r#"received_at N("1789459694300001")"#,
            r#"sell_order_id N("2050558851342340")"#,
            r#"timestamp S("1789459694")"#,
            r#"type N("1")"#,
        ]
    );
}

#[test]
fn an_order_event() {
    let item = build(
        r#"{"data":{"id":2050558851342339,"id_str":"2050558851342339","microtimestamp":"1789459694223000","is_liquidation":false},"channel":"live_orders_ethusd","event":"order_created","event_id":"00065b81-0d69-fe98-0000-006902000020","pre_event_id":"00065b81-0d68-6088-0000-006901000020","order_source":"orderbook","venue":"spot"}"#,
    );
    assert_eq!(
        spell(&item),
        [
            r#"channel S("live_orders_ethusd")"#,
            r#"event S("order_created")"#,
            r#"event_id S("00065b81-0d69-fe98-0000-006902000020")"#,
            r#"frame.venue S("spot")"#,
            r#"id N("2050558851342339")"#,
            r#"id_str S("2050558851342339")"#,
            "is_liquidation Bool(false)",
            r#"microtimestamp S("1789459694223000#00065b81-0d69-fe98-0000-006902000020")"#,
            r#"nmicrotimestamp N("1789459694223000")"#,
            r#"order_source S("orderbook")"#,
            r#"pre_event_id S("00065b81-0d68-6088-0000-006901000020")"#,
            r#"received_at N("1789459694300001")"#,
        ]
    );
}

#[test]
fn a_book_names_what_it_did_not_carry() {
    let item = build(
        r#"{"data":{"timestamp":"1583656800","microtimestamp":"1583656800237527","bids":[],"asks":[["8735.67","2.00"]]},"event":"data","channel":"order_book_btcusd"}"#,
    );
    let lines = spell(&item);
    for line in [
        r#"bids L([])"#,
        r#"asks L([L([S("8735.67"), S("2.00")])])"#,
        r#"derived L([S("id")])"#,
        r#"id N("1583656800237527")"#,
        r#"nmicrotimestamp N("1583656800237527")"#,
    ] {
        assert!(lines.iter().any(|have| have == line), "{line} in {lines:#?}");
    }
    assert!(lines.iter().any(|line| line.starts_with(r#"microtimestamp S("1583656800237527#"#)), "{lines:#?}");
}

#[test]
fn people_see_the_microtimestamp_without_the_discriminator() {
    let item = build(
        r#"{"data":{"id":2001939623936278528,"microtimestamp":"1789459694223000","amount":0.0015847299999999999},"channel":"live_orders_ethusd","event":"order_created","event_id":"e"}"#,
    );
    let json = Value::Object(item::to_json(&item).unwrap()).to_string();
    assert_eq!(
        json,
        r#"{"amount":0.0015847299999999999,"channel":"live_orders_ethusd","event":"order_created","event_id":"e","id":2001939623936278528,"microtimestamp":"1789459694223000","nmicrotimestamp":1789459694223000,"received_at":1789459694300001}"#
    );
}

#[test]
fn what_cannot_be_stored_says_why() {
    let refuse = |frame: &str| {
        let Frame::Event(event) = Frame::parse(frame.as_bytes()).unwrap() else { panic!("a control message") };
        item::from_event(event, RECEIVED_AT).unwrap_err().to_string()
    };
    let large = format!(r#"{{"event":"data","channel":"x","data":{{"text":"{}"}}}}"#, "x".repeat(item::MAX_SIZE));
    assert!(refuse(&large).contains("larger than the store's limit of 409600"));
    assert!(refuse(r#"{"event":"data","channel":"","data":{}}"#).contains("channel ``"));
    assert!(refuse(r#"{"event":"data","channel":"_coverage:x","data":{}}"#).contains("channel `_coverage:x`"));
}
