//! How each fault is brought about.

use tokio::time::Instant;
use tokio_tungstenite::tungstenite::Bytes;

use crate::broadcast::Broadcaster;
use crate::broadcast::peer::{Command, Out};
use crate::clock::wall_micros;
use crate::faults::{Aimed, Fault, Garbage, Target};
use crate::truth::Kind;

/// The request to reconnect, documented in the first two forms; no capture of a real one is known.
const RECONNECT: [&str; 4] = [
    r#"{"event":"bts:request_reconnect","channel":"","data":""}"#,
    r#"{"event":"bts:request_reconnect","channel":"","data":null}"#,
    r#"{"event":"bts:request_reconnect"}"#,
    r#"{"event":"bts:request_reconnect","channel":null,"data":{}}"#,
];

/// Control messages that a client must not take for data.
const ODD_CONTROL: [&str; 4] = [
    r#"{"event":"bts:error"}"#,
    r#"{"event":"bts:error","channel":null,"data":null}"#,
    r#"{"event":"bts:maintenance","data":[1]}"#,
    r#"{"event":"bts:subscription_succeeded","channel":7}"#,
];

impl Broadcaster {
    /// Lets a fault happen; returns how many connections it concerns.
    pub(crate) fn inject(&mut self, aimed: &Aimed) -> usize {
        let chosen: Vec<u64> = match (&aimed.fault, aimed.target) {
            (Fault::Down { .. }, _) | (_, Target::All) => self.peers.keys().copied().collect(),
            (_, Target::Nth(nth)) => self.peers.keys().skip(nth.saturating_sub(1)).take(1).copied().collect(),
        };
        match (&aimed.fault, aimed.target) {
            (Fault::OddTimes { count }, _) => self.odd_times(*count),
            (Fault::SameKeys { count }, _) => self.same_keys(*count),
            (Fault::Down { lasting }, _) => self.down_until = Some(Instant::now() + *lasting),
            (Fault::Delist { market }, _) => {
                self.delisted.insert(market.clone());
            }
            (Fault::List { market }, _) => {
                self.delisted.remove(market);
            }
            (Fault::WithholdAcks { count }, Target::All) => {
                self.withhold_acks += count;
                return chosen.len();
            }
            _ => {}
        }
        for id in &chosen {
            self.inject_into(*id, &aimed.fault);
        }
        chosen.len()
    }

    fn inject_into(&mut self, id: u64, fault: &Fault) {
        let now = Instant::now();
        let Some(peer) = self.peers.get_mut(&id) else { return };
        match *fault {
            Fault::Cut => peer.end("cut"),
            Fault::Down { .. } => peer.end("down"),
            // Sent to all already.
            Fault::OddTimes { .. } | Fault::SameKeys { .. } => {}
            // They concern the exchange.
            Fault::Delist { .. } | Fault::List { .. } => {}
            Fault::Rest(_) => {}
            Fault::Mute { lasting } => peer.mute(lasting.map(|lasting| now + lasting)),
            Fault::AppMute { lasting } => peer.mute_application(lasting.map(|lasting| now + lasting)),
            Fault::LoseHeartbeats { count } => peer.due.lose_heartbeats += count,
            Fault::OddControl { count } => {
                for text in ODD_CONTROL.into_iter().cycle().take(usize::try_from(count).unwrap_or(usize::MAX)) {
                    peer.push(Out::Control(text.into()), self.limits.bytes);
                }
            }
            Fault::Slow { delay, lasting } => peer.command(Command::Slow { delay, until: now + lasting }),
            Fault::Reconnect { grace } => {
                let text = RECONNECT.into_iter().cycle().nth(self.reconnects).unwrap_or_default();
                self.reconnects = (self.reconnects + 1) % RECONNECT.len();
                peer.push(Out::Control(text.into()), self.limits.bytes);
                peer.command(Command::CloseAt(now + grace));
            }
            Fault::WithholdAcks { count } => peer.due.withhold_acks += count,
            Fault::Duplicate { count } => peer.due.duplicate += count,
            Fault::Reorder { count } => peer.due.reorder += count,
            Fault::Drop { count } => peer.due.drop += count,
            Fault::Garbage { count, kind } => {
                let kinds = kind.map_or(Garbage::ALL.to_vec(), |kind| vec![kind]);
                for kind in kinds.into_iter().cycle().zip(0..count).map(|(kind, _)| kind) {
                    self.garbage(id, kind);
                }
            }
        }
    }

    /// Sends a bad frame that pretends to belong to one of the connection's channels.
    fn garbage(&mut self, id: u64, kind: Garbage) {
        self.garbage += 1;
        let Some(peer) = self.peers.get_mut(&id) else { return };
        let channel = peer.channels.first().map_or("live_trades_btcusd", String::as_str);
        let payload = kind.payload(channel, self.garbage);
        let (out, exact) = match (kind, String::from_utf8(payload.clone())) {
            (Garbage::Binary, _) => (Out::Binary(Bytes::from(payload.clone())), false),
            (_, Ok(text)) => (Out::Data(text.into()), true),
            (_, Err(_)) => (Out::BadText(Bytes::from(payload.clone())), false),
        };
        if !peer.is_muted() && peer.push(out, self.limits.bytes) {
            self.truth.frame(wall_micros(), Kind::Garbage, &[id], &payload, exact);
        }
    }
}
