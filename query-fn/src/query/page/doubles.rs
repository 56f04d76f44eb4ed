//! Removes events that are stored twice.
//!
//! While the first system and the daemon write the same channel, each order event is in the table under two keys: the first system's
//! sort key is the bare time, the daemon's has a discriminator behind it. The daemon's item has more attributes, so that one is shown.

use codec::item::Item;
use shared::{
    key::SEPARATOR,
    table::{MICROTIMESTAMP, NMICROTIMESTAMP, RECEIVED_AT},
};

use super::Row;

/// The attributes that differ between the two items of one event.
const OWN: [&str; 4] = [MICROTIMESTAMP, NMICROTIMESTAMP, RECEIVED_AT, "derived"];

/// Removes the first system's copies; returns their number. Rows of one time must stand together, in any order.
pub(super) fn remove(rows: &mut Vec<Row>) -> usize {
    let before = rows.len();
    let mut copies = Vec::new();
    for tie in rows.chunk_by(|left, right| left.position.time == right.position.time) {
        copies
            .extend(tie.iter().map(|row| tie.len() > 1 && is_bare(row) && tie.iter().any(|other| is_copy(row, other))));
    }
    if copies.contains(&true) {
        let mut copies = copies.into_iter();
        rows.retain(|_| !copies.next().unwrap_or(false));
    }
    before - rows.len()
}

fn is_bare(row: &Row) -> bool {
    !row.position.sort.contains(SEPARATOR)
}

/// Returns true if the daemon's row has every attribute of the first system's row.
fn is_copy(bare: &Row, other: &Row) -> bool {
    !is_bare(other)
        && bare.position.id == other.position.id
        && bare.item.iter().all(|(name, value)| OWN.contains(&name) || is_same(&other.item, name, value))
}

fn is_same(item: &Item, name: &str, value: &codec::item::Value) -> bool {
    item.get(name) == Some(value)
}
