//! `/tail`: whoever follows it sees every event once, in order, wherever the connection is cut and however the events were written.

use fault_proxy::config::Config as Faults;
use fault_proxy::mix::FaultProbabilities;
use fault_proxy::proxy::Proxy;
use proptest::prelude::*;
use query_fn::config::Config;
use query_fn::http::server::{self, Limits};
use query_fn::routes::router;
use serde_json::{Value, json};
use shared::coverage::channel_item;
use std::{sync::LazyLock, time::Duration};
use tokio::{
    net::TcpListener,
    runtime::Runtime,
    sync::oneshot,
    time::{Instant, timeout},
};

use crate::{
    cutter::cutter,
    support::{self, Service, client, serve, stored, trade, whole_engine},
    viewer::Viewer,
};

mod late;

use late::{case, check_all};

static RUNTIME: LazyLock<Runtime> = LazyLock::new(|| Runtime::new().unwrap());
static SERVICE: LazyLock<Service> = LazyLock::new(|| RUNTIME.block_on(Service::start()));
/// Its engine ends pages anywhere.
static CUT: LazyLock<Service> =
    LazyLock::new(|| RUNTIME.block_on(async { Service::on(&cutter(whole_engine().await, 17).await).await }));

const LONG: Duration = Duration::from_secs(120);

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
    while viewer.last_id.is_none() {
        let cut = timeout(Duration::from_millis(300), viewer.next()).await;
        assert!(cut.is_err(), "{cut:?}");
    }
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
    // On a busy machine an answer may end before it has read anything.
    let first = loop {
        viewer.connect().await;
        match viewer.next().await.unwrap() {
            end if end.event == "end" => {}
            message => break message,
        }
    };
    assert_eq!(first.data["id"], 1);
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
    let mut config = support::config(&service.table);
    config.tail_window = Duration::from_millis(200);
    let url = serve(client(&proxy.url()), config).await;
    let mut viewer = Viewer::new(&service.http, format!("{url}/tail?channel=live_trades_btcusd&from={from}"));
    viewer.connect().await;
    let started = Instant::now();
    while viewer.keep_alives == 0 {
        let silence = timeout(Duration::from_secs(1), viewer.next()).await;
        assert!(silence.is_err() && started.elapsed() < LONG, "{silence:?}");
    }
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
    let router = router(service.store.clone(), support::config(&service.table));
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
    timeout(LONG / 2, server).await.expect("nobody is waited for").unwrap();
}
