//! Removes copies of events: in the blocks of two daemons, in a block and as an item, captured and fetched after a gap.

use shared::item::{ORIGIN, SOURCE};

use super::Row;
use crate::range::Order;

/// Sorts rows, and keeps one of those with one primary key at one time: a captured one before a fetched one, then the one that was received
/// first, then the one whose origin has the lesser name. The time of an event follows from its key, so all copies have it.
pub(super) fn remove(rows: &mut Vec<Row>, order: Order) {
    rows.sort_by(|left, right| order.compare(&left.position, &right.position));
    let has_ties = rows.array_windows().any(|[left, right]| left.position.time == right.position.time);
    if !has_ties {
        return;
    }
    let mut is_copy = vec![false; rows.len()];
    let mut begin = 0;
    for tie in rows.chunk_by(|left, right| left.position.time == right.position.time) {
        if tie.len() > 1 {
            let mut places: Vec<_> = tie.iter().enumerate().collect();
            places.sort_by_key(|(_, row)| key(row));
            for copies in places.chunk_by(|(_, left), (_, right)| key(left) == key(right)) {
                let kept = copies.iter().min_by_key(|(_, row)| precedence(row));
                for (place, _) in copies {
                    let is_kept = kept.is_some_and(|(kept, _)| kept == place);
                    if let Some(is_copy) = is_copy.get_mut(begin + place) {
                        *is_copy = !is_kept;
                    }
                }
            }
        }
        begin += tie.len();
    }
    let mut is_copy = is_copy.into_iter();
    rows.retain(|_| !is_copy.next().unwrap_or(false));
}

fn key(row: &Row) -> (&str, &str) {
    (&row.position.id, &row.position.sort)
}

fn precedence(row: &Row) -> (bool, u64, Option<&str>) {
    (row.item.text(SOURCE) == Some("rest"), row.position.received_at, row.item.text(ORIGIN))
}
