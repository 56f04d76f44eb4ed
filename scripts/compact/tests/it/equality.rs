//! The table after `run` and `expand` is the table before, and readers never see a difference.

use aws_sdk_dynamodb::types::AttributeValue;
use query_fn::{config::Config, http::token::random_key, routes::router};
use shared::{item::Item, keep::Keeps};

use crate::support::{Contents, Desk, assert_nothing_missing, in_blocks, is_block, number, odd_tables, orders};

/// The answers of the query API to ranges, orders and exports.
async fn answers(desk: &Desk, paths: &[String]) -> Vec<String> {
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let service = router(desk.client.clone(), Config::new(&desk.table, vec![random_key()]));
    let server = tokio::spawn(async move { axum::serve(listener, service).await });
    let http = reqwest::Client::new();
    let mut answers = Vec::new();
    for path in paths {
        let response = http.get(format!("{url}{path}")).send().await.unwrap();
        assert_eq!(response.status(), 200, "{path}");
        answers.push(response.text().await.unwrap());
    }
    server.abort();
    answers
}

fn paths(channels: &[String], before: &Contents) -> Vec<String> {
    let mut paths: Vec<_> = channels.iter().map(|channel| format!("/export?channel={channel}&format=ndjson")).collect();
    paths.extend(channels.iter().map(|channel| format!("/export?channel={channel}&order=desc&format=csv")));
    let is_order = |item: &&Item| item["channel"].as_s().unwrap().starts_with("live_orders_");
    let orders = before.values().filter(is_order).step_by(97);
    paths.extend(orders.map(|item| format!("/orders/{}?format=ndjson", item["id"].as_n().unwrap())));
    paths
}

/// Things that the codec or this program leaves alone.
fn odd_items(like: &Item) -> Vec<Item> {
    let with = |number: u32, name: &str, value: AttributeValue| {
        let mut item = like.clone();
        item.insert("id".to_owned(), AttributeValue::N((9_000_000 + number).to_string()));
        item.insert(name.to_owned(), value);
        item
    };
    let mut many = with(0, "note", AttributeValue::Bool(true));
    many.extend((0..120).map(|number| (format!("a{number}"), AttributeValue::S(String::new()))));
    vec![
        many,
        with(1, "bytes", AttributeValue::B(vec![0, 255].into())),
        with(2, "set", AttributeValue::Ss(vec!["a".to_owned(), "b".to_owned()])),
        with(3, "expires", AttributeValue::N("4000000000".to_owned())),
        with(4, "large", AttributeValue::S("x".repeat(120_000))),
        // These go into blocks.
        with(5, "null", AttributeValue::Null(true)),
        with(6, "quote\"and#dots.", AttributeValue::L(vec![AttributeValue::M(std::collections::HashMap::new())])),
        with(7, "small", AttributeValue::N("0.0000001".to_owned())),
    ]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn run_and_expand_give_the_identical_table() {
    for (seed, mixed) in [(number("COMPACT_SEED", 1), true), (number("COMPACT_SEED", 2), false)] {
        let tables = odd_tables(seed, 1_500);
        let desk = Desk::new().await;
        let items = if mixed { &tables.mixed } else { &tables.events };
        let like = items.iter().find(|item| item["channel"].as_s().unwrap() == "live_orders_btcusd").unwrap();
        desk.put(items).await;
        desk.put(&odd_items(like)).await;
        let before = desk.contents().await;
        let asked = paths(&tables.channels, &before);
        let answered = answers(&desk, &asked).await;

        let ran = desk.run("run * --force --json").await.assert_code(0).json();
        let packed = desk.contents().await;
        assert_nothing_missing(&before, &packed, "after the run");
        let (moved, singles) = (&ran["totals"]["moved"], &ran["totals"]["singles"]);
        println!("{moved} moved into {} blocks, {singles} stay", ran["totals"]["blocks"]);
        // Two with types that no event has, and one that is too large; how engines spell numbers is theirs.
        assert!(singles["codec"].as_u64().unwrap() >= 3, "{singles}");
        assert_eq!((&singles["expires"], &singles["attributes"]), (&1.into(), &1.into()));
        let reserved = |item: &&Item| item["channel"].as_s().unwrap().starts_with('_');
        let trades = |item: &&Item| item["channel"].as_s().unwrap().starts_with("live_trades");
        let left = packed.values().filter(|item| !reserved(item) && !trades(item)).count() as u64;
        let counts: Vec<u64> = singles.as_object().unwrap().values().map(|count| count.as_u64().unwrap()).collect();
        assert_eq!(left, counts.iter().sum::<u64>(), "what stays single is counted");
        assert!(moved.as_u64().unwrap() > 10 * left, "{moved} moved, {left} left");
        for ((path, before), after) in asked.iter().zip(&answered).zip(&answers(&desk, &asked).await) {
            assert!(before == after, "{path}: the answers differ");
        }

        let expanded = desk.run("expand * --force --json").await.assert_code(0).json();
        assert_eq!(&expanded["totals"]["moved"], moved);
        let after = desk.contents().await;
        assert_eq!(after.len(), before.len());
        assert!(after == before, "not the table that it was");
        assert!(!desk.path(&format!("compact-{}.run.json", desk.table)).try_exists().unwrap());
    }
}

/// Events of a table that keeps them for a time, set in the middle: they go into blocks that expire no sooner than any of them, and come back with
/// the time at which each expired.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn events_that_expire_come_back_with_their_time() {
    let desk = Desk::new().await;
    let mut items = orders(3_000, number("COMPACT_SEED", 6));
    let time = |item: &Item| item["nmicrotimestamp"].as_n().unwrap().parse::<u64>().unwrap();
    let expires = |item: &Item| item.get("expires").map(|expires| expires.as_n().unwrap().parse::<u64>().unwrap());
    items.sort_by_key(time);
    let middle = time(&items[1_500]);
    let mut keeps = Keeps::default();
    assert!(keeps.set("live_orders_*", Some(400 * 86_400), middle));
    for item in items.iter_mut().filter(|item| time(item) >= middle) {
        let seconds = time(item).div_ceil(1_000_000) + 400 * 86_400;
        item.insert("expires".to_owned(), AttributeValue::N(seconds.to_string()));
    }
    // As of a daemon that knew another record.
    items[2_000].insert("expires".to_owned(), AttributeValue::N("4000000000".to_owned()));
    desk.put(&items).await;
    desk.put(&[keeps.to_item(middle)]).await;
    let before = desk.contents().await;

    let ran = desk.run("run * --force --json").await.assert_code(0).json();
    assert_eq!((ran["totals"]["moved"].as_u64(), ran["totals"]["singles"]["expires"].as_u64()), (Some(2_999), Some(1)));
    let packed = desk.contents().await;
    let mut expire = 0;
    for block in packed.values().filter(|item| is_block(item)) {
        let through = block["through"].as_n().unwrap().parse::<u64>().unwrap();
        let latest = through.div_ceil(1_000_000) + 400 * 86_400;
        assert_eq!(expires(block), (time(block) >= middle).then_some(latest), "{middle}");
        expire += u32::from(expires(block).is_some());
    }
    assert!(expire > 0, "a block that expires");
    let answered = answers(&desk, &paths(&["live_orders_btcusd".to_owned()], &before)).await;

    desk.run("expand * --force --json").await.assert_code(0);
    assert!(desk.contents().await == before, "not the table that it was");
    assert!(answers(&desk, &paths(&["live_orders_btcusd".to_owned()], &before)).await == answered);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_daemons_blocks_are_taken_apart_only_if_all_are() {
    let tables = odd_tables(number("COMPACT_SEED", 3), 600);
    let desk = Desk::new().await;
    desk.put(&tables.blocks).await;
    let before = desk.contents().await;
    let passed = desk.run("expand * --force --json").await.assert_code(0).json();
    assert!(passed["totals"]["passed"].as_u64().unwrap() > 0 && desk.contents().await == before);
    desk.run("expand * --force --all --json").await.assert_code(0);
    let after = desk.contents().await;
    assert!(!after.values().any(is_block), "a block is left");
    assert_eq!(in_blocks(&before).len(), after.len() - before.values().filter(|item| !is_block(item)).count());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_second_run_finds_nothing_to_do_and_a_range_is_kept() {
    let desk = Desk::new().await;
    desk.put(&orders(1_500, 4)).await;
    let before = desk.contents().await;
    let times: Vec<u64> =
        before.values().map(|item| item["nmicrotimestamp"].as_n().unwrap().parse().unwrap()).collect();
    let middle = times.iter().max().unwrap() - 5_000_000;
    let half = format!("run live_orders_btcusd --to {middle} --force --json");
    let first = desk.run(&half).await.assert_code(0).json();
    let contents = desk.contents().await;
    let expected = times.iter().filter(|time| **time <= middle).count() - 1;
    assert_eq!(first["totals"]["moved"].as_u64(), Some(expected as u64), "all but the entry of the list");
    let again = desk.run(&half).await.assert_code(0).json();
    assert_eq!((again["totals"]["moved"].as_u64(), desk.contents().await == contents), (Some(0), true));
}
