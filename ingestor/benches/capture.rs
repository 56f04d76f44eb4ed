//! How much one core captures, and what the whole daemon costs beside the store's own ceiling.
//!
//! `cargo bench -p ingestor` (events: `-- 1000000`). Three figures, one run, the same frames:
//!
//! 1. parse + item + spool: every frame is appended and fsynced as the intake does it, read back, parsed and built;
//! 2. a bare loop of BatchWriteItem calls with ready-made items into an embedded store in memory: the ceiling;
//! 3. the daemon as a process of its own, from the WebSocket into the same kind of store, with its CPU time and peak memory.
#![allow(
    clippy::unwrap_used,
    clippy::expect_used,
    clippy::print_stdout,
    clippy::cast_precision_loss,
    reason = "a benchmark prints and may panic"
)]

use std::collections::BTreeMap;
use std::fs;
use std::io::{BufRead as _, BufReader, Write as _};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{PutRequest, WriteRequest};
use exchange_sim::{Simulator, Source};
use futures_util::StreamExt as _;
use ingestor::config::Config;
use ingestor::spool::Spool;
use ingestor::spool::record::{Payload, Record};
use ingestor::store::table;
use shared::frame::Frame;
use shared::item::{self, Item};
use shared::time::Micros;
use tokio::net::TcpListener;

/// As many requests at once as the daemon may have.
const WRITERS: usize = 16;

fn main() {
    let events = std::env::args().skip(1).find_map(|argument| argument.parse().ok()).unwrap_or(200_000);
    let frames: Vec<String> = (0..events).map(frame).collect();
    let bytes: usize = frames.iter().map(String::len).sum();
    println!("{events} order events, {} bytes each", bytes / frames.len());

    stages(&frames);
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().build().unwrap();
    let bare = runtime.block_on(bare_loop(&frames));
    let daemon = runtime.block_on(whole_daemon(&frames));
    println!("daemon / bare loop: {:.2}", daemon / bare);
}

/// An order event as the exchange sends them since 2026.
fn frame(number: u64) -> String {
    let micros = 1_789_459_694_000_000 + number * 1_000;
    let id = 2_050_558_851_342_339 + number;
    format!(
        r#"{{"data":{{"id":{id},"id_str":"{id}","order_type":0,"order_subtype":5,"datetime":"{}","microtimestamp":"{micros}","amount":0.06214,"amount_str":"0.06214000","amount_traded":"0","amount_at_create":"0.06214000","price":58356.1,"price_str":"58356.10","is_liquidation":false}},"channel":"live_orders_btcusd","event":"order_created","event_id":"{}","pre_event_id":"{}","order_source":"orderbook"}}"#,
        micros / 1_000_000,
        event_id(micros),
        event_id(micros - 1_000),
    )
}

fn event_id(micros: u64) -> String {
    let hex = format!("{micros:016x}");
    let (a, rest) = hex.split_at(8);
    let (b, c) = rest.split_at(4);
    format!("{a}-{b}-{c}-0000-000102000020")
}

fn stages(frames: &[String]) {
    let folder = tempfile::tempdir().unwrap();
    let spool = Spool::open(folder.path(), 8 << 30).unwrap();
    let before = cpu_seconds("self");
    let started = Instant::now();
    let mut synced = Instant::now();
    let mut built = 0;
    let mut received_at = 0;
    for chunk in frames.chunks(256) {
        let records: Vec<Record> = chunk
            .iter()
            .map(|frame| {
                received_at += 1;
                let payload = Payload::Text(frame.as_bytes().to_vec());
                Record { received_at: Micros(received_at), connection: 1, payload }
            })
            .collect();
        spool.append(&records).unwrap();
        if synced.elapsed() >= Duration::from_millis(25) {
            spool.sync().unwrap();
            synced = Instant::now();
            built += build(&spool, built);
        }
    }
    spool.sync().unwrap();
    while built < frames.len() as u64 {
        built += build(&spool, built);
    }
    let (wall, cpu) = (started.elapsed().as_secs_f64(), cpu_seconds("self") - before);
    let events = frames.len() as f64;
    println!(
        "parse + item + spool: {:.0} events/s of wall time, {:.0} events a CPU second ({cpu:.2} s)",
        events / wall,
        events / cpu
    );
}

/// Reads everything durable and builds its items; acknowledges it. How many.
fn build(spool: &Spool, from: u64) -> u64 {
    let mut count = 0;
    loop {
        let records = spool.read(from + count, 500, 1 << 20).unwrap();
        if records.is_empty() {
            return count;
        }
        for (_, record) in &records {
            let Payload::Text(text) = &record.payload else { panic!("not a frame") };
            std::hint::black_box(to_item(text, record.received_at));
        }
        count += records.len() as u64;
        spool.acknowledge(from + count, None).unwrap();
    }
}

fn to_item(text: &[u8], received_at: Micros) -> Item {
    match Frame::parse(text).unwrap() {
        Frame::Event(event) => item::from_event(event, received_at).unwrap(),
        Frame::Control(control) => panic!("{control:?}"),
    }
}

async fn bare_loop(frames: &[String]) -> f64 {
    let client = &client(&store().await).await;
    table::create(client, "bitstamp-live").await.unwrap();
    let batches: Vec<Vec<WriteRequest>> = frames
        .chunks(25)
        .map(|chunk| {
            chunk
                .iter()
                .map(|frame| {
                    let item = to_item(frame.as_bytes(), Micros(1));
                    let put = PutRequest::builder().set_item(Some(item)).build().unwrap();
                    WriteRequest::builder().put_request(put).build()
                })
                .collect()
        })
        .collect();
    let started = Instant::now();
    futures_util::stream::iter(batches)
        .for_each_concurrent(WRITERS, async |batch| {
            let answer = client.batch_write_item().request_items("bitstamp-live", batch).send().await.unwrap();
            assert!(answer.unprocessed_items().is_none_or(|items| items.is_empty()));
        })
        .await;
    let rate = frames.len() as f64 / started.elapsed().as_secs_f64();
    println!("bare loop of BatchWriteItem, ready-made items: {rate:.0} events/s");
    rate
}

async fn whole_daemon(frames: &[String]) -> f64 {
    let folder = tempfile::tempdir().unwrap();
    let recording = folder.path().join("frames.ndjson");
    let mut file = std::io::BufWriter::new(fs::File::create(&recording).unwrap());
    for frame in frames {
        writeln!(file, "{frame}").unwrap();
    }
    file.flush().unwrap();
    let engine = store().await;
    let client = client(&engine).await;
    table::create(&client, "bitstamp-live").await.unwrap();
    let source = Source::Recording { path: recording, speed: f64::INFINITY };
    let simulator = Simulator::start(exchange_sim::Config { source, paused: true, ..exchange_sim::Config::default() })
        .await
        .unwrap();

    let (daemon, address) = start_daemon(&simulator.ws_url(), &engine, folder.path());
    while simulator.subscriptions() == 0 {
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
    let before = cpu_seconds(&daemon.id().to_string());
    let started = Instant::now();
    simulator.resume();
    let http = reqwest::Client::new();
    let mut received_in = None;
    loop {
        let text = http.get(format!("http://{address}/metrics")).send().await.unwrap().text().await.unwrap();
        let metric = |name: &str| -> f64 {
            text.lines().find_map(|line| line.strip_prefix(name)?.trim().parse().ok()).unwrap_or(0.0)
        };
        if metric("bitstamp_durable_total ") >= frames.len() as f64 {
            received_in.get_or_insert(started.elapsed());
        }
        if metric("bitstamp_stored_total ") >= frames.len() as f64 {
            break;
        }
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
    let elapsed = started.elapsed().as_secs_f64();
    let cpu = cpu_seconds(&daemon.id().to_string()) - before;
    let events = frames.len() as f64;
    let received = received_in.map_or(elapsed, |time| time.as_secs_f64());
    println!(
        "whole daemon: {:.0} events/s received and durable, {:.0} events/s stored",
        events / received,
        events / elapsed
    );
    println!("daemon's CPU: {:.1} s per million events; peak memory {} KiB", cpu / events * 1e6, peak_kib(daemon.id()));
    stop(daemon);
    events / elapsed
}

/// The daemon, and where it serves its metrics.
fn start_daemon(url: &str, engine: &str, folder: &Path) -> (Child, String) {
    let mut daemon = Command::new(env!("CARGO_BIN_EXE_ingestor"))
        // As in infra/systemd.
        .env("MALLOC_ARENA_MAX", "2")
        .args(["--url", url, "--endpoint-url", engine, "--channels", "live_orders_btcusd"])
        .arg("--spool-dir")
        .arg(folder.join("spool"))
        .args(["--listen", "127.0.0.1:0", "--spool-max", "16GiB"])
        .env("BITSTAMP_LOG", "info")
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    let mut log = BufReader::new(daemon.stderr.take().unwrap()).lines().map_while(Result::ok);
    let address =
        log.find_map(|line| Some(line.split_once(": listening address=")?.1.to_owned())).expect("the daemon listens");
    // Read to its end, so that nobody waits for room in the pipe.
    std::thread::spawn(move || log.for_each(drop));
    (daemon, address)
}

fn stop(mut daemon: Child) {
    daemon.kill().unwrap();
    daemon.wait().unwrap();
}

async fn store() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("http://{}", listener.local_addr().unwrap());
    let database = dynoxide::Database::memory().unwrap();
    tokio::spawn(dynoxide::server::serve_with_shutdown(listener, database, std::future::pending()));
    url
}

async fn client(url: &str) -> Client {
    let settings = BTreeMap::from([("endpoint_url".to_owned(), url.to_owned())]);
    table::connect(&Config::read(&settings, &BTreeMap::new(), None).unwrap()).await
}

/// User and system time of a process and all its threads. Linux counts it in hundredths of a second.
fn cpu_seconds(process: &str) -> f64 {
    let stat = fs::read_to_string(format!("/proc/{process}/stat")).unwrap();
    let fields: Vec<&str> = stat.rsplit_once(") ").unwrap().1.split(' ').collect();
    let ticks: u64 = [11, 12].iter().map(|place| fields.get(*place).unwrap().parse::<u64>().unwrap()).sum();
    ticks as f64 / 100.0
}

fn peak_kib(process: u32) -> u64 {
    let status = fs::read_to_string(format!("/proc/{process}/status")).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmHWM:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}
