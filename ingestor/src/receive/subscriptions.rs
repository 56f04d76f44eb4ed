//! Tracks which subscriptions of a connection are confirmed.

use std::collections::{BTreeMap, BTreeSet};
use std::time::Duration;

use shared::channel::Channel;
use tokio::time::Instant;

/// Number of attempts after which a connection without a channel may replace one that has it.
const ASKED: u32 = 3;

/// The subscriptions of one connection. The exchange confirms each by its channel. Its errors name no channel, so a channel
/// that is not confirmed in time is subscribed to again.
#[derive(Debug)]
pub struct Subscriptions {
    within: Duration,
    waiting: BTreeMap<Channel, Unconfirmed>,
    confirmed: BTreeSet<Channel>,
}

/// A channel that is not confirmed.
#[derive(Clone, Copy, Debug)]
struct Unconfirmed {
    /// When it was last subscribed to.
    since: Instant,
    /// Number of attempts that were not confirmed in time.
    overdue: u32,
}

/// Channels that were not confirmed in time, to be subscribed to again.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Overdue {
    /// The overdue channels.
    pub channels: Vec<Channel>,
    /// Number of channels that are overdue for the first time.
    pub new: usize,
}

impl Subscriptions {
    /// Begins with all channels subscribed to at `now`, each to be confirmed `within` this time.
    #[must_use]
    pub fn asked(channels: &[Channel], within: Duration, now: Instant) -> Subscriptions {
        let waiting =
            channels.iter().map(|channel| (channel.clone(), Unconfirmed { since: now, overdue: 0 })).collect();
        Subscriptions { within, waiting, confirmed: BTreeSet::new() }
    }

    /// Notes a confirmation; returns false if the channel was not waited for.
    pub fn confirm(&mut self, channel: &Channel) -> bool {
        let waited = self.waiting.remove(channel).is_some();
        if waited {
            self.confirmed.insert(channel.clone());
        }
        waited
    }

    /// Returns the confirmed channels.
    #[must_use]
    pub fn confirmed(&self) -> &BTreeSet<Channel> {
        &self.confirmed
    }

    /// Returns true if the connection carries what can be expected of it. One that replaces another has to carry every channel
    /// that the other `held`, unless the exchange left three attempts unconfirmed; channels that the other lacks too are not
    /// waited for. A first connection waits for each channel once.
    #[must_use]
    pub fn is_ready(&self, held: Option<&BTreeSet<Channel>>) -> bool {
        self.waiting.iter().all(|(channel, waiting)| match held {
            Some(held) => !held.contains(channel) || waiting.overdue >= ASKED,
            None => waiting.overdue > 0,
        })
    }

    /// Returns when the next unconfirmed channel is overdue; `None` once all are confirmed.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.waiting.values().map(|waiting| waiting.since + self.within).min()
    }

    /// Returns the channels that are overdue; they count as subscribed to again at `now`.
    pub fn overdue(&mut self, now: Instant) -> Overdue {
        let mut overdue = Overdue::default();
        for (channel, waiting) in &mut self.waiting {
            if now >= waiting.since + self.within {
                overdue.new += usize::from(waiting.overdue == 0);
                *waiting = Unconfirmed { since: now, overdue: waiting.overdue + 1 };
                overdue.channels.push(channel.clone());
            }
        }
        overdue
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_not_confirmed_is_asked_for_again() {
        let channels: Vec<Channel> =
            ["live_trades_btcusd", "live_orders_btcusd"].map(|name| name.parse().unwrap()).into();
        let start = Instant::now();
        let within = Duration::from_secs(10);
        let mut subscriptions = Subscriptions::asked(&channels, within, start);
        assert!(subscriptions.confirm(&channels[0]));
        assert!(!subscriptions.confirm(&channels[0]), "a second confirmation is nothing new");
        assert_eq!(subscriptions.next(), Some(start + within));
        let again = |new| Overdue { channels: vec![channels[1].clone()], new };
        assert_eq!(subscriptions.overdue(start + within), again(1));
        assert_eq!(subscriptions.overdue(start + within), Overdue::default());
        assert_eq!(subscriptions.overdue(start + within * 2), again(0), "it is new only once");
        assert!(subscriptions.confirm(&channels[1]));
        assert_eq!((subscriptions.next(), subscriptions.confirmed().len()), (None, 2));
    }

    #[test]
    fn a_connection_is_ready_without_what_the_exchange_never_confirms() {
        let channels: Vec<Channel> =
            ["live_trades_btcusd", "live_orders_btcusd", "live_magic_btcusd"].map(|name| name.parse().unwrap()).into();
        let (start, within) = (Instant::now(), Duration::from_secs(10));
        let mut subscriptions = Subscriptions::asked(&channels, within, start);
        let held = BTreeSet::from([channels[0].clone(), channels[1].clone()]);
        subscriptions.confirm(&channels[0]);
        assert!(!subscriptions.is_ready(None) && !subscriptions.is_ready(Some(&held)));
        assert!(subscriptions.is_ready(Some(&BTreeSet::new())), "the one before carried nothing");
        for round in 1..=ASKED {
            assert!(!subscriptions.is_ready(Some(&held)), "the one before carries it still");
            subscriptions.overdue(start + within * round);
            assert!(subscriptions.is_ready(None));
        }
        assert!(subscriptions.is_ready(Some(&held)), "the exchange refuses it now");
        let mut subscriptions = Subscriptions::asked(&channels, within, start);
        subscriptions.confirm(&channels[0]);
        subscriptions.confirm(&channels[1]);
        assert!(subscriptions.is_ready(Some(&held)), "at once: what the one before lacks is no reason to wait");
        assert!(!subscriptions.is_ready(None));
    }
}
