//! Simulator, socket, spool, table, index, query API: everything there is, equal at the end.

use std::path::{Path, PathBuf};
use std::time::Duration;

use exchange_sim::{Config, Source};
use local::store::Place;
use local::system::{self, Options, System};
use local::verify;
use tempfile::TempDir;

const DEADLINE: Duration = Duration::from_secs(600);

fn options(folder: &Path, channels: Vec<String>, config: Config) -> Options {
    Options {
        source: system::Source::Simulator(Box::new(Config { truth: Some(folder.join("truth.ndjson")), ..config })),
        channels,
        storage: String::new(),
        keep: String::new(),
        data: folder.to_owned(),
        place: Place::File(folder.join("store.db")),
        table: "bitstamp-live".to_owned(),
        listen: "127.0.0.1:0".parse().unwrap(),
        metrics: "127.0.0.1:0".parse().unwrap(),
    }
}

async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    let end = tokio::time::Instant::now() + DEADLINE;
    while !is_so() {
        assert!(tokio::time::Instant::now() < end, "not within {DEADLINE:?}: {what}");
        tokio::time::sleep(Duration::from_millis(20)).await; // counters do not signal
    }
}

/// Drains, reads everything back over HTTP and compares. Returns how many events were equal.
async fn compare(system: System, folder: &Path, channels: &[String]) -> usize {
    let api = system.address();
    system.drain().await;
    let (captured, _) = system.stop_capturing().await.unwrap();
    let comparison = verify::check(&folder.join("truth.ndjson"), api, channels, 0).await;
    let comparison = comparison.unwrap();
    captured.stop().await;
    eprintln!("{comparison}");
    assert!(comparison.is_perfect(), "{:?} {:?} {:?}", comparison.missing, comparison.extra, comparison.altered);
    comparison.equal
}

#[tokio::test(flavor = "multi_thread")]
async fn what_the_simulator_sent_comes_back_over_http() {
    let folder = TempDir::new().unwrap();
    let channels: Vec<String> = [
        "live_trades_btcusd",
        "live_orders_btcusd",
        "live_trades_ethusd",
        "live_orders_ethusd",
        "order_book_btcusd",
        "detail_order_book_ethusd",
        "diff_order_book_btcusd",
        "funding_rate_btcusd-perp",
        "live_orders_btcusd-perp",
    ]
    .map(str::to_owned)
    .into();
    let system = System::start(options(folder.path(), channels.clone(), Config::default())).await.unwrap();
    let status = system.status();
    until("2,000 events", || status.received.get() - status.duplicates.get() >= 2_500).await;
    assert!(compare(system, folder.path(), &channels).await >= 2_000);
}

#[tokio::test(flavor = "multi_thread")]
async fn every_recorded_frame_comes_back_over_http() {
    let Some(frames) = std::env::var_os("FRAMES_DIR").map(PathBuf::from) else {
        eprintln!("SKIPPED: FRAMES_DIR is not set, recorded frames are not replayed");
        return;
    };
    for file in ["cryptofeed_2022-01-04_ws_with_recv_ts.jsonl", "single_frames.jsonl"] {
        let folder = TempDir::new().unwrap();
        let path = frames.join(file);
        let channels = exchange_sim::recording::channels(&path).unwrap();
        let source = Source::Recording { path, speed: f64::INFINITY };
        let config = Config { source, ..Config::default() };
        let system = System::start(options(folder.path(), channels.clone(), config)).await.unwrap();
        system.simulator().unwrap().finished().await;
        let equal = compare(system, folder.path(), &channels).await;
        eprintln!("{file}: {equal} events of {} channels", channels.len());
        assert!(equal >= 24);
    }
}

/// A store that is there already is gone on with, and what it holds stays.
#[tokio::test(flavor = "multi_thread")]
async fn a_restart_goes_on_with_what_is_there() {
    let folder = TempDir::new().unwrap();
    let channels = vec!["live_orders_btcusd".to_owned()];
    let mut before = 0;
    for _ in 0..3 {
        let system = System::start(options(folder.path(), channels.clone(), Config::default())).await.unwrap();
        let (api, status) = (system.address(), system.status());
        let kept = verify::read_back(api, &channels, 0).await.unwrap().len();
        assert!(kept >= before, "{kept} of {before}");
        until("stored", || status.stored.get() > 100).await;
        system.drain().await;
        let (captured, stopped) = system.stop_capturing().await.unwrap();
        assert_eq!(stopped.left, 0);
        // What was kept may hold the first events of this run already.
        before += usize::try_from(status.stored.get()).unwrap();
        assert_eq!(verify::read_back(api, &channels, 0).await.unwrap().len(), before);
        captured.stop().await;
    }
}
