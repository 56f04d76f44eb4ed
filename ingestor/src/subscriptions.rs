use std::collections::BTreeMap;
use std::time::Duration;

use shared::channel::Channel;
use tokio::time::Instant;

/// The subscriptions of one connection. The exchange confirms each by its channel; its errors name no channel, so what
/// is not confirmed in time is asked for again.
#[derive(Debug)]
pub struct Subscriptions {
    within: Duration,
    /// Since when each unconfirmed channel waits.
    waiting: BTreeMap<Channel, Instant>,
    confirmed: usize,
}

impl Subscriptions {
    /// All channels asked for now, each to be confirmed `within` this time.
    #[must_use]
    pub fn asked(channels: &[Channel], within: Duration, now: Instant) -> Subscriptions {
        let waiting = channels.iter().map(|channel| (channel.clone(), now)).collect();
        Subscriptions { within, waiting, confirmed: 0 }
    }

    /// A confirmation came. Whether it was one that was waited for.
    pub fn confirm(&mut self, channel: &Channel) -> bool {
        let waited = self.waiting.remove(channel).is_some();
        self.confirmed += usize::from(waited);
        waited
    }

    /// How many are confirmed.
    #[must_use]
    pub fn confirmed(&self) -> usize {
        self.confirmed
    }

    /// When the first unconfirmed channel has waited long enough; `None` once all are confirmed.
    #[must_use]
    pub fn next(&self) -> Option<Instant> {
        self.waiting.values().min().map(|since| *since + self.within)
    }

    /// The channels that have waited too long; they count as asked for again now.
    pub fn overdue(&mut self, now: Instant) -> Vec<Channel> {
        let mut overdue = Vec::new();
        for (channel, since) in &mut self.waiting {
            if now >= *since + self.within {
                *since = now;
                overdue.push(channel.clone());
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
        assert_eq!(subscriptions.overdue(start + within), [channels[1].clone()]);
        assert_eq!(subscriptions.overdue(start + within), []);
        assert!(subscriptions.confirm(&channels[1]));
        assert_eq!((subscriptions.next(), subscriptions.confirmed()), (None, 2));
    }
}
