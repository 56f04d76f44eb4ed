use std::collections::HashSet;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};
use aws_sdk_dynamodb::operation::batch_write_item::{BatchWriteItemError, BatchWriteItemOutput};
use aws_sdk_dynamodb::types::{AttributeValue, ThrottlingReason, WriteRequest};
use shared::key::Key;
use shared::table::{ID, MICROTIMESTAMP};

/// What to do after an answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Answer {
    /// Everything is stored.
    Done,
    /// These keys are not stored yet; the others are.
    Rest(HashSet<Key>),
    /// Nothing is known to be stored; the same request may succeed later.
    Again,
    /// As [`Answer::Again`], and the store may still be at it.
    Late,
    /// The request as it is will never succeed, for this reason.
    Never(String),
}

/// Why an answer is not simply "done".
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// The table is throttled, or the answer does not say which.
    ThrottledTable,
    /// The index is throttled.
    ThrottledIndex,
    /// The store, the network or a permission failed; one sentence for people.
    Failed(String),
    /// The store refuses the content.
    Invalid,
}

/// No answer in the time that the request had.
#[must_use]
pub fn late() -> (Answer, Option<Cause>) {
    (Answer::Late, Some(Cause::Failed("the store did not answer in time".to_owned())))
}

type Sent = Result<BatchWriteItemOutput, SdkError<BatchWriteItemError>>;

/// Classifies the answer to one BatchWriteItem on `table`. Unprocessed items are throttling of the table as far as the answer
/// says.
#[must_use]
pub fn classify(table: &str, sent: Sent) -> (Answer, Option<Cause>) {
    let error = match sent {
        Ok(output) => {
            let unprocessed = output.unprocessed_items().and_then(|tables| tables.get(table));
            return match unprocessed.filter(|requests| !requests.is_empty()) {
                None => (Answer::Done, None),
                Some(requests) => {
                    (Answer::Rest(requests.iter().filter_map(key).collect()), Some(Cause::ThrottledTable))
                }
            };
        }
        Err(error) => error,
    };
    let status = error.raw_response().map_or(0, |response| response.status().as_u16());
    let timed_out = match &error {
        SdkError::TimeoutError(_) => true,
        SdkError::DispatchFailure(failure) => failure.is_timeout(),
        _ => false,
    };
    if timed_out {
        return late();
    }
    let Some(service) = error.as_service_error() else {
        return (Answer::Again, Some(Cause::Failed(unreachable_sentence(&error))));
    };
    let again = |sentence: String| (Answer::Again, Some(Cause::Failed(sentence)));
    match service {
        BatchWriteItemError::ProvisionedThroughputExceededException(error) => throttled(error.throttling_reasons()),
        BatchWriteItemError::ThrottlingException(error) => throttled(error.throttling_reasons()),
        BatchWriteItemError::RequestLimitExceeded(error) => throttled(error.throttling_reasons()),
        BatchWriteItemError::ResourceNotFoundException(_) => {
            again(format!("table `{table}` does not exist (any more)"))
        }
        BatchWriteItemError::ItemCollectionSizeLimitExceededException(error) => {
            (Answer::Never(error.to_string()), Some(Cause::Invalid))
        }
        _ => match (service.code().unwrap_or("unknown"), service.message().unwrap_or_default()) {
            ("ValidationException" | "SerializationException", message) => {
                (Answer::Never(format!("the store refuses it: {message}")), Some(Cause::Invalid))
            }
            ("AccessDeniedException", message) => again(format!("permission is missing: {message}")),
            (code, message) if status == 413 => {
                (Answer::Never(format!("the request is too large: {code} {message}")), Some(Cause::Invalid))
            }
            (code, message) => again(format!("the store answers {status} {code} {message}").trim_end().to_owned()),
        },
    }
}

fn throttled(reasons: &[ThrottlingReason]) -> (Answer, Option<Cause>) {
    let of_index = |reason: &ThrottlingReason| {
        reason.reason().is_some_and(|text| text.starts_with("Index"))
            || reason.resource().is_some_and(|arn| arn.contains("/index/"))
    };
    let cause = if reasons.iter().any(of_index) { Cause::ThrottledIndex } else { Cause::ThrottledTable };
    (Answer::Again, Some(cause))
}

fn unreachable_sentence(error: &SdkError<BatchWriteItemError>) -> String {
    match error {
        SdkError::DispatchFailure(_) => format!("the store cannot be reached: {}", root(error)),
        SdkError::ConstructionFailure(_) => format!("no request can be made: {}", root(error)),
        _ => "the store's answer was cut off or cannot be read".to_owned(),
    }
}

/// The innermost cause: what lies around it are the SDK's layers.
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
