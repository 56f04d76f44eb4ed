//! Writing, on conditions.

use aws_sdk_dynamodb::{
    operation::{delete_item::DeleteItemError, put_item::PutItemError},
    types::{ReturnConsumedCapacity, ReturnValue, ReturnValuesOnConditionCheckFailure},
};
use backfill::error::Error;
use shared::item::{self, Item};

use super::{Kind, Store, Written, key_of, units_of};
use crate::condition::Condition;

impl Store {
    /// Puts an item, on a condition if there is one.
    ///
    /// # Errors
    /// As [`Store::query`].
    pub async fn put(&self, item: &Item, condition: Option<&Condition>) -> Result<Written, Error> {
        let call = || {
            let put = self.client.put_item().table_name(&self.table).set_item(Some(item.clone()));
            let put = match condition {
                None => put,
                Some(Condition { expression, names, values }) => put
                    .condition_expression(expression)
                    .set_expression_attribute_names(Some(names.clone()))
                    .set_expression_attribute_values(values.clone())
                    .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld),
            };
            put.return_consumed_capacity(ReturnConsumedCapacity::Total).send()
        };
        let size = kilobytes(item);
        let answer =
            self.call("PutItem", Kind::Write, size, |output| units_of(output.consumed_capacity.as_ref()), call).await?;
        let outcome = answer.0.map(|_| None).map_err(|error| match error {
            PutItemError::ConditionalCheckFailedException(failed) => failed.item.filter(|item| !item.is_empty()),
            _ => None,
        });
        Ok(Written { outcome, first: answer.1 })
    }

    /// Deletes an item on a condition; `item` gives its key and size.
    ///
    /// # Errors
    /// As [`Store::query`].
    pub async fn delete(&self, item: &Item, condition: &Condition) -> Result<Written, Error> {
        let call = || {
            let Condition { expression, names, values } = condition;
            self.client
                .delete_item()
                .table_name(&self.table)
                .set_key(Some(key_of(item)))
                .condition_expression(expression)
                .set_expression_attribute_names(Some(names.clone()))
                .set_expression_attribute_values(values.clone())
                .return_values(ReturnValue::AllOld)
                .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
                .return_consumed_capacity(ReturnConsumedCapacity::Total)
                .send()
        };
        let size = kilobytes(item);
        let answer = self
            .call("DeleteItem", Kind::Write, size, |output| units_of(output.consumed_capacity.as_ref()), call)
            .await?;
        let outcome = answer.0.map(|output| output.attributes.filter(|item| !item.is_empty()));
        let outcome = outcome.map_err(|error| match error {
            DeleteItemError::ConditionalCheckFailedException(failed) => failed.item.filter(|item| !item.is_empty()),
            _ => None,
        });
        Ok(Written { outcome, first: answer.1 })
    }
}

fn kilobytes(item: &Item) -> usize {
    item::size(item).div_ceil(1024).max(1)
}
