//! What `plan` says is what `run` then takes.

use crate::support::{Desk, orders};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_plan_says_what_a_run_takes() {
    let desk = Desk::new().await;
    desk.put(&orders(5_000, 13)).await;
    let before = desk.contents().await;
    let plan = desk.run("plan live_orders_* --count --json --max-wcu 1000").await.assert_code(0).json();
    assert!(desk.contents().await == before);
    let text = desk.run("plan live_orders_* --count").await.assert_code(0).out;
    println!("{text}");
    assert!(text.contains("nothing was changed") && text.contains("pays for itself"), "{text}");
    let run = desk.run("run live_orders_* --force --json").await.assert_code(0).json();
    let number = |value: &serde_json::Value| value.as_f64().unwrap();
    assert_eq!(number(&plan["events"]), 5_000.0);
    assert_eq!(number(&plan["blocks"]), number(&run["totals"]["blocks"]));
    let (said, took) = (number(&plan["write_units"]), number(&run["totals"]["units"]["write"]));
    println!("write units: {said} said, {took} taken");
    assert!((said / took - 1.0).abs() < 0.02, "{said} said, {took} taken");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_sample_comes_near() {
    let desk = Desk::new().await;
    desk.put(&orders(20_000, 14)).await;
    let exact = desk.run("plan live_orders_* --count --json").await.assert_code(0).json();
    let sample = desk.run("plan live_orders_* --sample 4 --json").await.assert_code(0).json();
    let ratio = sample["events"].as_f64().unwrap() / exact["events"].as_f64().unwrap();
    println!("a sample says {ratio:.2} of the events");
    assert!((0.6..1.6).contains(&ratio), "{ratio}");
    assert!(sample["read_units_of_plan"].as_f64() < exact["read_units_of_plan"].as_f64());
}
