use std::collections::VecDeque;
use std::sync::atomic::Ordering;

use futures_util::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use shared::channel::Channel;
use shared::frame::{Control, Frame};
use shared::time::Micros;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error as SocketError};
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_util::sync::CancellationToken;

use crate::liveness::{Due, Liveness};
use crate::socket::{CLOSE_WITHIN, Lost, Socket, Stream};
use crate::spool::record::{Content, Record, Story};
use crate::subscriptions::Subscriptions;

/// An open connection.
pub(super) struct Line<'socket> {
    pub(super) socket: &'socket Socket,
    pub(super) stream: Stream,
    pub(super) connection: u32,
    pub(super) opened: Instant,
    pub(super) liveness: Liveness,
    pub(super) subscriptions: Subscriptions,
    /// Its replacement is on the way: age and requests to reconnect change nothing any more.
    leaving: bool,
    /// When the heartbeats that are not answered yet were sent, by the daemon's clock.
    asked: VecDeque<Micros>,
    /// Everything that the exchange sent up to here has arrived.
    proved: Micros,
}

impl<'socket> Line<'socket> {
    pub(super) fn new(socket: &'socket Socket, stream: Stream, connection: u32) -> Line<'socket> {
        let now = Instant::now();
        Line {
            socket,
            stream,
            connection,
            opened: now,
            liveness: Liveness::new(socket.config.liveness, now),
            subscriptions: Subscriptions::asked(&socket.channels, socket.config.confirm_within, now),
            leaving: false,
            asked: VecDeque::new(),
            proved: Micros(0),
        }
    }

    /// Subscribes and runs until everything is confirmed.
    pub(super) async fn confirm(&mut self, stop: &CancellationToken) -> Result<(), Lost> {
        self.subscribe(&self.socket.channels).await?;
        while self.subscriptions.next().is_some() {
            self.step(stop).await?;
        }
        Ok(())
    }

    /// Runs until the connection is lost or `stop` is cancelled.
    pub(super) async fn run(&mut self, stop: &CancellationToken) -> Lost {
        loop {
            if let Err(lost) = self.step(stop).await {
                return lost;
            }
        }
    }

    /// Runs beside its replacement until `replaced` is cancelled, and then until it is proved that everything sent up to
    /// that moment has arrived: the two connections overlap whatever the clocks say.
    pub(super) async fn leave(&mut self, replaced: &CancellationToken, stop: &CancellationToken) -> Result<(), Lost> {
        self.leaving = true;
        match self.run(replaced).await {
            Lost::Stopped if !stop.is_cancelled() => {}
            lost => return Err(lost),
        }
        let asked = self.heartbeat().await?;
        let until = Instant::now() + self.socket.config.liveness.answer_within;
        while self.proved < asked && Instant::now() < until {
            self.step(stop).await?;
        }
        Ok(())
    }

    /// One thing that happens on the connection. Runs to its end: dropped in the middle it would lose a message.
    async fn step(&mut self, stop: &CancellationToken) -> Result<(), Lost> {
        let confirm = self.subscriptions.next();
        let aged = self.opened + self.socket.config.max_age;
        tokio::select! {
            message = self.stream.next() => {
                let message = message.unwrap_or(Err(SocketError::ConnectionClosed));
                self.take(message).await?;
            }
            () = tokio::time::sleep_until(self.liveness.next()) => self.ask().await?,
            () = tokio::time::sleep_until(confirm.unwrap_or_else(Instant::now)), if confirm.is_some() => {
                let overdue = self.subscriptions.overdue(Instant::now());
                tracing::warn!(connection = self.connection, count = overdue.len(), "subscriptions not confirmed in time");
                self.socket.status.unconfirmed.add(overdue.len() as u64);
                self.subscribe(&overdue).await?;
            }
            () = tokio::time::sleep_until(aged), if !self.leaving => return Err(Lost::Aged),
            () = stop.cancelled() => return Err(Lost::Stopped),
        }
        match self.socket.status.intake_stopped.load(Ordering::Relaxed) {
            true => Err(Lost::SpoolFull),
            false => Ok(()),
        }
    }

    /// Notes the end and closes, if the exchange still listens.
    pub(super) async fn end(mut self, lost: Lost) {
        let status = &self.socket.status;
        status.connections.sub(1);
        status.subscriptions.sub(self.subscriptions.confirmed() as u64);
        if matches!(lost, Lost::Stopped | Lost::SpoolFull | Lost::ReconnectRequested | Lost::Aged) {
            // The exchange may not answer; the connection is over either way.
            let _closed = tokio::time::timeout(CLOSE_WITHIN, self.stream.close(None)).await;
        }
        self.socket.note_loss(self.connection, &lost).await;
    }

    async fn take(&mut self, message: Result<Message, SocketError>) -> Result<(), Lost> {
        match message {
            Ok(Message::Text(text)) => {
                // Only control messages are looked into here; everything else is parsed behind the spool.
                match serde_json::from_str::<Head>(&text) {
                    Ok(Head { event }) if event.starts_with("bts:") => self.control(text.as_bytes()).await,
                    _ => {
                        self.data(Content::Text(text.as_bytes().to_vec()), text.len()).await;
                        Ok(())
                    }
                }
            }
            Ok(Message::Binary(bytes)) => {
                let length = bytes.len();
                self.data(Content::Binary(bytes.to_vec()), length).await;
                Ok(())
            }
            Ok(Message::Pong(_)) => {
                self.liveness.answered();
                Ok(())
            }
            // The library answers pings by itself.
            Ok(Message::Ping(_) | Message::Frame(_)) => Ok(()),
            Ok(Message::Close(frame)) => {
                Err(Lost::Closed(frame.map_or_else(|| "without a reason".to_owned(), |frame| frame.to_string())))
            }
            Err(error) => Err(self.refuse(error).await),
        }
    }

    async fn data(&self, content: Content, length: usize) {
        let status = &self.socket.status;
        status.received.add(1);
        status.received_bytes.add(length as u64);
        let received_at = self.socket.clock.now();
        self.socket.record(Record { received_at, connection: self.connection, content }).await;
    }

    /// A message that the library will not hand out leaves a record, so that it ends in the quarantine.
    async fn refuse(&self, error: SocketError) -> Lost {
        let reason = match &error {
            SocketError::Capacity(CapacityError::MessageTooLong { size, max_size }) => {
                format!("message of at least {size} bytes is larger than max_message, {max_size} bytes")
            }
            SocketError::Utf8(_) => "text message is not utf-8".to_owned(),
            _ => return Lost::Network(error),
        };
        self.socket.status.refused.add(1);
        self.data(Content::Refused(reason.clone()), 0).await;
        Lost::Refused(reason)
    }

    async fn control(&mut self, text: &[u8]) -> Result<(), Lost> {
        let status = &self.socket.status;
        match Frame::parse(text) {
            Ok(Frame::Control(Control::Subscribed(channel))) => {
                if self.subscriptions.confirm(&channel) {
                    status.subscriptions.add(1);
                    let story = Story::Subscribed { channel: channel.to_string() };
                    self.socket.record(story.record(self.connection, self.socket.clock.now())).await;
                }
            }
            Ok(Frame::Control(Control::Heartbeat)) => {
                self.liveness.answered();
                self.prove().await;
            }
            Ok(Frame::Control(Control::ReconnectRequested)) if self.leaving => {}
            Ok(Frame::Control(Control::ReconnectRequested)) => return Err(Lost::ReconnectRequested),
            Ok(Frame::Control(Control::Error { code, message })) => {
                status.exchange_errors.add(1);
                tracing::warn!(connection = self.connection, code, message, "the exchange reports an error");
            }
            Ok(Frame::Control(Control::Unsubscribed(_))) => {}
            Ok(Frame::Control(Control::Other(event))) => {
                tracing::warn!(connection = self.connection, event, "unknown control message");
            }
            Ok(Frame::Event(_)) | Err(_) => self.data(Content::Text(text.to_vec()), text.len()).await,
        }
        Ok(())
    }

    /// A heartbeat was answered. The answer follows everything that was sent before it, so whatever the exchange sent until
    /// the heartbeat left has arrived. A pong proves less: servers may answer it past messages that wait.
    async fn prove(&mut self) {
        if let Some(asked) = self.asked.pop_front() {
            self.proved = asked;
            let story = Story::Proved { through: asked.0 };
            self.socket.record(story.record(self.connection, self.socket.clock.now())).await;
        }
    }

    async fn ask(&mut self) -> Result<(), Lost> {
        match self.liveness.due(Instant::now()) {
            Some(Due::Mute) => Err(Lost::Mute),
            Some(Due::Ping) => self.send(Message::Ping(Bytes::new())).await,
            Some(Due::Heartbeat) => self.heartbeat().await.map(|_asked| ()),
            None => Ok(()),
        }
    }

    /// Sends a heartbeat; returns when, by the daemon's clock.
    async fn heartbeat(&mut self) -> Result<Micros, Lost> {
        let asked = self.socket.clock.now();
        self.asked.push_back(asked);
        self.send(Message::text(r#"{"event":"bts:heartbeat"}"#)).await?;
        Ok(asked)
    }

    async fn subscribe(&mut self, channels: &[Channel]) -> Result<(), Lost> {
        for channel in channels {
            let message = serde_json::json!({ "event": "bts:subscribe", "data": { "channel": channel.as_str() } });
            self.stream.feed(Message::text(message.to_string())).await?;
        }
        Ok(self.stream.flush().await?)
    }

    async fn send(&mut self, message: Message) -> Result<(), Lost> {
        // A peer that takes nothing must not hold the reader for ever.
        let within = self.socket.config.liveness.answer_within;
        match tokio::time::timeout(within, self.stream.send(message)).await {
            Ok(sent) => Ok(sent?),
            Err(_) => Err(Lost::Mute),
        }
    }
}

/// The part of a message that tells control messages from data.
#[derive(Deserialize)]
struct Head<'text> {
    #[serde(borrow)]
    event: std::borrow::Cow<'text, str>,
}
