//! Items in the shape of the first system: trades and orders, the microtimestamp a string in the sort key, no numeric time.

use std::collections::{BTreeSet, HashMap};

use aws_sdk_dynamodb::{
    Client,
    types::{
        AttributeDefinition, AttributeValue, BillingMode, CreateGlobalSecondaryIndexAction, GlobalSecondaryIndex,
        KeySchemaElement, KeyType, Projection, ProjectionType, PutRequest, ScalarAttributeType, WriteRequest,
    },
};
use futures_util::{StreamExt, stream};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;
use shared::table::INDEX;

pub(crate) type Item = HashMap<String, AttributeValue>;

/// First moment of the fixture, microseconds since the Unix epoch: 21 March 2022.
const BEGIN: u64 = 1_647_817_207_170_000;

/// Values that are no time in microseconds and may stand in a sort key.
const POISON: [fn(u64) -> String; 7] = [
    |time| format!(" {time}"),
    |time| format!("{time} "),
    |time| format!("{}.{}e15", time / 1_000_000_000_000_000, time % 1_000_000_000_000_000),
    |time| (time / 1_000_000).to_string(),
    |time| (time / 1_000).to_string(),
    |time| format!("{time}000"),
    |_| "n/a".to_owned(),
];

/// What is in a fixture: everything follows from the seed and the numbers.
#[derive(Clone, Debug)]
pub(crate) struct Fixture {
    pub(crate) seed: u64,
    pub(crate) items: u64,
    /// Numbers of the items whose value is poisoned.
    pub(crate) poisoned: BTreeSet<u64>,
}

impl Fixture {
    pub(crate) fn new(seed: u64, items: u64, poisoned: usize) -> Self {
        let mut dice = ChaCha8Rng::seed_from_u64(seed);
        let mut chosen = BTreeSet::new();
        while chosen.len() < poisoned {
            chosen.insert(dice.random_range(0..items));
        }
        Self { seed, items, poisoned: chosen }
    }

    /// Item number `number`; numbers past [`Fixture::items`] are what a writer adds later.
    pub(crate) fn item(&self, number: u64) -> Item {
        let mut dice = ChaCha8Rng::seed_from_u64(self.seed ^ (number << 20));
        let time = BEGIN + number * 7_919;
        let sort = match self.poisoned.contains(&number) {
            true => POISON[dice.random_range(0..POISON.len())](time),
            false => time.to_string(),
        };
        let mut item = match dice.random_range(0..10) {
            0..3 => trade(number, &mut dice),
            _ => order(time, &mut dice),
        };
        item.insert("id".to_owned(), number_value(1_470_000_000_000_000 + number));
        item.insert("microtimestamp".to_owned(), AttributeValue::S(sort));
        item
    }
}

/// The numeric time that item number `number` must end with.
pub(crate) fn expected(number: u64) -> String {
    (BEGIN + number * 7_919).to_string()
}

/// The number of an item, from its id.
pub(crate) fn number_of(item: &Item) -> u64 {
    item["id"].as_n().unwrap().parse::<u64>().unwrap() - 1_470_000_000_000_000
}

fn trade(number: u64, dice: &mut ChaCha8Rng) -> Item {
    let market = market(dice);
    let mut item = priced(dice);
    item.insert("timestamp".to_owned(), AttributeValue::S((BEGIN / 1_000_000 + number).to_string()));
    item.insert("type".to_owned(), number_value(dice.random_range(0..2)));
    for side in ["buy_order_id", "sell_order_id"] {
        item.insert(side.to_owned(), number_value(dice.random_range(1_400_000_000_000_000..1_500_000_000_000_000)));
    }
    labelled(item, format!("live_trades_{market}"), "trade")
}

fn order(time: u64, dice: &mut ChaCha8Rng) -> Item {
    let (market, event) = (market(dice), ["order_created", "order_changed", "order_deleted"][dice.random_range(0..3)]);
    let mut item = priced(dice);
    item.insert(
        "id_str".to_owned(),
        AttributeValue::S(dice.random_range(1_400_000_000_000_000_u64..1_500_000_000_000_000).to_string()),
    );
    item.insert("order_type".to_owned(), number_value(dice.random_range(0..2)));
    item.insert("datetime".to_owned(), AttributeValue::S((time / 1_000_000).to_string()));
    labelled(item, format!("live_orders_{market}"), event)
}

fn market(dice: &mut ChaCha8Rng) -> &'static str {
    ["btcusd", "ethusd"][dice.random_range(0..2)]
}

fn priced(dice: &mut ChaCha8Rng) -> Item {
    // No zero at the end: engines give numbers back without it.
    let price =
        format!("{}.{}{}", dice.random_range(20_000..60_000), dice.random_range(0..10), dice.random_range(1..10));
    let amount = format!("0.{:07}{}", dice.random_range(0..10_000_000), dice.random_range(1..10));
    let both = |name: &str, text: &str| {
        [
            (name.to_owned(), AttributeValue::N(text.to_owned())),
            (format!("{name}_str"), AttributeValue::S(text.to_owned())),
        ]
    };
    both("price", &price).into_iter().chain(both("amount", &amount)).collect()
}

fn labelled(mut item: Item, channel: String, event: &str) -> Item {
    item.insert("channel".to_owned(), AttributeValue::S(channel));
    item.insert("event".to_owned(), AttributeValue::S(event.to_owned()));
    item
}

fn number_value(number: u64) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

/// The first system's table, with the index or still without.
pub(crate) async fn create_table(client: &Client, table: &str, with_index: bool) {
    let attribute =
        |name: &str, kind| AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build().unwrap();
    let mut call = client
        .create_table()
        .table_name(table)
        .billing_mode(BillingMode::PayPerRequest)
        .attribute_definitions(attribute("id", ScalarAttributeType::N))
        .attribute_definitions(attribute("microtimestamp", ScalarAttributeType::S))
        .key_schema(key("id", KeyType::Hash))
        .key_schema(key("microtimestamp", KeyType::Range));
    if with_index {
        call = call
            .attribute_definitions(attribute("channel", ScalarAttributeType::S))
            .attribute_definitions(attribute("nmicrotimestamp", ScalarAttributeType::N))
            .global_secondary_indexes(index());
    }
    call.send().await.unwrap();
}

fn key(name: &str, role: KeyType) -> KeySchemaElement {
    KeySchemaElement::builder().attribute_name(name).key_type(role).build().unwrap()
}

fn index() -> GlobalSecondaryIndex {
    let action = CreateGlobalSecondaryIndexAction::builder()
        .index_name(INDEX)
        .key_schema(key("channel", KeyType::Hash))
        .key_schema(key("nmicrotimestamp", KeyType::Range))
        .projection(Projection::builder().projection_type(ProjectionType::All).build())
        .build()
        .unwrap();
    GlobalSecondaryIndex::builder()
        .index_name(action.index_name())
        .set_key_schema(Some(action.key_schema().to_vec()))
        .set_projection(action.projection().cloned())
        .build()
        .unwrap()
}

/// Writes items into a table, 25 to a call.
pub(crate) async fn fill(client: &Client, table: &str, fixture: &Fixture, numbers: std::ops::Range<u64>) {
    let last = numbers.end;
    let starts: Vec<u64> = numbers.step_by(25).collect();
    stream::iter(starts)
        .for_each_concurrent(4, |start| async move {
            let put = |number| PutRequest::builder().set_item(Some(fixture.item(number))).build().unwrap();
            let end = (start + 25).min(last);
            let requests = (start..end).map(|number| WriteRequest::builder().put_request(put(number)).build());
            let call = client.batch_write_item().request_items(table, requests.collect());
            let output = call.send().await.unwrap();
            assert!(output.unprocessed_items().is_none_or(HashMap::is_empty));
        })
        .await;
}
