//! Says what an answer to BatchWriteItem means, in one place.

use std::collections::HashSet;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::batch_write_item::{BatchWriteItemError, BatchWriteItemOutput};
use aws_sdk_dynamodb::types::{AttributeValue, ThrottlingReason, WriteRequest};
use shared::key::Key;
use shared::table::{ID, MICROTIMESTAMP};

use crate::store::batch::BatchEntry;

/// What to do after an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// All items are stored.
    Done,
    /// The items with these keys are not stored yet; the others are.
    Partial(HashSet<Key>),
    /// Nothing is known to be stored; the same request may succeed later.
    Retry,
    /// As [`Answer::Retry`], and the store may still be working on the request.
    TimedOut,
    /// The request as it is will never succeed, for this reason.
    Rejected(String),
}

/// Why an answer is not simply [`Answer::Done`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The table is throttled, or the answer does not say which.
    ThrottledTable,
    /// The index is throttled.
    ThrottledIndex,
    /// The store, the network or a permission failed; one sentence for people.
    Failed(String),
    /// The store refuses an item.
    Invalid,
}

/// Returns the meaning of no answer within the request's timeout.
#[must_use]
pub fn timed_out() -> (Answer, Option<Cause>) {
    (Answer::TimedOut, Some(Cause::Failed("the store did not answer in time".to_owned())))
}

type Sent = Result<BatchWriteItemOutput, SdkError<BatchWriteItemError>>;

/// Trouble after a success (HTTP 200) that does not say what became of the items.
pub const INCOMPLETE: &str = "the store's answer does not say what became of every item";

/// Classifies the answer to one BatchWriteItem that put `entries` into `table`. Unprocessed items count as throttling
/// of the table, as far as the answer says.
#[must_use]
pub fn classify(table: &str, entries: &[BatchEntry], sent: Sent) -> (Answer, Option<Cause>) {
    let error = match sent {
        Ok(output) => {
            return match unprocessed(table, entries, &output) {
                None => (Answer::Retry, Some(Cause::Failed(INCOMPLETE.to_owned()))),
                Some(keys) if keys.is_empty() => (Answer::Done, None),
                Some(keys) => (Answer::Partial(keys), Some(Cause::ThrottledTable)),
            };
        }
        Err(error) => error,
    };
    let status = error.raw_response().map_or(0, |response| response.status().as_u16());
    let is_timeout = match &error {
        SdkError::TimeoutError(_) => true,
        SdkError::DispatchFailure(failure) => failure.is_timeout(),
        _ => false,
    };
    if is_timeout {
        return timed_out();
    }
    let Some(service) = error.as_service_error() else {
        return (Answer::Retry, Some(Cause::Failed(unreachable_sentence(&error))));
    };
    let again = |sentence: String| (Answer::Retry, Some(Cause::Failed(sentence)));
    match service {
        BatchWriteItemError::ProvisionedThroughputExceededException(error) => throttled(error.throttling_reasons()),
        BatchWriteItemError::ThrottlingException(error) => throttled(error.throttling_reasons()),
        BatchWriteItemError::RequestLimitExceeded(error) => throttled(error.throttling_reasons()),
        BatchWriteItemError::ResourceNotFoundException(_) => {
            again(format!("table `{table}` does not exist (any more)"))
        }
        BatchWriteItemError::ItemCollectionSizeLimitExceededException(error) => {
            (Answer::Rejected(error.to_string()), Some(Cause::Invalid))
        }
        _ => match (service.code().unwrap_or("unknown"), service.message().unwrap_or_default()) {
            ("ValidationException" | "SerializationException", message) => {
                (Answer::Rejected(format!("the store refuses it: {message}")), Some(Cause::Invalid))
            }
            ("AccessDeniedException", message) => again(format!("permission is missing: {message}")),
            (code, message) if status == 413 => {
                (Answer::Rejected(format!("the request is too large: {code} {message}")), Some(Cause::Invalid))
            }
            (code, message) => again(format!("the store answers {status} {code} {message}").trim_end().to_owned()),
        },
    }
}

/// Returns the keys that a success names as unprocessed; `None` if it does not say what became of every entry.
///
/// DynamoDB documents an empty `UnprocessedItems` map for a full success, and DynamoDB Local and the embedded engine send it.
/// An answer without the map is therefore no success, be its body empty or `{}`; the SDK shows both as the same. Nor is one that
/// names another table, an item that was not sent, or an item twice: it answers another request. To write the batch again is
/// harmless, because the keys are the same; to believe such an answer loses events.
fn unprocessed(table: &str, entries: &[BatchEntry], output: &BatchWriteItemOutput) -> Option<HashSet<Key>> {
    let sent: HashSet<&Key> = entries.iter().map(|entry| &entry.key).collect();
    let mut keys = HashSet::new();
    for (name, requests) in output.unprocessed_items()? {
        if name != table {
            return None;
        }
        for request in requests {
            let key = key(request).filter(|key| sent.contains(key))?;
            if !keys.insert(key) {
                return None;
            }
        }
    }
    Some(keys)
}

fn throttled(reasons: &[ThrottlingReason]) -> (Answer, Option<Cause>) {
    let of_index = |reason: &ThrottlingReason| {
        reason.reason().is_some_and(|text| text.starts_with("Index"))
            || reason.resource().is_some_and(|arn| arn.contains("/index/"))
    };
    let cause = if reasons.iter().any(of_index) { Cause::ThrottledIndex } else { Cause::ThrottledTable };
    (Answer::Retry, Some(cause))
}

fn unreachable_sentence(error: &SdkError<BatchWriteItemError>) -> String {
    match error {
        SdkError::DispatchFailure(_) => format!("the store cannot be reached: {}", root(error)),
        SdkError::ConstructionFailure(_) => format!("no request can be made: {}", root(error)),
        _ => "the store's answer was cut off or cannot be read".to_owned(),
    }
}

/// Returns the cause at the bottom; around it lie the SDK's layers.
fn root<'error>(error: &'error (dyn std::error::Error + 'static)) -> &'error (dyn std::error::Error + 'static) {
    error.source().map_or(error, root)
}

fn key(request: &WriteRequest) -> Option<Key> {
    let item = request.put_request()?.item();
    match (item.get(ID)?, item.get(MICROTIMESTAMP)?) {
        (AttributeValue::N(id), AttributeValue::S(sort)) => Some(Key { id: id.clone(), microtimestamp: sort.clone() }),
        _ => None,
    }
}
