//! How the events of a channel are stored.

use shared::block::stored::has_blocks;
use shared::channel::Channel;

use crate::config::rules::Rules;

/// How the events of a channel are stored.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum Storage {
    /// Each as an item of its own.
    #[default]
    Events,
    /// Many in one item ([`shared::block`]).
    Blocks,
}

/// The storage of each channel: that of the channel's name, else that of its family, else [`Storage::Events`].
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Storages(Rules<Storage>);

impl Storages {
    /// Reads `live_orders_*=blocks,live_orders_btcusd=events`.
    ///
    /// # Errors
    ///
    /// Returns a sentence with every fault.
    pub(super) fn read(text: &str) -> Result<Storages, String> {
        Rules::read(text, "`events` or `blocks`", storage).map(Storages)
    }

    /// Returns how events of a channel are stored.
    #[must_use]
    pub fn of(&self, channel: &Channel) -> Storage {
        self.0.of(channel.as_str()).unwrap_or_default()
    }

    /// Returns true if some channel is stored in blocks.
    #[must_use]
    pub fn has_blocks(&self) -> bool {
        self.in_blocks().next().is_some()
    }

    /// Returns the names whose channels are stored in blocks, as they are configured.
    pub fn in_blocks(&self) -> impl Iterator<Item = &str> {
        self.0.iter().filter(|(_, storage)| *storage == Storage::Blocks).map(|(name, _)| name)
    }

    /// Returns the first name that fits none of the configured channels; it would be without effect.
    pub(super) fn without_effect(&self, channels: &[Channel]) -> Option<&Channel> {
        self.0.without_effect(channels)
    }
}

fn storage(name: &Channel, text: &str) -> Result<Storage, String> {
    match text {
        "events" => Ok(Storage::Events),
        "blocks" if !has_blocks(name.as_str()) => Err(format!("trades are always stored as events; take `{name}` out")),
        "blocks" => Ok(Storage::Blocks),
        other => Err(format!("`{other}` is no storage; expected `events` or `blocks`")),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(storages: &Storages, name: &str) -> Storage {
        storages.of(&Channel::from_frame(name.to_owned()))
    }

    #[test]
    fn a_name_counts_more_than_its_family() {
        let storages =
            Storages::read(" live_orders_*=blocks, live_orders_ethusd = events,order_book_ethusd=blocks").unwrap();
        assert_eq!(of(&storages, "live_orders_btcusd"), Storage::Blocks);
        assert_eq!(of(&storages, "live_orders_ethusd"), Storage::Events);
        assert_eq!(of(&storages, "order_book_ethusd"), Storage::Blocks);
        for name in ["order_book_btcusd", "live_trades_btcusd", "announcements", ""] {
            assert_eq!(of(&storages, name), Storage::Events, "{name}");
        }
        assert!(storages.has_blocks());
        assert_eq!(storages.in_blocks().collect::<Vec<_>>(), ["live_orders_*", "order_book_ethusd"]);
        assert!(!Storages::read("").unwrap().has_blocks());
    }

    #[test]
    fn every_fault_is_told() {
        for (text, fault) in [
            ("live_orders_btcusd", "`live_orders_btcusd` is no channel, `=` and `events` or `blocks`"),
            ("live_orders_*=block", "`block` is no storage; expected `events` or `blocks`"),
            ("live_trades_*=blocks", "trades are always stored as events; take `live_trades_*` out"),
            ("live_order_*=blocks", "no family with markets"),
            ("live_order_btcusd=blocks", "did you mean `live_orders_btcusd`?"),
            ("order_book_*=blocks,order_book_*=events", "`order_book_*` stands twice"),
            ("a=b,live_trades_btcusd=blocks", "`b` is no storage; expected `events` or `blocks`; trades are"),
        ] {
            let said = Storages::read(text).unwrap_err();
            assert!(said.contains(fault), "{text}: {said}");
        }
        assert!(Storages::read("live_trades_*=events").is_ok());
    }

    #[test]
    fn a_rule_for_no_channel_is_found() {
        let channels = ["live_orders_btcusd", "order_book_*"].map(|name| Channel::from_frame(name.to_owned()));
        for (text, found) in [
            ("live_orders_btcusd=blocks", None),
            ("live_orders_*=blocks", None),
            ("order_book_btcusd=blocks", None),
            ("live_orders_btcsud=blocks", Some("live_orders_btcsud")),
            ("diff_order_book_*=blocks", Some("diff_order_book_*")),
        ] {
            assert_eq!(Storages::read(text).unwrap().without_effect(&channels).map(Channel::as_str), found, "{text}");
        }
    }
}
