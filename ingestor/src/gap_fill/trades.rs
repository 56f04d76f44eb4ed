//! Fetches trades from `GET /transactions/`.

use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Number, json};
use shared::channel::Channel;
use shared::event::Event;
use shared::key::{Key, Keyed};
use shared::time::Micros;

use crate::exchange::rest::Rows;
use crate::gap_fill::context::FillContext;
use crate::gap_fill::error::FillError;
use crate::gap_fill::gaps::Gap;
use crate::store::reader::Side;
use crate::store::twins::{self, Copies};

const SECOND: u64 = 1_000_000;
/// Distance from the gap up to which a stored trade is looked for, in seconds.
const REACH: u64 = 3_600;
/// Number of trades looked for on either side, at most.
const LOOKED_FOR: usize = 5;

/// A trade of `GET /transactions/`: whole seconds, no order ids, all fields strings.
#[derive(Debug, Deserialize)]
struct TradeRow {
    date: String,
    tid: String,
    price: String,
    amount: String,
    #[serde(rename = "type")]
    taker: String,
}

/// Fetches the trades of a gap and writes one item per missing trade id; trades captured in the boundary seconds exist already.
pub(super) async fn fetch(context: &FillContext, channel: &Channel, market: &str, gap: Gap) -> Result<u64, FillError> {
    let (first, last) = (gap.from / SECOND, gap.through / SECOND);
    let look = if context.now() / SECOND < first + 3_000 { "hour" } else { "day" };
    let mut rows = Rows::of(context.rest.get(&format!("/transactions/{market}/?time={look}")).await?);
    let mut trades: BTreeMap<(u64, String), TradeRow> = BTreeMap::new();
    while let Some(row) = rows.next::<TradeRow>().await? {
        let date = row
            .date
            .parse()
            .map_err(|_| FillError::Later("the exchange's answer has a trade without a date".to_owned()))?;
        if (first.saturating_sub(REACH)..=last + REACH).contains(&date) {
            trades.insert((date, row.tid.clone()), row);
        }
    }
    let before: Vec<_> = trades.keys().rev().filter(|(date, _)| *date < first).take(LOOKED_FOR).collect();
    let behind: Vec<_> = trades.keys().filter(|(date, _)| *date > last).take(LOOKED_FOR).collect();
    if !any_is_stored(context, channel, &behind).await? {
        return Err(FillError::NotYet("the exchange names no trade behind it that is in the table"));
    }
    // Where the channel begins with the gap, the exchange's list has to reach back beyond it.
    if !any_is_stored(context, channel, &before).await?
        && (before.is_empty() || !begins_at(context, channel, first).await?)
    {
        return Err(FillError::NotYet("the exchange names no trade before it that is in the table"));
    }
    let (mut missing, mut ids) = (Vec::new(), Vec::new());
    for ((date, id), row) in trades.into_iter().filter(|((date, _), _)| (first..=last).contains(date)) {
        // An earlier attempt may have ended between the write and the look behind it.
        if twin(context, channel, &id).await?.any() {
            continue;
        }
        ids.push(id.clone());
        missing.push(context.entry(trade(channel, date, &row)?, keyed(date, id, gap))?);
    }
    let written = context.put(missing).await?;
    // A daemon with a backlog may have written the trade itself meanwhile.
    for id in ids {
        twin(context, channel, &id).await?;
    }
    Ok(written)
}

/// Removes the fetched copies of a trade that was captured too.
async fn twin(context: &FillContext, channel: &Channel, id: &str) -> Result<Copies, FillError> {
    twins::remove(&context.reader, channel, id).await.map_err(|error| FillError::Later(error.to_string()))
}

/// Returns true if the table has no event of the channel before `second` (seconds since the Unix epoch, the exchange's clock).
async fn begins_at(context: &FillContext, channel: &Channel, second: u64) -> Result<bool, FillError> {
    let before = context.reader.nearest(channel.as_str(), second * SECOND, Side::Before, 1).await;
    Ok(before.map_err(FillError::Later)?.is_empty())
}

async fn any_is_stored(context: &FillContext, channel: &Channel, trades: &[&(u64, String)]) -> Result<bool, FillError> {
    for (_, id) in trades {
        if context.reader.has(channel.as_str(), id).await.map_err(FillError::Later)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Returns the key of a fetched trade. Its time is the second it names, moved into the gap: that is where it was
/// missed.
fn keyed(date: u64, id: String, gap: Gap) -> Keyed {
    let second = date * SECOND;
    let time = second.clamp(gap.from, gap.through);
    Keyed { key: Key { id, microtimestamp: second.to_string() }, time: Some(Micros(time)), content: None }
}

/// Converts a fetched trade to an event with the names of the WebSocket. `microtimestamp` stays out, because it is
/// unknown.
fn trade(channel: &Channel, date: u64, row: &TradeRow) -> Result<Event, FillError> {
    let number = |text: &str| {
        text.parse::<Number>().map_err(|_| {
            FillError::Later(format!("the exchange's answer has a trade with `{text}` where a number should be"))
        })
    };
    let data = json!({
        "id": number(&row.tid)?,
        "timestamp": date.to_string(),
        "amount_str": row.amount,
        "price_str": row.price,
        "type": number(&row.taker)?,
    });
    Ok(Event { channel: channel.clone(), name: "trade".to_owned(), data, extra: Map::new() })
}
