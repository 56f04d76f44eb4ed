//! `/tail`: whoever follows it sees every event once, in order, wherever the connection is cut and however the events were written.

use fault_proxy::config::Config as Faults;
use fault_proxy::mix::FaultProbabilities;
use fault_proxy::proxy::Proxy;
use proptest::prelude::*;
use query_fn::config::Config;
use query_fn::http::server::{self, Limits};
use query_fn::http::token::random_key;
use query_fn::routes::router;
use serde_json::{Value, json};
use shared::coverage::channel_item;
use std::{
    collections::BTreeSet,
    sync::{
        LazyLock,
        atomic::{AtomicU64, AtomicUsize, Ordering},
    },
    time::Duration,
};
use tokio::{
    net::TcpListener,
    runtime::Runtime,
    sync::oneshot,
    time::{Instant, sleep_until, timeout},
};

use crate::{
    cutter::cutter,
    support::{Service, client, serve, stored, trade, whole_engine},
    viewer::{Viewer, Written, in_time},
};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
static SERVICE: LazyLock<Service> = LazyLock::new(|| RUNTIME.block_on(Service::start()));
/// Its engine ends pages anywhere.
static CUT: LazyLock<Service> =
    LazyLock::new(|| RUNTIME.block_on(async { Service::on(&cutter(whole_engine().await, 17).await).await }));
static NEXT: AtomicU64 = AtomicU64::new(1);
/// Events that had to be shown, and those that this machine wrote later than the window, which need not.
static CHECKED: AtomicUsize = AtomicUsize::new(0);
static LATER: AtomicUsize = AtomicUsize::new(0);

const LONG: Duration = Duration::from_secs(120);
const WINDOW: Duration = Duration::from_secs(2);
/// Events become readable in steps of this length.
const STEP: Duration = Duration::from_millis(25);
/// The most steps by which an event is later than a newer one.
const LATE: u64 = 8;
/// The microseconds of a step: within two seconds of exchange time anything may come in any order.
const MICROS: u64 = 2_000_000 / LATE;

/// When an event happened and how it gets into the table.
#[derive(Clone, Debug)]
struct Event {
    /// Exchange time in ticks; a few of them make a step, so that many events share one.
    tick: u64,
    /// Steps by which the first daemon's write is late.
    late: u64,
    /// Steps after which another daemon writes it again, with its own received time.
    again: Option<u64>,
    channel: usize,
}

/// What one viewer sees and where it is cut.
#[derive(Clone, Debug)]
struct Case {
    channels: usize,
    events: Vec<Event>,
    /// Messages until each cut; afterwards the connection holds.
    cuts: Vec<usize>,
    only_trades: bool,
}

const TICKS: u64 = 3;
/// How old the events of a case are, microseconds.
const AGE: u64 = 600_000_000;

fn case() -> impl Strategy<Value = Case> {
    (1..4_usize, 1..20_u64).prop_flat_map(|(channels, steps)| {
        // Later than the window too: an event that was shown is not shown again.
        let again = prop::option::of(prop_oneof![0..LATE, 0..60_u64]);
        let event = (0..steps * TICKS, 0..=LATE, again, 0..channels);
        let event = event.prop_map(|(tick, late, again, channel)| Event { tick, late, again, channel });
        let cuts = prop::collection::vec(0..6_usize, 0..8);
        (prop::collection::vec(event, 0..80), cuts, any::<bool>()).prop_map(move |(events, cuts, only_trades)| Case {
            channels,
            events,
            cuts,
            only_trades,
        })
    })
}

/// A write: the step that it is due at, the event's time and id, the message, the received time.
#[derive(Clone, Debug)]
struct Write {
    due: u64,
    time: u64,
    id: u64,
    message: String,
    received_at: u64,
}

/// The writes of a case in their order, and the ids of the events that its viewer selects.
fn plan(case: &Case, group: u64, base: u64) -> (Vec<Write>, BTreeSet<u64>) {
    let (mut writes, mut selected) = (Vec::new(), BTreeSet::new());
    for event in &case.events {
        let id = NEXT.fetch_add(1, Ordering::Relaxed);
        let time = base + event.tick * MICROS / TICKS;
        let name = if id.is_multiple_of(3) { "order_created" } else { "trade" };
        let channel = event.channel;
        let message = format!(
            r#"{{"channel":"live_trades_t{group}-{channel}","event":"{name}","data":{{"id":{id},"microtimestamp":"{time}"}}}}"#
        );
        let due = event.tick / TICKS + event.late;
        let write = Write { due, time, id, message, received_at: time + id % 7 };
        if let Some(again) = event.again {
            writes.push(Write { due: due + again, received_at: time + (id * 5) % 11, ..write.clone() });
        }
        writes.push(write);
        if !case.only_trades || name == "trade" {
            selected.insert(id);
        }
    }
    writes.sort_by_key(|write| write.due);
    (writes, selected)
}

/// Writes at each step what is due; returns when each event was written for the first time.
async fn write(service: &Service, writes: Vec<Write>, started: Instant) -> Vec<Written> {
    let (mut written, mut known) = (Vec::new(), BTreeSet::new());
    for due in writes.chunk_by(|left, right| left.due == right.due) {
        sleep_until(started + STEP * u32::try_from(due[0].due).unwrap()).await;
        // A batch takes a key once, and what is in one batch is not in two.
        for batch in due.chunks(20) {
            let began = Instant::now();
            let mut keys = BTreeSet::new();
            let once = batch.iter().rev().filter(|write| keys.insert(write.id));
            service.put(once.map(|write| stored(&write.message, write.received_at)).collect()).await;
            let ended = Instant::now();
            let new = batch.iter().filter(|write| known.insert(write.id));
            written.extend(new.map(|write| Written { time: write.time, id: write.id, began, ended }));
        }
    }
    written
}

/// Follows until the last event, cut off as often as the case says.
async fn follow(mut viewer: Viewer, cuts: Vec<usize>, last: u64) -> Vec<(u64, u64)> {
    let mut seen = Vec::new();
    let mut cuts = cuts.into_iter();
    let mut left = cuts.next();
    loop {
        if left == Some(0) {
            viewer.connect().await;
            left = cuts.next();
        }
        let message = viewer.next().await.expect("a message");
        assert_eq!(message.event, "message");
        let number = |name: &str| message.data[name].as_u64().unwrap();
        if number("id") == last {
            return seen;
        }
        seen.push((number("nmicrotimestamp"), number("id")));
        left = left.map(|left| left.saturating_sub(1));
    }
}

async fn check(service: &Service, case: Case) {
    let group = NEXT.fetch_add(1, Ordering::Relaxed);
    let url = service.router_with(|config| config.tail_window = WINDOW).await;
    let names: Vec<_> = (0..case.channels).map(|channel| format!("live_trades_t{group}-{channel}")).collect();
    // A tail holds back what is far ahead of this machine's clock.
    let base = query_fn::range::now() - AGE;
    let (mut writes, selected) = plan(&case, group, base);
    let last = NEXT.fetch_add(1, Ordering::Relaxed);
    let time = base + AGE;
    let message =
        format!(r#"{{"channel":"{}","event":"trade","data":{{"id":{last},"microtimestamp":"{time}"}}}}"#, names[0]);
    let due = writes.last().map_or(0, |write| write.due) + 1;
    writes.push(Write { due, time, id: last, message, received_at: base });
    service.put(names.iter().map(|name| channel_item(name, base)).collect()).await;
    let filter = if case.only_trades { "&event=trade" } else { "" };
    let url = format!("{url}/tail?channel={}{filter}&from={base}", names.join(","));
    let mut viewer = Viewer::new(&service.http, url);
    viewer.connect().await;
    let following = follow(viewer, case.cuts.clone(), last);
    let (written, seen) = tokio::join!(write(service, writes, Instant::now()), following);
    let must = in_time(&written, WINDOW);
    assert!(seen.is_sorted_by_key(|(time, _)| *time), "{case:?}: {seen:?}");
    let union: BTreeSet<_> = seen.iter().map(|(_, id)| *id).collect();
    assert_eq!(seen.len(), union.len(), "twice: {case:?} {seen:?}");
    let missing: Vec<_> = selected.intersection(&must).filter(|id| !union.contains(id)).collect();
    assert!(missing.is_empty() && union.is_subset(&selected), "{missing:?} {case:?} {written:?} {seen:?}");
    CHECKED.fetch_add(must.len(), Ordering::Relaxed);
    LATER.fetch_add(written.len() - must.len(), Ordering::Relaxed);
}

/// Cases side by side: most of their time is waiting.
async fn check_all(service: &Service, cases: Vec<Case>) {
    futures_util::future::join_all(cases.into_iter().map(|case| check(service, case))).await;
    let (checked, later) = (CHECKED.load(Ordering::Relaxed), LATER.load(Ordering::Relaxed));
    eprintln!("{checked} events in time so far, {later} later than the window");
}

fn cases(usual: u32) -> ProptestConfig {
    let asked = std::env::var("PROPTEST_CASES").ok().and_then(|number| number.parse().ok());
    ProptestConfig {
        cases: asked.unwrap_or(usual),
        failure_persistence: None,
        // Each takes seconds.
        max_shrink_iters: 5,
        ..ProptestConfig::default()
    }
}

proptest! {
    #![proptest_config(cases(4))]

    #[test]
    fn every_event_once_and_in_order(cases in prop::collection::vec(case(), 8)) {
        RUNTIME.block_on(check_all(&SERVICE, cases));
    }
}

proptest! {
    #![proptest_config(cases(2))]

    #[test]
    fn wherever_the_engine_ends_its_pages(cases in prop::collection::vec(case(), 4)) {
        RUNTIME.block_on(check_all(&CUT, cases));
    }
}

/// What `service` has with a tail that waits for 200 ms.
async fn quick(service: &Service, change: impl FnOnce(&mut Config)) -> String {
    let change = |config: &mut Config| {
        config.tail_window = Duration::from_millis(200);
        change(config);
    };
    service.router_with(change).await
}

#[tokio::test]
async fn it_starts_now_and_sends_what_pages_have() {
    let service = Service::start().await;
    let now = query_fn::range::now();
    service.put(vec![stored(&trade(1, now - 1_000_000), now)]).await;
    let url = quick(&service, |_| {}).await;
    let mut viewer = Viewer::new(&service.http, format!("{url}/tail?channel=live_trades_btcusd"));
    viewer.connect().await;
    let later = query_fn::range::now() + 1_000;
    service.put(vec![stored(&trade(2, later), later)]).await;
    let message = viewer.next().await.unwrap();
    let page = service.get("/bitstamp?channel=live_trades_btcusd&format=ndjson").await.text().await.unwrap();
    assert_eq!(message.data, serde_json::from_str::<Value>(page.lines().last().unwrap()).unwrap());
    assert_eq!((&message.data["id"], message.event.as_str()), (&json!(2), "message"));
    let mut viewer = Viewer::new(&service.http, format!("{url}/tail?channel=live_trades_btcusd&from=-1h&fields=id"));
    viewer.connect().await;
    for id in [1, 2] {
        assert_eq!(viewer.next().await.unwrap().data, json!({ "id": id }));
    }
}

/// A connection that is cut before anything came goes on from its beginning, and one that is cut before the window has passed gets on.
#[tokio::test]
async fn cuts_in_silence_lose_nothing() {
    let service = Service::start().await;
    let url = service.router_with(|config| config.tail_window = Duration::from_secs(1)).await;
    let now = query_fn::range::now();
    service.put(vec![stored(&trade(1, now - 1_000_000), now)]).await;
    let mut viewer = Viewer::new(&service.http, format!("{url}/tail?channel=live_trades_btcusd"));
    viewer.connect().await;
    // The first block comes without any event, and its id is of the beginning.
    let cut = timeout(Duration::from_millis(300), viewer.next()).await;
    assert!(cut.is_err() && viewer.last_id.is_some());
    let later = query_fn::range::now();
    service.put(vec![stored(&trade(2, later), later)]).await;
    viewer.connect().await;
    assert_eq!(viewer.next().await.unwrap().data["id"], 2);
}

/// Events come all the time, and no connection lasts as long as the window.
#[tokio::test]
async fn who_is_cut_off_again_and_again_gets_on() {
    let service = Service::start().await;
    let url = service.router_with(|config| config.tail_window = Duration::from_secs(2)).await;
    let from = query_fn::range::now();
    service.put(vec![channel_item("live_trades_btcusd", from)]).await;
    let mut viewer = Viewer::new(&service.http, format!("{url}/tail?channel=live_trades_btcusd&from={from}"));
    let (mut seen, started) = (Vec::new(), Instant::now());
    for id in 0.. {
        assert!(started.elapsed() < LONG, "nothing gets through: {seen:?}");
        let now = query_fn::range::now();
        service.put(vec![stored(&trade(id, now), now)]).await;
        viewer.connect().await;
        while let Ok(message) = timeout(Duration::from_millis(400), viewer.next()).await {
            seen.push(message.unwrap().data["id"].as_u64().unwrap());
        }
        if seen.len() >= 8 {
            break;
        }
    }
    assert_eq!(seen, (0..).take(seen.len()).collect::<Vec<u64>>());
}

#[tokio::test]
async fn an_answer_ends_with_the_id_to_go_on_with() {
    let service = Service::start().await;
    let url = quick(&service, |config| config.tail_time_budget = Duration::from_millis(800)).await;
    let from = query_fn::range::now();
    let mut viewer = Viewer::new(&service.http, format!("{url}/tail?channel=live_trades_btcusd&from={from}"));
    service.put(vec![stored(&trade(1, from), from)]).await;
    viewer.connect().await;
    assert_eq!(viewer.next().await.unwrap().data["id"], 1);
    let end = viewer.next().await.unwrap();
    assert_eq!((end.event.as_str(), &end.data["after"]), ("end", &json!(end.id)));
    assert!(viewer.next().await.is_none(), "the body ends");
    service.put(vec![stored(&trade(2, from + 9), from)]).await;
    let url = format!("{url}/tail?channel=live_trades_btcusd&after={}", end.id);
    let mut viewer = Viewer::new(&service.http, url);
    viewer.connect().await;
    assert_eq!(viewer.next().await.unwrap().data["id"], 2);
    // A small answer ends by its size.
    let small = quick(&service, |config| config.export_bytes = 1_000).await;
    let mut viewer = Viewer::new(&service.http, format!("{small}/tail?channel=live_trades_btcusd&from={from}"));
    viewer.connect().await;
    let mut events = Vec::new();
    while let Some(message) = viewer.next().await {
        events.push(message.event);
    }
    assert_eq!(events, ["message", "message", "end"]);
}

#[tokio::test]
async fn wrong_requests_and_one_viewer_too_many_are_told() {
    let service = Service::start().await;
    service.put(vec![stored(&trade(1, 7_000_000), 7_000_000)]).await;
    service.put((0..40).map(|n| channel_item(&format!("live_trades_m{n}"), 7)).collect()).await;
    for (query, status, parameter) in [
        ("", 400, "channel"),
        ("?channel=live_trades_btcusd&limit=3", 400, "limit"),
        ("?channel=live_trades_btcusd&after=x", 400, "after"),
        ("?channel=live_trades_btcusd&event=a%20b", 400, "event"),
        ("?channel=live_trades_btcusd&fields=pricestr", 400, "fields"),
        ("?channel=live_trades_btcusd&from=1647817207", 400, "from"),
        ("?channel=live_trades_m*", 400, "channel"),
        ("?channel=live_trades_nosuch", 404, ""),
    ] {
        let (got, body) = service.json(&format!("/tail{query}")).await;
        assert_eq!(got, status, "{query}: {body:?}");
        assert_eq!(body.get("errors").map_or("", |errors| errors[0]["parameter"].as_str().unwrap()), parameter);
    }
    let buffered = service.router_with(Config::buffer_exports).await;
    let refused = service.http.get(format!("{buffered}/tail?channel=live_trades_btcusd")).send().await.unwrap();
    assert_eq!(refused.status(), 501);
    let url = quick(&service, |config| config.tail_viewers = 1).await;
    let mut viewer = Viewer::new(&service.http, format!("{url}/tail?channel=live_trades_btcusd&from=0"));
    viewer.connect().await;
    let get = async || service.http.get(format!("{url}/tail?channel=live_trades_btcusd")).send().await.unwrap();
    let refused = get().await;
    assert_eq!((refused.status().as_u16(), &refused.headers()["retry-after"]), (503, &"10".parse().unwrap()));
    let problem: Value = serde_json::from_slice(&refused.bytes().await.unwrap()).unwrap();
    assert_eq!(problem["type"], "too-many-viewers");
    viewer.cut();
    let free = async {
        while get().await.status() != 200 {
            // Nothing tells a client that another one's place is free: asked again and again.
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    };
    timeout(LONG, free).await.expect("the place of who has left is free");
}

/// While the table refuses to answer the connection stays open, and what was written meanwhile comes afterwards.
#[tokio::test]
async fn a_busy_store_is_waited_for_and_silence_is_no_end() {
    let endpoint = whole_engine().await;
    let service = Service::on(&endpoint).await;
    let from = query_fn::range::now();
    service.put(vec![channel_item("live_trades_btcusd", from)]).await;
    let mut faults = Faults::new(endpoint, 11);
    faults.mix = FaultProbabilities::default();
    let proxy = Proxy::start(faults).await.unwrap();
    let mut config = Config::new(&service.table, vec![random_key()]);
    config.tail_window = Duration::from_millis(200);
    let url = serve(client(&proxy.url()), config).await;
    let mut viewer = Viewer::new(&service.http, format!("{url}/tail?channel=live_trades_btcusd&from={from}"));
    viewer.connect().await;
    let silence = timeout(Duration::from_secs(15), viewer.next()).await;
    assert!(silence.is_err() && viewer.keep_alives > 0, "{silence:?}");
    proxy.set_mix(FaultProbabilities { throttled_table: 1.0, ..FaultProbabilities::default() });
    service.put(vec![stored(&trade(1, from), from)]).await;
    let refused = timeout(Duration::from_secs(2), viewer.next()).await;
    assert!(refused.is_err(), "{refused:?}");
    proxy.set_mix(FaultProbabilities::default());
    assert_eq!(viewer.next().await.unwrap().data["id"], 1);
}

/// A server that stops does not wait for its viewers.
#[tokio::test]
async fn a_server_that_stops_ends_its_answers() {
    let service = Service::start().await;
    service.put(vec![stored(&trade(1, 7_000_000), 7_000_000)]).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}/tail?channel=live_trades_btcusd", listener.local_addr().unwrap());
    let router = router(service.store.clone(), Config::new(&service.table, vec![random_key()]));
    let (stop, stopped) = oneshot::channel::<()>();
    let stopped = async move {
        let _gone = stopped.await;
    };
    let limits = Limits { drain: LONG, ..Limits::default() };
    let server = tokio::spawn(server::serve(listener, router, limits, stopped));
    let mut viewer = Viewer::new(&reqwest::Client::new(), url);
    viewer.connect().await;
    stop.send(()).unwrap();
    assert_eq!(viewer.next().await.unwrap().event, "end");
    assert!(viewer.next().await.is_none());
    timeout(Duration::from_secs(20), server).await.expect("nobody is waited for").unwrap();
}
