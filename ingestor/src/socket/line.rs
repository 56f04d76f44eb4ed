use futures_util::{SinkExt as _, StreamExt as _};
use serde::Deserialize;
use shared::channel::Channel;
use shared::frame::{Control, Frame};
use std::sync::atomic::Ordering;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error as SocketError};
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_util::sync::CancellationToken;

use crate::liveness::{Due, Liveness};
use crate::socket::{Lost, Socket, Stream};
use crate::spool::record::{Content, Record, Story};
use crate::subscriptions::Subscriptions;

/// An open connection.
pub(super) struct Line<'socket> {
    pub(super) socket: &'socket Socket,
    pub(super) stream: Stream,
    pub(super) connection: u32,
    pub(super) liveness: Liveness,
    pub(super) subscriptions: Subscriptions,
}

impl Line<'_> {
    /// Runs until the connection is lost or `stop` is cancelled.
    pub(super) async fn run(&mut self, stop: &CancellationToken) -> Result<(), Lost> {
        loop {
            let confirm = self.subscriptions.next();
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
                () = stop.cancelled() => return Err(Lost::Stopped),
            }
            if self.socket.status.intake_stopped.load(Ordering::Relaxed) {
                return Err(Lost::SpoolFull);
            }
        }
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
            Ok(Frame::Control(Control::Heartbeat)) => self.liveness.answered(),
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

    async fn ask(&mut self) -> Result<(), Lost> {
        let message = match self.liveness.due(Instant::now()) {
            Some(Due::Mute) => return Err(Lost::Mute),
            Some(Due::Ping) => Message::Ping(Bytes::new()),
            Some(Due::Heartbeat) => Message::text(r#"{"event":"bts:heartbeat"}"#),
            None => return Ok(()),
        };
        self.send(message).await
    }

    pub(super) async fn subscribe(&mut self, channels: &[Channel]) -> Result<(), Lost> {
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
