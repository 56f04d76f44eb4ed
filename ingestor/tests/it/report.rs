//! What the daemon says of itself over HTTP.

use crate::support::{Bench, Daemon, until, until_async};

#[tokio::test(flavor = "multi_thread")]
async fn metrics_and_health_say_how_it_is() {
    let bench = Bench::new(71, 2.0).await;
    let daemon = bench.start(&bench.settings()).await;
    let address = daemon.address();
    let http = reqwest::Client::new();
    let health = async || {
        let answer = http.get(format!("http://{address}/health")).send().await.unwrap();
        (answer.status().as_u16(), answer.json::<serde_json::Value>().await.unwrap())
    };
    until("subscribed", || bench.simulator.subscriptions() == 4).await;
    bench.simulator.resume();
    let status = daemon.status();
    until("stored", || status.stored.get() > 100).await;
    let (code, body) = health().await;
    assert_eq!((code, body["status"].as_str()), (200, Some("ok")), "{body}");

    bench.proxy.set_down(Some(fault_proxy::proxy::Down::Refuse));
    until_async("degraded", async || health().await.0 == 503).await;
    let (_, body) = health().await;
    assert!(body["trouble"][0].as_str().unwrap().contains("the store cannot be reached"), "{body}");
    bench.proxy.set_down(None);
    until_async("well again", async || health().await.0 == 200).await;

    let metrics = http.get(format!("http://{address}/metrics")).send().await.unwrap().text().await.unwrap();
    for name in [
        "bitstamp_stored_total ",
        "bitstamp_spool_bytes ",
        "bitstamp_channel_stored_total{channel=\"live_orders_btcusd\"}",
    ] {
        assert!(metrics.lines().any(|line| line.starts_with(name)), "{name} in {metrics}");
    }
    daemon.stop().await.unwrap();
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
    assert_eq!(output.status.code(), Some(74), "{said}");
    assert!(said.contains("is in use by another process"), "{said}");
    first.kill();
}
