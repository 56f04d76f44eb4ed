//! Keeps one item a trade: finds and removes the copy that was fetched from the exchange's history.

use std::time::Duration;

use aws_sdk_dynamodb::error::SdkError;
use aws_sdk_dynamodb::operation::delete_item::DeleteItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};
use shared::channel::{Channel, Family};
use shared::item::{Item, SOURCE};
use shared::key::{Key, SEPARATOR};
use shared::table::{CHANNEL, ID, MICROTIMESTAMP, RECEIVED_AT};

use crate::store::batch::BatchEntry;
use crate::store::reader::{StoreReader, names};
use crate::store::request::{RequestError, required, try_send_with_timeout};

/// Value of [`SOURCE`] for an event of the exchange's history.
pub const REST: &str = "rest";
/// Delay between a trade and its arrival in the table from which the exchange's history may have been asked for it
/// before; shorter than any `fill_after`.
const LATE: Duration = Duration::from_millis(500);

/// What the table holds of one trade.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Copies {
    /// True if the trade is there as the stream sent it.
    pub captured: bool,
    /// Keys of its items from the exchange's history. They name a second where the stream names a microsecond.
    pub fetched: Vec<Key>,
}

impl Copies {
    /// Returns true if the trade is in the table, from either source.
    #[must_use]
    pub fn any(&self) -> bool {
        self.captured || !self.fetched.is_empty()
    }
}

/// Returns the trade that an entry stores: its channel and id; `None` for every other event.
#[must_use]
pub fn trade(entry: &BatchEntry) -> Option<(&Channel, &str)> {
    let is_trade = entry.ledger.is_none()
        && entry.channel.family() == Family::LiveTrades
        && !entry.key.microtimestamp.contains(SEPARATOR);
    is_trade.then_some((&entry.channel, entry.key.id.as_str()))
}

/// Returns true if an entry that is in the table now stores a trade that may have been fetched before. `now`:
/// microseconds since the Unix epoch by this machine's clock.
#[must_use]
pub fn may_have_one(entry: &BatchEntry, now: u64) -> bool {
    let received = entry.item.get(RECEIVED_AT).and_then(|at| at.as_n().ok()?.parse().ok()).unwrap_or(0);
    trade(entry).is_some() && u128::from(now.saturating_sub(entry.time.0.min(received))) > LATE.as_micros()
}

/// Removes the items of a trade that came from the exchange's history if the trade as the stream sent it is there too.
/// Returns what it found.
///
/// Whoever writes a trade calls it after the write, the filler always and a daemon where it is late. Of two writers the one
/// whose write is the later sees both items, because the query is consistent. Calling it again is harmless.
///
/// # Errors
///
/// Returns a [`RequestError`] if a request fails; the trade may be in the table twice.
pub async fn remove(reader: &StoreReader, channel: &Channel, id: &str) -> Result<Copies, RequestError> {
    let copies = look(reader, channel, id).await?;
    if copies.captured {
        for key in &copies.fetched {
            required(try_send_with_timeout("dynamodb:DeleteItem", delete(reader, key)).await?)
                .map_err(RequestError::Failed)?;
        }
    }
    Ok(copies)
}

/// Finds the items of a trade.
///
/// # Errors
///
/// Returns a [`RequestError`] if a request fails.
pub async fn look(reader: &StoreReader, channel: &Channel, id: &str) -> Result<Copies, RequestError> {
    let (mut copies, mut next) = (Copies::default(), None);
    loop {
        let query = reader
            .client
            .query()
            .table_name(&reader.table)
            .consistent_read(true)
            .key_condition_expression("#id = :id")
            .filter_expression("#channel = :channel")
            .set_expression_attribute_names(names([("#id", ID), ("#channel", CHANNEL)]))
            .expression_attribute_values(":id", AttributeValue::N(id.to_owned()))
            .expression_attribute_values(":channel", AttributeValue::S(channel.to_string()))
            .set_exclusive_start_key(next);
        let page = try_send_with_timeout("dynamodb:Query", query.send()).await?;
        for item in required(page.items).map_err(RequestError::Failed)? {
            let Some(key) = key(&item) else { continue };
            match item.get(SOURCE) {
                None => copies.captured = true,
                Some(AttributeValue::S(source)) if source == REST => copies.fetched.push(key),
                Some(_) => {}
            }
        }
        next = page.last_evaluated_key;
        if next.is_none() {
            return Ok(copies);
        }
    }
}

/// Returns the key of a trade's item; other events of the channel have a discriminator.
fn key(item: &Item) -> Option<Key> {
    match (item.get(ID), item.get(MICROTIMESTAMP)) {
        (Some(AttributeValue::N(id)), Some(AttributeValue::S(sort))) if !sort.contains(SEPARATOR) => {
            Some(Key { id: id.clone(), microtimestamp: sort.clone() })
        }
        _ => None,
    }
}

/// Deletes an item unless it is gone or another one stands under its key. Returns `None` if the answer does not say so.
async fn delete(reader: &StoreReader, key: &Key) -> Result<Option<()>, SdkError<DeleteItemError>> {
    let sent = reader
        .client
        .delete_item()
        .table_name(&reader.table)
        .key(ID, AttributeValue::N(key.id.clone()))
        .key(MICROTIMESTAMP, AttributeValue::S(key.microtimestamp.clone()))
        .condition_expression("#source = :rest")
        .expression_attribute_names("#source", SOURCE)
        .expression_attribute_values(":rest", AttributeValue::S(REST.to_owned()))
        // Without it a success is `{}`, which an empty body looks like.
        .return_consumed_capacity(ReturnConsumedCapacity::Total)
        .send()
        .await;
    match sent {
        Ok(output) => Ok(output.consumed_capacity.map(drop)),
        Err(error) => match error.as_service_error() {
            Some(service) if service.is_conditional_check_failed_exception() => Ok(Some(())),
            _ => Err(error),
        },
    }
}
