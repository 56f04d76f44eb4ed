//! Reading: a range of the index, an item, many items.

use std::fmt::Debug;

use aws_sdk_dynamodb::{
    operation::batch_get_item::BatchGetItemOutput,
    types::{AttributeValue, KeysAndAttributes, ReturnConsumedCapacity},
};
use backfill::{
    error::Error,
    retry::{Patience, refused},
};
use shared::{
    item::Item,
    table::{CHANNEL, INDEX, NMICROTIMESTAMP},
};

use super::{CONDITION, Kind, Page, Store, Wanted, units_of};

/// Keys in a call at most
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchGetItem.html>).
const MOST_KEYS: usize = 100;

impl Store {
    /// A page of a channel's items, times from and through included.
    ///
    /// # Errors
    /// When the service refuses, patience ends, or the command is interrupted.
    pub async fn query(&self, channel: &str, (from, to): (u64, u64), wanted: Wanted) -> Result<Page, Error> {
        let number = |number: u64| AttributeValue::N(number.to_string());
        let call = || {
            self.client
                .query()
                .table_name(&self.table)
                .index_name(INDEX)
                .key_condition_expression("#c = :c AND #t BETWEEN :f AND :t")
                .expression_attribute_names("#c", CHANNEL)
                .expression_attribute_names("#t", NMICROTIMESTAMP)
                .expression_attribute_values(":c", AttributeValue::S(channel.to_owned()))
                .expression_attribute_values(":f", number(from))
                .expression_attribute_values(":t", number(to))
                .scan_index_forward(!wanted.last_first)
                .set_exclusive_start_key(wanted.after.clone())
                .set_limit(wanted.limit)
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .send()
        };
        let (answer, _) =
            self.call("Query", Kind::Read, 1, |output| units_of(output.consumed_capacity.as_ref()), call).await?;
        let output = answer.map_err(unconditional("Query"))?;
        Ok(Page { items: output.items.unwrap_or_default(), next: output.last_evaluated_key })
    }

    /// The item under a key, by a consistent read.
    ///
    /// # Errors
    /// As [`Store::query`].
    pub async fn get(&self, key: &Item) -> Result<Option<Item>, Error> {
        let call = || {
            let get = self.client.get_item().table_name(&self.table).consistent_read(true);
            get.set_key(Some(key.clone())).return_consumed_capacity(ReturnConsumedCapacity::Total).send()
        };
        let (answer, _) =
            self.call("GetItem", Kind::Read, 1, |output| units_of(output.consumed_capacity.as_ref()), call).await?;
        Ok(answer.map_err(unconditional("GetItem"))?.item.filter(|item| !item.is_empty()))
    }

    /// The items under these keys, by consistent reads, in any order.
    ///
    /// # Errors
    /// As [`Store::query`].
    pub async fn get_all(&self, keys: &[Item]) -> Result<Vec<Item>, Error> {
        let (mut found, mut left) = (Vec::with_capacity(keys.len()), keys.to_vec());
        let mut patience = Patience::new("BatchGetItem", self.patience);
        while !left.is_empty() {
            let rest = left.split_off(left.len().min(MOST_KEYS));
            let wanted = KeysAndAttributes::builder().consistent_read(true).set_keys(Some(left)).build();
            let wanted = wanted.expect("it has keys");
            let call = || {
                let get = self.client.batch_get_item().request_items(&self.table, wanted.clone());
                get.return_consumed_capacity(ReturnConsumedCapacity::Total).send()
            };
            let units = |output: &BatchGetItemOutput| {
                let consumed = output.consumed_capacity.as_ref().filter(|consumed| !consumed.is_empty())?;
                consumed.iter().map(|consumed| units_of(Some(consumed))).sum()
            };
            let (answer, _) = self.call("BatchGetItem", Kind::Read, wanted.keys().len(), units, call).await?;
            let mut output = answer.map_err(unconditional("BatchGetItem"))?;
            let more = output.responses.as_mut().and_then(|tables| tables.remove(&self.table)).unwrap_or_default();
            let unread = output.unprocessed_keys.as_mut().and_then(|tables| tables.remove(&self.table));
            match more.is_empty() && unread.is_some() {
                true => patience.pause("no keys processed", &self.stop).await?,
                false => patience.progress(),
            }
            found.extend(more);
            left = rest;
            left.extend(unread.into_iter().flat_map(|unread| unread.keys));
        }
        Ok(found)
    }
}

/// The error of a condition, of a call that has none.
fn unconditional<E: Debug>(operation: &'static str) -> impl Fn(E) -> Error {
    move |error| refused(operation, CONDITION.to_owned(), format!("{error:?}"))
}
