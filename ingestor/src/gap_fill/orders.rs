//! Fetches order events from `POST /order_data/`.

use serde::Deserialize;
use serde_json::{Map, Value};
use shared::channel::Channel;
use shared::event::Event;
use shared::item::Item;
use shared::key::Keyed;

use crate::exchange::rest::Rows;
use crate::gap_fill::context::FillContext;
use crate::gap_fill::error::FillError;
use crate::gap_fill::gaps::Gap;
use crate::store::reader::Side;

/// Number of stored events read on either side. Several share a moment; ids tell their order.
const NEIGHBOURS: usize = 8;
/// Number of events in memory at once.
const PART: usize = 256;

/// An event of `POST /order_data/`: the WebSocket's fields but `channel` and `pre_event_id`.
#[derive(Debug, Deserialize)]
struct OrderRow {
    event: String,
    event_id: String,
    data: Value,
    #[serde(flatten)]
    rest: Map<String, Value>,
}

/// Fetches the order events of a gap, from the last stored event before it to the first ones after it. Inserts those
/// that the table lacks; returns how many.
pub(super) async fn fetch(context: &FillContext, channel: &Channel, pair: &str, gap: Gap) -> Result<u64, FillError> {
    let ids = async |moment, side| {
        let items = context
            .reader
            .nearest_events(channel.as_str(), moment, side, NEIGHBOURS)
            .await
            .map_err(FillError::Later)?;
        let mut ids: Vec<String> = items.iter().filter_map(event_id).collect();
        ids.sort_unstable();
        Ok::<_, FillError>(ids)
    };
    let (before, behind) = (ids(gap.from, Side::Before).await?, ids(gap.through, Side::After).await?);
    let (Some(since), Some(seen), Some(until)) = (before.last(), behind.first(), behind.last()) else {
        return Err(FillError::NotYet("there is no order event near it in the table that has an event_id"));
    };
    if seen == until {
        return Err(FillError::NotYet("too few order events are behind it"));
    }
    let form = [("market", pair), ("since_id", since), ("until_id", until)];
    let mut rows = Rows::of(context.rest.post("/order_data/", &form).await?);
    let mut stored = 0;
    match rows.next::<OrderRow>().await? {
        Some(row) if row.event_id == *since => {}
        _ => {
            return Err(FillError::Refused(
                "the exchange's history does not begin with the event asked for".to_owned(),
            ));
        }
    }
    let mut part = Vec::with_capacity(PART);
    loop {
        let row = rows.next::<OrderRow>().await?;
        let met = row.as_ref().is_some_and(|row| row.event_id == *seen);
        if met || row.is_none() || part.len() == PART {
            let missing = context.not_in_blocks(channel, std::mem::take(&mut part)).await?;
            stored += context.put(missing).await?;
        }
        match row {
            Some(_) if met => return Ok(stored),
            Some(row) => {
                let event = order(channel, row);
                let keyed = Keyed::of(&event).map_err(|error| FillError::Refused(error.to_string()))?;
                part.push(context.entry(event, keyed)?);
            }
            None => {
                let reason = "the exchange's history does not reach the first event behind it";
                return Err(FillError::Refused(reason.to_owned()));
            }
        }
    }
}

fn event_id(item: &Item) -> Option<String> {
    item.get("event_id")?.as_s().ok().cloned()
}

fn order(channel: &Channel, row: OrderRow) -> Event {
    let mut extra = row.rest;
    extra.insert("event_id".to_owned(), Value::String(row.event_id));
    Event { channel: channel.clone(), name: row.event, data: row.data, extra }
}
