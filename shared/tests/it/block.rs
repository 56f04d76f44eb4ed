//! Blocks: whatever events mode keeps comes back, in few bytes.

use aws_sdk_dynamodb::types::AttributeValue;
use exchange_sim::model::channel::Family;
use proptest::prelude::*;
use proptest::sample::Index;
use serde_json::{Map, Value};
use std::collections::BTreeMap;
use std::sync::LazyLock;

use shared::block::{self, AddError, Block, Builder, Cell, Columns, Fixed};
use shared::channel::Channel;
use shared::event::Event;
use shared::frame::Frame;
use shared::item::{self, Item};
use shared::time::Micros;

use crate::flow;
use crate::properties;
use crate::same::returned;

const ORDERS: &str = "live_orders_btcusd";

/// Makes a block, checks what it says of itself and what comes out of it in every way of reading, and returns it.
pub(crate) fn round_trip(channel: &str, items: &[Item]) -> Vec<u8> {
    let expected: Vec<Item> = items.iter().map(returned).collect();
    let mut builder = Builder::new(channel);
    items.iter().for_each(|item| builder.add(item).unwrap());
    let times: Vec<u64> = expected.iter().map(time).collect();
    let ends = times.iter().min().zip(times.iter().max()).map(|(first, last)| (Micros(*first), Micros(*last)));
    assert_eq!(builder.times(), ends);
    let bytes = builder.finish();

    let block = Block::open(channel, &bytes).unwrap();
    let header = block.header();
    assert_eq!(header.count as usize, items.len());
    assert_eq!((header.first, header.last), ends.unwrap_or_default());
    assert_eq!(header.ordered, times.is_sorted());

    assert_eq!(block::decode(channel, &bytes).unwrap(), expected);
    // What a table returned makes the same block.
    assert_eq!(block::encode(channel, &expected).unwrap(), bytes);
    for from in [1, items.len() / 2, items.len().saturating_sub(1)] {
        let mut rows = block.rows();
        rows.skip(u32::try_from(from).unwrap()).unwrap();
        for item in expected.iter().skip(from) {
            assert_eq!(&rows.next().unwrap().unwrap().to_item(), item);
        }
        assert!(rows.next().unwrap().is_none());
    }
    let columns = block.columns().unwrap();
    assert_eq!(columns.time, times);
    has_what_rows_have(&columns, &expected);
    bytes
}

/// Checks arrays against the items that rows give: what fits an array is there with every digit, and nothing else.
fn has_what_rows_have(columns: &Columns, items: &[Item]) {
    for (place, item) in items.iter().enumerate() {
        let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok()).map(String::as_str);
        let number = |name: &str| item.get(name).and_then(|value| value.as_n().ok()).map(String::as_str);
        let whole = |name: &str| number(name).filter(|digits| is_fixed(digits) && !digits.contains(['-', '.']));
        let digits = |number: Option<u64>| number.map(|number| number.to_string());
        assert_eq!(digits(columns.id[place]).as_deref(), whole("id"));
        assert_eq!(digits(columns.received_at[place]).as_deref(), whole("received_at"));
        let side = digits(columns.side[place]);
        assert!(["order_type", "type"].iter().any(|name| side.as_deref() == whole(name)), "{side:?}: {item:?}");
        for (found, name) in [(columns.price[place], "price_str"), (columns.amount[place], "amount_str")] {
            assert_eq!(found.map(spell).as_deref(), text(name).filter(|text| is_fixed(text)), "{name}");
        }
        let event = columns.event[place].map(|event| columns.events[event as usize].as_str());
        let is_word = |text: &&str| text.starts_with(|first: char| first.is_alphabetic());
        assert!(event == text("event") || (event.is_none() && text("event").filter(is_word).is_none()), "{event:?}");
    }
}

/// Returns true if a number's text is the one spelling of a number that an array holds.
fn is_fixed(text: &str) -> bool {
    let digits = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, "0"));
    let is_digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let units = digits.replace('.', "").parse::<i64>();
    is_digits(whole)
        && is_digits(fraction)
        && fraction.len() <= usize::from(Fixed::MAX_SCALE)
        && (whole == "0" || !whole.starts_with('0'))
        && units.is_ok_and(|units| units > 0 || text == digits)
}

/// The text of a number of an array.
fn spell(fixed: Fixed) -> String {
    let sign = if fixed.units < 0 { "-" } else { "" };
    let digits = format!("{:0>1$}", fixed.units.unsigned_abs(), usize::from(fixed.scale) + 1);
    let (whole, fraction) = digits.split_at(digits.len() - usize::from(fixed.scale));
    if fraction.is_empty() { format!("{sign}{whole}") } else { format!("{sign}{whole}.{fraction}") }
}

fn time(item: &Item) -> u64 {
    item["nmicrotimestamp"].as_n().unwrap().parse().unwrap()
}

fn items(events: &[flow::Captured]) -> Vec<Item> {
    events.iter().map(|event| event.item.clone()).collect()
}

#[test]
fn the_flow_comes_back() {
    for family in Family::ALL {
        let market = if family == Family::FundingRate { "btcusd-perp" } else { "btcusd" };
        let events = flow::captured(market, family, 300, 7);
        round_trip(events[0].item["channel"].as_s().unwrap(), &items(&events));
    }
}

#[test]
fn an_order_is_as_old_as_its_id() {
    for event in flow::captured("btcusd", Family::LiveOrders, 200, 2) {
        let created = shared::key::order_time(event.item["id"].as_n().unwrap()).unwrap().0;
        let time = time(&event.item);
        let is_new = event.item["event"].as_s().unwrap() == "order_created";
        assert!(created <= time + 1_000 && (!is_new || time <= created + 1_000), "{created} {time}");
    }
    assert_eq!(shared::key::order_time("2007412312989696"), Some(Micros(1_778_925_871_383_000)));
    assert_eq!(shared::key::order_time("x"), None);
}

#[test]
fn an_order_event_takes_a_few_bytes() {
    let items = items(&flow::captured("btcusd", Family::LiveOrders, 6_000, 3));
    for (size, most) in [(25, 12.5), (60, 10.0), (240, 8.5), (1_000, 7.5), (3_000, 7.0)] {
        let mut bytes = 0;
        for chunk in items.chunks_exact(size) {
            let mut builder = Builder::new(ORDERS);
            chunk.iter().for_each(|item| builder.add(item).unwrap());
            let weight = builder.weight();
            let block = builder.finish();
            assert!((block.len()..=block.len() + 40).contains(&weight), "{weight} foretold, {} are there", block.len());
            bytes += block.len();
        }
        let each = bytes as f64 / (items.len() / size * size) as f64;
        assert!(each < most, "{each:.2} bytes an event in blocks of {size}");
    }
}

#[test]
fn every_recorded_frame_comes_back() {
    let Some(frames) = crate::recorded::frames() else { return };
    let mut channels: BTreeMap<String, Vec<Item>> = BTreeMap::new();
    for (frame, received) in frames.iter().zip(1_700_000_000_000_000..) {
        let Frame::Event(event) = Frame::parse(frame.as_bytes()).unwrap() else { continue };
        let channel = event.channel.to_string();
        channels.entry(channel).or_default().push(item::from_event(event, Micros(received)).unwrap());
    }
    assert!(channels.values().map(Vec::len).sum::<usize>() > 700);
    for (channel, items) in channels {
        round_trip(&channel, &items);
    }
}

#[test]
fn arrays_have_what_rows_have() {
    let events = flow::captured("btcusd", Family::LiveOrders, 500, 11);
    let bytes = block::encode(ORDERS, events.iter().map(|event| &event.item)).unwrap();
    let columns = Block::open(ORDERS, &bytes).unwrap().columns().unwrap();
    for (place, event) in events.iter().enumerate() {
        let (text, number) =
            (|name: &str| event.item[name].as_s().unwrap(), |name: &str| event.item[name].as_n().unwrap());
        assert_eq!(&columns.time[place].to_string(), number("nmicrotimestamp"));
        assert_eq!(&columns.received_at[place].unwrap().to_string(), number("received_at"));
        assert_eq!(&columns.id[place].unwrap().to_string(), number("id"));
        assert_eq!(&columns.side[place].unwrap().to_string(), number("order_type"));
        assert_eq!(&columns.events[columns.event[place].unwrap() as usize], text("event"));
        assert_eq!(&spell(columns.price[place].unwrap()), text("price_str"));
        // `1E-8` is no array's.
        let amount = columns.amount[place].map_or_else(|| text("amount_str").clone(), spell);
        assert_eq!(&amount, text("amount_str"));
    }
}

#[test]
fn a_row_shows_its_cells_by_name() {
    let events = flow::captured("btcusd", Family::DiffOrderBook, 3, 5);
    let bytes = block::encode("diff_order_book_btcusd", events.iter().map(|event| &event.item)).unwrap();
    let block = Block::open("diff_order_book_btcusd", &bytes).unwrap();
    let mut rows = block.rows();
    let row = rows.next().unwrap().unwrap();
    let names: Vec<_> = row.cells().map(|(name, _)| name).collect();
    assert!(names.is_sorted(), "{names:?}");
    assert!(matches!(row.get("event"), Some(Cell::Text("data"))));
    assert!(row.get("nothing").is_none());
    let Some(Cell::List(bids)) = row.get("bids") else { panic!("{row:?}") };
    for bid in bids {
        let Cell::List(mut level) = bid else { panic!("{bid:?}") };
        assert!(matches!((level.next(), level.next(), level.next()), (Some(Cell::Text(_)), Some(Cell::Text(_)), None)));
    }
}

#[test]
fn an_empty_block_is_one() {
    round_trip(ORDERS, &[]);
}

#[test]
fn what_does_not_belong_into_a_block_is_refused() {
    let events = flow::captured("btcusd", Family::LiveOrders, 2, 1);
    let with = |name: &str, value: AttributeValue| {
        let mut item = events[1].item.clone();
        item.insert(name.to_owned(), value);
        item
    };
    let text = |text: &str| AttributeValue::S(text.to_owned());
    let mut builder = Builder::new(ORDERS);
    builder.add(&events[0].item).unwrap();
    let other = with("channel", text("live_orders_ethusd"));
    assert_eq!(builder.add(&other), Err(AddError::Channel("live_orders_ethusd".to_owned())));
    assert_eq!(builder.add(&with("nmicrotimestamp", text("1"))), Err(AddError::NoTime));
    assert_eq!(builder.add(&with("nmicrotimestamp", AttributeValue::N("1.5".to_owned()))), Err(AddError::NoTime));
    let set = with("x", AttributeValue::L(vec![AttributeValue::Ss(vec!["a".to_owned()])]));
    assert_eq!(builder.add(&set), Err(AddError::Type("x".to_owned())));
    assert_eq!(builder.add(&with("x", text(&"x".repeat(4 << 20)))), Err(AddError::TooLarge));
    // None of it is in the block.
    builder.add(&events[1].item).unwrap();
    assert_eq!(block::decode(ORDERS, &builder.finish()).unwrap(), items(&events));
}

#[test]
fn a_block_that_is_full_says_so() {
    let mut item = flow::captured("btcusd", Family::LiveOrders, 1, 1).remove(0).item;
    let mut builder = Builder::new(ORDERS);
    let mut added = 0;
    let error = loop {
        item.insert(format!("name {added}"), AttributeValue::Null(true));
        let before = item.clone();
        match builder.add(&item) {
            Ok(()) => added += 1,
            Err(error) => break (error, before.len()),
        }
        item.remove(&format!("name {}", added - 1));
    };
    // The names of the format, and a thousand of this block.
    assert_eq!(error.0, AddError::Full);
    assert!(added > 900, "{added}");
    assert_eq!(block::decode(ORDERS, &builder.finish()).unwrap().len(), added);
}

/// Some events of each family.
static FRAMES: LazyLock<Vec<Vec<Event>>> = LazyLock::new(|| {
    let event = |captured: &flow::Captured| match Frame::parse(captured.frame.as_bytes()).unwrap() {
        Frame::Event(event) => event,
        Frame::Control(control) => panic!("{control:?}"),
    };
    let events = |family| {
        let market = if family == Family::FundingRate { "btcusd-perp" } else { "btcusd" };
        flow::captured(market, family, 40, 8).iter().map(event).collect()
    };
    Family::ALL.into_iter().map(events).collect()
});

/// An event of the flow, changed into what the exchange might send tomorrow.
#[derive(Clone, Debug)]
enum Change {
    /// As it is.
    None,
    /// Another one of the flow, before or after its time.
    From(Index),
    Remove(Index),
    Replace(Index, Value),
    Add(String, Value),
    AddToFrame(String, Value),
}

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        4 => Just(Change::None),
        1 => any::<Index>().prop_map(Change::From),
        1 => any::<Index>().prop_map(Change::Remove),
        1 => (any::<Index>(), properties::value()).prop_map(|(field, value)| Change::Replace(field, value)),
        1 => ("[a-c]|\\PC{0,4}", properties::value()).prop_map(|(name, value)| Change::Add(name, value)),
        1 => ("[a-c]|event_id|pre_event_id", properties::value()).prop_map(|(name, value)| Change::AddToFrame(name, value)),
    ]
}

fn changed(frames: &[Event], place: usize, change: Change) -> Event {
    let mut event = frames[place % frames.len()].clone();
    let Value::Object(fields) = &mut event.data else { panic!("data is an object") };
    let name =
        |index: Index, fields: &Map<String, Value>| fields.keys().nth(index.index(fields.len())).unwrap().clone();
    match change {
        Change::None => {}
        Change::From(index) => return index.get(frames).clone(),
        Change::Remove(index) => {
            let name = name(index, fields);
            fields.remove(&name);
        }
        Change::Replace(index, value) => {
            let name = name(index, fields);
            fields.insert(name, value);
        }
        Change::Add(name, value) => drop(fields.insert(name, value)),
        Change::AddToFrame(name, value) => drop(event.extra.insert(name, value)),
    }
    event
}

fn stored(events: Vec<(Event, u64)>) -> Vec<Item> {
    events.into_iter().filter_map(|(event, received)| item::from_event(event, Micros(received)).ok()).collect()
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]

    /// Any JSON, whatever it is named, in any order of times.
    #[test]
    fn any_events_come_back(
        channel in prop::sample::select(vec![ORDERS, "live_trades_btcusd", "order_book_ethusd", "announcements"]),
        events in prop::collection::vec((prop_oneof![properties::event(), properties::with_identity(properties::event())], 0..u64::MAX / 4), 0..12),
    ) {
        let on_channel = |(event, received): (Event, u64)| (Event { channel: Channel::from_frame(channel.to_owned()), ..event }, received);
        round_trip(channel, &stored(events.into_iter().map(on_channel).collect()));
    }

    /// The exchange's events with fields missing, of other types, and new ones; late, early and twice.
    #[test]
    fn odd_events_come_back(changes in prop::collection::vec((change(), 0_u64..3_000), 1..30), family in 0..6_usize) {
        let frames = &FRAMES[family];
        let mut received = 1_789_459_700_000_000;
        let events = changes.into_iter().enumerate().map(|(place, (change, later))| {
            received += later;
            (changed(frames, place, change), received)
        });
        round_trip(frames[0].channel.as_str(), &stored(events.collect()));
    }
}
