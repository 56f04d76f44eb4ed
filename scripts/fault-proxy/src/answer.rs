//! Builds error answers in the form of the service.

use bytes::Bytes;
use hyper::{Response, StatusCode, header::CONTENT_TYPE};
use serde_json::{Value, json};

use crate::call::{Access, Call};

/// Prefix of the service's own error types on the wire.
const NAMESPACE: &str = "com.amazonaws.dynamodb.v20120810#";

/// What of a table is short of capacity.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Resource {
    /// The table itself.
    Table,
    /// Its global secondary index; writes to the table are refused with it (back-pressure).
    Index,
}

/// Which limit is exceeded; the last part of a throttling reason.
/// Source: <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_ThrottlingReason.html>
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Limit {
    /// One partition takes more than 1,000 write or 3,000 read units a second.
    KeyRange,
    /// A provisioned table or index takes more than was provisioned.
    Provisioned,
}

/// The exception by which the service refuses a call: provisioned tables answer with the first, on-demand ones with the second.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exception {
    /// `ProvisionedThroughputExceededException`
    ProvisionedThroughputExceeded,
    /// `ThrottlingException`
    Throttling,
}

/// A refusal for want of capacity, with the reason in the form that names table or index.
pub fn throttled(call: &Call, resource: Resource, limit: Limit, exception: Exception, index: &str) -> Response<Bytes> {
    let table = call.table();
    let (kind, arn) = match resource {
        Resource::Table => ("Table", table_arn(&table)),
        Resource::Index => ("Index", index_arn(&table, call.index().as_deref().unwrap_or(index))),
    };
    let operation = if call.access() == Access::Read { "Read" } else { "Write" };
    let limit = match limit {
        Limit::KeyRange => "KeyRangeThroughputExceeded",
        Limit::Provisioned => "ProvisionedThroughputExceeded",
    };
    // The service's model spells the list differently in the two.
    let (name, message, list) = match exception {
        Exception::ProvisionedThroughputExceeded => (
            "ProvisionedThroughputExceededException",
            "The level of configured provisioned throughput for one or more resources was exceeded.",
            "ThrottlingReasons",
        ),
        Exception::Throttling => (
            "ThrottlingException",
            "Throughput exceeds the current capacity of your table or index.",
            "throttlingReasons",
        ),
    };
    let reasons = json!([{"reason": format!("{kind}{operation}{limit}"), "resource": arn}]);
    response(
        StatusCode::BAD_REQUEST,
        &json!({"__type": format!("{NAMESPACE}{name}"), "message": message, list: reasons}),
    )
}

/// 500, as the service answers when it failed inside; a write may have taken effect.
pub fn internal_server_error() -> Response<Bytes> {
    let body = json!({"__type": format!("{NAMESPACE}InternalServerError"), "message": "Internal server error"});
    response(StatusCode::INTERNAL_SERVER_ERROR, &body)
}

/// 503, as the service answers when it is not available.
pub fn unavailable() -> Response<Bytes> {
    let body = json!({
        "__type": format!("{NAMESPACE}ServiceUnavailable"),
        "message": "Service is currently unavailable. Please try again.",
    });
    response(StatusCode::SERVICE_UNAVAILABLE, &body)
}

/// The refusal of an action that the caller's policy does not allow, naming both.
pub fn access_denied(action: &str, resource: &str) -> Response<Bytes> {
    let message = format!(
        "User: arn:aws:iam::000000000000:user/fault-proxy is not authorized to perform: dynamodb:{action} on resource: \
         {resource} because no identity-based policy allows the dynamodb:{action} action"
    );
    let body = json!({"__type": "com.amazon.coral.service#AccessDeniedException", "Message": message});
    response(StatusCode::BAD_REQUEST, &body)
}

/// The refusal of an item whose key attribute has another type than the index declares.
pub fn wrong_index_key(index: &str) -> Response<Bytes> {
    let message = format!(
        "One or more parameter values were invalid: Type mismatch for Index Key nmicrotimestamp Expected: S Actual: N \
         IndexName: {index}"
    );
    let body = json!({"__type": "com.amazon.coral.validate#ValidationException", "message": message});
    response(StatusCode::BAD_REQUEST, &body)
}

/// A JSON answer in the service's content type.
pub fn response(status: StatusCode, body: &Value) -> Response<Bytes> {
    canned(status.as_u16(), &body.to_string())
}

/// An answer given beforehand; an impossible status is a 500.
pub fn canned(status: u16, body: &str) -> Response<Bytes> {
    let mut response = Response::new(Bytes::from(body.to_owned()));
    *response.status_mut() = StatusCode::from_u16(status).unwrap_or(StatusCode::INTERNAL_SERVER_ERROR);
    response.headers_mut().insert(CONTENT_TYPE, hyper::header::HeaderValue::from_static("application/x-amz-json-1.0"));
    response
}

/// The ARN by which answers name a table; account and region are made up.
pub fn table_arn(table: &str) -> String {
    format!("arn:aws:dynamodb:us-east-1:000000000000:table/{table}")
}

/// The ARN by which answers name an index.
pub fn index_arn(table: &str, index: &str) -> String {
    format!("{}/index/{index}", table_arn(table))
}
