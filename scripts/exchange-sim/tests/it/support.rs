//! A WebSocket client over a real socket, and waiting with a deadline.

use std::ops::Deref;
use std::path::PathBuf;
use std::time::Duration;

use exchange_sim::Config;
use exchange_sim::Simulator;
use futures_util::{SinkExt, StreamExt};
use serde_json::Value;
use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::time::{sleep, timeout};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::{Error, Message};
use tokio_tungstenite::{MaybeTlsStream, WebSocketStream, connect_async};

/// Longer than anything here takes: only a hang reaches it.
pub(crate) const DEADLINE: Duration = Duration::from_secs(600);

pub(crate) struct Client {
    pub(crate) socket: WebSocketStream<MaybeTlsStream<TcpStream>>,
}

impl Client {
    /// Connects, and waits until the simulator knows.
    pub(crate) async fn connect(simulator: &Simulator) -> Self {
        let before = simulator.connections();
        let (socket, _) = connect_async(simulator.ws_url()).await.unwrap();
        until(|| simulator.connections() > before).await;
        Self { socket }
    }

    pub(crate) async fn send(&mut self, text: &str) {
        self.socket.send(Message::text(text)).await.unwrap();
    }

    pub(crate) async fn ask(&mut self, event: &str, channel: &str) {
        self.send(&format!(r#"{{"event":"{event}","data":{{"channel":"{channel}"}}}}"#)).await;
    }

    /// Subscribes and waits for the ack; frames of other channels may come before it and are returned.
    pub(crate) async fn subscribe(&mut self, channel: &str) -> Vec<String> {
        self.ask("bts:subscribe", channel).await;
        let ack = format!(r#"{{"event":"bts:subscription_succeeded","channel":"{channel}","data":{{}}}}"#);
        let mut before = Vec::new();
        loop {
            let text = self.text().await;
            if text == ack {
                return before;
            }
            before.push(text);
        }
    }

    /// The next message of any kind; None where the connection ended without a close frame.
    pub(crate) async fn next(&mut self) -> Option<Result<Message, Error>> {
        timeout(DEADLINE, self.socket.next()).await.expect("a message before the deadline")
    }

    /// The next text frame.
    pub(crate) async fn text(&mut self) -> String {
        loop {
            match self.next().await {
                Some(Ok(Message::Text(text))) => return text.to_string(),
                Some(Ok(Message::Ping(_) | Message::Pong(_))) => {}
                other => panic!("expected a text frame, got {other:?}"),
            }
        }
    }

    pub(crate) async fn json(&mut self) -> Value {
        serde_json::from_str(&self.text().await).unwrap()
    }

    /// Text frames until the connection ends, and the close frame if there was one.
    pub(crate) async fn rest(&mut self) -> (Vec<String>, Option<CloseFrame>) {
        let (mut texts, mut close) = (Vec::new(), None);
        loop {
            match self.next().await {
                Some(Ok(Message::Text(text))) => texts.push(text.to_string()),
                Some(Ok(Message::Close(frame))) => close = frame,
                Some(Ok(_)) => {}
                Some(Err(_)) | None => return (texts, close),
            }
        }
    }
}

/// Waits for a condition, and fails where it does not come true.
pub(crate) async fn until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            sleep(Duration::from_millis(2)).await;
        }
    };
    timeout(DEADLINE, wait).await.expect("the condition before the deadline");
}

/// A file in a folder of its own, which goes with the value.
pub(crate) struct Scratch {
    path: PathBuf,
    _folder: TempDir,
}

pub(crate) fn scratch(name: &str) -> Scratch {
    let folder = TempDir::new().unwrap();
    Scratch { path: folder.path().join(name), _folder: folder }
}

impl Deref for Scratch {
    type Target = PathBuf;

    fn deref(&self) -> &PathBuf {
        &self.path
    }
}

/// Two markets, a fast flow, and nothing before somebody resumes.
pub(crate) fn paused() -> Config {
    let markets = vec!["btcusd".to_owned(), "ethusd".to_owned()];
    Config { markets, rate: 10.0, paused: true, ..Config::default() }
}
