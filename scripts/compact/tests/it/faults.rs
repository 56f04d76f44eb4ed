//! Through an endpoint that throttles, fails and loses answers, the result is the same.

use std::time::Duration;

use fault_proxy::{
    config::Config,
    mix::{Fault, FaultProbabilities},
    proxy::Proxy,
};

use crate::support::{Desk, in_blocks, number, orders};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn faults_change_nothing_but_the_time() {
    let seed = number("COMPACT_SEED", 9);
    println!("seed {seed}");
    let desk = Desk::new().await;
    desk.put(&orders(3_000, seed)).await;
    let before = desk.contents().await;
    let mut config = Config::new(&desk.endpoint, seed);
    config.mix = FaultProbabilities {
        throttled_table: 0.03,
        throttled_index: 0.03,
        server_error: 0.03,
        closed: 0.02,
        half_written: 0.02,
        slow: 0.01,
        ..FaultProbabilities::default()
    };
    config.slow_limit = Duration::from_millis(50);
    let proxy = Proxy::start(config).await.unwrap();
    desk.run_at(&proxy.url(), "run live_orders_* --force --max-wcu 100000").await.assert_code(0);
    assert_eq!(
        in_blocks(&desk.contents().await).len(),
        3_000,
        "an answer that was lost is no deletion by somebody else"
    );
    desk.run_at(&proxy.url(), "expand live_orders_* --force").await.assert_code(0);
    assert!(desk.contents().await == before);
    let counts = proxy.counts();
    for fault in [Fault::ThrottledTable, Fault::ServerError, Fault::Closed, Fault::HalfWritten] {
        assert!(counts.fault(fault) > 0, "{}", fault.name());
    }
    proxy.shutdown().await;
}
