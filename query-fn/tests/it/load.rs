//! Viewers of `/tail` at a steady rate of events, cut off again and again: each sees the whole table, and nothing twice, while the server's memory stays
//! as it is. docs/performance-query.md has the long form.

use rand::{RngExt, SeedableRng, rngs::StdRng};
use std::{cell::RefCell, collections::BTreeSet, process::Stdio, time::Duration};
use tokio::{
    io::{AsyncBufReadExt, BufReader},
    process::{Child, Command},
    sync::mpsc,
    time::{Instant, interval, sleep_until, timeout},
};

use crate::{
    meter::Meter,
    support::{Service, binary, stored, whole_engine},
    viewer::{Viewer, Written, in_time},
};

const LONG: Duration = Duration::from_secs(60);
/// The default of the binary.
const WINDOW: Duration = Duration::from_millis(1_500);
/// How often events are written.
const TICK: Duration = Duration::from_millis(50);
/// How late an event is written at most, less than the window, microseconds.
const LATE: u64 = 700_000;
/// The first id of the events; the last one has 0.
const FIRST: u64 = 1;
const LAST: u64 = 0;

fn asked(name: &str, usual: u64) -> u64 {
    std::env::var(name).ok().map_or(usual, |number| number.parse().expect(name))
}

/// The function's binary as a server, in a process of its own.
async fn server(endpoint: &str, table: &str) -> (Child, String) {
    let mut process = Command::new(binary())
        .args(["--listen", "127.0.0.1:0", "--region", "eu-central-1", "--table", table, "--endpoint-url", endpoint])
        .stderr(Stdio::piped())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let mut lines = BufReader::new(process.stderr.take().unwrap()).lines();
    let serving = async {
        loop {
            let line = lines.next_line().await.unwrap().expect("the server runs");
            if let Some((_, rest)) = line.split_once("address=") {
                break rest.split_whitespace().next().unwrap().to_owned();
            }
        }
    };
    let address = timeout(LONG, serving).await.expect("the server serves");
    tokio::spawn(async move { while let Ok(Some(_)) = lines.next_line().await {} });
    (process, format!("http://{address}"))
}

/// The memory of a process, kilobytes.
fn resident(process: &Child) -> u64 {
    let status = std::fs::read_to_string(format!("/proc/{}/status", process.id().unwrap())).unwrap();
    let line = status.lines().find(|line| line.starts_with("VmRSS:")).unwrap();
    line.split_whitespace().nth(1).unwrap().parse().unwrap()
}

fn message(id: u64, time: u64) -> String {
    format!(
        r#"{{"data":{{"id":{id},"microtimestamp":"{time}","amount_str":"0.00310009","price_str":"29422","order_type":0,"event_id":"{id}"}},"channel":"live_orders_btcusd","event":"order_created"}}"#
    )
}

/// Writes a batch; returns when each of its events became readable.
async fn put(service: &Service, batch: Vec<(u64, u64, u64)>) -> Vec<Written> {
    let began = Instant::now();
    service.put(batch.iter().map(|(id, time, received_at)| stored(&message(*id, *time), *received_at)).collect()).await;
    let ended = Instant::now();
    batch.into_iter().map(|(id, time, _)| Written { time, id, began, ended }).collect()
}

/// Writes `rate` events a second, some of them late and some twice, as by another daemon. Several share a millisecond.
async fn write(service: &Service, rate: u64, seconds: u64, seed: u64) -> Vec<Written> {
    let mut dice = StdRng::seed_from_u64(seed);
    let (mut id, mut waiting, mut written) = (FIRST, Vec::new(), Vec::new());
    let (started, mut ticks) = (Instant::now(), interval(TICK));
    while started.elapsed() < Duration::from_secs(seconds) || !waiting.is_empty() {
        ticks.tick().await;
        let now = query_fn::range::now();
        let passed = started.elapsed().min(Duration::from_secs(seconds));
        while (id - FIRST) * 1_000 < rate * u64::try_from(passed.as_millis()).unwrap() {
            let time = (now - dice.random_range(0..100_000)) / 1_000 * 1_000;
            let late = if dice.random_bool(0.1) { dice.random_range(0..LATE) } else { 0 };
            waiting.push((now + late, (id, time, time + 70_000)));
            if dice.random_bool(0.1) {
                waiting.push((now + late + dice.random_range(0..2 * LATE), (id, time, time + 90_000)));
            }
            id += 1;
        }
        let (due, later): (Vec<_>, Vec<_>) = waiting.into_iter().partition(|(due, _)| *due <= now);
        waiting = later;
        let mut keys = BTreeSet::new();
        let due: Vec<_> = due.into_iter().map(|(_, event)| event).filter(|event| keys.insert(event.0)).collect();
        let batches = due.chunks(25).map(|batch| put(service, batch.to_vec()));
        written.extend(futures_util::future::join_all(batches).await.into_iter().flatten());
    }
    put(service, vec![(LAST, query_fn::range::now(), 0)]).await;
    let mut known = BTreeSet::new();
    written.retain(|event| known.insert(event.id));
    written
}

/// Follows until the last event, and cuts the connection about every `cut`.
async fn follow(mut viewer: Viewer, cut: Duration, seed: u64, connected: mpsc::Sender<()>) -> (Vec<(u64, u64)>, u64) {
    let mut dice = StdRng::seed_from_u64(seed);
    let (mut seen, mut cuts) = (Vec::new(), 0);
    viewer.connect().await;
    connected.send(()).await.unwrap();
    loop {
        let end = Instant::now() + cut.mul_f64(dice.random_range(0.8..1.2));
        loop {
            let message = tokio::select! {
                message = viewer.next() => message,
                () = sleep_until(end) => break,
            };
            let Some(message) = message else { break };
            if message.event == "end" {
                continue;
            }
            let id = message.data["id"].as_u64().unwrap();
            if id == LAST {
                return (seen, cuts);
            }
            seen.push((message.data["nmicrotimestamp"].as_u64().unwrap(), id));
        }
        cuts += 1;
        viewer.connect().await;
    }
}

/// Looks at the server's memory every second, kilobytes.
async fn watch(process: &Child, samples: &RefCell<Vec<u64>>) {
    let mut seconds = interval(Duration::from_secs(1));
    loop {
        seconds.tick().await;
        samples.borrow_mut().push(resident(process));
    }
}

/// Each viewer saw every event that was written within the window, each event once, between two cuts in order.
fn check(written: &[Written], seen: &[(u64, u64)]) {
    let must = in_time(written, WINDOW);
    let union: BTreeSet<_> = seen.iter().map(|(_, id)| *id).collect();
    let all: BTreeSet<_> = written.iter().map(|event| event.id).collect();
    let missing = must.difference(&union).count();
    let (all, later) = (all.len(), all.difference(&union).count() - missing);
    assert!(seen.is_sorted_by_key(|(time, _)| *time));
    assert_eq!((missing, seen.len() - union.len()), (0, 0), "missing and twice, of {all}, {later} written too late");
}

/// Memory is flat: the last fifth of the time needs no more than the second one, which has all connections, and a tenth.
fn check_memory(samples: &[u64]) {
    let fifth = samples.len() / 5;
    let most = |part: usize| samples.iter().skip(part * fifth).take(fifth).max().copied().unwrap_or_default();
    let parts: Vec<_> = (0..5).map(|part| most(part) / 1_024).collect();
    eprintln!("memory of the server in fifths of the time, at most: {parts:?} MB");
    if samples.len() >= 60 {
        assert!(most(4) <= most(1) + most(1) / 10, "{samples:?}");
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_viewer_sees_the_whole_table_once() {
    let (seconds, rate) = (asked("TAIL_SECONDS", 6), asked("TAIL_RATE", 100));
    let (viewers, cut) = (asked("TAIL_VIEWERS", 3), Duration::from_secs(asked("TAIL_CUT_SECONDS", 2)));
    let seed = asked("TAIL_SEED", u64::from(rand::random::<u32>()));
    eprintln!("seed {seed}");
    let engine = whole_engine().await;
    let service = Service::on(&engine).await;
    let meter = Meter::start(&engine, |_| false).await;
    let (process, url) = server(&meter.url, &service.table).await;
    let url = format!("{url}/tail?channel=live_orders_btcusd&from=0&fields=id,nmicrotimestamp");
    service.put(vec![shared::coverage::channel_item("live_orders_btcusd", 1)]).await;
    let (connected, mut connections) = mpsc::channel(1);
    let following: Vec<_> = (0..viewers)
        .map(|number| {
            let viewer = Viewer::new(&reqwest::Client::new(), url.clone());
            tokio::spawn(follow(viewer, cut, seed + number, connected.clone()))
        })
        .collect();
    for _ in 0..viewers {
        timeout(LONG, connections.recv()).await.expect("every viewer connects");
    }
    let samples = RefCell::default();
    let (started, _) = (Instant::now(), (meter.take_queries(), meter.take_half_units()));
    let all = async {
        let written = write(&service, rate, seconds, seed).await;
        let (took, queries, half_units) = (started.elapsed(), meter.take_queries(), meter.take_half_units());
        let of_each = |number: u64| number / viewers / took.as_secs().max(1);
        eprintln!(
            "{} events in {took:?}; each of {viewers} viewers: {} queries and {} half units a second",
            written.len(),
            of_each(queries),
            of_each(half_units)
        );
        (written, futures_util::future::join_all(following).await)
    };
    let (written, seen) = tokio::select! {
        all = all => all,
        () = watch(&process, &samples) => unreachable!("it goes on until the end"),
    };
    let mut cuts = 0;
    for seen in seen {
        let (seen, times) = seen.unwrap();
        check(&written, &seen);
        cuts += times;
    }
    let late = written.len() - in_time(&written, WINDOW).len();
    eprintln!("0 missing, 0 twice, {cuts} cuts; {late} events were written later than the window");
    check_memory(&samples.into_inner());
}
