//! Update expressions do here what they do in the engine: the same items, the same refusals.

use aws_sdk_dynamodb::types::AttributeValue;
use items_fn::expression::{Placeholders, Update};
use proptest::prelude::*;
use serde_json::{Value, json};
use shared::item::Item;
use std::sync::LazyLock;
use tokio::runtime::Runtime;

use crate::support::{Table, plain, typed};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
static TABLE: LazyLock<Table> = LazyLock::new(|| RUNTIME.block_on(Table::new()));

fn values() -> Value {
    json!({
        ":n": 7, ":d": serde_json::from_str::<Value>("-0.125").unwrap(), ":t": "t", ":l": [1, "x"], ":m": { "x": 1 },
        ":s": { "$SS": ["x", "z"] }, ":ns": { "$NS": [1, 2] },
    })
}

/// An item whose attributes have the types that the expressions probably expect.
fn item() -> impl Strategy<Value = Value> {
    let any = prop_oneof![
        Just(json!(5)),
        Just(json!("text")),
        Just(json!([1, [2], { "x": 3 }])),
        Just(json!({ "x": 1, "y": [0, 1] })),
        Just(json!({ "$SS": ["x", "y"] })),
        Just(json!({ "$NS": [2, 3] })),
        Just(Value::Null),
    ];
    prop::collection::btree_map("[a-e]", any, 0..5).prop_map(|mut fields| {
        fields.insert("id".to_owned(), json!(1));
        fields.insert("microtimestamp".to_owned(), json!("5"));
        json!(fields)
    })
}

fn path() -> impl Strategy<Value = String> {
    "[a-e](\\[[0-3]\\]|\\.[xy]){0,2}"
}

fn value() -> impl Strategy<Value = &'static str> {
    prop::sample::select(vec![":n", ":d", ":t", ":l", ":m", ":s", ":ns"])
}

fn operand() -> impl Strategy<Value = String> {
    prop_oneof![
        3 => value().prop_map(str::to_owned),
        2 => path(),
        1 => (path(), value()).prop_map(|(path, value)| format!("if_not_exists({path}, {value})")),
        1 => (path(), value()).prop_map(|(path, value)| format!("list_append({path}, {value})")),
        1 => (path(), value()).prop_map(|(path, value)| format!("list_append(if_not_exists({path}, :l), {value})")),
        1 => (path(), prop::sample::select(vec!["+", "-"]), value()).prop_map(|(path, sign, value)| format!("{path} {sign} {value}")),
    ]
}

fn clause(word: &'static str, action: impl Strategy<Value = String>) -> impl Strategy<Value = String> {
    prop::collection::vec(action, 0..3).prop_map(move |actions| match actions.as_slice() {
        [] => String::new(),
        actions => format!("{word} {} ", actions.join(", ")),
    })
}

fn expression() -> impl Strategy<Value = String> {
    let set = (path(), operand()).prop_map(|(path, operand)| format!("{path} = {operand}"));
    let with_value = || (path(), value()).prop_map(|(path, value)| format!("{path} {value}"));
    let all =
        (clause("SET", set), clause("REMOVE", path()), clause("ADD", with_value()), clause("DELETE", with_value()));
    all.prop_map(|(set, remove, add, delete)| format!("{set}{remove}{add}{delete}"))
        .prop_filter("something", |text| !text.is_empty())
}

/// What the engine makes of the item; `None` where it refuses.
async fn in_engine(table: &Table, before: &Item, expression: &str, values: Item) -> Option<Item> {
    table.client.put_item().table_name(&table.name).set_item(Some(before.clone())).send().await.unwrap();
    let used = items_fn::expression::placeholders(expression);
    let values: Item = values.into_iter().filter(|(name, _)| used.contains(name)).collect();
    let call = table.client.update_item().table_name(&table.name).key("id", AttributeValue::N("1".to_owned()));
    let call = call.key("microtimestamp", AttributeValue::S("5".to_owned())).update_expression(expression);
    let sent = call.set_expression_attribute_values(Some(values).filter(|values| !values.is_empty())).send().await;
    sent.ok()?;
    table.item(&json!({ "id": 1, "microtimestamp": "5" })).await
}

proptest! {
    #![proptest_config(ProptestConfig { cases: ProptestConfig::default().cases.max(600), ..ProptestConfig::default() })]
    #[test]
    fn an_expression_does_what_it_does_in_the_engine(before in item(), expression in expression()) {
        let table = &*TABLE;
        let (before, values) = (typed(&before), typed(&values()));
        let placeholders = Placeholders { values: values.clone(), ..Placeholders::default() };
        let own = Update::parse(&expression, &placeholders).and_then(|update| update.apply(&before));
        let engine = RUNTIME.block_on(in_engine(table, &before, &expression, values));
        match (&own, &engine) {
            (Ok(own), Some(engine)) => prop_assert!(
                items_fn::item::is_same(Some(own), Some(engine)),
                "{}: {} here, {} in the engine", expression, plain(own), plain(engine)
            ),
            (Err(_), None) => {}
            _ => prop_assert!(false, "{}: {:?} here, {:?} in the engine", expression, own, engine.as_ref().map(plain)),
        }
    }
}
