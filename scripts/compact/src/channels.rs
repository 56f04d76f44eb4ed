//! Finds the channels that the arguments mean.

use backfill::error::Error;
use shared::{block::stored::has_blocks, coverage::CHANNELS, table::MICROTIMESTAMP};

use crate::events::all;
use crate::store::Store;

/// The channels of the table's list that match, sorted.
///
/// # Errors
/// When a pattern means trades or nothing, or the list cannot be read.
pub async fn matching(store: &Store, patterns: &[String]) -> Result<Vec<String>, Error> {
    let items = all(store, CHANNELS, 0, u64::MAX).await?;
    let name = |item: &shared::item::Item| item.get(MICROTIMESTAMP)?.as_s().ok().cloned();
    select(&items.iter().filter_map(name).collect::<Vec<_>>(), patterns).map_err(Error::Guard)
}

/// Those of `known` that a pattern matches and that may have blocks.
fn select(known: &[String], patterns: &[String]) -> Result<Vec<String>, String> {
    let mut chosen = Vec::new();
    for pattern in patterns {
        let found: Vec<_> = known.iter().filter(|name| matches(pattern, name)).collect();
        let fitting: Vec<_> = found.iter().filter(|name| has_blocks(name)).map(|name| (*name).clone()).collect();
        if fitting.is_empty() && (!found.is_empty() || !has_blocks(pattern)) {
            return Err(format!(
                "`{pattern}`: trades are never in blocks, because a fetched trade is found by its id; name other channels, as 'live_orders_*'"
            ));
        }
        if fitting.is_empty() {
            let some: Vec<_> = known.iter().filter(|name| has_blocks(name)).take(5).map(String::as_str).collect();
            let some = if some.is_empty() { "no channel that may have blocks".to_owned() } else { some.join(", ") };
            return Err(format!("`{pattern}` matches no channel of the table's list `{CHANNELS}`, which has {some}"));
        }
        chosen.extend(fitting);
    }
    chosen.sort_unstable();
    chosen.dedup();
    Ok(chosen)
}

/// Whether a name is as the pattern says; `*` stands for any text.
fn matches(pattern: &str, name: &str) -> bool {
    let Some((before, after)) = pattern.split_once('*') else { return pattern == name };
    let Some(rest) = name.strip_prefix(before) else { return false };
    let ends = rest.char_indices().map(|(place, _)| place).chain([rest.len()]);
    ends.into_iter().any(|place| rest.get(place..).is_some_and(|rest| matches(after, rest)))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn chosen(patterns: &[&str]) -> Result<Vec<String>, String> {
        let known = ["live_trades_btcusd", "live_orders_btcusd", "live_orders_ethusd", "order_book_btcusd"];
        select(&known.map(str::to_owned), &patterns.iter().map(|name| (*name).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn patterns_choose_from_the_list() {
        assert_eq!(chosen(&["live_orders_*", "live_orders_btcusd"]).unwrap().len(), 2);
        assert_eq!(chosen(&["*"]).unwrap().len(), 3, "all but trades");
        assert_eq!(chosen(&["*btc*"]).unwrap(), ["live_orders_btcusd", "order_book_btcusd"]);
    }

    #[test]
    fn trades_and_unknown_channels_are_refused() {
        for pattern in ["live_trades_*", "live_trades_btcusd", "live_trades_ethusd"] {
            assert!(chosen(&[pattern]).unwrap_err().contains("never in blocks"), "{pattern}");
        }
        let unknown = chosen(&["live_orders_xrpusd"]).unwrap_err();
        assert!(unknown.contains("live_orders_ethusd"), "{unknown}");
    }
}
