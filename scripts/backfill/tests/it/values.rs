//! Values in an attribute outside the key may be anything; other names and types by arguments.

use aws_sdk_dynamodb::types::AttributeValue;

use crate::{
    fixture::{Fixture, Item, create_table, expected, fill},
    support::{Desk, TABLE, client, each_item, embedded},
};

const JOB: &str = "--from-attribute stamp --to-attribute nstamp --no-index";

/// Item number n carries the nth value.
fn values() -> Vec<(Option<AttributeValue>, &'static str)> {
    let text = |text: &str| Some(AttributeValue::S(text.to_owned()));
    vec![
        (text(&expected(0)), ""),
        (None, "missing"),
        (text(""), "empty"),
        (Some(AttributeValue::Bool(true)), "wrong type"),
        (Some(AttributeValue::N(expected(4))), "wrong type"),
        (text("1647817207"), "looks like seconds (--accept-seconds)"),
        (text("1647817207170"), "looks like milliseconds (--accept-ms)"),
        (text(" 1647817207170000"), "spaces around the digits (--accept-spaces)"),
        (text("1.64781720717e15"), "not written as plain digits (--accept-exponent)"),
        (Some(AttributeValue::L(vec![])), "wrong type"),
    ]
}

async fn stamped_table(client: &aws_sdk_dynamodb::Client) {
    create_table(client, TABLE, false).await;
    let fixture = Fixture::new(3, 25, 0);
    fill(client, TABLE, &fixture, 0..10).await;
    for (number, (value, _)) in (0..).zip(values()) {
        let mut item: Item = fixture.item(number);
        item.extend(value.map(|value| ("stamp".to_owned(), value)));
        client.put_item().table_name(TABLE).set_item(Some(item)).send().await.unwrap();
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_no_time_is_rejected_with_its_reason() {
    let engine = embedded();
    let client = client(&engine.url);
    stamped_table(&client).await;
    let desk = Desk::new(&engine.url);
    let plan = desk.run(&format!("plan {JOB} --count --json")).await.assert_code(0).json();
    assert_eq!((plan["to_write"].as_u64(), plan["rejects"].as_u64()), (Some(1), Some(9)));
    desk.run(&format!("run {JOB} --force")).await.assert_code(3);
    let mut reasons: Vec<String> =
        desk.rejects().iter().map(|line| line["reason"].as_str().unwrap().to_owned()).collect();
    let mut expected: Vec<String> = values().into_iter().skip(1).map(|(_, reason)| reason.to_owned()).collect();
    reasons.sort();
    expected.sort();
    assert_eq!(reasons, expected);
    desk.run(&format!("verify {JOB}")).await.assert_code(3);

    // Guesses are made when asked for: seconds, milliseconds, spaces and exponents leave the rejects.
    let accept = "--accept-seconds --accept-ms --accept-spaces --accept-exponent";
    let guessed = desk.run(&format!("run {JOB} {accept} --force --json")).await.assert_code(3).json();
    assert_eq!((guessed["totals"]["updated"].as_u64(), guessed["totals"]["rejects"].as_u64()), (Some(4), Some(5)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_number_becomes_a_string_where_that_is_asked_for() {
    let engine = embedded();
    let client = client(&engine.url);
    stamped_table(&client).await;
    let desk = Desk::new(&engine.url);
    desk.run("run --from-attribute stamp --to-attribute sstamp --to-type S --no-index --force").await.assert_code(3);
    let mut found = Vec::new();
    each_item(&client, TABLE, |item| found.extend(item.get("sstamp").map(|value| value.as_s().unwrap().clone()))).await;
    found.sort();
    assert_eq!(found, [expected(0), expected(4)]);
}
