//! Handles what arrives on a connection: data goes to the intake as it is, control messages are interpreted.

use serde::Deserialize;
use shared::frame::{Control, Frame};
use tokio_tungstenite::tungstenite::Message;
use tokio_tungstenite::tungstenite::error::{CapacityError, Error as SocketError};

use crate::receive::connection::{Connection, DisconnectReason};
use crate::spool::record::{ConnectionEvent, Payload, Record};

impl Connection<'_> {
    /// Handles one message of the WebSocket.
    pub(super) async fn receive(&mut self, message: Result<Message, SocketError>) -> Result<(), DisconnectReason> {
        match message {
            Ok(Message::Text(text)) => {
                // Only control messages are looked into here; everything else is parsed behind the spool.
                match serde_json::from_str::<Head>(&text) {
                    Ok(Head { event }) if event.starts_with("bts:") => self.control(text.as_bytes()).await,
                    _ => {
                        self.data(Payload::Text(text.as_bytes().to_vec()), text.len()).await;
                        Ok(())
                    }
                }
            }
            Ok(Message::Binary(bytes)) => {
                let length = bytes.len();
                self.data(Payload::Binary(bytes.to_vec()), length).await;
                Ok(())
            }
            Ok(Message::Pong(_)) => {
                self.liveness.pong();
                Ok(())
            }
            // The library answers pings by itself.
            Ok(Message::Ping(_) | Message::Frame(_)) => Ok(()),
            Ok(Message::Close(frame)) => Err(DisconnectReason::Closed(
                frame.map_or_else(|| "without a reason".to_owned(), |frame| frame.to_string()),
            )),
            Err(error) => Err(self.refuse(error).await),
        }
    }

    /// Stamps a data message with the daemon's clock and sends it to the intake.
    async fn data(&self, payload: Payload, length: usize) {
        let status = &self.context.status;
        status.received.add(1);
        status.received_bytes.add(length as u64);
        let received_at = self.context.clock.now();
        self.shown.last_message.set(received_at.0);
        self.context.record(Record { received_at, connection: self.number, payload }).await;
    }

    /// Records a message that the library refuses to hand out, so that it ends in the quarantine.
    async fn refuse(&self, error: SocketError) -> DisconnectReason {
        let reason = match &error {
            SocketError::Capacity(CapacityError::MessageTooLong { size, max_size }) => {
                format!("message of at least {size} bytes is larger than max_message, {max_size} bytes")
            }
            SocketError::Utf8(_) => "text message is not utf-8".to_owned(),
            _ => return DisconnectReason::Network(error),
        };
        self.context.status.refused.add(1);
        self.data(Payload::Refused(reason.clone()), 0).await;
        DisconnectReason::Refused(reason)
    }

    /// Handles a control message.
    async fn control(&mut self, text: &[u8]) -> Result<(), DisconnectReason> {
        let status = &self.context.status;
        match Frame::parse(text) {
            Ok(Frame::Control(Control::Subscribed(channel))) => {
                if self.subscriptions.confirm(&channel) {
                    status.subscriptions.add(1);
                    self.shown.confirmed.add(1);
                    let event = ConnectionEvent::Subscribed { channel: channel.to_string() };
                    self.context.record(event.record(self.number, self.context.clock.now())).await;
                }
            }
            Ok(Frame::Control(Control::Heartbeat)) => {
                if self.liveness.heartbeat_answered() {
                    self.prove().await;
                }
            }
            Ok(Frame::Control(Control::ReconnectRequested)) if self.leaving => {}
            Ok(Frame::Control(Control::ReconnectRequested)) => return Err(DisconnectReason::ReconnectRequested),
            Ok(Frame::Control(Control::Error { code, message })) => {
                status.exchange_errors.add(1);
                tracing::warn!(connection = self.number, code, message, "the exchange reports an error");
            }
            Ok(Frame::Control(Control::Unsubscribed(_))) => {}
            Ok(Frame::Control(Control::Other(event))) => {
                tracing::warn!(connection = self.number, event, "unknown control message");
            }
            Ok(Frame::Event(_)) | Err(_) => self.data(Payload::Text(text.to_vec()), text.len()).await,
        }
        Ok(())
    }

    /// Records what an answered heartbeat proves. The answer follows everything that was sent before it, so whatever the exchange
    /// sent until the heartbeat left has arrived. A pong proves less: servers may send it past messages that wait.
    async fn prove(&mut self) {
        self.proved = self.heartbeat_sent;
        self.shown.proved.set(self.proved.0);
        self.context.status.proofs.add(1);
        let event = ConnectionEvent::Proved { through: self.heartbeat_sent.0 };
        self.context.record(event.record(self.number, self.context.clock.now())).await;
    }
}

/// The part of a message that tells control messages from data.
#[derive(Deserialize)]
struct Head<'text> {
    #[serde(borrow)]
    event: std::borrow::Cow<'text, str>,
}
