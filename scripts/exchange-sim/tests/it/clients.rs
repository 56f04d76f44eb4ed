//! Independent clients of the real exchange, ccxt and cryptofeed, told nothing but the simulator's address, receive the
//! trades and order books of the truth file.
//!
//! `CLIENTS` names a folder with a Python environment that has `tests/clients/requirements.txt`; `.ci/run` makes it.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::process::Stdio;

use exchange_sim::Config;
use exchange_sim::Simulator;
use exchange_sim::truth::{self, Line};
use rust_decimal::Decimal;
use serde_json::Value;
use tokio::io::{AsyncBufReadExt, BufReader, Lines};
use tokio::process::{Child, ChildStdout, Command};
use tokio::time::timeout;

use crate::support::{Client, DEADLINE, paused, until};

/// Order books to compare.
const BOOKS: usize = 25;

/// Price and amount of each level, or the order's id with its amount: by whatever tells entries apart.
type Side = BTreeMap<(Decimal, String), Decimal>;
/// Bids and asks.
type Book = [Side; 2];

#[tokio::test]
async fn ccxt_receives_the_truth_by_address_alone() {
    run("ccxt_client.py", ["BTC/USD", "ETH/USD"], 3).await;
}

#[tokio::test]
async fn cryptofeed_receives_the_truth_by_address_alone() {
    run("cryptofeed_client.py", ["BTC-USD", "ETH-USD"], 4).await;
}

async fn run(script: &str, symbols: [&str; 2], subscriptions: usize) {
    let Some(clients) = std::env::var_os("CLIENTS").map(PathBuf::from) else {
        eprintln!("SKIPPED: CLIENTS names no Python environment with ccxt and cryptofeed");
        return;
    };
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("truth.ndjson");
    let simulator =
        Simulator::start(Config { truth: Some(path.clone()), rate: 2.0, resting: 300, ..paused() }).await.unwrap();
    // Somebody must want changes of the book from the first one on, or the truth file begins in the middle.
    let mut own = Client::connect(&simulator).await;
    own.subscribe("diff_order_book_btcusd").await;
    let mut replayed = vec![(0, start_book(&simulator).await)];
    let mut child = start(&clients, script, &simulator, symbols, folder.path());
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines();
    until(|| simulator.subscriptions() == 1 + subscriptions).await;
    simulator.resume();
    let mut said = Vec::new();
    while comparable(&said).count() < BOOKS {
        said.push(next(&mut lines, &mut child).await);
    }
    simulator.pause();
    let lines_of_truth = truth::read(&path).unwrap();
    let events = events(&lines_of_truth);
    for data in events.iter().filter(|(channel, _)| channel == "diff_order_book_btcusd").map(|(_, data)| data) {
        let mut book = replayed.last().unwrap().1.clone();
        apply(&mut book, data);
        replayed.push((micro(data), book));
    }
    let replayed: BTreeMap<u64, Book> = replayed.into_iter().collect();
    let trades = trades(&events);
    let last = *replayed.keys().next_back().unwrap();
    while said.iter().filter(|line| line["trade"].is_string()).count() < trades.len()
        || !said.iter().any(|line| number(&line["book"]) == Some(last))
    {
        said.push(next(&mut lines, &mut child).await);
    }
    child.kill().await.unwrap();
    assert_eq!(sorted(said.iter().filter_map(trade_said).collect()), sorted(trades));
    let mut compared = 0;
    for line in comparable(&said) {
        let at = number(&line["book"]).unwrap();
        // ccxt also shows the snapshot that it starts from; the truth file knows the book at its changes only.
        let Some(expected) = replayed.get(&at) else { continue };
        assert!(book_said(line, false) == *expected, "{script}: another book at {at}");
        compared += 1;
    }
    assert!(compared + 1 >= BOOKS, "{compared}");
    check_details(&said, &events);
    drop(own);
    simulator.shutdown().await;
}

/// Order books of single orders are whole in each frame.
fn check_details(said: &[Value], events: &[(String, Value)]) {
    let sent: BTreeMap<u64, &Value> = events
        .iter()
        .filter(|(channel, _)| channel == "detail_order_book_btcusd")
        .map(|(_, data)| (micro(data), data))
        .collect();
    for line in said.iter().filter(|line| line["detail"].is_string()) {
        let at = number(&line["detail"]).unwrap();
        assert!(book_said(line, true) == book_said(sent[&at], true), "another detailed book at {at}");
    }
    assert_eq!(sent.is_empty(), !said.iter().any(|line| line["detail"].is_string()));
}

fn start(
    clients: &std::path::Path,
    script: &str,
    simulator: &Simulator,
    symbols: [&str; 2],
    folder: &std::path::Path,
) -> Child {
    let script = PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("tests/clients").join(script);
    let mut command = Command::new(clients.join("bin/python"));
    command.arg(script).args([simulator.ws_url(), simulator.ws_url().replace("ws:", "http:")]).args(symbols);
    command.current_dir(folder).env("PYTHONDONTWRITEBYTECODE", "1").stdin(Stdio::null()).stdout(Stdio::piped());
    command.kill_on_drop(true).spawn().unwrap()
}

/// The next line of a client; a client that ends has failed, and its words stand in the test's output.
async fn next(lines: &mut Lines<BufReader<ChildStdout>>, child: &mut Child) -> Value {
    match timeout(DEADLINE, lines.next_line()).await.expect("a line before the deadline").unwrap() {
        Some(line) => serde_json::from_str(&line).unwrap(),
        None => panic!("the client ended: {:?}", child.wait().await),
    }
}

/// The book before the first event, from which the truth file goes on.
async fn start_book(simulator: &Simulator) -> Book {
    let url = format!("{}/order_book/btcusd/?_=1", simulator.rest_url());
    let text = reqwest::get(url).await.unwrap().text().await.unwrap();
    book_said(&serde_json::from_str(&text).unwrap(), false)
}

fn apply(book: &mut Book, changes: &Value) {
    for (side, changed) in book.iter_mut().zip(book_said(changes, false)) {
        for (level, amount) in changed {
            if amount.is_zero() {
                side.remove(&level);
            } else {
                side.insert(level, amount);
            }
        }
    }
}

/// Order books that must be right. cryptofeed compares whole seconds when it joins its snapshot and the changes, so its
/// books are right from the second after the snapshot on; ccxt compares microseconds.
fn comparable(said: &[Value]) -> impl Iterator<Item = &Value> {
    let snapshot = said.iter().find_map(|line| number(&line["snapshot"]));
    said.iter().filter(move |line| {
        let at = number(&line["book"]);
        at.is_some_and(|at| snapshot.is_none_or(|snapshot| at / 1_000_000 > snapshot / 1_000_000))
    })
}

fn book_said(book: &Value, with_ids: bool) -> Book {
    ["bids", "asks"].map(|side| {
        let entries = book[side].as_array().unwrap().iter();
        entries
            .map(|entry| {
                let id = if with_ids { entry[2].as_str().unwrap().to_owned() } else { String::new() };
                ((decimal(&entry[0]), id), decimal(&entry[1]))
            })
            .collect()
    })
}

/// Market, id, side, price, amount and microtimestamp of a trade.
type Trade = (String, String, String, Decimal, Decimal, u64);

fn trade_said(line: &Value) -> Option<Trade> {
    let text = |name: &str| line[name].as_str().map(str::to_owned);
    let micro = number(&line["micro"]);
    if let (Some(millis), Some(micro)) = (line["millis"].as_u64(), micro) {
        assert_eq!(millis, micro / 1_000);
    }
    Some((text("market")?, text("trade")?, text("side")?, decimal(&line["price"]), decimal(&line["amount"]), micro?))
}

fn trades(events: &[(String, Value)]) -> Vec<Trade> {
    let trades = events.iter().filter_map(|(channel, data)| Some((channel.strip_prefix("live_trades_")?, data)));
    trades
        .map(|(market, data)| {
            let side = if data["type"].as_u64() == Some(0) { "buy" } else { "sell" };
            let (price, amount) = (decimal(&data["price_str"]), decimal(&data["amount_str"]));
            (market.to_owned(), data["id"].to_string(), side.to_owned(), price, amount, micro(data))
        })
        .collect()
}

/// Channel and data of everything generated.
fn events(lines: &[Line]) -> Vec<(String, Value)> {
    let frames = truth::events(lines).map(|frame| serde_json::from_str::<Value>(&frame.frame).unwrap());
    frames.map(|frame| (frame["channel"].as_str().unwrap().to_owned(), frame["data"].clone())).collect()
}

fn micro(data: &Value) -> u64 {
    number(&data["microtimestamp"]).unwrap()
}

fn number(text: &Value) -> Option<u64> {
    text.as_str()?.parse().ok()
}

/// A number or its text, with an exponent or without.
fn decimal(value: &Value) -> Decimal {
    let text = value.as_str().map_or_else(|| value.to_string(), str::to_owned);
    text.parse().or_else(|_| Decimal::from_scientific(&text)).unwrap().normalize()
}

/// The same in an order of its own: clients deliver the markets side by side.
fn sorted(mut trades: Vec<Trade>) -> Vec<Trade> {
    trades.sort();
    trades
}
