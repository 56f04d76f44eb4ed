//! How long the items of a channel are kept.

use shared::channel::Channel;
use shared::keep::SHORTEST_DAYS;

use crate::config::rules::{Rules, fits};
use crate::config::units;

/// The shortest time that `keep` takes, in days.
const LEAST: u64 = SHORTEST_DAYS;
/// The longest time that `keep` takes, in days: a century.
const MOST: u64 = 36_525;
const DAY: u64 = 86_400;
const FOREVER: &str = "forever";

/// For how many seconds the items of each channel are kept: by the channel's name, else that of its family, else as all; without any of them,
/// and where a rule says so, for ever (`None`).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Retention {
    rules: Rules<Option<u64>>,
    all: Option<u64>,
}

impl Retention {
    /// Reads `90d`, `live_orders_*=90d,live_trades_*=forever`, or both; `*=90d` is `90d`.
    ///
    /// # Errors
    ///
    /// Returns a sentence with every fault.
    pub(super) fn read(text: &str) -> Result<Retention, String> {
        let (mut all, mut named, mut faults) = (Vec::new(), Vec::new(), Vec::new());
        for rule in text.split(',').map(str::trim).filter(|rule| !rule.is_empty()) {
            match rule.split_once('=') {
                Some((name, time)) if name.trim() == "*" => all.push(time.trim()),
                None if !rule.contains('_') => all.push(rule),
                _ => named.push(rule),
            }
        }
        let of_all = all.iter().map(|text| time(text)).collect::<Result<Vec<_>, _>>();
        faults.extend(of_all.as_ref().err().cloned());
        if all.len() > 1 {
            faults.push(format!("{} stand for all channels", all.join(" and ")));
        }
        let rules = Rules::read(&named.join(","), "a time like `90d`", |_, text| time(text));
        faults.extend(rules.as_ref().err().cloned());
        match (rules, of_all) {
            (Ok(rules), Ok(all)) if faults.is_empty() => Ok(Retention { rules, all: all.first().copied().flatten() }),
            _ => Err(faults.join("; ")),
        }
    }

    /// Returns for how many seconds the items of a channel or family are kept; `None`: for ever.
    #[must_use]
    pub fn of(&self, name: &str) -> Option<u64> {
        self.rules.of(name).unwrap_or(self.all)
    }

    /// Returns the names of channels and families that have a rule of their own.
    pub fn names(&self) -> impl Iterator<Item = &str> {
        self.rules.iter().map(|(name, _)| name)
    }

    /// Returns true if some channel's items are not kept for ever.
    #[must_use]
    pub fn is_set(&self) -> bool {
        self.all.is_some() || self.rules.iter().any(|(_, seconds)| seconds.is_some())
    }

    /// Returns the first name that fits none of the configured channels; it would be without effect.
    pub(super) fn without_effect(&self, channels: &[Channel]) -> Option<&Channel> {
        self.rules.without_effect(channels)
    }

    /// Returns true if a recorded name stands for what the daemon captures.
    #[must_use]
    pub fn concerns(name: &str, channels: &[Channel]) -> bool {
        channels.iter().any(|channel| fits(name, channel.as_str()))
    }
}

/// Formats a time in whole days as it is configured.
#[must_use]
pub fn spelled(seconds: Option<u64>) -> String {
    seconds.map_or_else(|| FOREVER.to_owned(), |seconds| format!("{}d", seconds / DAY))
}

/// Parses `90d`, `12w` or `forever` into seconds.
fn time(text: &str) -> Result<Option<u64>, String> {
    let said = |reason: &str| format!("`{text}`: {reason}");
    if text == FOREVER {
        return Ok(None);
    }
    let (number, unit) = units::split(text);
    let factor = match unit {
        "d" => 1,
        "w" => 7,
        _ => return Err(said("expected a number and d or w, or forever")),
    };
    let number: u64 = number.parse().map_err(|_| said("expected a number and d or w, or forever"))?;
    let days = number.saturating_mul(factor);
    if (LEAST..=MOST).contains(&days) {
        return Ok(Some(days * DAY));
    }
    Err(said(&format!(
        "expected {LEAST}d, because gaps are filled for a day and days of the ledger closed, to {MOST}d"
    )))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_name_counts_more_than_its_family_and_that_more_than_all() {
        let keep = Retention::read(" 90d, live_orders_* = 2w,live_orders_ethusd=forever").unwrap();
        for (name, days) in [
            ("live_orders_btcusd", Some(14)),
            ("live_orders_*", Some(14)),
            ("live_orders_ethusd", None),
            ("live_trades_btcusd", Some(90)),
            ("announcements", Some(90)),
        ] {
            assert_eq!(keep.of(name), days.map(|days| days * DAY), "{name}");
        }
        assert!(keep.is_set());
        assert_eq!(keep.names().collect::<Vec<_>>(), ["live_orders_*", "live_orders_ethusd"]);
        assert_eq!(Retention::read("*=90d"), Retention::read("90d"));
        for text in ["", "forever", "live_orders_*=forever"] {
            assert!(!Retention::read(text).unwrap().is_set(), "{text}");
        }
        assert_eq!([Some(90 * DAY), None].map(spelled), ["90d", "forever"]);
    }

    #[test]
    fn every_fault_is_told() {
        for (text, fault) in [
            ("90", "`90`: expected a number and d or w, or forever"),
            ("1d", "`1d`: expected 2d, because"),
            ("36526d", "to 36525d"),
            ("99999999999999999999d", "`99999999999999999999d`: expected a number"),
            ("2h", "`2h`: expected a number and d or w"),
            ("live_orders_*=never", "`never`: expected a number and d or w, or forever"),
            ("live_orders_*", "`live_orders_*` is no channel, `=` and a time like `90d`"),
            ("live_order_btcusd=9d", "did you mean `live_orders_btcusd`?"),
            ("90d,30d", "90d and 30d stand for all channels"),
            ("order_book_*=9d,order_book_*=8d", "`order_book_*` stands twice"),
            ("9h,live_orders_*=1d", "`9h`: expected a number and d or w, or forever; `1d`: expected 2d"),
        ] {
            let said = Retention::read(text).unwrap_err();
            assert!(said.contains(fault), "{text}: {said}");
        }
    }

    #[test]
    fn a_rule_for_no_channel_is_found() {
        let channels = ["live_orders_btcusd", "order_book_*"].map(|name| Channel::from_frame(name.to_owned()));
        for (text, found) in [("9d", None), ("live_orders_*=9d", None), ("live_trades_*=9d", Some("live_trades_*"))] {
            assert_eq!(Retention::read(text).unwrap().without_effect(&channels).map(Channel::as_str), found, "{text}");
        }
    }
}
