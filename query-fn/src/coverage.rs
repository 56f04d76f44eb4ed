//! Reads the coverage ledger of a channel, see [`shared::coverage`].

use codec::item::{Item, Value as Attribute};
use serde_json::{Value, json};
use shared::coverage::{self, LONGEST};
pub use shared::coverage::{State, Stretch};
use smol_str::format_smolstr;
use tokio::time::Instant;

use crate::{
    render::Columns,
    request::{Order, Range, Subject, parameters::END_OF_TIME},
    store::{Store, StoreError},
};

/// The CSV columns of `/coverage`.
pub const COLUMNS: Columns = &["channel", "from", "through", "state", "reason"];

/// A gap may have begun long before and end long after: so many later ends are looked at for one.
const LATER: i32 = 16;

/// What the ledger says about a part of a channel's time.
pub struct Coverage {
    /// In order, without holes between `from` and `through`.
    pub stretches: Vec<Stretch>,
    /// The last moment that the ledger was read for.
    pub through: u64,
}

/// Reads the ledger of `channel` from `from` to `to`, at most `queries` pages of it.
///
/// # Errors
///
/// [`StoreError`].
pub async fn read(
    store: &Store,
    channel: &str,
    (from, to): (u64, u64),
    queries: usize,
    deadline: Instant,
) -> Result<Coverage, StoreError> {
    let subject = Subject::Channel(coverage::ledger_channel(channel));
    let border = to.saturating_add(LONGEST).min(END_OF_TIME);
    let ends = Range { subject, from, to: border, order: Order::Ascending };
    let later = Range { from: border.saturating_add(1), to: END_OF_TIME + 1, ..ends.clone() };
    let (ends, later) = tokio::try_join!(read_ends(store, &ends, queries, deadline), async {
        store.query(&later, Some(LATER), None, deadline).await
    })?;
    let (mut items, complete) = ends;
    let last_end = items.last().and_then(stretch).map(|last| last.through).unwrap_or(from);
    let through = if complete { to } else { last_end.saturating_sub(LONGEST).clamp(from, to) };
    items.extend(later.items);
    let recorded: Vec<_> = items.iter().filter_map(stretch).collect();
    Ok(Coverage { stretches: coverage::merge(&recorded, from, through), through })
}

fn stretch(item: &Item) -> Option<Stretch> {
    coverage::stretch(&item.attributes().ok()?)
}

async fn read_ends(
    store: &Store,
    range: &Range,
    queries: usize,
    deadline: Instant,
) -> Result<(Vec<Item>, bool), StoreError> {
    let mut items = Vec::new();
    let mut start = None;
    for _ in 0..queries.max(1) {
        let answer = store.query(range, None, start.take(), deadline).await?;
        items.extend(answer.items);
        start = answer.stopped_at;
        if start.is_none() {
            return Ok((items, true));
        }
    }
    Ok((items, false))
}

/// The recorded gaps from `from` to `to`, as `Gaps` shows them.
#[must_use]
pub fn gaps(coverage: &Coverage, from: u64, to: u64) -> Vec<Value> {
    let gaps = coverage.stretches.iter().filter(|stretch| stretch.state == State::Gap);
    gaps.filter(|gap| gap.from <= to && gap.through >= from)
        .map(|gap| json!({ "from": gap.from.max(from), "through": gap.through.min(to), "reason": gap.reason }))
        .collect()
}

/// As an item of `/coverage`.
#[must_use]
pub fn item(stretch: &Stretch, channel: &str) -> Item {
    let time = |time: u64| Attribute::Number(format_smolstr!("{time}"));
    let reason = stretch.reason.as_deref().map_or(Attribute::Null, |reason| Attribute::Text(reason.into()));
    Item::of(vec![
        ("channel".into(), Attribute::Text(channel.into())),
        ("from".into(), time(stretch.from)),
        ("through".into(), time(stretch.through)),
        ("state".into(), Attribute::Text(stretch.state.name().into())),
        ("reason".into(), reason),
    ])
}
