//! The pieces around the daemon: a store in memory, a proxy before it, a simulator, the daemon in or out of process.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use dynoxide::Database;
use exchange_sim::{Simulator, truth};
use fault_proxy::proxy::Proxy;
use ingestor::config::Config;
use ingestor::pipeline::Pipeline;
use ingestor::table;
use serde_json::Value;
use shared::coverage::{self, State, Stretch};
use shared::event::Event;
use shared::frame::Frame;
use shared::item::{self, Item};
use shared::key::Keyed;
use shared::number::Decimal;
use tempfile::TempDir;
use tokio::net::TcpListener;

/// Everything waits at most this long for something to happen.
pub(crate) const DEADLINE: Duration = Duration::from_secs(180);

/// The daemon's channels where nothing else is configured.
pub(crate) const CHANNELS: [&str; 4] =
    ["live_trades_btcusd", "live_orders_btcusd", "live_trades_ethusd", "live_orders_ethusd"];

/// Channel and time of events.
#[derive(Debug, Default)]
pub(crate) struct Comparison {
    pub(crate) generated: Vec<(String, u64)>,
    pub(crate) missing: Vec<(String, u64)>,
    /// Not stored as they were sent, but fetched from the exchange's history.
    pub(crate) filled: usize,
    /// Stored but not generated, stored twice, or altered.
    pub(crate) extra: usize,
}

/// What the exchange's history tells of a frame: of trades less than the stream did, of order events all but the predecessor.
fn history(frame: &str) -> String {
    let mut frame: Value = serde_json::from_str(frame).unwrap();
    if frame["event"] == "trade" {
        let data = &frame["data"];
        return format!(
            "{} {} {} {} {}",
            frame["channel"], data["id"], data["type"], data["price_str"], data["amount_str"]
        );
    }
    frame.as_object_mut().unwrap().remove("pre_event_id");
    canonical(&frame)
}

fn parse(frame: &str) -> Event {
    match Frame::parse(frame.as_bytes()).unwrap() {
        Frame::Event(event) => event,
        Frame::Control(control) => panic!("{control:?}"),
    }
}

/// Whether a moment lies in a stretch of this state.
pub(crate) fn is_in(stretches: &[Stretch], state: State, time: u64) -> bool {
    stretches.iter().any(|stretch| stretch.state == state && (stretch.from..=stretch.through).contains(&time))
}

/// A store in memory behind a proxy without faults, and a simulator that waits for `resume`.
pub(crate) struct Bench {
    pub(crate) folder: TempDir,
    pub(crate) simulator: Simulator,
    pub(crate) proxy: Proxy,
    pub(crate) store: Client,
    pub(crate) seed: u64,
}

impl Bench {
    pub(crate) async fn new(seed: u64, rate: f64) -> Bench {
        Bench::with(exchange_sim::Config { seed, rate, paused: true, ..exchange_sim::Config::default() }).await
    }

    pub(crate) async fn with(simulator: exchange_sim::Config) -> Bench {
        let folder = TempDir::new().unwrap();
        let seed = simulator.seed;
        eprintln!("seed {seed}");
        if std::env::var_os("INGESTOR_LOG").is_some() {
            // Another test of the process may have set it.
            let _set = tracing_subscriber::fmt().with_writer(std::io::stderr).try_init();
        }
        let truth = folder.path().join("truth.ndjson");
        let simulator = Simulator::start(exchange_sim::Config { truth: Some(truth), ..simulator }).await.unwrap();
        let engine = engine().await;
        let proxy = Proxy::start(fault_proxy::proxy::Config::new(&engine, seed)).await.unwrap();
        let store = client(&engine).await;
        table::create(&store, "bitstamp-live").await.unwrap();
        Bench { folder, simulator, proxy, store, seed }
    }

    /// The daemon's settings; a test may change them.
    pub(crate) fn settings(&self) -> BTreeMap<String, String> {
        BTreeMap::from(
            [
                ("url", self.simulator.ws_url()),
                ("endpoint_url", self.proxy.url()),
                ("spool_dir", self.folder.path().join("spool").display().to_string()),
                ("listen", "127.0.0.1:0".to_owned()),
                ("rest_url", self.simulator.rest_url()),
                // What was sent is compared connection by connection; tests of several say so.
                ("connections", "1".to_owned()),
                ("request_timeout", "500ms".to_owned()),
                // A busy machine must not look like a mute exchange.
                ("answer_within", "15s".to_owned()),
                // What was missed stays missed; tests of filling say otherwise.
                ("fill_after", "1h".to_owned()),
            ]
            .map(|(key, value)| (key.to_owned(), value)),
        )
    }

    pub(crate) async fn start(&self, settings: &BTreeMap<String, String>) -> Pipeline {
        let config = Config::read(settings, &BTreeMap::new(), None).unwrap();
        let client = table::connect(&config).await;
        Pipeline::start(config, client).await.unwrap()
    }

    pub(crate) fn truth_file(&self) -> PathBuf {
        self.folder.path().join("truth.ndjson")
    }

    pub(crate) fn truth(&self) -> Vec<truth::Line> {
        // Pausing writes out everything that was generated so far.
        self.simulator.pause();
        truth::read(&self.truth_file()).unwrap()
    }

    /// How many frames were sent to a connection so far, duplicates included.
    pub(crate) fn sent(&self) -> u64 {
        let lines = self.truth();
        lines.iter().filter(|line| matches!(line, truth::Line::Frame(frame) if !frame.connections.is_empty())).count()
            as u64
    }

    /// Stops the flow and waits until the daemon has received everything and its spool is empty.
    pub(crate) async fn drain(&self, daemon: &Pipeline) {
        let sent = self.sent();
        eprintln!("{sent} frames sent");
        let (status, spool) = (daemon.status(), daemon.spool());
        let losses = status.losses.get();
        until("received", || {
            assert_eq!(status.losses.get(), losses, "the connection was lost");
            status.received.get() >= sent
        })
        .await;
        until("drained", || status.durable.get() >= sent && spool.depth() == 0).await;
    }

    /// The frames of every event of the daemon's channels, whether anybody got it or not.
    pub(crate) fn generated(&self) -> Vec<String> {
        let lines = self.truth();
        let ours = |frame: &&truth::Frame| CHANNELS.contains(&parse(&frame.frame).channel.as_str());
        truth::events(&lines).filter(ours).map(|frame| frame.frame.clone()).collect()
    }

    /// The table beside everything that was generated.
    pub(crate) async fn compare(&self) -> Comparison {
        let (fetched, captured): (Vec<Item>, Vec<Item>) =
            self.items().await.into_iter().partition(|item| item.contains_key(item::SOURCE));
        let mut stored = spelled(&captured);
        let mut filled: HashMap<String, usize> = HashMap::new();
        for item in fetched {
            assert_eq!(item[item::SOURCE].as_s().unwrap(), "rest");
            *filled.entry(history(&frame_of(&item).to_string())).or_default() += 1;
        }
        let mut comparison = Comparison::default();
        for frame in self.generated() {
            let event = parse(&frame);
            let time = Keyed::of(&event).unwrap().time.unwrap().0;
            if !take(&mut stored, &spell_frame(&frame)) {
                match take(&mut filled, &history(&frame)) {
                    true => comparison.filled += 1,
                    false => comparison.missing.push((event.channel.to_string(), time)),
                }
            }
            comparison.generated.push((event.channel.to_string(), time));
        }
        comparison.extra = stored.values().sum::<usize>() + filled.values().sum::<usize>();
        comparison
    }

    /// Every event of the table, past the proxy.
    pub(crate) async fn items(&self) -> Vec<Item> {
        let mut items = self.all_items().await;
        items.retain(|item| !channel(item).starts_with('_'));
        items
    }

    /// What the ledger says of a channel.
    pub(crate) async fn ledger(&self, name: &str) -> Vec<Stretch> {
        let items = self.all_items().await;
        let wanted = coverage::ledger_channel(name);
        items.iter().filter(|item| channel(item) == wanted).map(|item| coverage::stretch(item).unwrap()).collect()
    }

    pub(crate) async fn all_items(&self) -> Vec<Item> {
        let mut items = Vec::new();
        let mut from = None;
        loop {
            let page =
                self.store.scan().table_name("bitstamp-live").set_exclusive_start_key(from).send().await.unwrap();
            items.extend(page.items.unwrap_or_default());
            match page.last_evaluated_key {
                Some(key) => from = Some(key),
                None => return items,
            }
        }
    }

    /// Compares the table with the frames that were sent to any connection.
    pub(crate) async fn assert_table_is_truth(&self) -> usize {
        let lines = self.truth();
        // What one connection got in its turn and another one later is one event.
        let sent: BTreeSet<&str> = sent_frames(&lines).map(|frame| frame.frame.as_str()).collect();
        let mut stored = spelled(&self.items().await);
        let missing: Vec<_> = sent.iter().copied().filter(|frame| !take(&mut stored, &spell_frame(frame))).collect();
        assert!(missing.is_empty(), "{} of {} missing or altered: {:#?}", missing.len(), sent.len(), missing.first());
        let extra: Vec<_> = stored.into_iter().filter(|(_, count)| *count > 0).collect();
        assert!(extra.is_empty(), "{} not sent: {:#?}", extra.len(), &extra[..1]);
        sent.len()
    }
}

/// The engine in memory on a loopback port, for as long as the test runs.
pub(crate) async fn engine() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let database = Database::memory().unwrap();
    tokio::spawn(dynoxide::server::serve_with_shutdown(listener, database, std::future::pending()));
    url
}

pub(crate) async fn client(url: &str) -> Client {
    let settings = BTreeMap::from([("endpoint_url".to_owned(), url.to_owned())]);
    table::connect(&Config::read(&settings, &BTreeMap::new(), None).unwrap()).await
}

fn channel(item: &Item) -> &str {
    item["channel"].as_s().unwrap()
}

/// Items as the exchange would spell them, with how often each is there.
fn spelled(items: &[Item]) -> HashMap<String, usize> {
    let mut spelled = HashMap::new();
    for item in items {
        *spelled.entry(canonical(&frame_of(item))).or_default() += 1;
    }
    spelled
}

fn frame_of(item: &Item) -> Value {
    let event = item::to_event(item).unwrap();
    let mut frame = event.extra;
    frame.insert("channel".to_owned(), event.channel.as_str().into());
    frame.insert("event".to_owned(), event.name.into());
    frame.insert("data".to_owned(), event.data);
    Value::Object(frame)
}

fn spell_frame(frame: &str) -> String {
    canonical(&serde_json::from_str(frame).unwrap())
}

/// Takes one out; whether there was one.
fn take(stored: &mut HashMap<String, usize>, frame: &str) -> bool {
    match stored.get_mut(frame) {
        Some(count) if *count > 0 => {
            *count -= 1;
            true
        }
        _ => false,
    }
}

/// Numbers by value, everything else to the letter.
fn canonical(value: &Value) -> String {
    match value {
        Value::Number(number) => Decimal::parse(number.as_str()).unwrap().canonical(),
        Value::Array(values) => format!("[{}]", values.iter().map(canonical).collect::<Vec<_>>().join(",")),
        Value::Object(fields) => {
            let sorted: BTreeMap<_, _> = fields.iter().map(|(name, value)| (name, canonical(value))).collect();
            format!("{sorted:?}")
        }
        other => other.to_string(),
    }
}

/// Waits until something is so.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    until_async(what, async || is_so()).await;
}

pub(crate) async fn until_async(what: &str, is_so: impl AsyncFnMut() -> bool) {
    until_within(DEADLINE, what, is_so).await;
}

pub(crate) async fn until_within(deadline: Duration, what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let end = tokio::time::Instant::now() + deadline;
    while !is_so().await {
        assert!(tokio::time::Instant::now() < end, "not within {deadline:?}: {what}");
        // Nothing signals what another process or the store does: looked at again and again.
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
}

/// A disk that fails on command: a library between the daemon and its files.
pub(crate) struct Disk {
    library: PathBuf,
    fault: PathBuf,
}

impl Disk {
    pub(crate) fn new(folder: &Path) -> Disk {
        let (source, library) = (folder.join("disk.c"), folder.join("disk.so"));
        std::fs::write(&source, include_str!("disk.c")).unwrap();
        // The C compiler that the dependencies need anyhow.
        let built =
            Command::new("cc").args(["-shared", "-fPIC", "-O2", "-o"]).args([&library, &source]).arg("-ldl").status();
        assert!(built.unwrap().success(), "cc cannot build {}", source.display());
        Disk { library, fault: folder.join("fault") }
    }

    /// From now on: `full` refuses writes, `sync` fails fsync, nothing heals it.
    pub(crate) fn set(&self, fault: Option<&str>) {
        match fault {
            Some(fault) => std::fs::write(&self.fault, fault).unwrap(),
            None => std::fs::remove_file(&self.fault).unwrap(),
        }
    }
}

/// The daemon as a process of its own.
pub(crate) struct Daemon {
    child: Child,
    metrics: String,
    http: reqwest::Client,
}

impl Daemon {
    /// Starts it and waits until it answers.
    pub(crate) async fn start(settings: &BTreeMap<String, String>) -> Daemon {
        Daemon::start_on(settings, None).await
    }

    pub(crate) async fn start_on(settings: &BTreeMap<String, String>, disk: Option<&Disk>) -> Daemon {
        let port = TcpListener::bind("127.0.0.1:0").await.unwrap().local_addr().unwrap().port();
        let mut settings = settings.clone();
        settings.insert("listen".to_owned(), format!("127.0.0.1:{port}"));
        let mut command = command(&settings);
        if let Some(disk) = disk {
            command.env("LD_PRELOAD", &disk.library).env("DISK_FAULT", &disk.fault);
        }
        let child = command.spawn().unwrap();
        let metrics = format!("http://127.0.0.1:{port}/metrics");
        let daemon = Daemon { child, metrics, http: reqwest::Client::new() };
        until_async("the daemon answers", async || daemon.metrics().await.is_some()).await;
        daemon
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// Its metrics by name; labels are part of the name.
    pub(crate) async fn metrics(&self) -> Option<HashMap<String, f64>> {
        let text = self.http.get(&self.metrics).send().await.ok()?.text().await.ok()?;
        Some(
            text.lines()
                .filter(|line| !line.starts_with('#'))
                .filter_map(|line| {
                    let (name, value) = line.rsplit_once(' ')?;
                    Some((name.to_owned(), value.parse().ok()?))
                })
                .collect(),
        )
    }

    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let metrics = self.metrics().await.expect("the daemon answers");
        *metrics.get(name).unwrap_or_else(|| panic!("{name} in {metrics:?}"))
    }

    pub(crate) async fn until_metric(&self, name: &str, is_so: impl Fn(f64) -> bool) {
        until_async(name, async || is_so(self.metric(name).await)).await;
    }

    /// `kill -9`.
    pub(crate) fn kill(mut self) {
        self.child.kill().unwrap();
        self.child.wait().unwrap();
    }

    /// Sends SIGTERM and waits for the end; fails after `within`.
    pub(crate) async fn terminate(mut self, within: Duration) -> i32 {
        let killed = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().unwrap();
        assert!(killed.success());
        self.ended(within).await
    }

    /// Waits until it ends by itself; fails after `within`.
    pub(crate) async fn ended(&mut self, within: Duration) -> i32 {
        let end = tokio::time::Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status.code().expect("it exits by itself");
            }
            assert!(tokio::time::Instant::now() < end, "still running after {within:?}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// Peak and present resident memory in KiB, as the kernel counts them.
    pub(crate) fn memory(&self) -> (u64, u64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        (field("VmHWM:"), field("VmRSS:"))
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        // Already gone in most tests.
        let _killed = self.child.kill();
        let _waited = self.child.wait();
    }
}

/// The daemon's command line, its output kept out of the test's unless `INGESTOR_LOG` is set.
pub(crate) fn command(settings: &BTreeMap<String, String>) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_ingestor"));
    // As in infra/systemd.
    command.env("MALLOC_ARENA_MAX", "2");
    for (key, value) in settings {
        command.arg(format!("--{}", key.replace('_', "-"))).arg(value);
    }
    if std::env::var_os("INGESTOR_LOG").is_none() {
        command.stdout(Stdio::null()).stderr(Stdio::null());
    }
    command
}

/// The frames that were sent to a connection, each once: also those that were held back and sent later.
fn sent_frames(lines: &[truth::Line]) -> impl Iterator<Item = &truth::Frame> {
    lines.iter().filter_map(|line| match line {
        truth::Line::Frame(frame) if !frame.connections.is_empty() => {
            matches!(frame.kind, truth::Kind::Event | truth::Kind::Reordered).then_some(frame)
        }
        _ => None,
    })
}

/// The frames that each connection was sent, in order, events only.
fn sent_by_connection(lines: &[truth::Line]) -> BTreeMap<u64, Vec<String>> {
    let mut sent: BTreeMap<u64, Vec<String>> = BTreeMap::new();
    for frame in sent_frames(lines) {
        for connection in &frame.connections {
            sent.entry(*connection).or_default().push(frame.frame.clone());
        }
    }
    sent
}

pub(crate) fn open_spool(folder: &Path) -> ingestor::spool::Spool {
    ingestor::spool::Spool::open(&folder.join("spool"), 1 << 30).unwrap()
}

/// Checks that of each connection the table holds the first so many frames without a hole, each once, and nothing that was
/// not sent. Returns for each connection how many of how many.
pub(crate) fn assert_prefixes(lines: &[truth::Line], items: &[Item]) -> Vec<(usize, usize)> {
    let mut stored = spelled(items);
    assert!(stored.values().all(|count| *count == 1), "something is there twice");
    let mut prefixes = Vec::new();
    for (connection, frames) in sent_by_connection(lines) {
        let found: Vec<bool> = frames.iter().map(|frame| take(&mut stored, &spell_frame(frame))).collect();
        let count = found.iter().take_while(|found| **found).count();
        assert!(found[count..].iter().all(|found| !found), "a hole in connection {connection}: {found:?}");
        prefixes.push((count, frames.len()));
    }
    assert!(stored.values().all(|count| *count == 0), "something was never sent");
    prefixes
}
