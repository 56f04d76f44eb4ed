//! One client's connection: a task that writes what the broadcaster queued and answers what the client says.

use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{SinkExt, StreamExt};
use hyper::upgrade::{OnUpgrade, Upgraded};
use hyper_util::rt::TokioIo;
use tokio::io::AsyncWriteExt;
use tokio::time::{Instant, Interval, MissedTickBehavior, interval_at, sleep, sleep_until, timeout};
use tokio_tungstenite::WebSocketStream;
use tokio_tungstenite::tungstenite::error::CapacityError;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;
use tokio_tungstenite::tungstenite::protocol::{Role, WebSocketConfig};
use tokio_tungstenite::tungstenite::{Bytes, Error, Message};

use crate::broadcast::peer::{Command, Out, Seat};
use crate::broadcast::subscriptions::Subscription;
use crate::server::websocket::{HEARTBEAT, Request, understand};
use crate::state::Exchange;

mod farewell;

/// The longest client message; a longer one closes the connection with 1009.
const LONGEST_MESSAGE: usize = 512;
/// Frames written before the socket is flushed and the other ends are heard.
const BATCH: usize = 64;
/// How long a handshake may take.
const HANDSHAKE: Duration = Duration::from_secs(5);

/// Why a connection ended; stands in the truth file unless the broadcaster had its own reason.
type Reason = &'static str;

/// Serves one client, once its connection has changed to the WebSocket protocol, until either side ends it.
pub(crate) async fn serve(upgrade: OnUpgrade, address: SocketAddr, exchange: Arc<Exchange>) {
    let limits =
        WebSocketConfig::default().max_message_size(Some(LONGEST_MESSAGE)).max_frame_size(Some(LONGEST_MESSAGE));
    let Ok(Ok(upgraded)) = timeout(HANDSHAKE, upgrade).await else {
        tracing::debug!(%address, "websocket handshake failed");
        return;
    };
    let socket = WebSocketStream::from_raw_socket(TokioIo::new(upgraded), Role::Server, Some(limits)).await;
    let Some(seat) = exchange.lock().broadcaster.open(address) else { return };
    let id = seat.id;
    let mut connection = Connection::new(socket, seat, Arc::clone(&exchange));
    let Err(reason) = connection.run().await;
    let sent = connection.sent;
    exchange.lock().broadcaster.close(id, reason, sent);
}

struct Connection {
    socket: WebSocketStream<TokioIo<Upgraded>>,
    seat: Seat,
    exchange: Arc<Exchange>,
    batch: Vec<Out>,
    ping: Interval,
    slow: Option<(Duration, Instant)>,
    close_at: Option<Instant>,
    /// Whether the client has sent a close frame.
    farewell: bool,
    /// Data frames handed to the socket.
    sent: u64,
}

/// Never made: a connection runs until there is a reason to end it.
enum Never {}

impl Connection {
    fn new(socket: WebSocketStream<TokioIo<Upgraded>>, seat: Seat, exchange: Arc<Exchange>) -> Self {
        let every = exchange.ping_every;
        let mut ping = interval_at(Instant::now() + every, every);
        ping.set_missed_tick_behavior(MissedTickBehavior::Delay);
        Self { socket, seat, exchange, batch: Vec::new(), ping, slow: None, close_at: None, farewell: false, sent: 0 }
    }

    async fn run(&mut self) -> Result<Never, Reason> {
        loop {
            let close_at = self.close_at;
            let most = if self.slow.is_some() { 1 } else { BATCH };
            tokio::select! {
                () = self.seat.cut.cancelled() => return Err("ended"),
                () = self.exchange.shutdown.cancelled() => return Err(self.drain().await),
                Some(command) = self.seat.commands.recv() => self.obey(command).await?,
                () = until(close_at) => return Err(self.close(CloseCode::Away, "reconnect", "asked to reconnect").await),
                _ = self.ping.tick() => self.write(vec![Message::Ping(Bytes::new())]).await?,
                _ = self.seat.queue.recv_many(&mut self.batch, most) => self.send_batch().await?,
                message = self.socket.next() => self.hear(message).await?,
            }
        }
    }

    async fn obey(&mut self, command: Command) -> Result<(), Reason> {
        match command {
            Command::Mute(end) => tokio::select! {
                () = until(end) => {}
                () = self.seat.cut.cancelled() => return Err("ended"),
                () = self.exchange.shutdown.cancelled() => return Err("shutdown while mute"),
            },
            Command::Slow { delay, until } => self.slow = Some((delay, until)),
            Command::CloseAt(at) => self.close_at = Some(at),
        }
        Ok(())
    }

    /// Writes what was taken from the queue.
    async fn send_batch(&mut self) -> Result<(), Reason> {
        self.slow = self.slow.filter(|(_, until)| Instant::now() < *until);
        if let Some((delay, _)) = self.slow {
            self.pause(delay).await?;
        }
        let batch = std::mem::take(&mut self.batch);
        self.seat.waiting.fetch_sub(batch.iter().map(Out::len).sum(), Ordering::Relaxed);
        let data = batch.iter().filter(|out| out.is_data()).count();
        let mut messages = Vec::with_capacity(batch.len());
        for out in batch {
            match out {
                Out::Data(text) | Out::Control(text) => messages.push(Message::Text(text)),
                Out::Binary(bytes) => messages.push(Message::Binary(bytes)),
                Out::BadText(bytes) => {
                    self.write(std::mem::take(&mut messages)).await?;
                    self.write_raw(&bytes).await?;
                }
            }
        }
        self.write(messages).await?;
        self.sent += u64::try_from(data).unwrap_or(u64::MAX);
        Ok(())
    }

    async fn pause(&mut self, delay: Duration) -> Result<(), Reason> {
        tokio::select! {
            () = sleep(delay) => Ok(()),
            () = self.seat.cut.cancelled() => Err("ended"),
        }
    }

    /// Writes and flushes; a client that takes nothing for long is given up.
    async fn write(&mut self, messages: Vec<Message>) -> Result<(), Reason> {
        let Self { socket, seat, exchange, .. } = self;
        let write = async {
            for message in messages {
                socket.feed(message).await?;
            }
            socket.flush().await
        };
        tokio::select! {
            result = timeout(exchange.stall, write) => match result {
                Ok(Ok(())) => Ok(()),
                Ok(Err(_)) => Err("lost"),
                Err(_) => Err("stalled client"),
            },
            () = seat.cut.cancelled() => Err("ended"),
        }
    }

    /// Writes a text frame by hand, because the library refuses bytes that are no UTF-8.
    async fn write_raw(&mut self, payload: &[u8]) -> Result<(), Reason> {
        let length = u16::try_from(payload.len()).map_err(|_| "bad text too long")?;
        let mut frame = vec![0x81];
        match u8::try_from(length) {
            Ok(length) if length < 126 => frame.push(length),
            _ => {
                frame.push(126);
                frame.extend_from_slice(&length.to_be_bytes());
            }
        }
        frame.extend_from_slice(payload);
        self.socket.get_mut().write_all(&frame).await.map_err(|_| "lost")
    }

    async fn hear(&mut self, message: Option<Result<Message, Error>>) -> Result<(), Reason> {
        match message {
            Some(Ok(Message::Text(text))) => self.answer(text.as_bytes()),
            Some(Ok(Message::Binary(bytes))) => self.answer(&bytes),
            // The library answers pings and closes by itself.
            Some(Ok(Message::Close(_))) => {
                self.farewell = true;
                Ok(())
            }
            Some(Ok(_)) => Ok(()),
            Some(Err(Error::Capacity(CapacityError::MessageTooLong { .. }))) => {
                Err(self.close(CloseCode::Size, "read limited at 513 bytes", "message too long").await)
            }
            Some(Err(Error::Protocol(_) | Error::Utf8(_))) => {
                Err(self.close(CloseCode::Protocol, "protocol error", "protocol error").await)
            }
            Some(Err(_)) | None => Err(if self.farewell { "client closed" } else { "client gone" }),
        }
    }

    fn answer(&mut self, message: &[u8]) -> Result<(), Reason> {
        let mut state = self.exchange.lock();
        let offered = |channel: &str| state.offers(channel);
        match understand(message, offered) {
            Request::Heartbeat => state.broadcaster.heartbeat(self.seat.id, HEARTBEAT),
            Request::Wrong(error) => state.broadcaster.control(self.seat.id, error),
            Request::Unsubscribe(channel) => state.broadcaster.unsubscribe(self.seat.id, &channel),
            Request::Subscribe(channel) => {
                if state.broadcaster.subscribe(self.seat.id, &channel) == Subscription::TooMany {
                    return Err("too many subscriptions");
                }
                self.exchange.changed.notify_one();
            }
        }
        Ok(())
    }
}

/// Waits for a moment, or for ever where there is none.
async fn until(moment: Option<Instant>) {
    match moment {
        Some(moment) => sleep_until(moment).await,
        None => std::future::pending().await,
    }
}
