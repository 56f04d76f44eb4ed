//! The calls to the table, and what their failures mean for the caller. The function only queries.

use aws_sdk_dynamodb::{
    Client,
    error::{ProvideErrorMetadata, SdkError},
    operation::query::builders::QueryFluentBuilder,
    types::{AttributeValue, ReturnConsumedCapacity},
};
use codec::item::Item;
use rust_decimal::Decimal;
use shared::{
    block::stored::StoredError,
    key::SEPARATOR,
    table::{CHANNEL, ID, INDEX, MICROTIMESTAMP, NMICROTIMESTAMP},
};
use tokio::time::{Instant, timeout_at};

use crate::range::{Order, Range, Subject};

mod count;
mod deserializer;
mod units;

pub use count::Counted;
use deserializer::QueryDeserializer;
pub use units::ReadUnits;

/// Sends Query requests to the table, on a shared client.
#[derive(Clone)]
pub struct Store {
    client: Client,
    table: String,
    units: ReadUnits,
}

/// A key that the engine returned and from which it continues a Query; never built here.
pub type EngineKey = shared::item::Item;

/// The `Limit` of a Query without a limit of its own: more items than fit into DynamoDB's 1 MB, as the smallest measured have 245 bytes
/// (docs/cost.md). DynamoDB's pages do not depend on it; the embedded engine, which reads everything that matches before it cuts the page,
/// took seconds for a large channel without it.
const MOST_ITEMS: i32 = 5_000;

/// The result of one Query: up to 1 MB, or the limit.
pub struct Answer {
    /// The items by `nmicrotimestamp`; among equal times in the engine's own order.
    pub items: Vec<Item>,
    /// The key to continue from, if the engine stopped before the end of the range.
    pub stopped_at: Option<EngineKey>,
    /// The read units that the Query cost; `None` if the store does not tell.
    pub units: Option<Decimal>,
}

/// The reason why the table did not answer.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The store is throttling, overloaded, out of reach or too slow: a later request may succeed.
    #[error("the store did not answer: {0}")]
    Busy(String),
    /// The table or the index is missing, or the request is not valid for it: every request fails until that is repaired.
    #[error("the store refuses to answer: {0}")]
    Refused(String),
    /// The store does not accept the credentials or the signature of this service.
    #[error("{0}")]
    Access(AccessFault),
    /// The role of this service lacks a permission.
    #[error("the permission {permission} on the {resource} is missing")]
    Denied {
        /// The permission as policies name it, e.g. `dynamodb:Query`.
        permission: String,
        /// The kind of resource that needs the permission; never an ARN, which names the account.
        resource: &'static str,
        /// The store's message with role and ARN, for the log only.
        said: String,
    },
    /// A block that the answer needs is damaged.
    #[error(transparent)]
    Damaged(#[from] StoredError),
}

/// The reason why the store does not accept the credentials or the signature.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AccessFault {
    /// No credentials were found, or the store does not know them.
    #[error("this service has no valid credentials for the store")]
    Credentials,
    /// The session of the credentials has expired.
    #[error("the credentials of this service have expired")]
    Expired,
    /// The signature's time is too far from the store's clock.
    #[error("the clock of this service is wrong")]
    Clock,
}

impl Store {
    /// Returns a store that reads `table` through `client`.
    #[must_use]
    pub fn new(client: Client, table: String) -> Store {
        Store { client, table, units: ReadUnits::default() }
    }

    /// Returns the same store, whose Querys add to `units`.
    #[must_use]
    pub fn counting(&self, units: ReadUnits) -> Store {
        Store { units, ..self.clone() }
    }

    /// Returns what the Querys so far have cost, as [`ReadUnits::total`].
    #[must_use]
    pub fn read_units(&self) -> Option<Decimal> {
        self.units.total()
    }

    /// Sends one Query: for a channel to the index, for an order to the table itself. Returns at most `limit` items, from `start` on if given.
    ///
    /// # Errors
    ///
    /// [`StoreError`], whose variant tells whether a later request may succeed; [`StoreError::Busy`] if `deadline` passes.
    pub async fn query(
        &self,
        range: &Range,
        limit: Option<i32>,
        start: Option<EngineKey>,
        deadline: Instant,
    ) -> Result<Answer, StoreError> {
        let (call, resource) = self.call(range);
        let call = call
            .limit(limit.unwrap_or(MOST_ITEMS))
            .return_consumed_capacity(ReturnConsumedCapacity::Total)
            .set_exclusive_start_key(start);
        let deserializer = QueryDeserializer::default();
        timeout_at(deadline, call.customize().interceptor(deserializer.clone()).send())
            .await
            .map_err(|_| StoreError::Busy("the time for this request is used up".to_owned()))?
            .map_err(|error| classify(&error, (QUERY, resource)))?;
        let read = deserializer.take().ok_or_else(|| StoreError::Busy("no answer".to_owned()))?;
        let key = read.last_evaluated_key.filter(|key| !key.shape().is_empty());
        let units = read.consumed_capacity.and_then(|consumed| consumed.capacity_units);
        let units = units.and_then(|units| Decimal::from_str_exact(units.as_str()).ok());
        self.units.add(units);
        Ok(Answer { items: read.items.0, stopped_at: key.map(|key| key.attributes()), units })
    }

    /// Builds a Query without sending it; returns it with the kind of resource that its permission covers.
    fn call(&self, range: &Range) -> (QueryFluentBuilder, &'static str) {
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
            .scan_index_forward(matches!(range.order, Order::Ascending));
        (call, resource)
    }
}

/// Formats a time (microseconds) as sort keys have it: 16 digits from 2001 until 2286, so that text order is time order.
fn as_text(time: u64) -> String {
    format!("{:016}", time.min(9_999_999_999_999_999))
}

/// The end of the text range of a time: sorts after every sort key that begins with the time and [`SEPARATOR`].
const AFTER_SEPARATOR: char = '$';
const _: () = assert!((SEPARATOR as u32) < (AFTER_SEPARATOR as u32) && (AFTER_SEPARATOR as u32) < ('0' as u32));

/// The kinds of resources as policies tell them apart: a permission on a table does not cover its indexes.
/// (<https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html>)
pub const ON_TABLE: &str = "table";
const ON_INDEX: &str = "table's index";
const ON_KEY: &str = "key that encrypts the table";
/// The permission that every call of this program needs.
const QUERY: &str = "dynamodb:Query";

/// Sorts an error of the SDK by what its caller can do about it. `needed` is the permission that the call needs and the kind of resource
/// that it covers, for a refusal that names neither.
pub fn classify<E: ProvideErrorMetadata, R>(
    error: &SdkError<E, R>,
    needed: (&'static str, &'static str),
) -> StoreError {
    match error {
        SdkError::ServiceError(answered) => {
            let code = answered.err().code().unwrap_or("unknown");
            if code == "AccessDeniedException" {
                return denied(answered.err().message().unwrap_or_default(), needed);
            }
            let said = answered.err().message().unwrap_or_default();
            match code {
                "ResourceNotFoundException" | "ValidationException" => StoreError::Refused(code.to_owned()),
                "ExpiredTokenException" => StoreError::Access(AccessFault::Expired),
                "RequestTimeTooSkewed" | "RequestExpired" => StoreError::Access(AccessFault::Clock),
                // `Signature expired: .. is now earlier than ..`, `Signature not yet current: ..`
                "InvalidSignatureException" if said.starts_with("Signature ") => StoreError::Access(AccessFault::Clock),
                "UnrecognizedClientException"
                | "InvalidSignatureException"
                | "IncompleteSignatureException"
                | "InvalidClientTokenId"
                | "MissingAuthenticationTokenException" => StoreError::Access(AccessFault::Credentials),
                _ => StoreError::Busy(code.to_owned()),
            }
        }
        SdkError::TimeoutError(_) => StoreError::Busy("timeout".to_owned()),
        SdkError::DispatchFailure(failure) if failure.is_timeout() => StoreError::Busy("timeout".to_owned()),
        SdkError::DispatchFailure(failure) if failure.is_io() => StoreError::Busy("connection failed".to_owned()),
        SdkError::DispatchFailure(failure) if failure.as_connector_error().is_some_and(|error| is_unsigned(error)) => {
            StoreError::Access(AccessFault::Credentials)
        }
        SdkError::DispatchFailure(_) => StoreError::Busy("connection failed".to_owned()),
        SdkError::ResponseError(_) => StoreError::Busy("broken answer".to_owned()),
        _ => StoreError::Refused("the request could not be built".to_owned()),
    }
}

/// Returns true if a request was not sent because nothing was found to sign it with: the SDK has no kind of its own for that.
fn is_unsigned(error: &dyn std::error::Error) -> bool {
    let chain = std::iter::successors(Some(error), |error| error.source());
    chain.into_iter().any(|error| error.to_string().to_ascii_lowercase().contains("credential"))
}

/// Reads the missing permission from the store's message: `User: .. is not authorized to perform: dynamodb:Query on resource: ..`. It may
/// be another than the Query's: a table under a key of the account's own also needs `kms:Decrypt`.
fn denied(said: &str, (permission, resource): (&'static str, &'static str)) -> StoreError {
    let named = said.split_once("to perform: ").and_then(|(_, rest)| rest.split_whitespace().next());
    let permission = named.filter(|named| named.contains(':')).unwrap_or(permission).to_owned();
    let resource = if permission.starts_with("kms:") { ON_KEY } else { resource };
    StoreError::Denied { permission, resource, said: said.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::http::problem::Problem;

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
            let error = denied(&said, (QUERY, ON_INDEX));
            let StoreError::Denied { permission: named, resource: on, .. } = &error else { panic!("{error:?}") };
            assert_eq!((named.as_str(), *on), (permission, resource), "{said}");
            assert!(!Problem::from(error).detail.contains("arn:"), "an answer names no account");
        }
    }
}
