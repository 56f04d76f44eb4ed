//! Viewers of `/status?format=events`.

use std::net::SocketAddr;
use std::time::Duration;

use ingestor::observe::document::Document;
use shared::channel::Channel;
use shared::coverage::{self, Interval, State};
use tokio::io::AsyncWriteExt as _;
use tokio::net::TcpSocket;

use super::{Server, document};
use crate::support::{Bench, until_async};

/// Most viewers at once.
const VIEWERS: usize = 8;

/// A viewer of the events.
pub(super) struct Viewer(reqwest::Response, String);

impl Viewer {
    pub(super) async fn open(address: SocketAddr) -> Viewer {
        let answer = reqwest::get(format!("http://{address}/status?format=events")).await.unwrap();
        assert_eq!(answer.status(), 200);
        assert_eq!(answer.headers()["content-type"], "text/event-stream");
        Viewer(answer, String::new())
    }

    /// The next event; `None` at the end of the stream.
    async fn next(&mut self) -> Option<String> {
        loop {
            if let Some((event, rest)) = self.1.split_once("\n\n") {
                let event = event.to_owned();
                self.1 = rest.to_owned();
                return Some(event);
            }
            let more = self.0.chunk().await.unwrap()?;
            self.1.push_str(std::str::from_utf8(&more).unwrap());
        }
    }

    pub(super) async fn next_document(&mut self) -> Document {
        let event = self.next().await.unwrap();
        serde_json::from_str(event.rsplit_once("data: ").unwrap().1).unwrap()
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_gets_a_document_a_second_and_an_end() {
    let bench = Bench::new(183, 1.0).await;
    let daemon = bench.start(&bench.settings()).await;
    let address = daemon.address();
    let mut viewer = Viewer::open(address).await;
    let first = viewer.next_document().await;
    assert_eq!(first.received.per_second, None, "nobody has looked before");
    let mut before = first.now;
    for _ in 0..3 {
        let next = viewer.next_document().await;
        assert!(next.now > before && next.received.per_second.is_some(), "{next:?}");
        before = next.now;
    }
    let ends = async {
        while let Some(event) = viewer.next().await {
            if event.starts_with("event: end") {
                return viewer.next().await;
            }
        }
        panic!("it ends without a word");
    };
    let (after, stopped) = tokio::join!(ends, daemon.stop());
    assert_eq!(after, None, "nothing comes after the end, and the answer is whole");
    stopped.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn viewers_are_limited_and_give_their_places_back() {
    let server = Server::start(Duration::from_millis(20)).await;
    let mut viewers = Vec::new();
    for _ in 0..VIEWERS {
        viewers.push(Viewer::open(server.address).await);
    }
    let events = format!("http://{}/status?format=events", server.address);
    let refused = reqwest::get(&events).await.unwrap();
    assert_eq!((refused.status().as_u16(), refused.headers()["retry-after"].to_str().unwrap()), (503, "5"));
    assert_eq!(document(server.address).await.format, 1, "JSON is for everybody");
    viewers.pop();
    until_async("a place", async || reqwest::get(&events).await.unwrap().status() == 200).await;
}

/// Viewers that read nothing hold up nobody, and lose their places once what waits for them has stood still.
#[tokio::test(flavor = "multi_thread")]
async fn a_viewer_that_stops_reading_holds_up_nobody() {
    let server = Server::start(Duration::from_millis(1)).await;
    let channel: Channel = "live_trades_btcusd".parse().unwrap();
    // A larger document fills the sockets' buffers sooner.
    for second in 0..2_000 {
        let interval = Interval {
            from: second * 10,
            through: second * 10 + 5,
            state: State::Gap,
            reason: Some("x".repeat(2_000)),
        };
        let (daemon, channel) = ("a".to_owned(), channel.to_string());
        server.status.entered(&coverage::Record { daemon, channel, interval, frames: 0 });
    }
    let mut asleep = Vec::new();
    for _ in 0..VIEWERS - 1 {
        let socket = TcpSocket::new_v4().unwrap();
        socket.set_recv_buffer_size(4_096).unwrap();
        let mut stream = socket.connect(server.address).await.unwrap();
        stream.write_all(b"GET /status?format=events HTTP/1.1\r\nhost: localhost\r\n\r\n").await.unwrap();
        asleep.push(stream);
    }
    let mut awake = Viewer::open(server.address).await;
    let (shown, newest) = tokio::sync::watch::channel(awake.next_document().await.now);
    tokio::spawn(async move { while shown.send(awake.next_document().await.now).is_ok() {} });
    let refused =
        async || reqwest::get(format!("http://{}/status?format=events", server.address)).await.unwrap().status() == 503;
    assert!(refused().await, "every place is taken");
    let started = tokio::time::Instant::now();
    until_async("a place", async || !refused().await).await;
    eprintln!("a place was free after {:?}", started.elapsed());
    let age = ingestor::clock::system_micros() - *newest.borrow();
    assert!(started.elapsed() > Duration::from_secs(5), "a viewer that reads late is none that sleeps");
    assert!(age < 5_000_000, "the one that reads waits for nobody: {age}");
    drop(asleep);
}
