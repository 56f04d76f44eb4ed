//! Answers with status 200 that do not say what became of the call.

use bytes::Bytes;
use hyper::Response;
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde_json::{Value, json};

use crate::answer;
use crate::batch::{WriteBatch, with_unprocessed};
use crate::call::Call;

/// 200 without a body (`content-length: 0`), as a proxy between client and service may answer.
pub(crate) fn empty() -> Response<Bytes> {
    answer::canned(200, "")
}

/// 200 with `{}`: right for a `PutItem` that asked for nothing, for every other call an answer that lacks its fields.
pub(crate) fn bare() -> Response<Bytes> {
    answer::canned(200, "{}")
}

/// 200 to a `BatchWriteItem` with `UnprocessedItems` that cannot belong to it: a key that was not sent, another table, or
/// each write twice. `None` where the call has not the form of a `BatchWriteItem`.
pub(crate) fn foreign_unprocessed(call: &Call, dice: &mut ChaCha8Rng) -> Option<Response<Bytes>> {
    let mut requests = WriteBatch::read(call.json())?.requests;
    match dice.random_range(0..3) {
        0 => {
            requests.truncate(1);
            requests.iter_mut().for_each(|(_, request)| change_key(request));
        }
        1 => requests.iter_mut().for_each(|(table, _)| table.push_str("-other")),
        _ => requests.extend(requests.clone()),
    }
    Some(answer::response(hyper::StatusCode::OK, &with_unprocessed(None, requests)))
}

/// Gives the item of a put request an `id` that no client sends.
fn change_key(request: &mut Value) {
    if let Some(id) = request.pointer_mut("/PutRequest/Item/id") {
        *id = json!({"N": "99999999999999999999999999"});
    }
}
