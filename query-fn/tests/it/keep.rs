//! What was let go: of time whose items have expired every answer says so, and of no other.

use proptest::prelude::*;
use serde_json::{Value, json};
use shared::{
    coverage::{Interval, Record, State, channel_item, days::DAY},
    item::{EXPIRES, Item},
    keep::Keeps,
};
use std::sync::LazyLock;
use tokio::runtime::Runtime;

use crate::support::{Service, engine, stored};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
static ENGINE: LazyLock<String> = LazyLock::new(|| RUNTIME.block_on(engine()));

const CHANNEL: &str = "live_trades_btcusd";
const HOUR: u64 = 3_600_000_000;
const MINUTE: u64 = 60_000_000;

/// Today's midnight, or yesterday's shortly after it: hours are counted back from here.
fn today() -> u64 {
    let now = u64::try_from(std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH).unwrap().as_micros());
    (now.unwrap() - HOUR) / DAY * DAY
}

fn trade(id: u64, time: u64) -> Item {
    let data = format!(r#"{{"id":{id},"microtimestamp":"{time}","price_str":"7","amount_str":"1","type":0}}"#);
    stored(&format!(r#"{{"channel":"{CHANNEL}","event":"trade","data":{data}}}"#), time)
}

fn entry(from: u64, through: u64, state: State) -> Item {
    let interval = Interval { from, through, state, reason: (state == State::Gap).then(|| "lost".to_owned()) };
    Record { daemon: "vm-1".to_owned(), channel: CHANNEL.to_owned(), interval, frames: 1 }.to_item()
}

/// Sets when an item of a while expires; returns it unless that is over.
fn kept(mut item: Item, keeps: &Keeps, (from, through): (u64, u64), now: u64) -> Option<Item> {
    match keeps.expires(CHANNEL, from, through) {
        Some(expires) if expires * 1_000_000 <= now => None,
        Some(expires) => {
            item.insert(EXPIRES.to_owned(), aws_sdk_dynamodb::types::AttributeValue::N(expires.to_string()));
            Some(item)
        }
        None => Some(item),
    }
}

/// A table of the last days: a trade in the middle of each captured hour that has not expired, and its ledger. `states`: what is known of each
/// hour, the last one being the newest.
async fn table(endpoint: &str, keeps: &Keeps, states: &[Option<State>], end: u64) -> Service {
    let service = Service::on(endpoint).await;
    let begin = end - states.len() as u64 * HOUR;
    let mut items = vec![channel_item(CHANNEL, begin), keeps.to_item(end)];
    for ((hour, from), state) in (0..).zip((begin..end).step_by(usize::try_from(HOUR).unwrap())).zip(states) {
        let Some(state) = *state else { continue };
        if state == State::Gap {
            items.extend(kept(entry(from, from + HOUR - 1, state), keeps, (from, from + HOUR - 1), end));
            continue;
        }
        for minute in (from..from + HOUR).step_by(usize::try_from(MINUTE).unwrap()) {
            let ends = (minute, minute + MINUTE - 1);
            items.extend(kept(entry(ends.0, ends.1, state), keeps, ends, end));
        }
        let time = from + HOUR / 2;
        items.extend(kept(trade(hour, time), keeps, (time, time), end));
    }
    service.put(items).await;
    service
}

/// The state of a moment in a list of intervals.
fn state_at(list: &Value, moment: u64) -> Option<String> {
    let is_here = |item: &&Value| item["from"].as_u64() <= Some(moment) && Some(moment) <= item["through"].as_u64();
    list.as_array().unwrap().iter().find(is_here).map(|item| item["state"].as_str().unwrap().to_owned())
}

async fn check(endpoint: &str, changes: &[(u64, Option<u64>)], states: &[Option<State>]) {
    let end = today();
    let begin = end - states.len() as u64 * HOUR;
    let mut keeps = Keeps::default();
    let mut changes = changes.to_vec();
    changes.sort_unstable();
    for (hours_ago, days) in changes.iter().rev() {
        keeps.set(CHANNEL, days.map(|days| days * 86_400), end - hours_ago * HOUR);
    }
    let service = table(endpoint, &keeps, states, end).await;
    let expired = keeps.expired(CHANNEL, begin, end);
    let is_expired = |moment: u64| expired.iter().any(|(from, through)| (*from..=*through).contains(&moment));
    let (from, to) = (begin - HOUR, end - 1);
    let (status, coverage) =
        service.json(&format!("/coverage?channel={CHANNEL}&from={from}&to={to}&limit=10000")).await;
    assert_eq!(status, 200, "{coverage:?}");
    let (_, page) = service.json(&format!("/bitstamp?channel={CHANNEL}&from={from}&to={to}")).await;
    let (_, count) = service.json(&format!("/count?channel={CHANNEL}&from={from}&to={to}")).await;
    let (_, candles) = service.json(&format!("/candles?channel={CHANNEL}&from={from}&to={to}&interval=1h")).await;
    assert_eq!(count["Items"][0]["items"], page["Count"]);
    assert!(page["Items"].as_array().unwrap().iter().all(|event| event.get(EXPIRES).is_none()), "{page:?}");
    // Sampled within a minute, as the clock goes on meanwhile: neither its beginning nor its end may have expired since.
    for (hour, state) in states.iter().enumerate() {
        let hour = begin + hour as u64 * HOUR;
        for moment in [hour + 1, hour + HOUR / 2, hour + HOUR - 2] {
            if is_expired(moment) != is_expired(moment + 1) {
                continue;
            }
            let truth = if is_expired(moment) { "expired" } else { state.map_or("unknown", State::name) };
            let now_is = keeps.expired(CHANNEL, begin, end + 26 * HOUR);
            let expires_now = now_is.iter().any(|(from, through)| (*from..=*through).contains(&moment));
            let found = state_at(&coverage["Items"], moment).unwrap();
            if expires_now && truth != "expired" {
                // It has expired since midnight, or is about to.
                continue;
            }
            assert_eq!(found, truth, "{moment} of {coverage:?}, {keeps:?}");
            let listed = Some(truth.to_owned()).filter(|truth| truth != "captured" && truth != "filled");
            for gaps in [&page["Gaps"], &count["Gaps"]] {
                if state_at(gaps, moment).as_deref() != Some("unread") {
                    assert_eq!(state_at(gaps, moment), listed, "{moment} of {gaps:?}");
                }
            }
        }
    }
    assert_eq!(state_at(&coverage["Items"], from).unwrap(), "unknown", "before its first subscription");
    for candle in candles["Items"].as_array().unwrap() {
        let time = candle["time"].as_u64().unwrap();
        let ends = [time, time + HOUR - 1].map(|moment| state_at(&coverage["Items"], moment).unwrap());
        let is_gone = ends.contains(&"expired".to_owned());
        assert_eq!(candle["state"] == "expired", is_gone, "{candle:?} {coverage:?}");
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 12, failure_persistence: None, ..ProptestConfig::default() })]

    /// Whenever the setting was changed, to longer, shorter or nothing.
    #[test]
    fn time_that_has_expired_is_neither_unknown_nor_a_gap(
        changes in prop::collection::vec((0_u64..220, prop::option::of(2_u64..9)), 0..5),
        states in prop::collection::vec(
            prop_oneof![6 => Just(Some(State::Captured)), 1 => Just(Some(State::Gap)), 1 => Just(Some(State::Filled)), 1 => Just(None)],
            150..200
        ),
    ) {
        let endpoint = &*ENGINE;
        RUNTIME.block_on(check(endpoint, &changes, &states));
    }
}

/// The whole of a case, to the letter.
#[tokio::test]
async fn what_has_expired_is_said_everywhere_and_kept_by_no_cache() {
    let end = today();
    let mut keeps = Keeps::default();
    keeps.set("live_trades_*", Some(4 * 86_400), 0);
    let service = table(&engine().await, &keeps, &[Some(State::Captured); 120], end).await;
    let (first, border) = (end - 120 * HOUR, end - 96 * HOUR);
    // Without a beginning the answer begins with the channel.
    let (_, body) = service.json(&format!("/coverage?channel={CHANNEL}&to={}", end - 1)).await;
    let items = body["Items"].as_array().unwrap();
    let states: Vec<_> = items.iter().map(|item| item["state"].as_str().unwrap()).collect();
    assert_eq!(states, ["expired", "captured"]);
    assert_eq!(
        (&items[0]["from"], &items[0]["reason"], &items[1]["through"]),
        (&json!(first), &Value::Null, &json!(end - 1))
    );
    assert!(items[0]["through"].as_u64().unwrap() >= border - 1);

    let old = format!("/bitstamp?channel={CHANNEL}&from={}&to={}", first + HOUR, first + 3 * HOUR - 1);
    let response = service.get(&old).await;
    assert_eq!((response.status().as_u16(), &response.headers()["gaps"]), (200, &"1".parse().unwrap()));
    assert_eq!(response.headers()["cache-control"], "no-store", "what is there is gone tomorrow");
    let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    let gap = json!([{ "from": first + HOUR, "through": first + 3 * HOUR - 1, "state": "expired", "reason": null }]);
    assert_eq!((&body["Count"], &body["Gaps"]), (&json!(0), &gap));
    // What is closed and kept stays as it was.
    let new = end - 60 * HOUR;
    let new =
        format!("/bitstamp?channel={CHANNEL}&from={}&to={}", new + HOUR / 2 - 9 * MINUTE, new + HOUR / 2 + 9 * MINUTE);
    let response = service.get(&new).await;
    assert!(response.headers()["cache-control"].to_str().unwrap().contains("immutable"));
    let (_, body) = service.json(&new).await;
    assert_eq!((&body["Count"], &body["Gaps"]), (&json!(1), &json!([])));

    // A trade that the table has not deleted yet is shown; its candle says what became of its time.
    service.put(vec![trade(900, first + 2 * HOUR)]).await;
    let path = format!("/candles?channel={CHANNEL}&interval=1d&from={first}&to={}", end - 1);
    let response = service.get(&path).await;
    assert_eq!(response.headers()["cache-control"], "no-store");
    let body: Value = serde_json::from_slice(&response.bytes().await.unwrap()).unwrap();
    let states: Vec<_> =
        body["Items"].as_array().unwrap().iter().map(|candle| candle["state"].as_str().unwrap()).collect();
    assert_eq!((states[0], states.last()), ("expired", Some(&"complete")), "{body:?}");
    let text =
        service.get(&format!("/export?channel={CHANNEL}&from={first}&to={}&end=record", end - 1)).await.text().await;
    let last: Value = serde_json::from_str(text.unwrap().lines().last().unwrap()).unwrap();
    assert_eq!(last["end"]["gaps"][0]["state"], "expired", "{last:?}");
}

/// Without the record nothing has expired; one that cannot be read is a fault of its own.
#[tokio::test]
async fn a_damaged_record_hides_nothing() {
    let service = table(&engine().await, &Keeps::default(), &[Some(State::Captured); 2], today()).await;
    let mut item = Keeps::default().to_item(1);
    item.remove("keep");
    service.put(vec![item]).await;
    let (status, body) = service.json(&format!("/coverage?channel={CHANNEL}")).await;
    assert_eq!((status, &body["type"]), (502, &json!("wrong-setup")), "{body:?}");
    let (status, body) = service.json(&format!("/bitstamp?channel={CHANNEL}")).await;
    assert_eq!((status, &body["Count"], &body["Gaps"][0]["state"]), (200, &json!(2), &json!("unread")));
}
