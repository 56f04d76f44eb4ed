//! The ledger's closed days: with their minutes put together, and deleted, every answer is the same as before.

use proptest::prelude::*;
use serde_json::{Value, json};
use shared::{
    coverage::{
        Interval, Record, State, channel_item,
        days::{DAY, runs},
    },
    item::Item,
};
use std::sync::{
    LazyLock,
    atomic::{AtomicU64, Ordering},
};
use tokio::runtime::Runtime;

use crate::{
    meter::Meter,
    support::{self, Service, client, serve, stored, whole_engine},
};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
static SERVICE: LazyLock<Service> = LazyLock::new(|| RUNTIME.block_on(Service::start()));
static NEXT: AtomicU64 = AtomicU64::new(1);

/// The first of the days, and what a part of them is: the longest interval of the ledger.
const FIRST: u64 = 19_000 * DAY;
const MINUTE: u64 = 60_000_000;

/// One interval of a daemon's time: its length, what is known of it (nothing: the daemon was not there).
type Part = (u64, Option<State>);

#[derive(Clone, Debug)]
struct Case {
    /// Each daemon's beginning and parts, in microseconds from [`FIRST`].
    daemons: Vec<(u64, Vec<Part>)>,
    /// What is asked for.
    ranges: Vec<(u64, u64)>,
}

fn case() -> impl Strategy<Value = Case> {
    let state = prop_oneof![
        8 => Just(Some(State::Captured)),
        1 => Just(Some(State::Gap)),
        1 => Just(Some(State::Filled)),
        1 => Just(None)
    ];
    // Many whole minutes, a few shorter ones; a long one is a gap or nothing, over several days.
    let short = (prop_oneof![3 => Just(MINUTE), 1 => 1..MINUTE], state);
    let long = (DAY / 4..DAY * 2, prop_oneof![Just(Some(State::Gap)), Just(None)]);
    let part = prop_oneof![20 => short, 1 => long];
    // Near midnight, where runs end.
    let daemon = (DAY - 20 * MINUTE..DAY + 5 * MINUTE, prop::collection::vec(part, 1..60));
    let time = prop_oneof![3 => DAY - 30 * MINUTE..DAY + 60 * MINUTE, 1 => 0..DAY * 4];
    let range = (time.clone(), time).prop_map(|(one, other)| (one.min(other), one.max(other)));
    (prop::collection::vec(daemon, 1..4), prop::collection::vec(range, 1..5))
        .prop_map(|(daemons, ranges)| Case { daemons, ranges })
}

fn records(channel: &str, number: usize, (begin, parts): &(u64, Vec<Part>)) -> Vec<Record> {
    let mut from = FIRST + begin;
    let mut records = Vec::new();
    for (length, state) in parts {
        if let Some(state) = *state {
            let reason = (state == State::Gap).then(|| "connection lost".to_owned());
            let interval = Interval { from, through: from + length - 1, state, reason };
            records.push(Record { daemon: format!("vm-{number}"), channel: channel.to_owned(), interval, frames: 1 });
        }
        from += length;
    }
    records
}

/// What is in the table when the minutes that have expired are gone.
fn compacted(records: &[Record]) -> Vec<Item> {
    let runs = runs(records);
    let left = records.iter().filter(|record| !runs.iter().any(|run| run.covers(&record.interval)));
    left.map(Record::to_item).chain(runs.iter().map(shared::coverage::days::Run::to_item)).collect()
}

async fn check(service: &Service, case: &Case) {
    let group = NEXT.fetch_add(1, Ordering::Relaxed);
    let (minutes, days) = (format!("live_trades_m{group}"), format!("live_trades_d{group}"));
    let mut truth = Vec::new();
    for (number, daemon) in case.daemons.iter().enumerate() {
        truth.extend(records(&minutes, number, daemon).into_iter().map(|record| record.interval));
        service.put(records(&minutes, number, daemon).iter().map(Record::to_item).collect()).await;
        service.put(compacted(&records(&days, number, daemon))).await;
    }
    let event = |channel: &str, n: u64, time: u64| {
        let id = group * 100 + n;
        let data = format!(r#"{{"id":{id},"microtimestamp":"{time}"}}"#);
        stored(&format!(r#"{{"channel":"{channel}","event":"trade","data":{data}}}"#), time)
    };
    for channel in [&minutes, &days] {
        let times =
            (0..4).map(|n| event(channel, n + if channel == &days { 50 } else { 0 }, FIRST + DAY + n * 3 * MINUTE));
        service.put(times.collect()).await;
    }
    service.put([&minutes, &days].map(|name| channel_item(name, FIRST)).to_vec()).await;
    let same = async |path: String| {
        let mut answers = Vec::new();
        for channel in [&minutes, &days] {
            let (status, body) = service.json(&path.replace("CHANNEL", channel)).await;
            assert_eq!(status, 200, "{path}: {body:?}");
            answers.push(body);
        }
        (answers.remove(0), answers.remove(0))
    };
    for (from, to) in case.ranges.iter().map(|(from, to)| (FIRST + from, FIRST + to)) {
        let (before, after) = same(format!("/coverage?channel=CHANNEL&from={from}&to={to}")).await;
        assert_known(&truth, &after["Items"], &before["Items"]);
        let (before, after) = same(format!("/count?channel=CHANNEL&from={from}&to={to}")).await;
        assert_known(&truth, &after["Gaps"], &before["Gaps"]);
    }
    // A page reads less of the ledger, and says so.
    let (before, after) = same("/bitstamp?channel=CHANNEL".to_owned()).await;
    let is_read = |body: &serde_json::Map<String, Value>| !body["Gaps"].to_string().contains("unread");
    if is_read(&before) && is_read(&after) {
        assert_known(&truth, &after["Gaps"], &before["Gaps"]);
    }
}

/// Each moment has the state that it had before; or, where that was not known, the true one: the end of a long gap is found among
/// fewer entries.
fn assert_known(truth: &[Interval], after: &Value, before: &Value) {
    let (after, before) = (after.as_array().unwrap(), before.as_array().unwrap());
    let time = |item: &Value, name: &str| item[name].as_u64().unwrap();
    let state = |list: &[Value], moment| {
        let here = list.iter().find(|item| time(item, "from") <= moment && moment <= time(item, "through"));
        here.map(|item| (item["state"].clone(), item["reason"].clone()))
    };
    for moment in after.iter().chain(before).flat_map(|item| [time(item, "from"), time(item, "through")]) {
        let (now, then) = (state(after, moment), state(before, moment));
        if now == then {
            continue;
        }
        let best = truth.iter().filter(|interval| interval.from <= moment && moment <= interval.through);
        let best = best.map(|interval| interval.state).max().map_or("unknown", State::name);
        assert_eq!(then.unwrap().0, "unknown", "{moment}: {after:?} {before:?}");
        match now {
            Some((state, _)) => assert_eq!(state, best, "{moment}: {after:?} {before:?}"),
            None => assert!(["captured", "filled"].contains(&best), "{moment}: {after:?} {before:?}"),
        }
    }
}

/// `PROPTEST_CASES` asks for more.
fn cases(usual: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|number| number.parse().ok());
    ProptestConfig { cases: asked.unwrap_or(usual), failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(16))]

    #[test]
    fn nothing_changes_when_minutes_become_days(case in case()) {
        let service = &*SERVICE;
        RUNTIME.block_on(check(service, &case));
    }
}

/// A daemon with a gap of two days is heard of again at the ledger's end only, by minutes that became a day; among the minutes others come
/// first wherever the ledger is looked into.
#[test]
fn a_long_gap_is_found_where_its_daemon_has_only_days_left() {
    let hour = 60 * MINUTE;
    let times = |state, count| std::iter::repeat_n((MINUTE, Some(state)), count);
    let captured = |count| times(State::Captured, count);
    let mut ill: Vec<Part> = captured(2).collect();
    ill.extend([(43 * hour, Some(State::Gap)), (8 * hour, None)]);
    ill.extend(captured(20));
    let mut well = Vec::new();
    for pause in [3 * hour, 26 * hour, 19 * hour] {
        well.push((pause, None));
        well.extend(times(State::Gap, 20));
    }
    let case = Case { daemons: vec![(0, ill), (0, well)], ranges: vec![(hour, 2 * hour)] };
    RUNTIME.block_on(check(&SERVICE, &case));
}

/// A year of two daemons, of which only the last days are minutes: one answer, and few read units.
#[tokio::test]
async fn a_year_is_one_answer() {
    let endpoint = whole_engine().await;
    let service = Service::on(&endpoint).await;
    for daemon in ["machine-with-a-long-name-1-3f2a", "machine-with-a-long-name-2-77aa"] {
        let record = |from, through, frames| {
            let interval = Interval { from, through, state: State::Captured, reason: None };
            Record { daemon: daemon.to_owned(), channel: "live_trades_btcusd".to_owned(), interval, frames }
        };
        let mut items = Vec::new();
        for day in 0..365 {
            // Two entries are the least that a run has.
            let (from, noon, end) = (FIRST + day * DAY, FIRST + day * DAY + DAY / 2, FIRST + (day + 1) * DAY);
            items.extend(runs(&[record(from, noon, 1), record(noon, end - 1, 1)]).iter().map(|run| run.to_item()));
        }
        service.put(items).await;
    }
    service.put(vec![channel_item("live_trades_btcusd", FIRST)]).await;
    let meter = Meter::start(&endpoint, |_| false).await;
    let url = serve(client(&meter.url), support::config(&service.table)).await;
    let (from, to) = (FIRST, FIRST + 365 * DAY - 1);
    let url = format!("{url}/coverage?channel=live_trades_btcusd&from={from}&to={to}");
    let body = service.http.get(url).send().await.unwrap().bytes().await.unwrap();
    let body: Value = serde_json::from_slice(&body).unwrap();
    assert_eq!(body["Count"], 1, "{body:?}");
    let item = &body["Items"][0];
    assert_eq!((&item["from"], &item["through"], &item["state"]), (&json!(from), &json!(to), &json!("captured")));
    let units = meter.take_half_units();
    assert!(units < 100, "{units} halves of a read unit");
}
