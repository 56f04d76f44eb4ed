use aws_sdk_dynamodb::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::query::QueryError,
    types::AttributeValue,
};
use codec::item::Item;
use shared::{
    key::SEPARATOR,
    table::{CHANNEL, ID, INDEX, MICROTIMESTAMP, NMICROTIMESTAMP},
};
use tokio::time::{Instant, timeout_at};

use crate::{
    problem::Problem,
    request::{Order, Range, Subject},
};

/// The place in the SDK's call where an answer is read.
mod reading;

use reading::Reading;

/// The table as the function sees it: it only queries.
#[derive(Clone)]
pub struct Store {
    client: Client,
    table: String,
}

/// Where the engine goes on: only ever a key that the engine itself returned.
pub type EngineKey = shared::item::Item;

/// More than fit into DynamoDB's 1 MB: the smallest items measured have 245 (docs/cost.md). It changes no page there; the embedded
/// engine, which reads everything that matches before it cuts the page, took seconds for a large channel without it.
const MOST_ITEMS: i32 = 5_000;

/// What one Query returns: up to 1 MB or the limit.
pub struct Answer {
    /// In the order of `nmicrotimestamp`; among equal times in the engine's own.
    pub items: Vec<Item>,
    /// Where the engine stopped, if it did not reach the end of the span.
    pub stopped_at: Option<EngineKey>,
}

/// Why the table did not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// Throttled, overloaded, out of reach or too slow: worth another try.
    #[error("the store did not answer: {0}")]
    Busy(String),
    /// The table or the index is missing, or the credentials are wrong.
    #[error("the store refuses to answer: {0}")]
    Refused(String),
    /// The function's role lacks a permission.
    #[error("the permission {permission} on the {resource} is missing")]
    Denied {
        /// As policies name it: `dynamodb:Query`.
        permission: String,
        /// The kind of resource that it is needed on; never an ARN, which names the account.
        resource: &'static str,
        /// The store's own words, with role and ARN: for the log alone.
        said: String,
    },
}

impl Store {
    /// A store on `table`.
    #[must_use]
    pub fn new(client: Client, table: String) -> Store {
        Store { client, table }
    }

    /// One Query: of a channel on the index, of an order on the table itself.
    ///
    /// # Errors
    ///
    /// [`StoreError`], which says whether another try is worth it.
    pub async fn query(
        &self,
        range: &Range,
        limit: Option<i32>,
        start: Option<EngineKey>,
        deadline: Instant,
    ) -> Result<Answer, StoreError> {
        let Range { from, to, .. } = range;
        let name = range.subject.name().to_owned();
        let resource = if matches!(range.subject, Subject::Channel(_)) { ON_INDEX } else { ON_TABLE };
        let (index, partition, sort, name, from, to) = match range.subject {
            Subject::Channel(_) => {
                let number = |time: &u64| AttributeValue::N(time.to_string());
                (Some(INDEX), CHANNEL, NMICROTIMESTAMP, AttributeValue::S(name), number(from), number(to))
            }
            Subject::Order(_) => {
                let (from, to) = (as_text(*from), format!("{}{AFTER_SEPARATOR}", as_text(*to)));
                let (from, to) = (AttributeValue::S(from), AttributeValue::S(to));
                (None, ID, MICROTIMESTAMP, AttributeValue::N(name), from, to)
            }
        };
        let call = self
            .client
            .query()
            .table_name(&self.table)
            .set_index_name(index.map(str::to_owned))
            .key_condition_expression("#partition = :partition AND #sort BETWEEN :from AND :to")
            .expression_attribute_names("#partition", partition)
            .expression_attribute_names("#sort", sort)
            .expression_attribute_values(":partition", name)
            .expression_attribute_values(":from", from)
            .expression_attribute_values(":to", to)
            .scan_index_forward(matches!(range.order, Order::Ascending))
            .limit(limit.unwrap_or(MOST_ITEMS))
            .set_exclusive_start_key(start);
        let reading = Reading::default();
        timeout_at(deadline, call.customize().interceptor(reading.clone()).send())
            .await
            .map_err(|_| StoreError::Busy("the time for this request is used up".to_owned()))?
            .map_err(|error| classify(&error, resource))?;
        let read = reading.take().ok_or_else(|| StoreError::Busy("no answer".to_owned()))?;
        let key = read.last_evaluated_key.filter(|key| !key.shape().is_empty());
        let stopped_at = key.map(|key| key.attributes()).transpose();
        let stopped_at = stopped_at.map_err(|_| StoreError::Refused("the key of the table is of bytes".to_owned()))?;
        Ok(Answer { items: read.items.0, stopped_at })
    }
}

/// Times have 16 digits from 2001 until 2286, so their order as text is their order in time.
fn as_text(time: u64) -> String {
    format!("{:016}", time.min(9_999_999_999_999_999))
}

/// Ends the text range of a time: sorts after every sort key that begins with the time and [`SEPARATOR`].
const AFTER_SEPARATOR: char = '$';
const _: () = assert!((SEPARATOR as u32) < (AFTER_SEPARATOR as u32) && (AFTER_SEPARATOR as u32) < ('0' as u32));

/// The kinds of resources as policies tell them apart: a permission on a table does not cover its indexes.
/// (<https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html>)
const ON_TABLE: &str = "table";
const ON_INDEX: &str = "table's index";
const ON_KEY: &str = "key that encrypts the table";

fn classify<R>(error: &SdkError<QueryError, R>, resource: &'static str) -> StoreError {
    match error {
        SdkError::ServiceError(answered) => {
            let code = answered.err().code().unwrap_or("unknown");
            if code == "AccessDeniedException" {
                return denied(answered.err().message().unwrap_or_default(), resource);
            }
            let refused = matches!(
                code,
                "ResourceNotFoundException"
                    | "ValidationException"
                    | "UnrecognizedClientException"
                    | "InvalidSignatureException"
                    | "ExpiredTokenException"
                    | "MissingAuthenticationTokenException"
            );
            if refused { StoreError::Refused(code.to_owned()) } else { StoreError::Busy(code.to_owned()) }
        }
        SdkError::TimeoutError(_) => StoreError::Busy("timeout".to_owned()),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => StoreError::Busy("timeout".to_owned()),
        SdkError::DispatchFailure(failure) if failure.is_io() => StoreError::Busy("connection failed".to_owned()),
        SdkError::DispatchFailure(_) => StoreError::Busy("no connection or no credentials".to_owned()),
        SdkError::ResponseError(_) => StoreError::Busy("broken answer".to_owned()),
        _ => StoreError::Refused("the request could not be built".to_owned()),
    }
}

/// The store says what is missing: `User: .. is not authorized to perform: dynamodb:Query on resource: ..`. It need not be the
/// query itself: a table under a key of the account's own also needs `kms:Decrypt`.
fn denied(said: &str, resource: &'static str) -> StoreError {
    let named = said.split_once("to perform: ").and_then(|(_, rest)| rest.split_whitespace().next());
    let permission = named.filter(|named| named.contains(':')).unwrap_or("dynamodb:Query").to_owned();
    let resource = if permission.starts_with("kms:") { ON_KEY } else { resource };
    StoreError::Denied { permission, resource, said: said.to_owned() }
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Problem {
        match error {
            StoreError::Busy(reason) => {
                tracing::warn!(reason, "store did not answer");
                Problem::busy(format!("the store did not answer in time ({reason}); try again in a moment"))
            }
            StoreError::Refused(reason) => {
                tracing::error!(reason, "store refused the query");
                Problem::setup(format!("the store refused the query ({reason}); this service is set up wrongly"))
            }
            StoreError::Denied { permission, resource, said } => {
                tracing::error!(permission, resource, said, "permission is missing");
                Problem::setup(format!(
                    "the role of this service lacks the permission {permission} on the {resource}; who runs it has to add it"
                ))
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_the_store_names_is_missing() {
        let user = "User: arn:aws:sts::123456789012:assumed-role/query/f is not authorized to perform:";
        for (said, permission, resource) in [
            (
                format!(
                    "{user} dynamodb:Query on resource: arn:aws:dynamodb:eu-central-1:123456789012:table/t/index/i because no identity-based policy allows it"
                ),
                "dynamodb:Query",
                ON_INDEX,
            ),
            (format!("{user} kms:Decrypt on this resource"), "kms:Decrypt", ON_KEY),
            ("no".to_owned(), "dynamodb:Query", ON_INDEX),
        ] {
            let error = denied(&said, ON_INDEX);
            let StoreError::Denied { permission: named, resource: on, .. } = &error else { panic!("{error:?}") };
            assert_eq!((named.as_str(), *on), (permission, resource), "{said}");
            assert!(!Problem::from(error).detail.contains("arn:"), "an answer names no account");
        }
    }
}
