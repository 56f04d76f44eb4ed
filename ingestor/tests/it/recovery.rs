//! What is wrong when the daemon starts and passes by itself: it captures soon after, and nobody has to do anything.
//!
//! `RECOVERY_LASTING=60` lets each trouble last so many seconds, and fails where capturing begins more than five seconds after its
//! end. Without it nothing is timed.

use std::process::Command;
use std::time::Duration;

use exchange_sim::faults::Fault;
use fault_proxy::config::Outage;
use ingestor::store::table;
use tokio::time::Instant;

use crate::support::{Bench, Daemon, Process, Shim, command, until_async};

/// Capturing has to begin so soon after the end of the trouble.
const WITHIN: Duration = Duration::from_secs(5);
const TABLE: &str = "bitstamp-live";

enum Trouble {
    Network,
    Table,
    Permission,
    FullDisk(Shim),
}

impl Trouble {
    async fn begin(&self, bench: &Bench, lasting: Duration) {
        match self {
            Trouble::Network => {
                bench.simulator.inject(Fault::Down { lasting });
                bench.proxy.set_down(Some(Outage::Refuse));
            }
            Trouble::Table => drop(bench.store.delete_table().table_name(TABLE).send().await.unwrap()),
            Trouble::Permission => bench.proxy.set_down(Some(Outage::Denied)),
            Trouble::FullDisk(disk) => disk.set(Some("full")),
        }
    }

    async fn end(&self, bench: &Bench) {
        match self {
            // The exchange comes back by itself.
            Trouble::Network | Trouble::Permission => bench.proxy.set_down(None),
            Trouble::Table => table::create(&bench.store, TABLE).await.unwrap(),
            Trouble::FullDisk(disk) => disk.set(None),
        }
    }

    /// Components that the log names.
    fn components(&self) -> &'static [&'static str] {
        match self {
            Trouble::Network => &["exchange", "table"],
            Trouble::Table | Trouble::Permission => &["table"],
            Trouble::FullDisk(_) => &["disk"],
        }
    }
}

async fn recover(seed: u64, is_first: bool, trouble: impl FnOnce(&Bench) -> Trouble) {
    let lasting = std::env::var("RECOVERY_LASTING").ok().map(|text| Duration::from_secs(text.parse().unwrap()));
    let bench = Bench::new(seed, 0.2).await;
    let trouble = trouble(&bench);
    let shim = if let Trouble::FullDisk(shim) = &trouble { Some(shim) } else { None };
    bench.simulator.resume();
    if !is_first {
        let daemon = Daemon::start(&bench.settings()).await;
        daemon.until_metric("bitstamp_stored_total", |stored| stored > 0.0).await;
        daemon.kill();
    }
    let time = lasting.unwrap_or(Duration::from_secs(2));
    trouble.begin(&bench, time).await;
    let passes = async {
        tokio::time::sleep(time).await; // the trouble lasts
        trouble.end(&bench).await;
        Instant::now()
    };
    let settings = bench.settings();
    let (daemon, ended) = tokio::join!(Daemon::start_on(&settings, shim), passes);
    daemon.until_metric("bitstamp_durable_total", |frames| frames > 0.0).await;
    let captured = ended.elapsed();
    daemon.until_metric("bitstamp_stored_total", |stored| stored > 0.0).await;
    let stored = ended.elapsed();
    eprintln!("after {time:?} of trouble: captured after {captured:?}, stored after {stored:?}");
    assert!(lasting.is_none() || captured < WITHIN, "captured only {captured:?} after the end");

    // An end is told once it is certain.
    let lines = |what: &str| -> Vec<String> { daemon.said().into_iter().filter(|line| line.contains(what)).collect() };
    let named =
        |lines: &[String], part: &str| lines.iter().filter(|l| l.contains(&format!("component=\"{part}\""))).count();
    until_async("the end is told", async || {
        trouble.components().iter().all(|part| named(&lines("trouble ended"), part) == 1)
    })
    .await;
    for part in trouble.components() {
        assert_eq!(named(&lines("trouble began"), part), 1, "{part}: {:#?}", daemon.said());
    }
    // The list of markets has lines of its own: without it capturing goes on.
    let pair = ["the exchange's markets cannot be read", "the exchange's markets can be read again"];
    until_async("the list is read again", async || lines(pair[1]).len() == lines(pair[0]).len()).await;
    assert!(lines(pair[0]).len() <= 1, "{:#?}", daemon.said());
    let expected = |line: &String| {
        let names = |part: &&str| line.contains(&format!("component=\"{part}\""));
        // A daemon that was killed leaves a gap.
        let is_gap = !is_first && line.contains("reason=\"the daemon was not running\"");
        is_gap || line.contains(pair[0]) || trouble.components().iter().any(names)
    };
    let mut others = [lines(" WARN "), lines(" ERROR ")].concat();
    others.retain(|line| !expected(line));
    assert!(others.is_empty(), "{others:#?}");
    assert_eq!(daemon.terminate(Duration::from_secs(60)).await, 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_network() {
    recover(141, true, |_| Trouble::Network).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_table() {
    recover(142, true, |_| Trouble::Table).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_a_permission() {
    recover(143, true, |_| Trouble::Permission).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_full_disk() {
    recover(144, true, |bench| Trouble::FullDisk(Shim::disk(bench.folder.path()))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn with_a_disk_that_became_full() {
    recover(146, false, |bench| Trouble::FullDisk(Shim::disk(bench.folder.path()))).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_waits_for_room_can_be_stopped() {
    let bench = Bench::new(145, 0.2).await;
    let disk = Shim::disk(bench.folder.path());
    disk.set(Some("full"));
    let mut daemon = Process::spawn(disk.put_under(&mut command(&bench.settings())));
    daemon.until_said("it waits", |line| line.contains("component=\"disk\"").then_some(())).await;
    assert!(Command::new("kill").arg(daemon.id().to_string()).status().unwrap().success());
    assert!(daemon.ended(Duration::from_secs(60)).await.success());
}
