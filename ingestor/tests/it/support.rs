//! The pieces around the daemon: a store in memory, a proxy before it, a simulator, the daemon in or out of process.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use dynoxide::Database;
use exchange_sim::{Simulator, truth};
use fault_proxy::proxy::Proxy;
use ingestor::config::Config;
use ingestor::observe::status::Status;
use ingestor::pipeline::Pipeline;
use ingestor::store::table;
use shared::block;
use shared::block::stored::BlockItem;
use shared::coverage::{self, Interval, State};
use shared::event::Event;
use shared::frame::Frame;
use shared::item::{self, Item};
use shared::key::Keyed;
use shared::table::INDEX;
use tempfile::TempDir;
use tokio::net::TcpListener;

pub(crate) use crate::process::{Daemon, Process, Shim, command};

mod comparison;
mod waiting;

pub(crate) use comparison::assert_prefixes;
use comparison::{Comparison, frame_of, history, once, sent_frames, spell_frame, spelled, take};
pub(crate) use waiting::{until, until_async, until_drained, until_gone, until_within};

/// Everything waits at most this long for something to happen.
pub(crate) const DEADLINE: Duration = Duration::from_secs(600);

/// The daemon's channels where nothing else is configured.
pub(crate) const CHANNELS: [&str; 4] =
    ["live_trades_btcusd", "live_orders_btcusd", "live_trades_ethusd", "live_orders_ethusd"];

/// Stores order events in blocks.
pub(crate) fn in_blocks(settings: &mut BTreeMap<String, String>) {
    settings.insert("storage".to_owned(), "live_orders_*=blocks".to_owned());
    settings.insert("block_age".to_owned(), "300ms".to_owned());
}

pub(crate) fn parse(frame: &str) -> Event {
    match Frame::parse(frame.as_bytes()).unwrap() {
        Frame::Event(event) => event,
        Frame::Control(control) => panic!("{control:?}"),
    }
}

/// Whether a moment lies in an interval of this state.
pub(crate) fn is_in(intervals: &[Interval], state: State, time: u64) -> bool {
    intervals.iter().any(|interval| interval.state == state && (interval.from..=interval.through).contains(&time))
}

/// A store in memory behind a proxy without faults, and a simulator that waits for `resume`.
pub(crate) struct Bench {
    pub(crate) folder: Folder,
    pub(crate) simulator: Simulator,
    pub(crate) proxy: Proxy,
    pub(crate) store: Client,
    pub(crate) seed: u64,
    daemons: FailureReport,
    /// Frames that were sent to a connection which ended before they were received.
    undelivered: AtomicU64,
}

/// The daemons that run within a test. Prints their counters and troubles if the test fails.
#[derive(Default)]
struct FailureReport(std::sync::Mutex<Vec<Arc<Status>>>);

impl Drop for FailureReport {
    fn drop(&mut self) {
        if !std::thread::panicking() {
            return;
        }
        for status in self.0.get_mut().unwrap_or_else(std::sync::PoisonError::into_inner) {
            let counters = [
                ("received", &status.received),
                ("durable", &status.durable),
                ("stored", &status.stored),
                ("losses", &status.losses),
                ("gaps", &status.gaps),
                ("filled", &status.filled),
                ("unfillable", &status.unfillable),
            ];
            let counters = counters.map(|(name, counter)| format!("{name} {}", counter.get()));
            eprintln!("the daemon: {}; {:?}", counters.join(", "), status.trouble());
        }
    }
}

/// A temporary folder that is gone when the value is. The spool's engine ends its threads on its own time, and one of them may still
/// make a file while the folder is removed.
pub(crate) struct Folder(PathBuf);

impl Folder {
    pub(crate) fn new() -> Folder {
        Folder(TempDir::new().unwrap().keep())
    }

    pub(crate) fn path(&self) -> &Path {
        &self.0
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        for _ in 0..100 {
            if std::fs::remove_dir_all(&self.0).is_ok() || !matches!(self.0.try_exists(), Ok(true)) {
                return;
            }
            // A daemon that was killed may still hold files open; nothing signals that it let them go.
            std::thread::sleep(Duration::from_millis(50));
        }
        eprintln!("{} cannot be removed", self.0.display());
    }
}

impl Bench {
    pub(crate) async fn new(seed: u64, rate: f64) -> Bench {
        Bench::with(exchange_sim::Config { seed, rate, paused: true, ..exchange_sim::Config::default() }).await
    }

    pub(crate) async fn with(simulator: exchange_sim::Config) -> Bench {
        let folder = Folder::new();
        let seed = simulator.seed;
        eprintln!("seed {seed}");
        if let Some(level) = std::env::var_os("INGESTOR_LOG") {
            let level = if level == "debug" { tracing::Level::DEBUG } else { tracing::Level::INFO };
            // Another test of the process may have set it.
            let _set = tracing_subscriber::fmt().with_writer(std::io::stderr).with_max_level(level).try_init();
        }
        let truth = folder.path().join("truth.ndjson");
        let simulator = Simulator::start(exchange_sim::Config { truth: Some(truth), ..simulator }).await.unwrap();
        let engine = engine().await;
        let proxy = Proxy::start(fault_proxy::config::Config::new(&engine, seed)).await.unwrap();
        let store = client(&engine).await;
        table::create(&store, "bitstamp-live").await.unwrap();
        Bench {
            folder,
            simulator,
            proxy,
            store,
            seed,
            daemons: FailureReport::default(),
            undelivered: AtomicU64::default(),
        }
    }

    /// The daemon's settings; a test may change them. With `STORAGE=blocks` in the environment any test runs in block mode.
    pub(crate) fn settings(&self) -> BTreeMap<String, String> {
        let mut settings = self.plain_settings();
        if std::env::var("STORAGE").is_ok_and(|storage| storage == "blocks") {
            in_blocks(&mut settings);
        }
        settings
    }

    fn plain_settings(&self) -> BTreeMap<String, String> {
        BTreeMap::from(
            [
                ("url", self.simulator.ws_url()),
                ("endpoint_url", self.proxy.url()),
                ("spool_dir", self.folder.path().join("spool").display().to_string()),
                ("listen", "127.0.0.1:0".to_owned()),
                ("rest_url", self.simulator.rest_url()),
                // What was sent is compared connection by connection; tests of several say so.
                ("connections", "1".to_owned()),
                ("request_timeout", "5s".to_owned()),
                // A busy machine must not look like a mute exchange.
                ("answer_within", "15s".to_owned()),
                // What was missed stays missed; tests of filling say otherwise.
                ("fill_after", "1h".to_owned()),
                ("audit_every", "0s".to_owned()),
                ("snapshot_every", "0s".to_owned()),
                // More is called captured, and sooner, than with the default.
                ("ledger_every", "2s".to_owned()),
            ]
            .map(|(key, value)| (key.to_owned(), value)),
        )
    }

    pub(crate) async fn start(&self, settings: &BTreeMap<String, String>) -> Pipeline {
        let config = Config::read(settings, &BTreeMap::new(), None).unwrap();
        let client = table::connect(&config).await;
        let pipeline = Pipeline::start(config, client).await.unwrap();
        self.daemons.0.lock().unwrap().push(pipeline.status());
        pipeline
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

    /// Counts the frames that a lost connection did not deliver. Nothing may be sent meanwhile.
    pub(crate) fn note_undelivered(&self, daemon: &Pipeline) {
        let undelivered = self.sent().saturating_sub(daemon.status().received.get());
        self.undelivered.store(undelivered, Ordering::Relaxed);
        // Reading the truth file pauses the simulator.
        self.simulator.resume();
    }

    /// Stops the flow and waits until the daemon has received everything that can arrive, and its spool is empty.
    pub(crate) async fn drain(&self, daemon: &Pipeline) {
        let sent = self.arrive(daemon).await;
        let (status, spool) = (daemon.status(), daemon.spool());
        until_gone("drained", async || sent.saturating_sub(status.durable.get()) + spool.depth()).await;
    }

    /// Stops the flow and waits until the daemon has received everything that can arrive: what is on its way when a daemon stops is
    /// missed. Returns how many frames that is.
    pub(crate) async fn arrive(&self, daemon: &Pipeline) -> u64 {
        let (sent, undelivered) = (self.sent(), self.undelivered.load(Ordering::Relaxed));
        eprintln!("{sent} frames sent, {undelivered} of them to a connection that was lost");
        let sent = sent - undelivered;
        let status = daemon.status();
        let losses = status.losses.get();
        until("received", || {
            assert_eq!(status.losses.get(), losses, "the connection was lost");
            status.received.get() >= sent
        })
        .await;
        sent
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
            // Without a time that a query reaches it is missing at no time.
            let time = Keyed::of(&event).unwrap().time.unwrap_or_default().0;
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

    /// Every event of the table, past the proxy, as readers see it: items and events of blocks, copies of one event once.
    pub(crate) async fn items(&self) -> Vec<Item> {
        once(self.copies().await)
    }

    /// Every copy of every event of the table, be it an item or in a block.
    pub(crate) async fn copies(&self) -> Vec<Item> {
        let mut copies = Vec::new();
        for item in self.all_items().await {
            match channel(&item) {
                name if block::stored::channel_of(name).is_some() => {
                    copies.extend(BlockItem::from_attributes(&item).unwrap().events().unwrap());
                }
                name if name.starts_with('_') => {}
                _ => copies.push(item),
            }
        }
        copies
    }

    /// The blocks of the table, by their sort keys.
    pub(crate) async fn blocks(&self) -> BTreeMap<String, Item> {
        let items = self.all_items().await.into_iter();
        let blocks = items.filter(|item| block::stored::channel_of(channel(item)).is_some());
        blocks.map(|item| (item["microtimestamp"].as_s().unwrap().clone(), item)).collect()
    }

    /// What the ledger says of a channel.
    pub(crate) async fn ledger(&self, name: &str) -> Vec<Interval> {
        let (mut found, mut from) = (Vec::new(), None);
        loop {
            let query = self.store.query().table_name("bitstamp-live").index_name(INDEX).set_exclusive_start_key(from);
            let query = query.key_condition_expression("channel = :channel");
            let wanted = AttributeValue::S(coverage::ledger_channel(name));
            let page = query.expression_attribute_values(":channel", wanted).send().await.unwrap();
            found.extend(page.items.unwrap_or_default().iter().map(|item| coverage::interval(item).unwrap()));
            match page.last_evaluated_key {
                Some(key) => from = Some(key),
                None => return found,
            }
        }
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

pub(crate) fn open_spool(folder: &Path) -> ingestor::spool::Spool {
    ingestor::spool::Spool::open(&folder.join("spool"), 1 << 30).unwrap()
}
