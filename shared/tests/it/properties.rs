//! For any JSON at all: nothing lost on the way to an item and back; keys differ exactly where events do.

use std::collections::HashMap;

use proptest::prelude::*;
use serde_json::{Map, Value};
use shared::channel::Channel;
use shared::event::Event;
use shared::item;
use shared::key::Keyed;
use shared::time::Micros;

use crate::same::{canonical_event, stored};

fn number() -> impl Strategy<Value = Value> {
    let text = prop_oneof![
        "-?(0|[1-9][0-9]{0,20})",
        "-?(0|[1-9][0-9]{0,4})\\.[0-9]{1,18}",
        "-?[1-9][0-9]{0,3}(\\.[0-9]{1,4})?[eE][+-]?[0-9]{1,2}",
        "[1-9][0-9]{37,60}",
        "[1-9]e[+-]?[1-9][0-9]{2}",
        Just("1e-08".to_owned()),
        Just("0.0015847299999999999".to_owned()),
    ];
    text.prop_map(|text| serde_json::from_str(&text).unwrap())
}

fn name() -> impl Strategy<Value = String> {
    prop_oneof![
        prop::sample::select(vec![
            "id",
            "id_str",
            "microtimestamp",
            "channel",
            "nmicrotimestamp",
            "event",
            "received_at",
            "derived",
            "data",
            "source",
            "origin",
            "event_id",
            "pre_event_id",
            "order_source",
            "timestamp",
            "data.id",
            "frame.x",
            "",
            "$",
            "$$",
            "$json",
            "data.",
            "price",
            "amount_str",
        ])
        .prop_map(str::to_owned),
        "\\PC{0,6}",
    ]
}

pub(crate) fn value() -> impl Strategy<Value = Value> {
    let leaf = prop_oneof![
        Just(Value::Null),
        any::<bool>().prop_map(Value::Bool),
        number(),
        "\\PC{0,8}".prop_map(Value::String),
        "[0-9]{1,20}".prop_map(Value::String),
    ];
    leaf.prop_recursive(40, 60, 4, |inner| {
        prop_oneof![
            prop::collection::vec(inner.clone(), 0..4).prop_map(Value::Array),
            fields(inner).prop_map(Value::Object),
        ]
    })
}

fn fields(inner: impl Strategy<Value = Value> + 'static) -> impl Strategy<Value = Map<String, Value>> {
    prop::collection::hash_map(name(), inner, 0..6).prop_map(|fields| fields.into_iter().collect())
}

pub(crate) fn event() -> impl Strategy<Value = Event> {
    let channels = prop::sample::select(vec![
        "live_trades_btcusd",
        "live_orders_btcusd",
        "order_book_ethusd",
        "funding_rate_btcusd-perp",
        "announcements",
        "x",
    ]);
    let names = prop::sample::select(vec!["trade", "order_created", "order_changed", "data", "tomorrow"]);
    let data = prop_oneof![4 => fields(value()).prop_map(Value::Object), 1 => value()];
    (channels, names, data, fields(value())).prop_map(|(channel, name, data, mut extra)| {
        for taken in ["event", "channel", "data"] {
            extra.remove(taken);
        }
        Event { channel: Channel::from_frame(channel.to_owned()), name: name.to_owned(), data, extra }
    })
}

pub(crate) fn with_identity(event: impl Strategy<Value = Event>) -> impl Strategy<Value = Event> {
    (event, 1_u64..4, 1_u64..4, any::<bool>()).prop_map(|(mut event, id, time, usual)| {
        if let Value::Object(fields) = &mut event.data {
            let id = if usual { Value::from(id) } else { Value::from(id.to_string()) };
            fields.insert("id".to_owned(), id);
            fields.insert("microtimestamp".to_owned(), Value::from(time.to_string()));
        }
        event
    })
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 2_000, ..ProptestConfig::default() })]

    #[test]
    fn an_item_gives_the_event_back(event in prop_oneof![event(), with_identity(event())]) {
        let Ok(item) = item::from_event(event.clone(), Micros(1_700_000_000_000_000)) else {
            // Refused with a reason: that is for the quarantine. Only trades and orders may be.
            prop_assert!(event.kind() != shared::event::Kind::Other);
            return Ok(());
        };
        prop_assert!(item.keys().all(|name| !name.is_empty()));
        let back = item::to_event(&stored(item)).unwrap();
        prop_assert_eq!(canonical_event(&back), canonical_event(&event));
    }

    #[test]
    fn the_key_survives_the_store_and_depends_on_nothing_else(event in with_identity(event()), at in any::<u32>(), later in any::<u32>()) {
        let Ok(keyed) = Keyed::of(&event) else { return Ok(()); };
        let first = item::from_event(event.clone(), Micros(u64::from(at))).unwrap();
        let second = item::from_event(event, Micros(u64::from(later))).unwrap();
        for name in ["id", "microtimestamp"] {
            prop_assert_eq!(first.get(name), second.get(name));
        }
        let back = item::to_event(&stored(first)).unwrap();
        prop_assert_eq!(Keyed::of(&back).unwrap(), keyed);
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 300, ..ProptestConfig::default() })]

    /// Among events that the exchange can tell apart. Trades are told apart by id and time, order events with an
    /// `event_id` by that, so two such that differ only elsewhere are one event in two versions.
    #[test]
    fn different_events_have_different_keys(events in prop::collection::vec(with_identity(event()), 2..12)) {
        let mut seen: HashMap<_, String> = HashMap::new();
        for event in events {
            let Ok(keyed) = Keyed::of(&event) else { continue };
            if event.kind() == shared::event::Kind::Trade || event.extra.contains_key("event_id") {
                continue;
            }
            let content = canonical_event(&event);
            if let Some(other) = seen.insert(keyed.key.clone(), content.clone()) {
                prop_assert_eq!(other, content, "two events under {:?}", keyed.key);
            }
        }
    }
}
