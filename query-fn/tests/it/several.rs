//! Several channels in one request: what comes is their union in the order of time, each event once.

use proptest::prelude::*;
use serde_json::{Value, json};
use shared::block::stored::OpenBlock;
use shared::coverage::{Interval, Record, State, channel_item};
use std::sync::{
    LazyLock,
    atomic::{AtomicU64, Ordering},
};
use tokio::runtime::Runtime;

use crate::{
    cutter::cutter,
    support::{Service, stored, trade, whole_engine},
};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
static SERVICE: LazyLock<Service> = LazyLock::new(|| RUNTIME.block_on(Service::start()));
/// Its engine ends pages anywhere.
static CUT: LazyLock<Service> =
    LazyLock::new(|| RUNTIME.block_on(async { Service::on(&cutter(whole_engine().await, 11).await).await }));
static NEXT: AtomicU64 = AtomicU64::new(1);

const T: u64 = 1_647_817_207_170_000;

/// Offset from `T`, received at, which of the channels.
type Event = (u64, u64, usize);

#[derive(Clone, Debug)]
struct Case {
    channels: usize,
    events: Vec<Event>,
    /// Of each page; the caller may change it from page to page.
    limits: Vec<Option<u64>>,
    descending: bool,
    is_pattern: bool,
}

fn case() -> impl Strategy<Value = Case> {
    (2..5_usize, 1..40_u64).prop_flat_map(|(channels, times)| {
        // The first channel has most of the events.
        let channel = prop_oneof![Just(0), 0..channels];
        let events = prop::collection::vec((0..times, 0..3_u64, channel), 0..150);
        let limit = prop_oneof![Just(None), (1..8_u64).prop_map(Some), (1..100_u64).prop_map(Some)];
        (events, prop::collection::vec(limit, 1..6), any::<bool>(), any::<bool>()).prop_map(
            move |(events, limits, descending, is_pattern)| Case { channels, events, limits, descending, is_pattern },
        )
    })
}

fn message(channel: &str, id: u64, time: u64) -> String {
    format!(r#"{{"channel":"{channel}","event":"trade","data":{{"id":{id},"microtimestamp":"{time}"}}}}"#)
}

async fn check(service: &Service, case: &Case) {
    let group = NEXT.fetch_add(1, Ordering::Relaxed);
    let name = |channel: usize| format!("live_orders_g{group}-{channel}");
    let mut items: Vec<_> = (0..case.channels).map(|channel| channel_item(&name(channel), T)).collect();
    let mut expected = Vec::new();
    // The key of a block does not have its channel: a daemon's sequence numbers are those of all channels.
    let block = |channel| OpenBlock::new(&name(channel), "vm-1", NEXT.fetch_add(1, Ordering::Relaxed));
    let mut blocks: Vec<_> = (0..case.channels).map(block).collect();
    for (time, received_at, channel) in &case.events {
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let item = stored(&message(&name(*channel), id, T + time), T + received_at);
        // A third of each channel's events is in a block.
        match blocks.get_mut(*channel).filter(|_| id.is_multiple_of(3)) {
            Some(block) => block.add(&item).unwrap(),
            None => items.push(item),
        }
        expected.push((T + time, T + received_at, id, name(*channel)));
    }
    let blocks = blocks.into_iter().filter(|block| block.builder().count() > 0);
    items.extend(blocks.map(|block| block.finish().unwrap().to_attributes()));
    service.put(items).await;
    expected.sort();
    if case.descending {
        expected.reverse();
    }
    let names: Vec<_> = (0..case.channels).map(name).collect();
    let channel = if case.is_pattern { format!("live_orders_g{group}-*") } else { names.join(",") };
    // What another request has read of the list of channels is up to a minute old.
    let url = service.another_router().await;
    let order = if case.descending { "desc" } else { "asc" };
    let base = format!("{url}/bitstamp?channel={channel}&order={order}");
    let (mut seen, mut token, mut limits) = (Vec::new(), String::new(), case.limits.iter().cycle());
    loop {
        let limit = limits.next().unwrap();
        let page = limit.map(|limit| format!("&limit={limit}")).unwrap_or_default();
        let body = json_of(service, &format!("{base}{page}{token}")).await;
        let items = body["Items"].as_array().unwrap();
        assert!(limit.is_none_or(|limit| items.len() as u64 <= limit));
        seen.extend(items.iter().map(place));
        let Some(next) = body.get("LastEvaluatedKey") else { break };
        assert!(!items.is_empty() && seen.len() < expected.len(), "a token although there is no more");
        token = format!("&ExclusiveStartKey={}", next.as_str().unwrap());
    }
    assert_eq!(seen, expected);
    let export = service.http.get(format!("{url}/export?channel={channel}&order={order}")).send().await.unwrap();
    let export = export.text().await.unwrap();
    let exported: Vec<_> = export.lines().map(|line| place(&serde_json::from_str(line).unwrap())).collect();
    assert_eq!(exported, expected);
}

async fn json_of(service: &Service, url: &str) -> Value {
    let response = service.http.get(url).send().await.unwrap();
    let body = response.bytes().await.unwrap();
    serde_json::from_slice(&body).unwrap_or_else(|error| panic!("{url}: {error}: {body:?}"))
}

fn place(item: &Value) -> (u64, u64, u64, String) {
    let number = |name: &str| item[name].as_u64().unwrap();
    (number("nmicrotimestamp"), number("received_at"), number("id"), item["channel"].as_str().unwrap().to_owned())
}

fn cases(usual: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|number| number.parse().ok());
    ProptestConfig { cases: asked.unwrap_or(usual), failure_persistence: None, ..ProptestConfig::default() }
}

proptest! {
    #![proptest_config(cases(24))]

    #[test]
    fn a_merge_is_the_sorted_union(case in case()) {
        let service = &*SERVICE;
        RUNTIME.block_on(check(service, &case));
    }
}

proptest! {
    #![proptest_config(cases(12))]

    #[test]
    fn wherever_the_engine_ends_its_pages(case in case()) {
        let service = &*CUT;
        RUNTIME.block_on(check(service, &case));
    }
}

/// More than one page of one channel beside a few events of another.
#[tokio::test]
async fn a_busy_channel_does_not_end_the_page() {
    let service = Service::start().await;
    let mut items: Vec<_> = (0..4_000).map(|n| stored(&message("live_trades_busy", n, T + n), T)).collect();
    items.extend((0..9).map(|n| stored(&message("live_trades_calm", 10_000 + n, T + n * 300), T)));
    items.extend(["live_trades_busy", "live_trades_calm"].map(|name| channel_item(name, T)));
    service.put(items).await;
    let (_, page) = service.json("/bitstamp?channel=live_trades_*").await;
    let count = page["Count"].as_u64().unwrap();
    assert!((1_000..4_009).contains(&count), "{count}");
    let token = page["LastEvaluatedKey"].as_str().unwrap();
    let (_, rest) = service.json(&format!("/bitstamp?channel=live_trades_*&ExclusiveStartKey={token}")).await;
    assert_eq!(count + rest["Count"].as_u64().unwrap(), 4_009);
    assert!(rest.get("LastEvaluatedKey").is_none());
    let lines = service.get("/export?channel=live_trades_*").await.text().await.unwrap();
    assert_eq!(lines.lines().count(), 4_009);
}

#[tokio::test]
async fn names_and_patterns_are_checked() {
    let service = Service::start().await;
    let order = r#"{"data":{"id":7,"microtimestamp":"1647817207170001","amount_str":"1","price_str":"2","order_type":0},"channel":"live_orders_btcusd","event":"order_created"}"#;
    service.put(vec![stored(&trade(1, T), T), stored(&trade(2, T + 9), T), stored(order, T)]).await;
    service.put(["live_trades_btcusd", "live_orders_btcusd"].map(|name| channel_item(name, T)).to_vec()).await;
    for channel in [
        "live_trades_btcusd,live_orders_btcusd",
        "*_btcusd",
        "live_*,live_trades_btcusd",
        "live_orders_*,live_trades_*",
    ] {
        let (status, body) = service.json(&format!("/bitstamp?channel={channel}")).await;
        assert_eq!((status, &body["Count"]), (200, &json!(3)), "{channel}: {body:?}");
        assert_eq!(body["Items"][1]["channel"], "live_orders_btcusd");
    }
    let (_, body) = service.json("/latest?channel=*_btcusd").await;
    assert_eq!((&body["Count"], &body["Items"][0]["id"]), (&json!(1), &json!(2)));
    // A pattern that fits one channel reads that one.
    let (_, body) = service.json("/latest?channel=live_orders_*").await;
    assert_eq!(body["Items"][0]["id"], 7);
    let csv = service.get("/bitstamp?channel=*_btcusd&format=csv").await.text().await.unwrap();
    assert!(csv.starts_with("channel,event,time,nmicrotimestamp,received_at,id,id_str,"), "{csv}");
    assert_eq!(csv.lines().next().unwrap().split(',').next_back(), Some("more"));
    for (channel, status) in [
        ("live_trades_btcusd,live_trades_btcusb", 404),
        ("live_trades_*,order_book_*", 404),
        ("live_trades_btcusd,", 400),
        ("live_*_*", 400),
        ("_*", 400),
        ("live_trades_btcusd,_channels", 400),
    ] {
        for path in ["/bitstamp", "/export", "/latest"] {
            let (got, body) = service.json(&format!("{path}?channel={channel}")).await;
            assert_eq!(got, status, "{path} {channel}: {body:?}");
        }
    }
    for path in ["/candles?interval=1m&", "/coverage?", "/count?"] {
        let (status, body) = service.json(&format!("{path}channel=live_trades_*")).await;
        assert_eq!(status, 400, "{path}");
        assert!(body["errors"][0]["reason"].as_str().unwrap().contains("not one channel"), "{body:?}");
    }
    let token =
        service.json("/bitstamp?channel=*_btcusd&limit=1").await.1["LastEvaluatedKey"].as_str().unwrap().to_owned();
    let (status, _) = service.json(&format!("/bitstamp?channel=live_*&ExclusiveStartKey={token}")).await;
    assert_eq!(status, 400, "a token of other channels");
}

#[tokio::test]
async fn too_many_channels_are_refused() {
    let service = Service::start().await;
    service.put((0..301).map(|n| channel_item(&format!("live_trades_m{n}"), T)).collect()).await;
    let (status, body) = service.json("/bitstamp?channel=live_trades_*").await;
    assert_eq!(status, 400, "{body:?}");
    assert_eq!(body["errors"][0]["reason"], "301 channels fit; one request reads at most 300");
    let names: Vec<_> = (0..301).map(|n| format!("live_trades_m{n}")).collect();
    let (status, body) = service.json(&format!("/bitstamp?channel={}", names.join(","))).await;
    assert_eq!((status, &body["errors"][0]["reason"]), (400, &json!("more than 300 channels")));
    let (status, body) = service.json("/bitstamp?channel=live_trades_m1*").await;
    assert_eq!((status, &body["Count"]), (200, &json!(0)), "{body:?}");
}

#[tokio::test]
async fn gaps_name_their_channel() {
    let service = Service::start().await;
    let interval = |channel: &str, state| {
        let reason = (state == State::Gap).then(|| "connection lost".to_owned());
        let interval = Interval { from: T, through: T + 100, state, reason };
        Record { daemon: "vm-1".to_owned(), channel: channel.to_owned(), interval, frames: 1 }.to_item()
    };
    service.put(vec![stored(&trade(1, T), T), stored(&trade(2, T + 100), T)]).await;
    service.put(["live_trades_btcusd", "live_orders_btcusd"].map(|name| channel_item(name, T)).to_vec()).await;
    service
        .put(vec![interval("live_trades_btcusd", State::Captured), interval("live_orders_btcusd", State::Gap)])
        .await;
    let (_, body) = service.json("/bitstamp?channel=*_btcusd").await;
    let gap = json!({ "from": T, "through": T + 100, "state": "gap", "reason": "connection lost", "channel": "live_orders_btcusd" });
    assert_eq!(body["Gaps"], json!([gap]));
    let export = service.get("/export?channel=*_btcusd&end=record").await.text().await.unwrap();
    let end: Value = serde_json::from_str(export.lines().last().unwrap()).unwrap();
    assert_eq!(end["end"]["gaps"], json!([gap]));
}
