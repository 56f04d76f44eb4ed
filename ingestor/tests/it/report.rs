//! What the daemon says of itself over HTTP.

use std::collections::BTreeMap;

use exchange_sim::faults::Fault;
use fault_proxy::mix::FaultProbabilities;
use ingestor::observe::status::Component;

use crate::support::{Bench, Daemon, until, until_async};

/// A busy machine must not look like a store in trouble.
fn patient(bench: &Bench) -> BTreeMap<String, String> {
    let mut settings = bench.settings();
    settings.insert("request_timeout".to_owned(), "60s".to_owned());
    settings
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_and_health_say_how_it_is() {
    let bench = Bench::new(71, 2.0).await;
    let daemon = bench.start(&patient(&bench)).await;
    let address = daemon.address();
    let http = reqwest::Client::new();
    let health = async || {
        let answer = http.get(format!("http://{address}/health")).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<serde_json::Value>().await.unwrap())
    };
    until("subscribed", || bench.simulator.subscriptions() == 4).await;
    // Where nothing is stored from the start, an alarm on the age must notice that.
    let age = async || health().await.1["newest_stored_age_us"].as_u64().unwrap();
    until_async("the age grows before the first event", async || age().await > 0).await;
    bench.simulator.resume();
    let status = daemon.status();
    until("stored", || status.stored.get() > 100).await;
    let (code, body) = health().await;
    assert_eq!((code, body["status"].as_str()), (200, Some("ok")), "{body}");

    bench.proxy.set_down(Some(fault_proxy::config::Outage::Refuse));
    until_async("degraded", async || health().await.0 == 503).await;
    let (_, body) = health().await;
    assert!(body["trouble"][0].as_str().unwrap().contains("the store cannot be reached"), "{body}");
    bench.proxy.set_down(None);
    until_async("well again", async || health().await.0 == 200).await;

    let metrics = http.get(format!("http://{address}/metrics")).send().await.unwrap().text().await.unwrap();
    for name in [
        "bitstamp_stored_total ",
        "bitstamp_spool_bytes ",
        "bitstamp_newest_stored_age_seconds ",
        "bitstamp_newest_stored_age_us ",
        "bitstamp_channel_stored_total{channel=\"live_orders_btcusd\"}",
    ] {
        assert!(metrics.lines().any(|line| line.starts_with(name)), "{name} in {metrics}");
    }
    let helped = metrics.lines().filter(|line| line.starts_with("# HELP ")).count();
    assert_eq!(helped, metrics.lines().filter(|line| line.starts_with("# TYPE ")).count(), "{metrics}");
    daemon.stop().await.unwrap();
}

/// A table that throttles everything is no failure of any request, and yet nothing reaches it.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_throttles_everything_is_not_healthy() {
    let bench = Bench::new(73, 0.1).await;
    let daemon = bench.start(&bench.settings()).await;
    let (status, spool) = (daemon.status(), daemon.spool());
    until("subscribed", || bench.simulator.subscriptions() == 4).await;
    bench.simulator.resume();
    until("stored", || status.stored.get() > 10).await;
    bench.proxy.set_mix(FaultProbabilities { throttled_table: 1.0, ..FaultProbabilities::default() });
    until("said", || {
        let trouble = status.trouble();
        trouble.contains_key(&Component::Throttling) && trouble.contains_key(&Component::Progress)
    })
    .await;
    assert!(spool.depth() > 0);
    bench.proxy.set_mix(FaultProbabilities::default());
    bench.drain(&daemon).await;
    until("well again", || status.trouble().is_empty()).await;
    bench.assert_table_is_truth().await;
    daemon.stop().await.unwrap();
}

/// Connections that are open and alive are worth nothing where no subscription is confirmed.
#[tokio::test(flavor = "multi_thread")]
async fn without_a_confirmed_subscription_it_is_not_healthy() {
    let bench = Bench::new(74, 1.0).await;
    bench.simulator.inject(Fault::WithholdAcks { count: 8 });
    let mut settings = bench.settings();
    settings.insert("confirm_within".to_owned(), "3s".to_owned());
    let daemon = bench.start(&settings).await;
    let status = daemon.status();
    let health = async || {
        let url = format!("http://{}/health", daemon.address());
        reqwest::get(url).await.unwrap().json::<serde_json::Value>().await.unwrap()
    };
    until("connected", || status.connections.get() == 1).await;
    until("said", || status.trouble().contains_key(&Component::Subscriptions)).await;
    let said = health().await;
    assert_eq!(said["status"], "degraded", "{said}");
    assert_eq!(said["trouble"][0], "no subscription is confirmed", "{said}");
    until("subscribed", || status.subscriptions.get() == 4).await;
    until("well again", || status.trouble().is_empty()).await;
    assert_eq!(health().await["status"], "ok");
    daemon.stop().await.unwrap();
}

/// The journal says when the store's trouble begins, when its reason changes, and when it ended, and nothing between.
#[tokio::test(flavor = "multi_thread")]
async fn each_change_of_trouble_is_one_line_of_the_log() {
    let bench = Bench::new(75, 1.0).await;
    let log = bench.folder.path().join("log");
    let mut command = crate::support::command(&patient(&bench));
    command.env("BITSTAMP_LOG", "info").stderr(std::fs::File::create(&log).unwrap());
    let mut child = command.spawn().unwrap();
    let lines = |text: &str| {
        let log = std::fs::read_to_string(&log).unwrap();
        log.lines().filter(|line| line.contains(text) && line.contains("table")).map(str::to_owned).collect::<Vec<_>>()
    };
    until("subscribed", || bench.simulator.subscriptions() == 4).await;
    bench.simulator.resume();
    until("stored", || bench.proxy.counts().put_items_forwarded > 100).await;
    bench.proxy.set_down(Some(fault_proxy::config::Outage::Unavailable));
    until("a begin", || !lines("trouble began").is_empty()).await;
    bench.proxy.set_down(Some(fault_proxy::config::Outage::Refuse));
    until("a change", || !lines("trouble changed").is_empty()).await;
    assert!(lines("trouble ended").is_empty());
    bench.proxy.set_down(None);
    until("an end", || !lines("trouble ended").is_empty()).await;
    child.kill().unwrap();
    child.wait().unwrap();
    assert_eq!((lines("trouble began").len(), lines("trouble ended").len()), (1, 1));
    assert!(lines("trouble began")[0].contains("503"), "{:?}", lines("trouble began"));
    // At most one change of reason each way between the two kinds of outage.
    assert!(lines("trouble changed").len() <= 2, "{:?}", lines("trouble changed"));
}

/// The service manager is told when the daemon is ready and when it stops.
#[tokio::test(flavor = "multi_thread")]
async fn a_second_daemon_on_the_same_spool_is_refused() {
    let bench = Bench::new(72, 1.0).await;
    let settings = bench.settings();
    let first = Daemon::start(&settings).await;
    let output = tokio::task::block_in_place(|| {
        crate::support::command(&settings).stderr(std::process::Stdio::piped()).output().unwrap()
    });
    let said = String::from_utf8(output.stderr).unwrap();
    assert_eq!(output.status.code(), Some(75), "{said}");
    assert!(said.contains("is in use by another process"), "{said}");
    first.kill();
}
