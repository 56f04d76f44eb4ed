//! Counts items with a Query: the store reads the items, and charges for them, but sends none.

use aws_sdk_dynamodb::types::{ReturnConsumedCapacity, Select};
use rust_decimal::Decimal;
use tokio::time::{Instant, timeout_at};

use super::{EngineKey, MOST_ITEMS, QUERY, Store, StoreError, classify};
use crate::range::Range;

/// The result of one counting Query: up to 1 MB of items.
pub struct Counted {
    /// The number of items.
    pub items: u64,
    /// The read units that the Query cost; `None` if the store does not tell.
    pub units: Option<Decimal>,
    /// The key to continue from, if the engine stopped before the end of the range.
    pub stopped_at: Option<EngineKey>,
}

impl Store {
    /// Counts the items of one page, from `start` on if given.
    ///
    /// # Errors
    ///
    /// As [`Store::query`].
    pub async fn count(
        &self,
        range: &Range,
        start: Option<EngineKey>,
        deadline: Instant,
    ) -> Result<Counted, StoreError> {
        let (call, resource) = self.call(range);
        let call = call
            .select(Select::Count)
            .limit(MOST_ITEMS)
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .set_exclusive_start_key(start);
        let answer = timeout_at(deadline, call.send())
            .await
            .map_err(|_| StoreError::Busy("the time for this request is used up".to_owned()))?
            .map_err(|error| classify(&error, (QUERY, resource)))?;
        let units = answer.consumed_capacity().and_then(aws_sdk_dynamodb::types::ConsumedCapacity::capacity_units);
        let units = units.and_then(|units| Decimal::try_from(units).ok());
        self.units.add(units);
        Ok(Counted {
            items: u64::try_from(answer.count()).unwrap_or_default(),
            units,
            stopped_at: answer.last_evaluated_key.filter(|key| !key.is_empty()),
        })
    }
}
