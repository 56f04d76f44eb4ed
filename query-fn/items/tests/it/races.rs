//! Two operators change one item at once, over and over: one wins, the other is told what the item is now.

use rand::{RngExt, SeedableRng};
use serde_json::{Value, json};

use crate::support::{Table, plain, post};

const RACES: u64 = 1_000;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn of_two_operators_one_wins_and_the_other_gets_the_current_state() {
    let seed = std::env::var("SEED").map_or(18, |seed| seed.parse().expect("SEED is a number"));
    eprintln!("seed {seed}");
    let mut dice = rand_chacha::ChaCha8Rng::seed_from_u64(seed);
    let table = Table::new().await;
    let services = [table.service(&table.endpoint), table.service(&table.endpoint)];
    let key = json!({ "id": 1, "microtimestamp": "5" });
    let mut state = json!({ "id": 1, "microtimestamp": "5" });
    table.put(&state).await;
    for race in 0..RACES {
        let (_, read) = post(&services[0], "reader", "read", &json!({ "Key": key })).await;
        assert_eq!(read.get("Item"), Some(&state).filter(|state| !state.is_null()), "race {race}");
        let payloads = [0, 1].map(|operator| payload(&mut dice, &key, operator, race, &read["ifMatch"]));
        let [(first, one), (second, two)] = &payloads;
        let answers = tokio::join!(post(&services[0], "a", first, one), post(&services[1], "b", second, two));
        let mut answers = [answers.0, answers.1];
        answers.sort_by_key(|(status, _)| *status);
        let [(won, _), (lost, told)] = &answers;
        assert_eq!((*won, *lost), (200, 409), "race {race}, seed {seed}: {payloads:?} {answers:?}");
        state = table.item(&key).await.map_or(Value::Null, |item| plain(&item));
        assert_eq!(told["current"], state, "race {race}, seed {seed}: the loser is told what the item is now");
    }
    let audited = table.audited().await;
    assert_eq!(audited.len() as u64, RACES);
    let mut numbers: Vec<u64> = audited.iter().map(|entry| plain(entry)["change"].as_u64().unwrap()).collect();
    numbers.sort_unstable();
    assert_eq!(numbers, (1..=RACES).collect::<Vec<_>>(), "the changes are numbered without a hole");
}

/// Changes of one attribute, of different ones, removals, deletions, creations: each changes the item, whatever it is.
fn payload(dice: &mut impl rand::Rng, key: &Value, operator: u64, race: u64, seen: &Value) -> (&'static str, Value) {
    let value = race * 2 + operator;
    let own = format!("of_{operator}_{}", dice.random_range(0..3));
    let update = |expression: &str, name: &str| {
        json!({
            "Key": key, "UpdateExpression": expression, "ExpressionAttributeNames": { "#n": name },
            "ExpressionAttributeValues": { ":v": value }, "ifMatch": seen,
        })
    };
    let is_there = seen != items_fn::item::NONE;
    match dice.random_range(0..10) {
        0..4 => ("update", update("SET #n = :v", &own)),
        4..7 => ("update", update("SET #n = :v", "shared")),
        7 if is_there => ("delete", json!({ "Key": key, "ifMatch": seen })),
        8 => {
            let mut append = update("SET #n = list_append(if_not_exists(#n, :v), :v)", "list");
            append["ExpressionAttributeValues"][":v"] = json!([value]);
            ("update", append)
        }
        _ => {
            let item = json!({ "id": 1, "microtimestamp": "5", "shared": value });
            ("create", json!({ "Item": item, "overwrite": true, "ifMatch": seen }))
        }
    }
}
