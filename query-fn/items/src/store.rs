//! The calls to the table: one item read, one change with its record, a page of records.

use aws_sdk_dynamodb::{
    Client,
    error::SdkError,
    operation::transact_write_items::{TransactWriteItemsError, TransactWriteItemsOutput},
    types::{AttributeValue, ReturnConsumedCapacity, TransactWriteItem},
};
use query_fn::query::store::{ON_TABLE, StoreError, classify};
use shared::{item::Item, table::ID};
use tokio::time::{Instant, timeout_at};

use crate::audit::{self, PARTITION};
use crate::item::Key;

/// The one table, through a shared client.
#[derive(Clone)]
pub struct Store {
    client: Client,
    table: String,
}

/// The reason why a transaction changed nothing, or may have.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A condition does not hold.
    #[error("a condition does not hold")]
    Condition,
    /// Another write of one of the items is under way.
    #[error("another write is under way")]
    Contended,
    /// The store says that the request is not valid.
    #[error("{0}")]
    Invalid(String),
    /// The store did not answer in time or not in full: the transaction took effect, or did not.
    #[error("the outcome is unknown: {0}")]
    Unknown(StoreError),
    /// The store refuses or cannot.
    #[error(transparent)]
    Store(#[from] StoreError),
}

/// A page of audit items.
pub struct Page {
    /// The items in the order asked for.
    pub items: Vec<Item>,
    /// True if there may be more behind the last one.
    pub is_cut: bool,
}

impl Store {
    /// Returns a store of `table` behind `client`.
    #[must_use]
    pub fn new(client: Client, table: String) -> Store {
        Store { client, table }
    }

    /// Returns the name of the table.
    #[must_use]
    pub fn table(&self) -> &str {
        &self.table
    }

    /// Reads one item, consistently.
    ///
    /// # Errors
    ///
    /// [`StoreError`] if the store fails, or `deadline` passes.
    pub async fn get(&self, key: &Key, deadline: Instant) -> Result<Option<Item>, StoreError> {
        let call = self
            .client
            .get_item()
            .table_name(&self.table)
            .set_key(Some(key.to_item()))
            .consistent_read(true)
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        let answer = timeout_at(deadline, call.send())
            .await
            .map_err(|_| used_up())?
            .map_err(|error| classify(&error, ("dynamodb:GetItem", ON_TABLE)))?;
        // An item that is not there is an answer without `Item`. So is an answer that says nothing: it lacks the capacity too.
        if answer.item.is_none() && answer.consumed_capacity.is_none() {
            return Err(StoreError::Busy("empty answer".to_owned()));
        }
        Ok(answer.item)
    }

    /// Sends one transaction; `token` makes repetitions of the SDK one.
    ///
    /// # Errors
    ///
    /// [`Failure`], which says whether anything may have been changed.
    pub async fn transact(
        &self,
        members: Vec<TransactWriteItem>,
        token: &str,
        deadline: Instant,
    ) -> Result<(), Failure> {
        let call = self
            .client
            .transact_write_items()
            .set_transact_items(Some(members))
            .client_request_token(token)
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        let sent = timeout_at(deadline, call.send()).await.map_err(|_| Failure::Unknown(used_up()))?;
        match sent {
            Ok(answer) if says_nothing(&answer) => Err(Failure::Unknown(StoreError::Busy("empty answer".to_owned()))),
            Ok(_) => Ok(()),
            Err(error) => Err(failure(&error)),
        }
    }

    /// Reads a page of audit items, consistently: those with sort keys of `sort`, at most `limit`, from behind `start` on.
    ///
    /// # Errors
    ///
    /// As [`Store::get`].
    pub async fn audit(
        &self,
        (from, to): (String, String),
        (is_ascending, limit): (bool, i32),
        start: Option<&str>,
        deadline: Instant,
    ) -> Result<Page, StoreError> {
        let call = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#id = :id AND microtimestamp BETWEEN :from AND :to")
            .expression_attribute_names("#id", ID)
            .expression_attribute_values(":id", AttributeValue::N(PARTITION.to_owned()))
            .expression_attribute_values(":from", AttributeValue::S(from))
            .expression_attribute_values(":to", AttributeValue::S(to))
            .scan_index_forward(is_ascending)
            .consistent_read(true)
            .limit(limit)
            .set_exclusive_start_key(start.map(audit::start_behind));
        let answer = timeout_at(deadline, call.send())
            .await
            .map_err(|_| used_up())?
            .map_err(|error| classify(&error, ("dynamodb:Query", ON_TABLE)))?;
        let items = answer.items.ok_or_else(|| StoreError::Busy("empty answer".to_owned()))?;
        let is_cut = answer.last_evaluated_key.is_some_and(|key| !key.is_empty());
        Ok(Page { items, is_cut })
    }
}

fn used_up() -> StoreError {
    StoreError::Busy("the time for this request is used up".to_owned())
}

/// A success has the capacity that was asked for; an empty body or `{}` says nothing of the transaction.
fn says_nothing(answer: &TransactWriteItemsOutput) -> bool {
    answer.consumed_capacity().is_empty()
}

/// Sorts an error of the SDK by whether the transaction may have taken effect.
fn failure<R>(error: &SdkError<TransactWriteItemsError, R>) -> Failure {
    const NEEDED: (&str, &str) = ("dynamodb:PutItem", ON_TABLE);
    let SdkError::ServiceError(answered) = error else {
        return match classify(error, NEEDED) {
            busy @ StoreError::Busy(_) => Failure::Unknown(busy),
            other => Failure::Store(other),
        };
    };
    let said = answered.err();
    if let TransactWriteItemsError::TransactionCanceledException(canceled) = said {
        let reasons = canceled.cancellation_reasons();
        let has = |code: &str| reasons.iter().find(|reason| reason.code() == Some(code));
        if let Some(reason) = has("ValidationError") {
            return Failure::Invalid(reason.message().unwrap_or("not valid").to_owned());
        }
        if has("ConditionalCheckFailed").is_some() {
            return Failure::Condition;
        }
        if has("TransactionConflict").is_some() {
            return Failure::Contended;
        }
        let code = reasons.iter().filter_map(|reason| reason.code()).find(|code| *code != "None");
        return Failure::Store(StoreError::Busy(code.unwrap_or("TransactionCanceledException").to_owned()));
    }
    let meta = said.meta();
    match meta.code() {
        Some("ValidationException") => Failure::Invalid(meta.message().unwrap_or("not valid").to_owned()),
        Some("TransactionInProgressException") | None => Failure::Unknown(classify(error, NEEDED)),
        Some(code) if code.contains("InternalServerError") || code.contains("ServiceUnavailable") => {
            Failure::Unknown(classify(error, NEEDED))
        }
        Some(_) => Failure::Store(classify(error, NEEDED)),
    }
}
