//! What is refused before anything is changed.

use compact::time::{DAY, now};

use crate::support::{Desk, orders};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_cannot_be_meant_is_refused() {
    let desk = Desk::new().await;
    desk.put(&orders(20, 10)).await;
    let before = desk.contents().await;
    let soon = now() - DAY + 60_000_000;
    for (arguments, why) in [
        (format!("run * --force --to {soon}"), "last 24 hours"),
        (format!("expand * --force --to {soon}"), "last 24 hours"),
        (format!("plan * --to {soon}"), "last 24 hours"),
        ("run * --force --from -2d --to -3d".to_owned(), "is after"),
        ("run * --force --from yesterday".to_owned(), "neither microseconds"),
        ("run live_trades_* --force".to_owned(), "never in blocks"),
        ("run live_orders_xrpusd --force".to_owned(), "matches no channel"),
        ("run *".to_owned(), "--force"),
    ] {
        let ended = desk.run(&arguments).await.assert_code(2);
        assert!(ended.err.contains(why), "{arguments}: {ended:?}");
    }
    assert!(desk.contents().await == before);
}

/// What is in the last day stays, whatever else is packed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_last_day_is_not_touched() {
    let desk = Desk::new().await;
    let mut items = orders(200, 11);
    // The same events, an hour ago.
    let ago = now() - 3_600_000_000;
    let young: Vec<_> = items[..200]
        .iter()
        .enumerate()
        .map(|(number, item)| {
            let (mut item, time) = (item.clone(), ago + number as u64);
            let value = aws_sdk_dynamodb::types::AttributeValue::N(time.to_string());
            item.insert("nmicrotimestamp".to_owned(), value);
            let sort = aws_sdk_dynamodb::types::AttributeValue::S(format!("{time}#0"));
            item.insert("microtimestamp".to_owned(), sort);
            item
        })
        .collect();
    items.extend(young.iter().cloned());
    desk.put(&items).await;
    desk.run("run live_orders_* --force").await.assert_code(0);
    let now = desk.contents().await;
    let singles: Vec<_> = now.values().filter(|item| item["channel"].as_s().unwrap() == "live_orders_btcusd").collect();
    assert_eq!(singles.len(), 200);
    assert!(young.iter().all(|item| singles.contains(&item)));
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn another_command_does_not_go_on_with_a_checkpoint() {
    let desk = Desk::new().await;
    desk.put(&orders(20, 12)).await;
    let mut child = desk.start_at(&desk.endpoint, "run * --force --checkpoint c.json --max-wcu 5");
    while !desk.path("c.json").try_exists().unwrap() {
        assert!(child.try_wait().unwrap().is_none(), "{:?}", child.wait_with_output());
        tokio::time::sleep(std::time::Duration::from_millis(10)).await;
    }
    let beside = desk.run("run * --force --checkpoint c.json").await.assert_code(2);
    assert!(beside.err.contains("another process"), "{beside:?}");
    child.kill().unwrap();
    child.wait().unwrap();
    let other = desk.run("run live_orders_* --force --checkpoint c.json").await.assert_code(2);
    assert!(other.err.contains("--restart"), "{other:?}");
    desk.run("run * --force --checkpoint c.json").await.assert_code(0);
}
