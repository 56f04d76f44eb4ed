//! Which channels the daemon subscribes to while the exchange's list of markets changes.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use shared::channel::Channel;
use tokio::sync::{Notify, watch};
use tokio::time::Instant;

use crate::backoff::Backoff;
use crate::config::Config;
use crate::exchange::markets::{Markets, MarketsError};
use crate::exchange::rest::{Rest, RestError};
use crate::observe::status::{Component, Status};

/// Largest number of channels of one connection. The exchange closes it without a word at the 1,025th.
pub const CHANNELS: usize = 1_000;
/// Ceiling of the first wait for a list that was never read.
const FIRST_WAIT: Duration = Duration::from_secs(1);
const LONGEST_WAIT: Duration = Duration::from_secs(30);
/// Longest wait of a start for the list: what is sent meanwhile is missed.
const START_WITHIN: Duration = Duration::from_secs(2);
/// Shortest time between two readings, and delay before an absent market is looked for again.
const AGAIN: Duration = Duration::from_secs(30);

/// Keeps the channels of each shard up to date with the exchange's list of markets. A shard is what one connection
/// carries.
pub struct Listing {
    rest: Option<Rest>,
    configured: Vec<Channel>,
    every: Duration,
    status: Arc<Status>,
    plan: ShardPlan,
    shards: Vec<watch::Sender<Arc<[Channel]>>>,
    /// Notified when a connection was opened: the list may have changed meanwhile.
    opened: Arc<Notify>,
    known: bool,
    readable: bool,
    retry: Backoff,
}

impl Listing {
    /// Reads the list once. If it cannot be read within two seconds, named channels are taken as they are and wildcards
    /// wait.
    ///
    /// # Errors
    ///
    /// Returns a [`RestError`] if the client cannot be built.
    pub async fn start(config: &Config, status: Arc<Status>) -> Result<Listing, RestError> {
        let configured = config.channels.clone();
        let plan = ShardPlan::new(&configured);
        let mut listing = Listing {
            rest: config.rest_url.as_deref().map(Rest::new).transpose()?,
            configured,
            every: config.markets_every,
            status,
            shards: plan.shards.iter().map(|_| watch::Sender::new(Arc::default())).collect(),
            plan,
            opened: Arc::default(),
            known: false,
            readable: true,
            retry: Backoff::new(FIRST_WAIT, LONGEST_WAIT),
        };
        // Too slow: `run` asks again.
        let _in_time = tokio::time::timeout(START_WITHIN, listing.read()).await;
        if !listing.known {
            listing.plan.begin(&listing.configured);
            listing.publish();
        }
        Ok(listing)
    }

    /// Returns the channels of each shard, as they are now and as they change.
    #[must_use]
    pub fn shards(&self) -> Vec<watch::Receiver<Arc<[Channel]>>> {
        self.shards.iter().map(watch::Sender::subscribe).collect()
    }

    /// Returns what a socket notifies when it has opened a connection.
    #[must_use]
    pub fn opened(&self) -> Arc<Notify> {
        self.opened.clone()
    }

    /// Returns all channels that are subscribed to now.
    #[must_use]
    pub fn channels(&self) -> Vec<Channel> {
        self.plan.shards.concat()
    }

    /// Reads the list at intervals; runs until it is dropped.
    pub async fn run(mut self) {
        if self.rest.is_none() {
            return std::future::pending().await;
        }
        loop {
            let read = Instant::now();
            let again = self.every.min(AGAIN);
            if !self.known {
                // Where a connection could be opened, the list can be read as well.
                tokio::select! {
                    () = tokio::time::sleep(self.retry.wait()) => {}
                    () = self.opened.notified() => {}
                }
            } else if self.plan.doubts() {
                tokio::time::sleep(again).await;
            } else {
                tokio::select! {
                    () = tokio::time::sleep(jittered(self.every, self.status.connects.get())) => {}
                    () = self.opened.notified() => tokio::time::sleep_until(read + again).await,
                }
            }
            self.read().await;
        }
    }

    async fn read(&mut self) {
        let Some(rest) = &self.rest else { return };
        match Markets::fetch(rest).await {
            Ok(markets) => {
                if !self.readable {
                    tracing::info!("the exchange's markets can be read again");
                }
                (self.known, self.readable) = (true, true);
                self.take(&markets);
            }
            Err(error) => self.note(&error),
        }
    }

    fn take(&mut self, markets: &Markets) {
        let (listed, missing) = markets.sort_out(&self.configured);
        let ChannelChanges { joined, left } = self.plan.update(&listed);
        for channel in &joined {
            tracing::info!(%channel, "channel captured: its market is on the exchange's list");
        }
        for channel in &left {
            tracing::warn!(%channel, "channel not captured: its market has left the exchange's list");
        }
        self.publish();
        let carried: BTreeSet<Channel> = self.channels().into_iter().collect();
        let names: Vec<String> = missing
            .iter()
            .filter(|channel| !carried.contains(channel))
            .map(|channel| format!("`{channel}`{}", markets.hint(channel)))
            .collect();
        let sentence = (!names.is_empty())
            .then(|| format!("not captured, because the exchange has no such market: {}", names.join(", ")));
        self.status.set_trouble(Component::Markets, sentence);
    }

    fn note(&mut self, error: &MarketsError) {
        if std::mem::take(&mut self.readable) {
            tracing::warn!(%error, "the exchange's markets cannot be read");
        }
        let waits = self.configured.iter().any(|channel| channel.market() == Some("*"));
        if !self.known && waits {
            self.status.set_trouble(Component::Markets, Some(format!("{error}; wildcards wait for them")));
        }
    }

    fn publish(&self) {
        for (sender, channels) in self.shards.iter().zip(&self.plan.shards) {
            sender.send_if_modified(|now| {
                let differs = now[..] != channels[..];
                if differs {
                    *now = channels.as_slice().into();
                }
                differs
            });
        }
    }
}

/// Draws a wait between nine and eleven tenths of `every`, so that daemons do not ask together. `salt` differs by run.
fn jittered(every: Duration, salt: u64) -> Duration {
    let mixed = xxhash_rust::xxh3::xxh3_64_with_seed(&std::process::id().to_le_bytes(), salt);
    every / 10 * 9 + every / 5 * u32::try_from(mixed % 1_000).unwrap_or_default() / 1_000
}

/// Assigns channels to shards; pure. A channel never moves to another shard, so a change touches one connection only.
#[derive(Debug)]
struct ShardPlan {
    shards: Vec<Vec<Channel>>,
    /// Channels absent from the last list. They leave when a second list lacks them too.
    absent: BTreeSet<Channel>,
}

/// Channels that an update added and removed.
#[derive(Debug, Default, PartialEq, Eq)]
struct ChannelChanges {
    joined: Vec<Channel>,
    left: Vec<Channel>,
}

impl ShardPlan {
    /// Makes room for all channels that the configuration can come to: a family has fewer markets than a connection
    /// carries channels.
    fn new(configured: &[Channel]) -> ShardPlan {
        let wildcards = configured.iter().filter(|channel| channel.market() == Some("*")).count();
        let count = wildcards + (configured.len() - wildcards).div_ceil(CHANNELS);
        ShardPlan { shards: vec![Vec::new(); count], absent: BTreeSet::new() }
    }

    /// Assigns the configured names as they are, without a list.
    fn begin(&mut self, configured: &[Channel]) {
        let named: Vec<Channel> = configured.iter().filter(|channel| channel.market() != Some("*")).cloned().collect();
        self.update(&named);
    }

    /// Assigns the listed channels.
    fn update(&mut self, listed: &[Channel]) -> ChannelChanges {
        let wanted: BTreeSet<&Channel> = listed.iter().collect();
        let carried: BTreeSet<Channel> = self.shards.concat().into_iter().collect();
        let absent: BTreeSet<Channel> = carried.iter().filter(|channel| !wanted.contains(channel)).cloned().collect();
        let left: Vec<Channel> = absent.intersection(&self.absent).cloned().collect();
        for shard in &mut self.shards {
            shard.retain(|channel| !left.contains(channel));
        }
        self.absent = absent.into_iter().filter(|channel| !left.contains(channel)).collect();
        let mut joined = Vec::new();
        for channel in listed.iter().filter(|channel| !carried.contains(channel)) {
            if let Some(shard) = self.shards.iter_mut().find(|shard| shard.len() < CHANNELS) {
                shard.push(channel.clone());
                joined.push(channel.clone());
            }
        }
        ChannelChanges { joined, left }
    }

    /// Returns true while a market is absent that the next list decides about.
    fn doubts(&self) -> bool {
        !self.absent.is_empty()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn channels(names: &[&str]) -> Vec<Channel> {
        names.iter().map(|name| Channel::from_frame((*name).to_owned())).collect()
    }

    #[test]
    fn a_market_leaves_after_the_second_list_without_it_and_joins_at_once() {
        let mut plan = ShardPlan::new(&channels(&["live_trades_*"]));
        let [both, one] = [channels(&["live_trades_a", "live_trades_b"]), channels(&["live_trades_b"])];
        assert_eq!(plan.update(&both), ChannelChanges { joined: both.clone(), left: vec![] });
        assert_eq!(plan.update(&one), ChannelChanges::default());
        assert!(plan.doubts());
        assert_eq!(plan.update(&both), ChannelChanges::default(), "one bad answer changes nothing");
        assert!(!plan.doubts());
        plan.update(&one);
        assert_eq!(plan.update(&one), ChannelChanges { joined: vec![], left: channels(&["live_trades_a"]) });
        assert!(!plan.doubts());
        assert_eq!(plan.shards, [one]);
        assert_eq!(plan.update(&both).joined, channels(&["live_trades_a"]));
    }

    #[test]
    fn no_channel_moves_and_no_connection_has_too_many() {
        let names: Vec<Channel> = (0..CHANNELS + 5).map(|n| Channel::from_frame(format!("live_trades_m{n}"))).collect();
        let mut plan = ShardPlan::new(&names);
        plan.begin(&names);
        assert_eq!(plan.shards.iter().map(Vec::len).collect::<Vec<_>>(), [CHANNELS, 5]);
        let last = plan.shards[1].clone();
        plan.update(&names[1..]);
        plan.update(&names[1..]);
        assert_eq!((plan.shards[0].len(), &plan.shards[1]), (CHANNELS - 1, &last));
    }

    #[test]
    fn the_jitter_is_a_tenth_at_most() {
        let every = Duration::from_secs(600);
        assert!((0..100).all(|salt| (every / 10 * 9..=every / 10 * 11).contains(&jittered(every, salt))));
    }
}
