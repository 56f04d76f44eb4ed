//! Who gets what: connections, subscriptions, and the one place through which every frame goes out.
//!
//! A frame enters the queues of its subscribers and the truth file in one step, so that the order of lines is the order
//! on the wire.

mod inject;

/// Events that no flow makes.
mod odd;
pub(crate) mod peer;
pub(crate) mod subscriptions;

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::net::SocketAddr;

use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Utf8Bytes;

use crate::broadcast::peer::{Out, Peer, Seat};
use crate::clock::wall_micros;
use crate::truth::writer::Writer;
use crate::truth::{Kind, What};

/// Bounds of what may wait for one connection.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Limits {
    pub(crate) frames: usize,
    pub(crate) bytes: usize,
}

/// All connections.
#[derive(Debug)]
pub(crate) struct Broadcaster {
    pub(crate) truth: Writer,
    /// Data frames generated so far.
    pub(crate) emitted: u64,
    limits: Limits,
    peers: BTreeMap<u64, Peer>,
    routes: HashMap<String, Vec<u64>>,
    opened: u64,
    garbage: u64,
    /// Which form the next request to reconnect has.
    reconnects: usize,
    /// Acks to withhold from whoever asks next.
    withhold_acks: u32,
    down_until: Option<Instant>,
    delisted: BTreeSet<String>,
}

impl Broadcaster {
    pub(crate) fn new(truth: Writer, limits: Limits) -> Self {
        Self {
            truth,
            emitted: 0,
            limits,
            peers: BTreeMap::new(),
            routes: HashMap::new(),
            opened: 0,
            garbage: 0,
            reconnects: 0,
            withhold_acks: 0,
            down_until: None,
            delisted: BTreeSet::new(),
        }
    }

    pub(crate) fn connections(&self) -> usize {
        self.peers.len()
    }

    pub(crate) fn subscriptions(&self) -> usize {
        self.peers.values().map(|peer| peer.channels.len()).sum()
    }

    /// Bytes that wait to be taken out of the queues of all connections.
    pub(crate) fn queued(&self) -> usize {
        self.peers.values().map(Peer::queued).sum()
    }

    /// Whether one connection is subscribed to all of these channels.
    pub(crate) fn anyone_has_all(&self, channels: &[String]) -> bool {
        self.peers.values().any(|peer| channels.iter().all(|channel| peer.channels.contains(channel)))
    }

    pub(crate) fn has_subscribers(&self, channel: &str) -> bool {
        self.routes.contains_key(channel)
    }

    /// Whether every subscriber of a channel can take more without delay.
    pub(crate) fn has_room(&self, channel: &str) -> bool {
        let peers = self.routes.get(channel).into_iter().flatten().filter_map(|id| self.peers.get(id));
        peers.into_iter().all(|peer| peer.has_room(self.limits.bytes))
    }

    /// A new connection, or None while the exchange is down.
    pub(crate) fn open(&mut self, address: SocketAddr) -> Option<Seat> {
        if self.is_down() {
            return None;
        }
        self.opened += 1;
        let (peer, seat) = Peer::new(self.opened, self.limits.frames);
        self.peers.insert(self.opened, peer);
        self.truth.change(self.opened, wall_micros(), What::Opened(address.to_string()), None);
        Some(seat)
    }

    pub(crate) fn is_down(&self) -> bool {
        self.down_until.is_some_and(|until| Instant::now() < until)
    }

    /// Returns true for a market that a fault took away.
    pub(crate) fn is_delisted(&self, market: &str) -> bool {
        self.delisted.contains(market)
    }

    /// Forgets a connection. `reason` is the task's; where the broadcaster ended the connection, its own reason counts.
    pub(crate) fn close(&mut self, id: u64, reason: &str, sent: u64) {
        let Some(peer) = self.peers.remove(&id) else { return };
        for channel in &peer.channels {
            self.unroute(id, channel);
        }
        let reason = peer.ended.unwrap_or(reason).to_owned();
        tracing::debug!(connection = id, reason, sent, "connection closed");
        self.truth.change(id, wall_micros(), What::Closed(reason), Some(sent));
    }

    /// Sends something that is no data: an error, an answer to a heartbeat.
    pub(crate) fn control(&mut self, id: u64, text: &str) {
        if let Some(peer) = self.peers.get_mut(&id).filter(|peer| !peer.is_muted()) {
            peer.push(Out::Control(text.into()), self.limits.bytes);
        }
    }

    /// Answers a heartbeat, unless the connection is due to lose the answer.
    pub(crate) fn heartbeat(&mut self, id: u64, text: &str) {
        if let Some(peer) = self.peers.get_mut(&id).filter(|peer| peer.due.lose_heartbeats > 0) {
            peer.due.lose_heartbeats -= 1;
            return;
        }
        self.control(id, text);
    }

    /// Sends a generated frame to the subscribers of its channel, with the faults they are due.
    pub(crate) fn dispatch(&mut self, channel: &str, text: String, at: u64) {
        self.emitted += 1;
        let text = Utf8Bytes::from(text);
        let (mut direct, mut again, mut late) = (Vec::new(), Vec::new(), Vec::new());
        for id in self.routes.get(channel).into_iter().flatten() {
            let Some(peer) = self.peers.get_mut(id) else { continue };
            if peer.due.drop > 0 {
                peer.due.drop -= 1;
                continue;
            }
            if peer.is_muted() {
                continue;
            }
            if peer.due.reorder > 0 && peer.due.held.is_none() {
                peer.due.reorder -= 1;
                peer.due.held = Some((channel.to_owned(), text.clone()));
                continue;
            }
            if peer.push(Out::Data(text.clone()), self.limits.bytes) {
                direct.push(*id);
            }
            if peer.due.duplicate > 0 {
                peer.due.duplicate -= 1;
                if peer.push(Out::Data(text.clone()), self.limits.bytes) {
                    again.push(*id);
                }
            }
            if let Some((_, held)) = peer.due.held.take_if(|(of, _)| of == channel)
                && peer.push(Out::Data(held.clone()), self.limits.bytes)
            {
                late.push((*id, held));
            }
        }
        self.truth.frame(at, Kind::Event, &direct, text.as_bytes(), true);
        if !again.is_empty() {
            self.truth.frame(at, Kind::Duplicate, &again, text.as_bytes(), true);
        }
        for (id, held) in late {
            self.truth.frame(at, Kind::Reordered, &[id], held.as_bytes(), true);
        }
    }

    /// Sends what a reorder still holds back: nothing may come after it that would let it go.
    pub(crate) fn release_held(&mut self) {
        for (id, peer) in &mut self.peers {
            if let Some((_, held)) = peer.due.held.take()
                && peer.push(Out::Data(held.clone()), self.limits.bytes)
            {
                self.truth.frame(wall_micros(), Kind::Reordered, &[*id], held.as_bytes(), true);
            }
        }
    }
}
