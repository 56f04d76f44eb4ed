//! Subscribing and unsubscribing: which connection gets the frames of which channel.

use crate::broadcast::Broadcaster;
use crate::broadcast::peer::Out;
use crate::clock::wall_micros;
use crate::truth::What;

/// Subscriptions of one connection; one more closes it silently.
const SUBSCRIPTIONS: usize = 1_024;

/// What became of a request to subscribe.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Subscription {
    Acknowledged,
    /// A fault swallowed it.
    Withheld,
    /// The limit is passed: the connection is to be closed silently.
    TooMany,
}

impl Broadcaster {
    /// Subscribes and acknowledges; the ack is on the wire before the first frame of the channel.
    pub(crate) fn subscribe(&mut self, id: u64, channel: &str) -> Subscription {
        let Some(peer) = self.peers.get_mut(&id).filter(|peer| !peer.is_muted()) else {
            return Subscription::Withheld;
        };
        if self.withhold_acks > 0 || peer.due.withhold_acks > 0 {
            self.withhold_acks = self.withhold_acks.saturating_sub(1);
            peer.due.withhold_acks = peer.due.withhold_acks.saturating_sub(1);
            return Subscription::Withheld;
        }
        let is_new = !peer.channels.contains(channel);
        if is_new && peer.channels.len() >= SUBSCRIPTIONS {
            return Subscription::TooMany;
        }
        let ack = format!(r#"{{"event":"bts:subscription_succeeded","channel":"{channel}","data":{{}}}}"#);
        peer.push(Out::Control(ack.into()), self.limits.bytes);
        if is_new {
            peer.channels.insert(channel.to_owned());
            self.routes.entry(channel.to_owned()).or_default().push(id);
            self.truth.change(id, wall_micros(), What::Subscribed(channel.to_owned()), None);
        }
        Subscription::Acknowledged
    }

    pub(crate) fn unsubscribe(&mut self, id: u64, channel: &str) {
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let ack = format!(r#"{{"event":"bts:unsubscription_succeeded","channel":"{channel}","data":{{}}}}"#);
        peer.push(Out::Control(ack.into()), self.limits.bytes);
        if peer.channels.remove(channel) {
            self.unroute(id, channel);
            self.truth.change(id, wall_micros(), What::Unsubscribed(channel.to_owned()), None);
        }
    }

    pub(super) fn unroute(&mut self, id: u64, channel: &str) {
        if let Some(ids) = self.routes.get_mut(channel) {
            ids.retain(|other| *other != id);
            if ids.is_empty() {
                self.routes.remove(channel);
            }
        }
    }
}
