//! `/status`: the document, its events and its page, over real sockets.

use std::collections::{BTreeMap, BTreeSet};
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use exchange_sim::faults::{Fault, Garbage};
use fault_proxy::config::Outage;
use ingestor::config::Config;
use ingestor::observe::connections::Loss;
use ingestor::observe::document::Document;
use ingestor::observe::gaps::GapState;
use ingestor::observe::page::{About, Source, StatusPage};
use ingestor::observe::report::Report;
use ingestor::observe::status::{Component, Status, StoredEvents};
use ingestor::observe::watch::Watch;
use ingestor::spool::Spool;
use ingestor::spool::record::{ConnectionEvent, Payload, Record};
use serde_json::Value;
use shared::channel::Channel;
use shared::coverage::{self, Interval, State};
use shared::time::Micros;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use crate::support::{Bench, Folder, until, until_async};

mod viewers;

use viewers::Viewer;

async fn document(address: SocketAddr) -> Document {
    let answer = reqwest::get(format!("http://{address}/status?format=json")).await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.json().await.unwrap()
}

/// A report without a daemon, served on a port of its own for as long as the test runs.
struct Server {
    address: SocketAddr,
    status: Arc<Status>,
    spool: Arc<Spool>,
    _folder: Folder,
}

impl Server {
    async fn start(pace: Duration) -> Server {
        let folder = Folder::new();
        let spool = Arc::new(Spool::open(&folder.path().join("spool"), 1 << 30).unwrap());
        let status = Arc::new(Status::default());
        let source = Source { status: status.clone(), spool: spool.clone(), about: About::default() };
        let report = Report::new(status.clone(), spool.clone()).with_page(StatusPage::every(source, pace));
        let config = Config::read(&BTreeMap::new(), &BTreeMap::new(), None).unwrap();
        let watch = Watch::new(&config, status.clone());
        let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
        let address = listener.local_addr().unwrap();
        tokio::spawn(report.serve(listener, watch));
        Server { address, status, spool, _folder: folder }
    }
}

/// Sends a request with these lines in its head; returns what arrives until the connection ends, or until `enough` of it is there.
async fn raw(address: SocketAddr, path: &str, lines: &str, enough: usize) -> String {
    let mut stream = TcpStream::connect(address).await.unwrap();
    stream.write_all(format!("GET {path} HTTP/1.1\r\nconnection: close\r\n{lines}\r\n").as_bytes()).await.unwrap();
    let (mut answer, mut part) = (Vec::new(), [0; 4096]);
    while answer.len() < enough {
        match stream.read(&mut part).await.unwrap() {
            0 => break,
            length => answer.extend_from_slice(&part[..length]),
        }
    }
    String::from_utf8(answer).unwrap()
}

/// Adds `path: type` for each value; of lists, that of their members.
fn fields(value: &Value, path: &str, found: &mut BTreeMap<String, BTreeSet<&'static str>>) {
    let kind = match value {
        Value::Null => "null",
        Value::Bool(_) => "boolean",
        Value::Number(_) => "number",
        Value::String(_) => "string",
        Value::Array(members) => {
            members.iter().for_each(|member| fields(member, &format!("{path}[]"), found));
            return;
        }
        Value::Object(members) => {
            let dot = if path.is_empty() { "" } else { "." };
            members.iter().for_each(|(name, value)| fields(value, &format!("{path}{dot}{name}"), found));
            return;
        }
    };
    found.entry(path.to_owned()).or_default().insert(kind);
}

/// Programs rely on names and types: what this test compares changes with [`ingestor::observe::document::FORMAT`] only, except for fields
/// that are added.
#[tokio::test(flavor = "multi_thread")]
async fn the_document_has_its_fields_and_what_is_unknown_is_null() {
    let server = Server::start(Duration::from_secs(1)).await;
    let status = &server.status;
    let mut found = BTreeMap::new();
    let json = |document: &Document| serde_json::to_value(document).unwrap();
    let channels: Arc<[Channel]> = ["live_trades_btcusd", "order_book_btcusd"].map(|name| name.parse().unwrap()).into();
    status.event(&channels[0], Some("1.50"));
    // The first document of a viewer does not wait for rates.
    fields(&json(&Viewer::open(server.address).await.next_document().await), "", &mut found);

    let now = ingestor::clock::system_micros();
    status.connections.add(2);
    let (old, _new) = (status.open.open(1, channels.clone()), status.open.open(2, channels.clone()));
    old.last_message.set(now);
    old.proved.set(now);
    status.open.lost(Loss { connection: 7, at: now, reason: "no answer to a ping".to_owned() });
    status.stored(&channels[0], Micros(now), StoredEvents { events: 1, bytes: 463, units: 2 });
    status.sync_micros.set(1);
    status.write_limit.set(4);
    status.wrote_in(Duration::from_millis(3));
    status.clock_skew.set(Some(-1));
    status.audited.raise(now);
    let reason = Some("the daemon was down".to_owned());
    let interval = Interval { from: now - 9, through: now, state: State::Gap, reason };
    let (daemon, channel) = ("a".to_owned(), channels[0].to_string());
    status.entered(&coverage::Record { daemon, channel, interval, frames: 0 });
    status.known_gaps.set(&channels[0], 1, 2, GapState::Filled);
    status.set_trouble(Component::Table, Some("denied".to_owned()));
    status.set_trouble(Component::Lease, Some("denied".to_owned()));
    status.set_trouble(Component::Lease, None);
    server.spool.append(&[ConnectionEvent::Started.record(0, Micros(now))]).unwrap();
    server.spool.sync().unwrap();
    status.backlog.note(0, now);
    let full = document(server.address).await;
    fields(&json(&full), "", &mut found);

    let found: Vec<String> = found
        .into_iter()
        .map(|(path, kinds)| format!("{path}: {}", kinds.into_iter().collect::<Vec<_>>().join(" or ")))
        .collect();
    let expected: Vec<&str> = include_str!("status-fields.txt").lines().collect();
    assert_eq!(found, expected, "{}", found.join("\n"));
    assert_eq!(full.format, 1);
    assert_eq!((full.spool.records, full.writes.limit, full.clock.skew_us), (1, Some(4), Some(-1)));
    assert_eq!(
        full.trouble.iter().map(|trouble| trouble.component.as_str()).collect::<Vec<_>>(),
        ["subscriptions", "table"].map(str::to_owned)
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_that_works_says_so_in_figures() {
    let bench = Bench::new(181, 2.0).await;
    let mut settings = bench.settings();
    settings.insert("request_timeout".to_owned(), "60s".to_owned());
    let daemon = bench.start(&settings).await;
    let (address, status) = (daemon.address(), daemon.status());
    until("subscribed", || bench.simulator.subscriptions() == 4).await;
    bench.simulator.resume();
    until("stored and proved", || status.stored.get() > 100 && status.proofs.get() > 0).await;
    // Rates are of the last second, in which a busy machine may do nothing.
    let is_busy = |document: &Document| {
        let of_channels = document.channels.iter().filter_map(|channel| channel.events_per_second);
        let rates = [document.received.per_second, document.stored.per_second, Some(of_channels.sum())];
        rates.iter().all(|rate| rate.is_some_and(|rate| rate > 0.0)) && document.writes.batches > 0
    };
    let mut viewer = Viewer::open(address).await;
    let document = loop {
        let document = viewer.next_document().await;
        if is_busy(&document) {
            break document;
        }
    };
    assert!(document.healthy && document.trouble.is_empty() && !document.stopping, "{document:?}");
    assert_eq!(document.daemon, daemon.spool().daemon());
    let [connection] = document.connections.list.as_slice() else { panic!("{:?}", document.connections) };
    assert_eq!((connection.state.as_str(), connection.confirmed, connection.channels), ("open", 4, 4));
    assert!(connection.last_message_age_us.is_some() && connection.proved_age_us.is_some(), "{connection:?}");
    assert_eq!(document.channels.len(), 4);
    assert!(document.cost.units >= 2 * document.stored.total, "{document:?}");
    // Exactly what the units of the span cost, whatever they are.
    let decimal = |text: &Option<String>| text.as_ref().unwrap().parse::<rust_decimal::Decimal>().unwrap();
    let a_day = decimal(&document.cost.units_per_second) * rust_decimal::Decimal::from(86_400);
    let expected = a_day * rust_decimal::Decimal::new(625, 3) / rust_decimal::Decimal::from(1_000_000);
    assert!(
        (decimal(&document.cost.on_demand_a_day) - expected).abs() <= rust_decimal::Decimal::new(1, 2),
        "{document:?}"
    );
    assert!(document.writes.requests >= document.writes.batches && document.writes.batches > 0, "{document:?}");
    assert_eq!((document.lease.role.as_str(), document.gaps.entered, document.quarantine.records), ("none", 0, 0));
    assert!(document.clock.skew_us.is_some_and(|skew| skew.abs() < 60_000_000), "{:?}", document.clock);
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_daemon_in_trouble_shows_it() {
    let bench = Bench::new(182, 1.0).await;
    let mut settings = bench.settings();
    settings.insert("request_timeout".to_owned(), "60s".to_owned());
    let daemon = bench.start(&settings).await;
    let (address, status, spool) = (daemon.address(), daemon.status(), daemon.spool());
    until("subscribed", || bench.simulator.subscriptions() == 4).await;
    bench.simulator.resume();
    until("stored", || status.stored.get() > 50).await;
    bench.simulator.inject(Fault::Garbage { count: 3, kind: Some(Garbage::InvalidJson) });
    until("quarantined", || spool.quarantine().count() == 3).await;
    assert_eq!(document(address).await.quarantine.records, 3);

    // Order events carry their predecessor: what is dropped is a gap.
    bench.simulator.inject(Fault::Drop { count: 20 });
    until_async("a gap", async || document(address).await.gaps.open > 0).await;
    let gaps = document(address).await.gaps;
    let gap = gaps.last.first().unwrap();
    assert!(gap.state == "open" && gap.reason.is_some() && gap.from <= gap.through, "{gap:?}");

    bench.proxy.set_down(Some(Outage::Refuse));
    until_async("records wait", async || document(address).await.spool.oldest_age_us.is_some()).await;
    let before = document(address).await.spool;
    until_async("the spool grows", async || {
        let spool = document(address).await.spool;
        spool.records > before.records && spool.oldest_age_us > before.oldest_age_us
    })
    .await;
    until_async("it is a trouble", async || !document(address).await.healthy).await;
    let troubled = document(address).await;
    let table = troubled.trouble.iter().find(|trouble| trouble.component == "table").unwrap();
    assert!(table.reason.contains("the store cannot be reached") && table.lasts_us.is_some(), "{table:?}");
    assert!(!troubled.healthy && troubled.writes.failed > 0, "{troubled:?}");

    bench.proxy.set_down(None);
    until_async("well again", async || document(address).await.healthy).await;
    let past = document(address).await.last_troubles;
    assert!(past.iter().any(|trouble| trouble.component == "table"), "{past:?}");
    daemon.stop().await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_browser_gets_the_page_and_others_json() {
    let server = Server::start(Duration::from_secs(1)).await;
    let http = reqwest::Client::new();
    let get = async |path: &str, accept: &str| {
        http.get(format!("http://{}/{path}", server.address)).header("accept", accept).send().await.unwrap()
    };
    let page = get("status", "text/html,application/xhtml+xml,*/*;q=0.8").await;
    assert_eq!(page.headers()["content-type"], "text/html; charset=utf-8");
    let policy = page.headers()["content-security-policy"].to_str().unwrap().to_owned();
    assert!(policy.starts_with("default-src 'none'; script-src 'self'") && !policy.contains("unsafe"), "{policy}");
    let page = page.text().await.unwrap();
    for file in ["status.css", "status.js", "icon.svg"] {
        assert!(page.contains(&format!("\"status/{file}\"")), "{page}");
        let answer = get(&format!("status/{file}"), "*/*").await;
        assert_eq!(
            (answer.status().as_u16(), answer.headers()["x-content-type-options"].to_str().unwrap()),
            (200, "nosniff")
        );
    }
    assert_eq!(get("status/other.js", "*/*").await.status(), 404);
    for accept in ["*/*", "application/json"] {
        assert_eq!(get("status", accept).await.headers()["content-type"], "application/json");
    }
    assert_eq!(get("status", "text/event-stream").await.headers()["content-type"], "text/event-stream");
    assert_eq!(get("status?format=xml", "*/*").await.status(), 400);
}

/// A page on the internet must not read this through the browser of somebody who runs a daemon.
#[tokio::test(flavor = "multi_thread")]
async fn other_names_and_other_sites_are_refused() {
    let server = Server::start(Duration::from_secs(1)).await;
    let code = async |path: &str, lines: &str| {
        let answer = raw(server.address, path, lines, 13).await;
        answer.get(9..12).unwrap().parse::<u16>().unwrap()
    };
    let (events, json) = ("/status?format=events", "/status?format=json");
    for path in [events, json, "/status", "/status/status.js", "/metrics", "/health"] {
        assert_eq!(code(path, "host: rebound.example:9464\r\n").await, 421, "{path}");
        assert_ne!(code(path, "host: localhost:9464\r\n").await, 421, "{path}");
        assert_ne!(code(path, "host: 127.0.0.1\r\n").await, 421, "{path}");
    }
    let of_another =
        "host: localhost\r\nsec-fetch-site: cross-site\r\nsec-fetch-mode: no-cors\r\nsec-fetch-dest: image\r\n";
    assert_eq!((code(events, of_another).await, code(json, of_another).await), (403, 403));
    let shown =
        "host: localhost\r\nsec-fetch-site: cross-site\r\nsec-fetch-mode: navigate\r\nsec-fetch-dest: document\r\n";
    assert_eq!(code("/status", shown).await, 200);
}

/// The backlog of an earlier run waits since it was received, not since the start.
#[tokio::test(flavor = "multi_thread")]
async fn an_earlier_backlog_is_as_old_as_it_is() {
    let bench = Bench::new(184, 1.0).await;
    {
        let spool = crate::support::open_spool(bench.folder.path());
        let received_at = Micros(ingestor::clock::system_micros() - 3_600_000_000);
        spool.append(&[Record { received_at, connection: 1, payload: Payload::Text(b"{}".to_vec()) }]).unwrap();
        spool.sync().unwrap();
    }
    bench.proxy.set_down(Some(Outage::Refuse));
    let daemon = bench.start(&bench.settings()).await;
    let age = document(daemon.address()).await.spool.oldest_age_us.unwrap();
    assert!((3_600_000_000..7_200_000_000).contains(&age), "{age}");
    bench.proxy.set_down(None);
    daemon.stop().await.unwrap();
}
