//! Properties of the order flow, read from the frames alone.

use std::collections::{BTreeMap, BTreeSet, HashMap, HashSet};

use exchange_sim::flow::{Emission, Flow, Plan};
use exchange_sim::model::channel::Family;
use exchange_sim::model::event::Side;
use exchange_sim::model::market::Market;
use proptest::prelude::*;
use rust_decimal::Decimal;
use serde_json::Value;

const ORIGIN: u64 = 1_789_459_694_223_519;

fn plan(seed: u64, names: &[&str], resting: usize) -> Plan {
    let markets = names.iter().map(|name| Market::named(name).unwrap()).collect();
    Plan { markets, seed, rate: 1.0, resting, history: 100_000 }
}

/// Everything that happens within a time, in order.
fn run(flow: &mut Flow, seconds: u64, wanted: &dyn Fn(&Market, Family) -> bool) -> Vec<Emission> {
    let mut out = Vec::new();
    while flow.advance(seconds * 1_000_000, 10_000, wanted, &mut out) {}
    out
}

fn light(_: &Market, family: Family) -> bool {
    matches!(family, Family::LiveOrders | Family::LiveTrades)
}

fn frames(emissions: &[Emission], market: usize, family: Family) -> Vec<Value> {
    let of_channel = emissions.iter().filter(|emission| emission.market == market && emission.family == family);
    of_channel.map(|emission| serde_json::from_str(emission.text.as_ref().unwrap()).unwrap()).collect()
}

fn orders(seed: u64, seconds: u64) -> (Flow, Vec<Value>, Vec<Value>) {
    let mut flow = Flow::new(&plan(seed, &["btcusd"], 0), ORIGIN);
    let emissions = run(&mut flow, seconds, &light);
    let orders = frames(&emissions, 0, Family::LiveOrders);
    (flow, orders, frames(&emissions, 0, Family::LiveTrades))
}

/// Order frames whose text contains a pattern; the others are not even parsed.
fn orders_with(seed: u64, seconds: u64, pattern: &str) -> Vec<Value> {
    let mut flow = Flow::new(&plan(seed, &["btcusd"], 0), ORIGIN);
    let mut emissions = run(&mut flow, seconds, &light);
    emissions.retain(|emission| emission.text.as_ref().is_some_and(|text| text.contains(pattern)));
    frames(&emissions, 0, Family::LiveOrders)
}

fn text<'a>(value: &'a Value, pointer: &str) -> &'a str {
    value.pointer(pointer).and_then(Value::as_str).unwrap_or_else(|| panic!("no text {pointer} in {value}"))
}

fn int(value: &Value, pointer: &str) -> u64 {
    value.pointer(pointer).and_then(Value::as_u64).unwrap_or_else(|| panic!("no integer {pointer} in {value}"))
}

fn decimal(value: &Value, pointer: &str) -> Decimal {
    let text = text(value, pointer);
    text.parse().or_else(|_| Decimal::from_scientific(text)).unwrap()
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(6))]

    #[test]
    fn the_chain_is_unbroken_and_every_event_id_is_new(seed: u64) {
        let mut flow = Flow::new(&plan(seed, &["btcusd", "ethusd"], 300), ORIGIN);
        let emissions = run(&mut flow, 20, &light);
        let mut ids = HashSet::new();
        for market in 0..2 {
            let mut last: Option<String> = None;
            for order in frames(&emissions, market, Family::LiveOrders) {
                let id = text(&order, "/event_id").to_owned();
                if let Some(last) = last {
                    prop_assert_eq!(text(&order, "/pre_event_id"), &last);
                    prop_assert!(last < id, "{} is not after {}", id, last);
                }
                let micro = u64::from_str_radix(&id.replace('-', "")[..16], 16).unwrap();
                prop_assert_eq!(text(&order, "/data/microtimestamp"), micro.to_string());
                prop_assert_eq!(micro % 1_000, 0);
                prop_assert!(ids.insert(id.clone()), "{} came twice", id);
                last = Some(id);
            }
            prop_assert!(last.is_some());
        }
    }

    #[test]
    fn the_book_rebuilt_from_the_frames_is_the_engine_s_book(seed: u64, seconds in 1_u64..30) {
        let (flow, orders, _) = orders(seed, seconds);
        let mut rebuilt = HashMap::new();
        for order in &orders {
            let id = int(order, "/data/id");
            match text(order, "/event") {
                "order_deleted" => prop_assert!(rebuilt.remove(&id).is_some()),
                _ => {
                    let side = int(order, "/data/order_type");
                    rebuilt.insert(id, (side, decimal(order, "/data/price_str"), decimal(order, "/data/amount_str")));
                }
            }
        }
        let book = &flow.markets[0].trader.book;
        let mut engine = HashMap::new();
        for order in book.walk_orders(Side::Buy).chain(book.walk_orders(Side::Sell)) {
            engine.insert(order.id, (order.side as u64, Decimal::new(order.price, 2), Decimal::new(order.left, 8)));
        }
        prop_assert_eq!(rebuilt, engine);
        if let (Some(bid), Some(ask)) = (book.best(Side::Buy), book.best(Side::Sell)) {
            prop_assert!(bid < ask, "the book is crossed: {} >= {}", bid, ask);
        }
    }

    #[test]
    fn trades_name_two_known_orders_and_amounts_add_up(seed: u64) {
        let (_, orders, trades) = orders(seed, 30);
        let mut traded: BTreeMap<u64, Decimal> = BTreeMap::new();
        let mut sides = HashMap::new();
        for order in &orders {
            let id = int(order, "/data/id");
            sides.insert(id, int(order, "/data/order_type"));
            *traded.entry(id).or_default() += decimal(order, "/data/amount_traded");
        }
        let mut ids = BTreeSet::new();
        for trade in &trades {
            let (buy, sell) = (int(trade, "/data/buy_order_id"), int(trade, "/data/sell_order_id"));
            prop_assert_eq!(sides.get(&buy), Some(&0));
            prop_assert_eq!(sides.get(&sell), Some(&1));
            // The newer order is the taker, and the type is its side.
            prop_assert_eq!(int(trade, "/data/type"), u64::from(sell > buy));
            let amount = decimal(trade, "/data/amount_str");
            prop_assert!(amount > Decimal::ZERO);
            *traded.entry(buy).or_default() -= amount;
            *traded.entry(sell).or_default() -= amount;
            prop_assert!(ids.insert(int(trade, "/data/id")));
        }
        prop_assert!(traded.values().all(Decimal::is_zero), "amounts are left over: {:?}", traded);
        prop_assert!(!trades.is_empty());
    }

    #[test]
    fn every_order_lives_once_and_shrinks_by_what_it_trades(seed: u64) {
        let (_, orders, _) = orders(seed, 30);
        let mut living: HashMap<u64, Decimal> = HashMap::new();
        let mut dead = HashSet::new();
        for order in &orders {
            let id = int(order, "/data/id");
            let (amount, traded) = (decimal(order, "/data/amount_str"), decimal(order, "/data/amount_traded"));
            prop_assert!(!dead.contains(&id), "{} happens after its end", order);
            prop_assert_eq!(text(order, "/data/id_str"), id.to_string());
            let event = text(order, "/event");
            if event == "order_created" {
                prop_assert!(living.insert(id, amount).is_none(), "{} is created twice", id);
                prop_assert_eq!(decimal(order, "/data/amount_at_create"), amount);
                continue;
            }
            let before = living.insert(id, amount);
            prop_assert!(before.is_some(), "{} happens before its creation", order);
            // A market order by value is created with amount 0: what it had is known from its creation amount.
            let before = before.filter(|before| !before.is_zero()).unwrap_or(decimal(order, "/data/amount_at_create"));
            prop_assert_eq!(before - traded, amount);
            if event == "order_deleted" {
                prop_assert!(traded.is_zero() || amount.is_zero());
                living.remove(&id);
                dead.insert(id);
            }
        }
    }

    #[test]
    fn orders_that_never_rest_happen_within_one_microtimestamp(seed: u64) {
        let (_, orders, _) = orders(seed, 30);
        let mut times: HashMap<u64, (BTreeSet<String>, u32)> = HashMap::new();
        for order in orders.iter().filter(|order| [2, 4, 6, 20].contains(&int(order, "/data/order_subtype"))) {
            let (micros, events) = times.entry(int(order, "/data/id")).or_default();
            micros.insert(text(order, "/data/microtimestamp").to_owned());
            *events += 1;
        }
        prop_assert!(!times.is_empty());
        for (id, (micros, events)) in times {
            prop_assert_eq!(micros.len(), 1, "order {} spreads over several times", id);
            prop_assert!(events >= 2, "order {} is never deleted", id);
        }
    }

    #[test]
    fn changes_applied_to_a_book_give_the_next_snapshot(seed: u64) {
        let mut flow = Flow::new(&plan(seed, &["ethusd"], 500), ORIGIN);
        let all = |_: &Market, _: Family| true;
        let mut levels: BTreeMap<(bool, Decimal), Decimal> = BTreeMap::new();
        // The first diff starts the watch, so the book of the same moment is where the client begins.
        run(&mut flow, 1, &all);
        for side in [Side::Buy, Side::Sell] {
            for (price, lots) in flow.markets[0].trader.book.walk(side) {
                levels.insert((side == Side::Sell, Decimal::new(price, 2)), Decimal::new(lots, 6));
            }
        }
        for diff in frames(&run(&mut flow, 20, &all), 0, Family::DiffOrderBook) {
            apply(&mut levels, &diff);
        }
        // The rest is in the frame that is still to come.
        let micro = flow.origin + 30_000_000;
        if let Some(diff) = exchange_sim::flow::snapshots::diff_order_book(&mut flow.markets[0], micro) {
            apply(&mut levels, &serde_json::from_str(&diff).unwrap());
        }
        let book = &flow.markets[0].trader.book;
        let bids = book.walk(Side::Buy).map(|(price, lots)| ((false, Decimal::new(price, 2)), Decimal::new(lots, 6)));
        let asks = book.walk(Side::Sell).map(|(price, lots)| ((true, Decimal::new(price, 2)), Decimal::new(lots, 6)));
        prop_assert_eq!(levels, bids.chain(asks).collect::<BTreeMap<_, _>>());
    }
}

fn apply(levels: &mut BTreeMap<(bool, Decimal), Decimal>, diff: &Value) {
    for (is_ask, name) in [(false, "bids"), (true, "asks")] {
        for level in diff["data"][name].as_array().unwrap() {
            let (price, lots) = (decimal(level, "/0"), decimal(level, "/1"));
            match lots.is_zero() {
                true => levels.remove(&(is_ask, price)),
                false => levels.insert((is_ask, price), lots),
            };
        }
    }
}

#[test]
fn the_same_seed_decides_the_same_whatever_the_clock_says() {
    let decisions = |seed, origin| {
        let mut flow = Flow::new(&plan(seed, &["btcusd", "ethusd-perp"], 100), origin);
        let emissions = run(&mut flow, 10, &light);
        let parsed =
            emissions.iter().map(|emission| serde_json::from_str::<Value>(emission.text.as_ref().unwrap()).unwrap());
        parsed
            .map(|frame| [&frame["event"], &frame["data"]["amount"], &frame["data"]["price"]].map(Value::to_string))
            .collect::<Vec<_>>()
    };
    assert_eq!(decisions(7, ORIGIN), decisions(7, ORIGIN + 86_400_000_123));
    assert_ne!(decisions(7, ORIGIN), decisions(8, ORIGIN));
}

#[test]
fn minutes_have_the_mix_of_the_recorded_one() {
    let seconds = 200;
    let (_, orders, trades) = orders(1, seconds);
    let mut by_second: HashMap<u64, u32> = HashMap::new();
    let mut by_milli: HashMap<u64, u32> = HashMap::new();
    let mut subtypes: HashMap<u64, f64> = HashMap::new();
    let (mut pairs, mut shared, mut twice_changed) = (HashSet::new(), 0, 0);
    let mut changes = HashSet::new();
    for order in &orders {
        let micro: u64 = text(order, "/data/microtimestamp").parse().unwrap();
        *by_second.entry(micro / 1_000_000).or_default() += 1;
        *by_milli.entry(micro / 1_000).or_default() += 1;
        *subtypes.entry(int(order, "/data/order_subtype")).or_default() += 100.0 / orders.len() as f64;
        shared += u32::from(!pairs.insert((int(order, "/data/id"), micro)));
        if text(order, "/event") == "order_changed" {
            twice_changed += u32::from(!changes.insert((int(order, "/data/id"), micro)));
        }
    }
    let mean = orders.len() as f64 / seconds as f64;
    let (second, milli) = (by_second.values().max().unwrap(), by_milli.values().max().unwrap());
    println!(
        "events/s {mean:.1}, most in a second {second}, in a millisecond {milli}; trades/s {:.2}; subtypes % {subtypes:?}; \
         changed % {:.2}; repeated (id, microtimestamp) {shared}, two changes in one {twice_changed}",
        trades.len() as f64 / seconds as f64,
        changes.len() as f64 * 100.0 / orders.len() as f64,
    );
    assert!((225.0..255.0).contains(&mean), "{mean} events a second");
    assert!((480..800).contains(second), "{second} events in the busiest second");
    assert!((15..90).contains(milli), "{milli} events in the busiest millisecond");
    assert!((0.4..1.2).contains(&(trades.len() as f64 / seconds as f64)), "{} trades", trades.len());
    assert!((84.0..93.0).contains(&subtypes[&5]) && (6.0..11.0).contains(&subtypes[&4]), "{subtypes:?}");
    assert!(subtypes.contains_key(&2) && subtypes.contains_key(&6), "{subtypes:?}");
    assert!(shared > 100 && twice_changed > 0, "{shared} and {twice_changed}");
}

#[test]
fn market_orders_carry_the_extreme_prices() {
    let orders = orders_with(3, 300, r#""order_subtype":2,"#);
    let created = |side| {
        orders.iter().find(move |order| {
            int(order, "/data/order_subtype") == 2
                && int(order, "/data/order_type") == side
                && text(order, "/event") == "order_created"
        })
    };
    assert_eq!(text(created(0).unwrap(), "/data/price_str"), "999999999.00");
    assert_eq!(decimal(created(1).unwrap(), "/data/price_str"), Decimal::ZERO);
    let by_value = orders
        .iter()
        .any(|order| int(order, "/data/order_subtype") == 2 && text(order, "/data/amount_at_create") == "0");
    assert!(by_value, "no market order by value");
}

#[test]
fn tiny_amounts_are_spelled_with_exponents() {
    let orders = orders_with(5, 400, "e-");
    let tiny: Vec<&Value> = orders.iter().filter(|order| order["data"]["amount"].to_string().contains('e')).collect();
    assert!(
        tiny.iter().any(|order| text(order, "/data/amount_str").contains("E-")),
        "no exponent in amount_str of {} ",
        tiny.len()
    );
    assert!(tiny.iter().any(|order| text(order, "/data/amount_str").starts_with("0.000000")));
    for order in tiny {
        let number = Decimal::from_scientific(&order["data"]["amount"].to_string()).unwrap();
        assert_eq!(number, decimal(order, "/data/amount_str"));
    }
}

#[test]
fn what_nobody_wants_is_not_written() {
    let mut flow = Flow::new(&plan(1, &["btcusd", "btcusd-perp"], 500), ORIGIN);
    let emissions = run(&mut flow, 10, &|_, _| false);
    assert!(emissions.len() > 1_000);
    assert!(emissions.iter().all(|emission| emission.text.is_none()));
    assert!(emissions.iter().all(|emission| light(&flow.markets[emission.market].market, emission.family)));
}

#[test]
fn frames_have_the_fields_of_2026_in_their_order() {
    let mut flow = Flow::new(&plan(1, &["btcusd", "btcusd-perp"], 500), ORIGIN);
    let emissions = run(&mut flow, 30, &|_, _| true);
    let first = |family| {
        let emission = emissions.iter().find(|emission| emission.family == family);
        emission.unwrap_or_else(|| panic!("no {family:?}")).text.clone().unwrap()
    };
    let expected = [
        (
            Family::LiveTrades,
            "data id timestamp amount amount_str price price_str type microtimestamp buy_order_id sell_order_id channel event",
        ),
        (
            Family::LiveOrders,
            "data id id_str order_type order_subtype datetime microtimestamp amount amount_str amount_traded amount_at_create price price_str is_liquidation channel event event_id pre_event_id order_source",
        ),
        (Family::OrderBook, "data timestamp microtimestamp bids asks channel event"),
        (Family::DetailOrderBook, "data timestamp microtimestamp bids asks event channel"),
        (Family::DiffOrderBook, "data timestamp microtimestamp bids asks channel event"),
        (
            Family::FundingRate,
            "data market mark_price index_price funding_rate timestamp next_funding_time channel event",
        ),
    ];
    for (family, keys) in expected {
        assert_eq!(keys_of(&first(family)), keys, "{family:?}");
    }
    let book: Value = serde_json::from_str(&first(Family::OrderBook)).unwrap();
    assert_eq!(book["data"]["bids"].as_array().unwrap().len(), 100);
    let detail: Value = serde_json::from_str(&first(Family::DetailOrderBook)).unwrap();
    assert!(detail["data"]["asks"][0][2].is_string());
}

/// Keys in the order in which they stand in the text.
fn keys_of(text: &str) -> String {
    let mut keys = Vec::new();
    for (position, _) in text.match_indices("\":") {
        keys.push(text[..position].rsplit('"').next().unwrap());
    }
    keys.join(" ")
}
