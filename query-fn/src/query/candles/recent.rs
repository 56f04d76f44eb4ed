//! Trades of the last second, to find those that were fetched after a gap although they had been captured.

use codec::item::Item;
use smol_str::SmolStr;
use std::{collections::VecDeque, fmt};

use crate::query::page::Row;

/// The longest time between a captured trade and the same one fetched, microseconds: a fetched trade has the second of the exchange's history
/// for its time, or the end of its gap.
const WINDOW: u64 = 1_000_000;
/// The most trades that a token holds.
const IN_TOKEN: usize = 64;

/// The trades of the last second, by time: id, and true if the trade was fetched. For a moment the table may have a trade twice, as it was
/// captured and as it was fetched after a gap.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Recent {
    trades: VecDeque<(u64, SmolStr, bool)>,
}

impl Recent {
    /// Adds a trade; returns true if it is here already in its other form, captured or fetched.
    pub(super) fn is_twin(&mut self, row: &Row) -> bool {
        let (time, id, is_fetched) = (row.position.time, row.position.id.as_str(), is_fetched(&row.item));
        while self.trades.front().is_some_and(|(earlier, ..)| earlier + WINDOW < time) {
            self.trades.pop_front();
        }
        let is_twin = self.trades.iter().any(|(_, known, fetched)| *fetched != is_fetched && known == id);
        if !is_twin {
            self.note(time, id, is_fetched);
        }
        is_twin
    }

    /// Adds a trade.
    pub(super) fn note(&mut self, time: u64, id: &str, is_fetched: bool) {
        self.trades.push_back((time, id.into(), is_fetched));
    }

    /// Parses what the `Display` implementation wrote; returns `None` for anything else.
    pub(super) fn parse(text: &str) -> Option<Recent> {
        let trade = |text: &str| {
            let mut parts = text.split(' ');
            let time = parts.next()?.parse().ok()?;
            Some((time, parts.next()?.into(), parts.next()? == "fetched"))
        };
        Some(Recent { trades: text.split_terminator(',').map(trade).collect::<Option<_>>()? })
    }
}

impl fmt::Display for Recent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (time, id, is_fetched) in self.trades.iter().skip(self.trades.len().saturating_sub(IN_TOKEN)) {
            write!(f, "{time} {id} {},", if *is_fetched { "fetched" } else { "captured" })?;
        }
        Ok(())
    }
}

fn is_fetched(item: &Item) -> bool {
    item.text("source") == Some("rest")
}
