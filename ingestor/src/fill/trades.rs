use std::collections::BTreeMap;

use serde::Deserialize;
use serde_json::{Map, Number, json};
use shared::channel::Channel;
use shared::event::Event;
use shared::key::{Key, Keyed};
use shared::time::Micros;

use crate::fill::holes::Hole;
use crate::fill::{Fault, Filler};
use crate::rest::Rows;

const SECOND: u64 = 1_000_000;
/// How far from a hole a trade may be that is looked for on both sides, in seconds.
const REACH: u64 = 3_600;
/// How many of them are looked for, at most.
const LOOKED_FOR: usize = 5;

/// A trade of `GET /transactions/`: whole seconds, no order ids, everything a string.
#[derive(Debug, Deserialize)]
struct Row {
    date: String,
    tid: String,
    price: String,
    amount: String,
    #[serde(rename = "type")]
    taker: String,
}

/// Fetches the trades of a hole. Of each id that the table does not hold comes one item; of the seconds at either end those
/// that were captured are there already.
pub(super) async fn fetch(filler: &Filler, channel: &Channel, market: &str, hole: Hole) -> Result<u64, Fault> {
    let (first, last) = (hole.from / SECOND, hole.through / SECOND);
    let look = if filler.now() / SECOND < first + 3_000 { "hour" } else { "day" };
    let mut rows = Rows::of(filler.rest.get(&format!("/transactions/{market}/?time={look}")).await?);
    let mut trades: BTreeMap<(u64, String), Row> = BTreeMap::new();
    while let Some(row) = rows.next::<Row>().await? {
        let date = row.date.parse().map_err(|_| Fault::Refused("a trade without a date".to_owned()))?;
        if (first.saturating_sub(REACH)..=last + REACH).contains(&date) {
            trades.insert((date, row.tid.clone()), row);
        }
    }
    let before = trades.keys().rev().filter(|(date, _)| *date < first);
    let behind = trades.keys().filter(|(date, _)| *date > last);
    for side in [before.take(LOOKED_FOR).collect::<Vec<_>>(), behind.take(LOOKED_FOR).collect()] {
        if !any_is_stored(filler, channel, &side).await? {
            return Err(Fault::NotYet("the exchange names no trade near it that is in the table"));
        }
    }
    let mut missing = Vec::new();
    for ((date, id), row) in trades.into_iter().filter(|((date, _), _)| (first..=last).contains(date)) {
        if filler.stored.has(channel.as_str(), &id).await.map_err(Fault::Later)? {
            continue;
        }
        missing.push(filler.entry(trade(channel, date, &row)?, keyed(date, id, hole))?);
    }
    filler.put(missing).await
}

async fn any_is_stored(filler: &Filler, channel: &Channel, trades: &[&(u64, String)]) -> Result<bool, Fault> {
    for (_, id) in trades {
        if filler.stored.has(channel.as_str(), id).await.map_err(Fault::Later)? {
            return Ok(true);
        }
    }
    Ok(false)
}

/// Found at the second it names, but not outside of the hole: that is where it was missed.
fn keyed(date: u64, id: String, hole: Hole) -> Keyed {
    let second = date * SECOND;
    let time = second.clamp(hole.from, hole.through);
    Keyed { key: Key { id, microtimestamp: second.to_string() }, time: Some(Micros(time)) }
}

/// With the names that the WebSocket uses; `microtimestamp` stays out, because nobody knows it.
fn trade(channel: &Channel, date: u64, row: &Row) -> Result<Event, Fault> {
    let number = |text: &str| {
        text.parse::<Number>().map_err(|_| Fault::Refused(format!("a trade with `{text}` where a number should be")))
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
