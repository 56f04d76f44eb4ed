use serde::Deserialize;
use serde_json::{Map, Value};
use shared::channel::Channel;
use shared::event::Event;
use shared::item::Item;
use shared::key::Keyed;

use crate::fill::holes::Hole;
use crate::fill::{Fault, Filler};
use crate::rest::Rows;
use crate::stored::Side;

/// Stored events that are looked at on either side. Several share a moment; ids tell their order.
const NEIGHBOURS: i32 = 8;
/// Events that are in memory at once.
const PART: usize = 256;

/// An event of `POST /order_data/`: the WebSocket's fields but `channel` and `pre_event_id`.
#[derive(Debug, Deserialize)]
struct Row {
    event: String,
    event_id: String,
    data: Value,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// Fetches the order events of a hole, from the last one before it to the first ones behind it. What is there already stays as
/// it is.
pub(super) async fn fetch(filler: &Filler, channel: &Channel, pair: &str, hole: Hole) -> Result<u64, Fault> {
    let ids = async |moment, side| {
        let items = filler.stored.nearest(channel.as_str(), moment, side, NEIGHBOURS).await.map_err(Fault::Later)?;
        let mut ids: Vec<String> = items.iter().filter_map(event_id).collect();
        ids.sort_unstable();
        Ok::<_, Fault>(ids)
    };
    let (before, behind) = (ids(hole.from, Side::Before).await?, ids(hole.through, Side::Behind).await?);
    let (Some(since), Some(seen), Some(until)) = (before.last(), behind.first(), behind.last()) else {
        return Err(Fault::NotYet("there is no order event near it in the table that has an event_id"));
    };
    if seen == until {
        return Err(Fault::NotYet("too few order events are behind it"));
    }
    let form = [("market", pair), ("since_id", since), ("until_id", until)];
    let mut rows = Rows::of(filler.rest.post("/order_data/", &form).await?);
    let mut stored = 0;
    match rows.next::<Row>().await? {
        Some(row) if row.event_id == *since => {}
        _ => return Err(Fault::Refused("the exchange's history does not begin with the event asked for".to_owned())),
    }
    let mut part = Vec::with_capacity(PART);
    loop {
        let row = rows.next::<Row>().await?;
        let met = row.as_ref().is_some_and(|row| row.event_id == *seen);
        if met || row.is_none() || part.len() == PART {
            stored += filler.put(std::mem::take(&mut part)).await?;
        }
        match row {
            Some(_) if met => return Ok(stored),
            Some(row) => {
                let event = order(channel, row);
                let keyed = Keyed::of(&event).map_err(|error| Fault::Refused(error.to_string()))?;
                part.push(filler.entry(event, keyed)?);
            }
            None => {
                let reason = "the exchange's history does not reach the first event behind it";
                return Err(Fault::Refused(reason.to_owned()));
            }
        }
    }
}

fn event_id(item: &Item) -> Option<String> {
    item.get("event_id")?.as_s().ok().cloned()
}

fn order(channel: &Channel, row: Row) -> Event {
    let mut extra = row.rest;
    extra.insert("event_id".to_owned(), Value::String(row.event_id));
    Event { channel: channel.clone(), name: row.event, data: row.data, extra }
}
