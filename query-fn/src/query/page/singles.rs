//! The events of a range that are items of their own.

use rust_decimal::Decimal;
use std::mem;
use tokio::time::Instant;

use super::{Row, is_subject};
use crate::query::store::{EngineKey, Store, StoreError};
use crate::range::Range;

/// How far a partition was read.
pub(super) enum Progress {
    Unread,
    /// The engine stopped at this key.
    At(EngineKey),
    /// Nothing is left.
    Over,
}

impl Progress {
    pub(super) fn is_over(&self) -> bool {
        matches!(self, Progress::Over)
    }

    /// Returns the key to continue from, if any.
    pub(super) fn start(&self) -> Option<EngineKey> {
        if let Progress::At(key) = self { Some(key.clone()) } else { None }
    }

    pub(super) fn after(stopped_at: Option<EngineKey>) -> Progress {
        stopped_at.map_or(Progress::Over, Progress::At)
    }
}

/// Reads items, page by page of the engine.
pub(super) struct Singles {
    range: Range,
    pub(super) progress: Progress,
    /// The last time that was read.
    last: Option<u64>,
    /// True once a page of the engine ended by its size.
    is_spent: bool,
    /// The read units so far; `None` if the store does not tell.
    pub(super) units: Option<Decimal>,
}

impl Singles {
    pub(super) fn new(range: Range) -> Singles {
        Singles { range, progress: Progress::Unread, last: None, is_spent: false, units: Some(Decimal::ZERO) }
    }

    /// Returns the place in the order before which every item was read; `None` at the end of the range.
    pub(super) fn frontier(&self) -> Option<u64> {
        match self.progress {
            Progress::Over => None,
            _ => Some(self.last.map_or(0, |time| self.range.order.rank(time))),
        }
    }

    /// Returns true once a page of the engine ended by its size since the last call.
    pub(super) fn take_spent(&mut self) -> bool {
        mem::take(&mut self.is_spent)
    }

    pub(super) fn is_spent(&self) -> bool {
        self.is_spent
    }

    /// Reads a page of the engine, of `limit` items if given.
    pub(super) async fn read(
        &mut self,
        store: &Store,
        limit: Option<i32>,
        deadline: Instant,
    ) -> Result<Vec<Row>, StoreError> {
        let answer = store.query(&self.range, limit, self.progress.start(), deadline).await?;
        self.progress = Progress::after(answer.stopped_at);
        self.units = self.units.zip(answer.units).and_then(|(sum, units)| sum.checked_add(units));
        self.is_spent |= limit.is_none_or(|limit| i32::try_from(answer.items.len()) != Ok(limit));
        let subject = &self.range.subject;
        let (mut rows, mut last) = (Vec::with_capacity(answer.items.len()), self.last);
        for item in answer.items {
            let (is_wanted, row) = (is_subject(subject, &item), Row::from(item));
            last = Some(row.position.time);
            if is_wanted {
                rows.push(row);
            }
        }
        self.last = last;
        Ok(rows)
    }
}
