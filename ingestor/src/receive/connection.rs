//! One open connection: stamps messages and hands them to the intake.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use futures_util::{FutureExt as _, SinkExt as _, StreamExt as _};
use shared::channel::Channel;
use shared::time::Micros;
use tokio::sync::watch;
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::error::Error as SocketError;
use tokio_tungstenite::tungstenite::{Bytes, Message};
use tokio_util::sync::CancellationToken;

use crate::exchange::network::Stream;
use crate::observe::connections::ConnectionStatus;
use crate::receive::liveness::{Due, Liveness};
use crate::receive::subscriptions::{Overdue, Subscriptions};

mod context;
mod messages;

pub use crate::receive::connection::context::ConnectionContext;
pub(super) use crate::receive::connection::context::{CONNECT_WITHIN, DisconnectReason};

/// What a close handshake may take when the daemon stops.
const CLOSE_WITHIN: Duration = Duration::from_millis(500);

/// An open connection. Stamps messages on receipt and records what happens to it; looks into control messages only.
pub(super) struct Connection<'context> {
    context: &'context ConnectionContext,
    stream: Stream,
    /// Its number among the connections of this process.
    pub(super) number: u32,
    pub(super) opened: Instant,
    liveness: Liveness,
    pub(super) subscriptions: Subscriptions,
    /// When the connection reaches its age limit.
    aged: Instant,
    /// The channels to subscribe to, as they were when it was opened.
    channels: Arc<[Channel]>,
    /// Changes whenever the channels do.
    changes: watch::Receiver<Arc<[Channel]>>,
    /// True once a replacement is opened: age, changed channels and requests to reconnect are ignored from then on.
    leaving: bool,
    /// When the last heartbeat was sent, by the daemon's clock.
    heartbeat_sent: Micros,
    /// Everything that the exchange sent until then has arrived, by the daemon's clock.
    proved: Micros,
    /// What the daemon's status says of it.
    shown: Arc<ConnectionStatus>,
}

impl<'context> Connection<'context> {
    pub(super) fn new(
        context: &'context ConnectionContext,
        mut changes: watch::Receiver<Arc<[Channel]>>,
        stream: Stream,
        number: u32,
    ) -> Connection<'context> {
        let now = Instant::now();
        let channels = changes.borrow_and_update().clone();
        let shown = context.status.open.open(number, channels.clone());
        Connection {
            context,
            stream,
            number,
            opened: now,
            liveness: Liveness::new(context.config.liveness, now),
            subscriptions: Subscriptions::asked(&channels, context.config.confirm_within, now),
            aged: context.ages.plan(context.place as usize, now),
            channels,
            changes,
            leaving: false,
            heartbeat_sent: Micros(0),
            proved: Micros(0),
            shown,
        }
    }

    /// Subscribes and runs until the exchange has confirmed every channel that the connection before it `held`. Without a connection
    /// before it, each channel is waited for until one repetition. Channels that stay unconfirmed are asked for again and again.
    pub(super) async fn confirm(
        &mut self,
        held: Option<&BTreeSet<Channel>>,
        stop: &CancellationToken,
    ) -> Result<(), DisconnectReason> {
        self.subscribe(&self.channels.clone()).await?;
        while !self.subscriptions.is_ready(held) {
            self.step(stop).await?;
        }
        Ok(())
    }

    /// Runs until the connection ends or `stop` is cancelled; returns the reason.
    pub(super) async fn run(&mut self, stop: &CancellationToken) -> DisconnectReason {
        loop {
            if let Err(reason) = self.step(stop).await {
                return reason;
            }
        }
    }

    /// Runs beside its replacement until `replaced` is cancelled, and then until an answered heartbeat proves that everything sent up
    /// to that moment has arrived. So the two connections overlap, whatever the clocks say.
    pub(super) async fn leave(
        &mut self,
        replaced: &CancellationToken,
        stop: &CancellationToken,
    ) -> Result<(), DisconnectReason> {
        self.leaving = true;
        self.shown.leaving.store(true, Ordering::Relaxed);
        match self.run(replaced).await {
            DisconnectReason::Stopped if !stop.is_cancelled() => {}
            reason => return Err(reason),
        }
        let replaced_at = self.context.clock.now();
        // A heartbeat that is under way was sent too early to prove it, and the next one waits for its answer. Either that comes
        // in time, or the connection ends.
        while self.proved < replaced_at {
            if !self.liveness.awaits_heartbeat() {
                self.liveness.asked_heartbeat(Instant::now());
                self.heartbeat().await?;
            }
            self.step(stop).await?;
        }
        Ok(())
    }

    /// Handles the next message, timer or signal.
    ///
    /// Not cancel-safe: dropped in the middle it would lose a message.
    async fn step(&mut self, stop: &CancellationToken) -> Result<(), DisconnectReason> {
        let confirm = self.subscriptions.next();
        let planned = self.liveness.next().max(Instant::now());
        tokio::select! {
            message = self.stream.next() => {
                let message = message.unwrap_or(Err(SocketError::ConnectionClosed));
                self.receive(message).await?;
            }
            () = tokio::time::sleep_until(planned) => self.check_liveness(planned).await?,
            () = tokio::time::sleep_until(confirm.unwrap_or_else(Instant::now)), if confirm.is_some() => {
                self.resubscribe().await?;
            }
            () = tokio::time::sleep_until(self.aged), if !self.leaving => return Err(DisconnectReason::Aged),
            Ok(()) = self.changes.changed(), if !self.leaving => return Err(DisconnectReason::Relisted),
            () = stop.cancelled() => return Err(DisconnectReason::Stopped),
        }
        match self.context.status.intake_stopped.load(Ordering::Relaxed) {
            true => Err(DisconnectReason::SpoolFull),
            false => Ok(()),
        }
    }

    /// Records the end and closes the WebSocket, if the exchange still listens.
    pub(super) async fn end(mut self, reason: DisconnectReason) {
        let status = &self.context.status;
        status.connections.sub(1);
        status.open.close(self.number);
        status.subscriptions.sub(self.subscriptions.confirmed().len() as u64);
        if matches!(
            reason,
            DisconnectReason::Stopped
                | DisconnectReason::SpoolFull
                | DisconnectReason::ReconnectRequested
                | DisconnectReason::Aged
                | DisconnectReason::Relisted
        ) {
            // The exchange may not answer; the connection is over either way.
            let _closed = tokio::time::timeout(CLOSE_WITHIN, self.stream.close(None)).await;
        }
        self.context.note_loss(self.number, &reason).await;
    }

    /// Sends the ping or heartbeat that is due, or ends the connection because an answer is overdue. First reads whatever has
    /// arrived: the answer may stand behind messages that this side was too slow to take.
    async fn check_liveness(&mut self, planned: Instant) -> Result<(), DisconnectReason> {
        let now = Instant::now();
        if self.liveness.woke(now, planned) {
            let late_ms = now.duration_since(planned).as_millis();
            tracing::warn!(connection = self.number, late_ms, "the daemon paused; its connection is judged later");
        }
        let due = self.liveness.due(now);
        if matches!(due, Some(Due::NoPong | Due::NoHeartbeat))
            && let Some(message) = self.stream.next().now_or_never()
        {
            return self.receive(message.unwrap_or(Err(SocketError::ConnectionClosed))).await;
        }
        match due {
            Some(Due::NoPong) => Err(DisconnectReason::NoPong),
            Some(Due::NoHeartbeat) => Err(DisconnectReason::NoHeartbeat),
            Some(Due::Ping) => self.send(Message::Ping(Bytes::new())).await,
            Some(Due::Heartbeat) => self.heartbeat().await,
            None => Ok(()),
        }
    }

    /// Sends a heartbeat and remembers when, by the daemon's clock.
    async fn heartbeat(&mut self) -> Result<(), DisconnectReason> {
        self.heartbeat_sent = self.context.clock.now();
        self.send(Message::text(r#"{"event":"bts:heartbeat"}"#)).await
    }

    /// Subscribes again to channels that were not confirmed in time. Logs each channel once, not each repetition.
    async fn resubscribe(&mut self) -> Result<(), DisconnectReason> {
        let Overdue { channels, new } = self.subscriptions.overdue(Instant::now());
        if new > 0 {
            let first = channels.first().map(Channel::as_str);
            tracing::warn!(connection = self.number, new, first, "subscriptions not confirmed in time");
        }
        self.context.status.unconfirmed.add(channels.len() as u64);
        self.subscribe(&channels).await
    }

    /// Sends a subscription for each channel.
    async fn subscribe(&mut self, channels: &[Channel]) -> Result<(), DisconnectReason> {
        for channel in channels {
            let message = serde_json::json!({ "event": "bts:subscribe", "data": { "channel": channel.as_str() } });
            self.send(Message::text(message.to_string())).await?;
        }
        Ok(())
    }

    /// Sends a message, within the limit for an answer.
    async fn send(&mut self, message: Message) -> Result<(), DisconnectReason> {
        // A peer that takes nothing must not hold the reader for ever.
        let within = self.context.config.liveness.answer_within;
        match tokio::time::timeout(within, self.stream.send(message)).await {
            Ok(sent) => Ok(sent?),
            Err(_) => Err(DisconnectReason::Stuck),
        }
    }
}
