//! Events of all families, with what may happen to them on their way, and three tables that hold the same of them.

use exchange_sim::flow::{Flow, Plan};
use exchange_sim::model::channel::Family;
use exchange_sim::model::market::Market;
use rand::{Rng, RngExt, rngs::StdRng};
use shared::{
    block::{
        AddError,
        stored::{BlockItem, OpenBlock, has_blocks},
    },
    coverage::channel_item,
    frame::Frame,
    item::{self, Item},
    time::Micros,
};
use std::collections::BTreeMap;

/// When the flow begins, microseconds since the Unix epoch.
pub(crate) const ORIGIN: u64 = 1_709_459_694_223_519;

/// A copy of an event, and where it is stored.
#[derive(Clone)]
pub(crate) struct Copy {
    item: Item,
    place: Place,
}

#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Place {
    BlockOf(&'static str),
    Item,
}

/// The same events as items, in blocks, and as both with copies.
pub(crate) struct Tables {
    pub(crate) events: Vec<Item>,
    pub(crate) blocks: Vec<Item>,
    pub(crate) mixed: Vec<Item>,
    /// The channels, sorted.
    pub(crate) channels: Vec<String>,
    /// The times of all events, sorted.
    pub(crate) times: Vec<u64>,
}

/// The first frames of one channel of the simulator's flow, after it has settled, with the microseconds since [`ORIGIN`] at which they
/// were sent.
pub(crate) fn frames(market: &str, family: Family, count: usize, seed: u64) -> Vec<(String, u64)> {
    let market = Market::named(market).unwrap();
    let plan = Plan { markets: vec![market], seed, rate: 1.0, resting: 300, history: 0 };
    let mut flow = Flow::new(&plan, ORIGIN);
    let (mut out, mut frames) = (Vec::new(), Vec::new());
    while frames.len() < count {
        let due = flow.next().unwrap();
        flow.advance(due, 1, &|_, wanted| wanted == family, &mut out);
        frames.extend(out.drain(..).filter_map(|emission| Some((emission.text.filter(|_| due > 2_000_000)?, due))));
    }
    frames.truncate(count);
    frames
}

/// What the exchange might send instead: another time, another or one more field, one less.
fn odd(frame: &str, random: &mut StdRng) -> String {
    let mut json: serde_json::Value = serde_json::from_str(frame).unwrap();
    let data = json["data"].as_object_mut().unwrap();
    match random.random_range(0..5) {
        // Engines spell numbers below 10^-6 differently.
        0 => {
            drop(data.insert("new \"field\"".to_owned(), serde_json::json!([{ "a": null }, 0.001, true, "\u{e9},\n"])))
        }
        1 => drop(data.insert("price_str".to_owned(), "".into())),
        2 => drop(data.remove("amount_str")),
        3 => drop(json.as_object_mut().unwrap().insert("sequence".to_owned(), serde_json::json!(1.50))),
        // As late as a block is long, or a second early.
        _ => {
            let at = |time: &serde_json::Value| time.as_str().and_then(|digits| digits.parse::<u64>().ok());
            if let Some(time) = data.get("microtimestamp").and_then(at) {
                let moved = time + 1_000_000 - random.random_range(0..11_000) * 1_000;
                data.insert("microtimestamp".to_owned(), moved.to_string().into());
            }
        }
    }
    json.to_string()
}

/// Receives frames by two daemons, writes each event here or there or several times, and builds the tables. `odd_rate` is the part of frames
/// that are not as the exchange sends them.
pub(crate) fn tables(channels: Vec<Vec<(String, u64)>>, odd_rate: f64, random: &mut StdRng) -> Tables {
    let (mut events, mut blocks, mut mixed) = (BTreeMap::new(), Vec::new(), BTreeMap::new());
    let mut names = Vec::new();
    for frames in channels {
        let copies = received(&frames, odd_rate, random);
        let Some(first) = copies.first() else { continue };
        let name = first.item["channel"].as_s().unwrap().clone();
        let mut shown: BTreeMap<Key, Item> = BTreeMap::new();
        for Copy { item, .. } in &copies {
            let kept = shown.entry(key(item)).or_insert_with(|| item.clone());
            if precedence(item) < precedence(kept) {
                *kept = item.clone();
            }
        }
        let mut one: Vec<_> =
            shown.values().cloned().map(|item| Copy { item, place: Place::BlockOf("vm-a-1") }).collect();
        one.sort_by_key(|copy| number(&copy.item, "received_at"));
        let one_of_each = one.clone();
        blocks.extend(store(&name, one, random));
        // Two items have two keys, so without blocks there are no copies.
        let copies = if has_blocks(&name) { copies } else { one_of_each };
        mixed.extend(store(&name, copies, random).into_iter().map(|item| (key(&item), item)));
        events.extend(shown);
        names.push(name);
    }
    names.sort();
    let times = events.values().map(|item| number(item, "nmicrotimestamp")).collect::<std::collections::BTreeSet<_>>();
    let list: Vec<_> = names.iter().map(|name| channel_item(name, ORIGIN)).collect();
    let with_list = |items: Vec<Item>| items.into_iter().chain(list.clone()).collect();
    Tables {
        events: with_list(events.into_values().collect()),
        blocks: with_list(blocks),
        mixed: with_list(mixed.into_values().collect()),
        channels: names,
        times: times.into_iter().collect(),
    }
}

/// The copies of a channel's events: of daemons that miss some and receive others late, and of gap filling.
fn received(frames: &[(String, u64)], odd_rate: f64, random: &mut StdRng) -> Vec<Copy> {
    let mut copies = Vec::new();
    let mut clocks = [0, 0];
    for (number, (frame, sent)) in frames.iter().enumerate() {
        let frame = if random.random_bool(odd_rate) { odd(frame, random) } else { frame.clone() };
        let mut is_stored = false;
        while !is_stored {
            for (daemon, clock) in ["vm-a-1", "vm-b-2"].into_iter().zip(&mut clocks) {
                if random.random_bool(0.3) {
                    continue;
                }
                let late =
                    if random.random_bool(0.05) { random.random_range(0..30_000) } else { random.random_range(0..400) };
                *clock = (ORIGIN + sent + 3_000 + late).max(*clock + 1);
                let place = if random.random_bool(0.8) { Place::BlockOf(daemon) } else { Place::Item };
                let Some(mut item) = item(&frame, *clock) else { return copies };
                item::set_origin(&mut item, daemon, 1);
                // Only one item has a key, so the second daemon's lies in a block.
                let place = if is_stored && place == Place::Item { Place::BlockOf(daemon) } else { place };
                copies.push(Copy { item, place });
                is_stored = true;
            }
        }
        if random.random_bool(0.03) && copies.iter().rev().take(2).all(|copy| copy.place != Place::Item) {
            let mut item = item(&frame, ORIGIN + sent + 200_000_000 + number as u64).unwrap();
            item.insert(item::SOURCE.to_owned(), aws_sdk_dynamodb::types::AttributeValue::S("rest".to_owned()));
            copies.push(Copy { item, place: Place::Item });
        }
    }
    copies
}

type Key = (String, String);

fn key(item: &Item) -> Key {
    (item["id"].as_n().unwrap().clone(), item["microtimestamp"].as_s().unwrap().clone())
}

fn precedence(item: &Item) -> (bool, u64, Option<&String>) {
    let origin = item.get(item::ORIGIN).map(|origin| origin.as_s().unwrap());
    (item.contains_key(item::SOURCE), number(item, "received_at"), origin)
}

fn number(item: &Item, name: &str) -> u64 {
    item[name].as_n().unwrap().parse().unwrap()
}

/// The item of a frame; `None` for one that has no key.
fn item(frame: &str, received_at: u64) -> Option<Item> {
    let Frame::Event(event) = Frame::parse(frame.as_bytes()).unwrap() else { panic!("{frame}") };
    item::from_event(event, Micros(received_at)).ok()
}

/// Packs what is to be in blocks, each daemon's by itself, in blocks of many lengths.
fn store(channel: &str, copies: Vec<Copy>, random: &mut StdRng) -> Vec<Item> {
    let (mut stored, mut open): (Vec<Item>, BTreeMap<&str, OpenBlock>) = (Vec::new(), BTreeMap::new());
    for (sequence, Copy { item, place }) in (0..).zip(copies) {
        let Place::BlockOf(daemon) = place else {
            stored.push(item);
            continue;
        };
        let begun = || OpenBlock::new(channel, daemon, sequence);
        let block = open.entry(daemon).or_insert_with(begun);
        let is_closed = block.builder().count() > 0 && random.random_bool(0.03);
        let mut added = if is_closed { Err(AddError::Full) } else { block.add(&item) };
        if added == Err(AddError::Full) {
            stored.push(finished(std::mem::replace(block, begun())));
            added = block.add(&item);
        }
        if added.is_err() {
            stored.push(item);
        }
    }
    stored.extend(open.into_values().filter(|block| block.builder().count() > 0).map(finished));
    stored
}

fn finished(block: OpenBlock) -> Item {
    let item = block.finish().unwrap().to_attributes();
    assert!(BlockItem::from_attributes(&item).is_ok());
    item
}

/// Some times of events, or next to them.
pub(crate) fn range(times: &[u64], random: &mut impl Rng) -> (u64, u64) {
    let mut end = || times[random.random_range(0..times.len())] + random.random_range(0..2);
    let (one, other) = (end(), end());
    (one.min(other), one.max(other))
}
