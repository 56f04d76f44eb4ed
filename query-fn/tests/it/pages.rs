//! Whatever the limit, the order, the ties across page borders and what is stored meanwhile: who follows the tokens gets
//! every event once, in order.

use proptest::prelude::*;
use serde_json::Value;
use shared::block::stored::OpenBlock;
use std::sync::{
    LazyLock,
    atomic::{AtomicU64, Ordering},
};
use tokio::runtime::Runtime;

use crate::{
    cutter::cutter,
    support::{Service, stored, whole_engine},
};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
static SERVICE: LazyLock<Service> = LazyLock::new(|| RUNTIME.block_on(Service::start()));
/// Its engine ends pages anywhere.
static CUT: LazyLock<Service> = LazyLock::new(|| {
    RUNTIME.block_on(async { Service::on(&cutter(whole_engine().await, number("CUT_PAGES", 9)).await).await })
});
static NEXT_ID: AtomicU64 = AtomicU64::new(1);

const T: u64 = 1_647_817_207_170_000;

/// An event: when it happened (offset from `T`), when it was received, how many bytes it carries, whether it is in a block.
#[derive(Clone, Copy, Debug)]
struct Event {
    time: u64,
    received_at: u64,
    padding: usize,
    is_in_block: bool,
}

/// The total order.
type Place = (u64, u64, u64);

#[derive(Clone, Debug)]
struct Case {
    events: Vec<Event>,
    /// Stored between two pages.
    inserts: Vec<Vec<Event>>,
    from: u64,
    to: u64,
    limit: Option<u64>,
    descending: bool,
}

fn event(times: u64, padding: impl Strategy<Value = usize>) -> impl Strategy<Value = Event> {
    (0..times, 0..6_u64, padding, any::<bool>()).prop_map(|(time, received_at, padding, is_in_block)| Event {
        time,
        received_at,
        padding,
        is_in_block,
    })
}

fn small() -> impl Strategy<Value = Case> {
    (1..12_u64, 0..120_usize).prop_flat_map(|(times, count)| {
        let events = prop::collection::vec(event(times, Just(0)), count);
        let inserts = prop::collection::vec(prop::collection::vec(event(times, Just(0)), 0..5), 0..12);
        let limit = prop_oneof![Just(None), (1..8_u64).prop_map(Some), (1..200_u64).prop_map(Some)];
        case(events, inserts, times, limit)
    })
}

fn large() -> impl Strategy<Value = Case> {
    (1..4_u64, 1..24_usize).prop_flat_map(|(times, count)| {
        let events = prop::collection::vec(event(times, 0..390_000_usize), count);
        let inserts = prop::collection::vec(prop::collection::vec(event(times, 0..1_000_usize), 0..3), 0..4);
        case(events, inserts, times, prop_oneof![Just(None), (1..8_u64).prop_map(Some)])
    })
}

fn case(
    events: impl Strategy<Value = Vec<Event>>,
    inserts: impl Strategy<Value = Vec<Vec<Event>>>,
    times: u64,
    limit: impl Strategy<Value = Option<u64>>,
) -> impl Strategy<Value = Case> {
    (events, inserts, 0..=times, 0..=times, limit, any::<bool>()).prop_map(
        |(events, inserts, one, other, limit, descending)| Case {
            events,
            inserts,
            from: one.min(other),
            to: one.max(other),
            limit,
            descending,
        },
    )
}

/// Stores the events in the channel of the case and returns their places.
async fn store(service: &Service, channel: u64, events: &[Event]) -> Vec<Place> {
    let mut items = Vec::new();
    let mut places = Vec::new();
    let sequence = NEXT_ID.fetch_add(1, Ordering::Relaxed);
    let mut block = OpenBlock::new(&format!("live_orders_{channel}"), "vm-1", sequence);
    for event in events {
        let id = NEXT_ID.fetch_add(1, Ordering::Relaxed);
        let (time, received_at) = (T + event.time, T + event.received_at);
        let padding = "x".repeat(event.padding);
        let message = format!(
            r#"{{"channel":"live_orders_{channel}","event":"trade","data":{{"id":{id},"microtimestamp":"{time}","padding":"{padding}"}}}}"#
        );
        let item = stored(&message, received_at);
        // What is too large for a block is stored by itself, as a daemon does.
        if !event.is_in_block || block.add(&item).is_err() {
            items.push(item);
        }
        places.push((time, received_at, id));
    }
    if block.builder().count() > 0 {
        items.push(block.finish().unwrap().to_attributes());
    }
    service.put(items).await;
    places
}

fn place(item: &Value) -> Place {
    let number = |name: &str| item[name].as_u64().unwrap();
    (number("nmicrotimestamp"), number("received_at"), number("id"))
}

async fn check(service: &Service, case: &Case) {
    let channel = NEXT_ID.fetch_add(1, Ordering::Relaxed);
    let in_range = |place: &Place| (T + case.from..=T + case.to).contains(&place.0);
    let before = |left: Place, right: Place| if case.descending { left > right } else { left < right };
    let mut expected: Vec<Place> = store(service, channel, &case.events).await.into_iter().filter(in_range).collect();
    let mut inserts = case.inserts.iter();
    let mut seen: Vec<Place> = Vec::new();
    let limit = case.limit.map(|limit| format!("&limit={limit}")).unwrap_or_default();
    let order = if case.descending { "desc" } else { "asc" };
    let (from, to) = (T + case.from, T + case.to);
    let base = format!("/bitstamp?channel=live_orders_{channel}&from={from}&to={to}&order={order}{limit}");
    let mut path = base.clone();
    loop {
        let (status, body) = service.json(&path).await;
        assert_eq!(status, 200, "{body:?}");
        let items = body["Items"].as_array().unwrap();
        assert_eq!(body["Count"], items.len());
        assert!(case.limit.is_none_or(|limit| items.len() as u64 <= limit));
        seen.extend(items.iter().map(place));
        let Some(token) = body.get("LastEvaluatedKey") else { break };
        assert!(!items.is_empty(), "a token after an empty page");
        assert!(seen.len() < expected.len(), "a token although there is no more");
        path = format!("{base}&ExclusiveStartKey={}", token.as_str().unwrap());
        let position = *seen.last().unwrap();
        let inserted = store(service, channel, inserts.next().map_or(&[][..], Vec::as_slice)).await;
        expected.extend(inserted.into_iter().filter(|place| in_range(place) && before(position, *place)));
    }
    expected.sort_unstable();
    if case.descending {
        expected.reverse();
    }
    assert_eq!(seen, expected);
}

/// `PROPTEST_CASES` asks for more.
fn cases(usual: u64) -> ProptestConfig {
    let cases = u32::try_from(number("PROPTEST_CASES", usual)).unwrap();
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn number(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().and_then(|number| number.parse().ok()).unwrap_or(usual)
}

proptest! {
    #![proptest_config(cases(80))]

    #[test]
    fn every_event_once_and_in_order(case in small()) {
        let service = &*SERVICE;
        RUNTIME.block_on(check(service, &case));
    }
}

proptest! {
    #![proptest_config(cases(40))]

    #[test]
    fn wherever_the_engine_ends_its_pages(case in small()) {
        RUNTIME.block_on(check(&CUT, &case));
    }
}

proptest! {
    #![proptest_config(cases(20))]

    #[test]
    fn also_where_pages_end_by_size(case in large()) {
        let service = &*SERVICE;
        RUNTIME.block_on(check(service, &case));
    }
}
