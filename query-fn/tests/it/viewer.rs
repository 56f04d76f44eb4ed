//! A client of `/tail` that reads as browsers do: it keeps the last id, and sends it when it connects again.

use serde_json::Value;
use std::{collections::BTreeSet, time::Duration};
use tokio::time::{Instant, sleep, timeout};

/// The longest that a test waits for anything.
const LONG: Duration = Duration::from_secs(120);

/// A message.
#[derive(Clone, Debug)]
pub(crate) struct Message {
    pub(crate) event: String,
    pub(crate) id: String,
    pub(crate) data: Value,
}

/// A client and the connection that it has.
pub(crate) struct Viewer {
    http: reqwest::Client,
    url: String,
    response: Option<reqwest::Response>,
    received: Vec<u8>,
    pub(crate) last_id: Option<String>,
    pub(crate) keep_alives: u64,
}

impl Viewer {
    pub(crate) fn new(http: &reqwest::Client, url: String) -> Viewer {
        Viewer { http: http.clone(), url, response: None, received: Vec::new(), last_id: None, keep_alives: 0 }
    }

    /// Connects, where the last connection ended if there was one. While the store is busy it tries again.
    pub(crate) async fn connect(&mut self) {
        self.cut();
        let response = loop {
            let mut request = self.http.get(&self.url);
            if let Some(id) = &self.last_id {
                request = request.header("last-event-id", id);
            }
            let response = timeout(LONG, request.send()).await.expect("an answer in time").unwrap();
            if response.status() != 503 {
                break response;
            }
            let seconds = response.headers()["retry-after"].to_str().unwrap().parse().unwrap();
            // As long as the answer asks for, as clients do.
            sleep(Duration::from_secs(seconds)).await;
        };
        if response.status() != 200 {
            panic!("{}: {}", self.url, response.text().await.unwrap());
        }
        assert_eq!(response.headers()["content-type"], "text/event-stream");
        self.response = Some(response);
    }

    /// Drops the connection and what has not arrived whole.
    pub(crate) fn cut(&mut self) {
        self.response = None;
        self.received.clear();
    }

    /// The next message; `None` if the body ended or the connection is gone.
    pub(crate) async fn next(&mut self) -> Option<Message> {
        loop {
            while let Some(end) = self.received.windows(2).position(|two| two == b"\n\n") {
                let block: Vec<u8> = self.received.drain(..end + 2).collect();
                if let Some(message) = self.block(std::str::from_utf8(&block).unwrap()) {
                    return Some(message);
                }
            }
            let chunk = timeout(LONG, self.response.as_mut()?.chunk()).await.expect("more in time");
            self.received.extend(chunk.ok().flatten()?);
        }
    }

    fn block(&mut self, block: &str) -> Option<Message> {
        let (mut event, mut data) = ("message", None);
        for line in block.lines().filter(|line| !line.is_empty()) {
            match line.split_once(": ").unwrap() {
                ("", "keep-alive") => self.keep_alives += 1,
                ("id", id) => self.last_id = Some(id.to_owned()),
                ("event", name) => event = name,
                ("data", text) => data = Some(serde_json::from_str(text).unwrap()),
                ("retry", _) => {}
                other => panic!("{other:?}"),
            }
        }
        Some(Message { event: event.to_owned(), id: self.last_id.clone().unwrap(), data: data? })
    }
}

/// When an event got into the table for the first time.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Written {
    pub(crate) time: u64,
    pub(crate) id: u64,
    /// Before and after the write: in between it became readable.
    pub(crate) began: Instant,
    pub(crate) ended: Instant,
}

/// The events that a tail must show: each became readable within the window after every newer one.
pub(crate) fn in_time(written: &[Written], window: Duration) -> BTreeSet<u64> {
    let mut sorted = written.to_vec();
    sorted.sort_by_key(|event| event.time);
    let (mut shown, mut earliest_newer) = (BTreeSet::new(), None::<Instant>);
    for tie in sorted.chunk_by(|left, right| left.time == right.time).rev() {
        earliest_newer = tie.iter().map(|event| event.began).chain(earliest_newer).min();
        let in_time = tie.iter().filter(|event| earliest_newer.is_some_and(|newer| event.ended <= newer + window));
        shown.extend(in_time.map(|event| event.id));
    }
    shown
}
