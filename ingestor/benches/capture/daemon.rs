//! The daemon as a process of its own, and the store that it writes to.

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use exchange_sim::Simulator;
use ingestor::config::Config;
use ingestor::store::table;
use tokio::net::TcpListener;

/// Name of the table that the daemon writes.
pub(crate) const TABLE: &str = "bitstamp-live";
/// The channel that it captures.
pub(crate) const CHANNEL: &str = "live_orders_btcusd";

/// How it stores order events.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Storage {
    Events,
    Blocks,
}

pub(crate) struct Daemon {
    process: Child,
    /// Where it serves its metrics.
    address: String,
    http: reqwest::Client,
}

/// The metrics of a moment.
pub(crate) struct Metrics(String);

impl Daemon {
    /// Starts the release build; returns when it has subscribed.
    pub(crate) async fn start(simulator: &Simulator, engine: &str, folder: &Path, storage: Storage) -> Daemon {
        let storage = match storage {
            Storage::Events => "live_orders_*=events",
            Storage::Blocks => "live_orders_*=blocks",
        };
        let mut process = Command::new(env!("CARGO_BIN_EXE_ingestor"))
            // As in infra/systemd.
            .env("MALLOC_ARENA_MAX", "2")
            .args(["--url", &simulator.ws_url(), "--rest-url", &simulator.rest_url(), "--endpoint-url", engine])
            .args(["--channels", CHANNEL, "--storage", storage])
            .arg("--spool-dir")
            .arg(folder.join("spool"))
            .args(["--listen", "127.0.0.1:0", "--spool-max", "16GiB"])
            .env("BITSTAMP_LOG", "info")
            .stderr(Stdio::piped())
            .spawn()
            .unwrap();
        let mut log = BufReader::new(process.stderr.take().unwrap()).lines().map_while(Result::ok);
        let address = log
            .find_map(|line| Some(line.split_once(": listening address=")?.1.to_owned()))
            .expect("the daemon listens");
        // Read to its end, so that nobody waits for room in the pipe.
        std::thread::spawn(move || log.for_each(drop));
        while simulator.subscriptions() == 0 {
            tokio::time::sleep(Duration::from_millis(10)).await; // another process does not signal
        }
        Daemon { process, address, http: reqwest::Client::new() }
    }

    pub(crate) async fn metrics(&self) -> Metrics {
        let url = format!("http://{}/metrics", self.address);
        Metrics(self.http.get(url).send().await.unwrap().text().await.unwrap())
    }

    /// User and system time of all its threads.
    pub(crate) fn cpu_seconds(&self) -> f64 {
        cpu_seconds(&self.process.id().to_string())
    }

    pub(crate) fn peak_kib(&self) -> u64 {
        let status = fs::read_to_string(format!("/proc/{}/status", self.process.id())).unwrap();
        let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
        line.split_whitespace().nth(1).unwrap().parse().unwrap()
    }

    pub(crate) fn kill(mut self) {
        self.process.kill().unwrap();
        self.process.wait().unwrap();
    }
}

impl Metrics {
    pub(crate) fn value(&self, name: &str) -> f64 {
        let mut lines = self.0.lines().filter_map(|line| line.split_once(' '));
        lines.find_map(|(known, value)| (known == name).then(|| value.trim().parse().unwrap())).unwrap_or(0.0)
    }
}

/// User and system time of a process and all its threads. Linux counts it in hundredths of a second.
pub(crate) fn cpu_seconds(process: &str) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks: u64 = [11, 12].iter().map(|place| fields.get(*place).unwrap().parse::<u64>().unwrap()).sum();
    ticks as f64 / 100.0
}

/// Starts the embedded store in memory; returns its URL.
pub(crate) async fn store() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let database = dynoxide::Database::memory().unwrap();
    tokio::spawn(dynoxide::server::serve_with_shutdown(listener, database, std::future::pending()));
    url
}

pub(crate) async fn client(url: &str) -> Client {
    let settings = BTreeMap::from([("endpoint_url".to_owned(), url.to_owned())]);
    table::connect(&Config::read(&settings, &BTreeMap::new(), None).unwrap()).await
}
