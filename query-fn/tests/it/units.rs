//! Every answer says how many read units the store reported for it.

use exchange_sim::model::channel::Family;
use query_fn::config::Config;
use reqwest::{Method, Response};
use rust_decimal::Decimal;
use serde_json::{Value, json};
use shared::{
    block::stored::OpenBlock,
    coverage::{Interval, Record, State, channel_item},
};
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::TcpStream,
};

use crate::{
    flows,
    meter::Meter,
    support::{self, Service, client, serve, stored, trade, whole_engine},
};

const T: u64 = 1_647_817_200_000_000;
const HEADER: &str = "x-read-units";
const TRADES: &str = "live_trades_btcusd";
const ORDERS: &str = "live_orders_btcusd";

/// A service with events of every kind of storage and a ledger, behind a meter.
struct Metered {
    service: Service,
    meter: Meter,
    url: String,
}

impl Metered {
    async fn start(change: impl FnOnce(&mut Config)) -> Metered {
        let engine = whole_engine().await;
        let service = Service::on(&engine).await;
        service.put((0..3_000).map(|n| stored(&trade(n, T + n * 1_000), T + n)).collect()).await;
        let frames = flows::frames("btcusd", Family::LiveOrders, 2_000, 5);
        let items: Vec<_> = frames.iter().map(|(frame, sent)| stored(frame, flows::ORIGIN + sent + 3_000)).collect();
        for (sequence, events) in (0..).zip(items.chunks(250)) {
            let mut block = OpenBlock::new(ORDERS, "vm-a-1", sequence);
            events.iter().for_each(|event| block.add(event).unwrap());
            service.put(vec![block.finish().unwrap().to_attributes()]).await;
        }
        let entry = |minute: u64| {
            let (from, reason) = (T + minute * 60_000_000, None);
            let interval = Interval { from, through: from + 59_999_999, state: State::Captured, reason };
            Record { daemon: "vm-1".to_owned(), channel: TRADES.to_owned(), interval, frames: 1 }.to_item()
        };
        service.put((0..200).map(entry).chain([channel_item(TRADES, T), channel_item(ORDERS, T)]).collect()).await;
        let meter = Meter::start(&engine, |_| false).await;
        let mut config = support::config(&service.table);
        change(&mut config);
        let url = serve(client(&meter.url), config).await;
        Metered { service, meter, url }
    }

    async fn send(&self, method: &Method, path: &str) -> Response {
        self.service.http.request(method.clone(), format!("{}{path}", self.url)).send().await.unwrap()
    }

    /// An answer's status, what it says it has read, what the engine reported for it, and its body. An answer whose ledger was given up, on
    /// a machine that has much else to do, is asked for again.
    async fn get(&self, method: Method, path: &str) -> (u16, Option<String>, Option<Decimal>, String) {
        loop {
            self.meter.take_reported();
            let response = self.send(&method, path).await;
            let (status, said) = (response.status().as_u16(), said(&response));
            let body = response.text().await.unwrap();
            if !body.contains("the ledger did not answer") {
                return (status, said, self.meter.take_reported(), body);
            }
        }
    }
}

fn said(response: &Response) -> Option<String> {
    response.headers().get(HEADER).map(|value| value.to_str().unwrap().to_owned())
}

fn digits(units: Option<Decimal>) -> Option<String> {
    units.map(|units| units.normalize().to_string())
}

#[tokio::test]
async fn an_answer_says_what_it_has_read() {
    let metered = Metered::start(|_| {}).await;
    let (_, _, _, page) = metered.get(Method::GET, &format!("/bitstamp?channel={ORDERS}&limit=1")).await;
    let order = serde_json::from_str::<Value>(&page).unwrap()["Items"][0]["id"].clone();
    let mut sums = Vec::new();
    for (method, path, expected) in [
        (Method::GET, format!("/bitstamp?channel={TRADES}"), 200),
        (Method::HEAD, format!("/bitstamp?channel={TRADES}"), 200),
        (Method::GET, format!("/bitstamp?channel={TRADES}&from={T}&limit=7&format=ndjson"), 200),
        (Method::GET, format!("/bitstamp?channel={ORDERS}&order=desc&format=csv"), 200),
        (Method::GET, "/bitstamp?channel=*_btcusd&limit=10".to_owned(), 200),
        (Method::GET, format!("/latest?channel={ORDERS}"), 200),
        (Method::GET, format!("/orders/{order}"), 200),
        (Method::GET, format!("/candles?channel={TRADES}&interval=1s"), 200),
        (Method::GET, format!("/count?channel={TRADES}"), 200),
        (Method::GET, format!("/count?channel={ORDERS}"), 200),
        (Method::GET, format!("/coverage?channel={TRADES}"), 200),
        // What is refused after the table was read.
        (Method::GET, "/bitstamp?channel=live_trades_btcusb".to_owned(), 404),
        (Method::GET, "/orders/7".to_owned(), 404),
    ] {
        let (status, said, reported, body) = metered.get(method.clone(), &path).await;
        assert_eq!(status, expected, "{path}: {body}");
        let sum = reported.unwrap_or_else(|| panic!("{method} {path} read nothing"));
        assert_eq!(said, digits(Some(sum)), "{method} {path}");
        sums.push(sum);
    }
    // The engine charges for what it reads: 3,000 trades of 240 bytes are 88 units, one event is few.
    assert!(sums[0] > Decimal::from(80) && sums[0] == sums[1] && sums[5] < Decimal::from(10), "{sums:?}");
    // The list of channels, which another router knows already.
    let again = serve(client(&metered.meter.url), support::config(&metered.service.table)).await;
    metered.meter.take_reported();
    for is_read in [true, false] {
        let response = metered.service.http.get(format!("{again}/channels")).send().await.unwrap();
        let reported = metered.meter.take_reported();
        assert_eq!((said(&response), reported.is_some()), (digits(reported), is_read));
    }
}

#[tokio::test]
async fn what_reads_nothing_says_nothing() {
    let metered = Metered::start(|_| {}).await;
    let closed = format!("/bitstamp?channel={TRADES}&from={T}&to={}&limit=3", T + 9_000);
    let etag = metered.send(&Method::GET, &closed).await.headers()["etag"].clone();
    metered.meter.take_reported();
    let again = metered.service.http.get(format!("{}{closed}", metered.url)).header("if-none-match", &etag);
    let mut answers = vec![again.send().await.unwrap()];
    for path in ["/bitstamp?channel=", "/orders/x", "/nowhere", "/health", "/openapi.json", "/export?channel=a&to=3"] {
        answers.push(metered.send(&Method::GET, path).await);
    }
    let statuses: Vec<_> = answers.iter().map(|answer| answer.status().as_u16()).collect();
    assert_eq!(statuses, [304, 400, 400, 404, 200, 200, 400]);
    assert!(answers.iter().all(|answer| said(answer).is_none()), "{answers:?}");
    assert_eq!(metered.meter.take_reported(), None);
}

#[tokio::test]
async fn a_store_that_does_not_tell_is_not_guessed() {
    let metered = Metered::start(|_| {}).await;
    metered.meter.be_silent();
    for path in [format!("/bitstamp?channel={TRADES}&limit=3"), format!("/count?channel={TRADES}")] {
        let (status, said, reported, _) = metered.get(Method::GET, &path).await;
        assert_eq!((status, said, reported.is_some()), (200, None, true), "{path}");
    }
    let (_, _, _, body) = metered.get(Method::GET, &format!("/export?channel={TRADES}&fields=id&end=record")).await;
    let end: Value = serde_json::from_str(body.lines().last().unwrap()).unwrap();
    assert_eq!((&end["end"]["rows"], &end["end"]["read_units"]), (&json!(3_000), &Value::Null));
}

/// An export begins before it has read everything, so it says at its end what it has read, its ledger and what it did not send included.
#[tokio::test]
async fn an_export_says_at_its_end_what_it_has_read() {
    let whole = Metered::start(|_| {}).await;
    let small = Metered::start(|config| config.export_bytes = 300_000).await;
    for (metered, channel, complete) in
        [(&whole, TRADES, true), (&whole, ORDERS, true), (&small, TRADES, false), (&small, ORDERS, false)]
    {
        let path = format!("/export?channel={channel}&end=record");
        let (_, said, reported, body) = metered.get(Method::GET, &path).await;
        assert_eq!(said, None, "{path}");
        let end = serde_json::from_str::<Value>(body.lines().last().unwrap()).unwrap()["end"].clone();
        assert_eq!(end["complete"], complete, "{end}");
        assert_eq!(end["read_units"].to_string(), digits(reported).unwrap(), "{path}");
    }
    whole.meter.take_reported();
    let mut stream = TcpStream::connect(whole.url.trim_start_matches("http://")).await.unwrap();
    let path = format!("/export?channel={TRADES}&fields=id");
    let request = format!("GET {path} HTTP/1.1\r\nhost: x\r\nte: trailers\r\nconnection: te, close\r\n\r\n");
    stream.write_all(request.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    let (head, trailers) = answer.split_once("\r\n0\r\n").expect("a last chunk");
    assert!(!head.contains("\r\nx-read-units:"));
    let line = format!("x-read-units: {}\r\n", digits(whole.meter.take_reported()).unwrap());
    assert!(trailers.contains(&line), "{line}{trailers}");
    let tail = whole.send(&Method::GET, &format!("/tail?channel={TRADES}")).await;
    assert_eq!((tail.status().as_u16(), said(&tail)), (200, None), "a tail has no end");
}

/// An answer that is sent as a whole says it where pages do.
#[tokio::test]
async fn a_buffered_export_says_it_in_its_head() {
    let metered = Metered::start(Config::buffer_exports).await;
    let (status, said, reported, _) =
        metered.get(Method::GET, &format!("/export?channel={TRADES}&fields=id&format=csv")).await;
    assert_eq!((status, said), (200, digits(reported)));
}
