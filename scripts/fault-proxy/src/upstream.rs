//! Forwards calls to the endpoint behind the proxy.

use bytes::Bytes;
use http_body_util::{BodyExt, Full};
use hyper::{
    Request, Response, Uri,
    header::{CONNECTION, CONTENT_LENGTH, HOST},
};
use hyper_util::{
    client::legacy::{Client, connect::HttpConnector},
    rt::TokioExecutor,
};
use serde::Deserialize;
use serde_json::Value;
use thiserror::Error;

use crate::call::Call;

/// The endpoint behind the proxy.
#[derive(Clone, Debug)]
pub(crate) struct Upstream {
    client: Client<HttpConnector, Full<Bytes>>,
    uri: Uri,
}

/// The endpoint behind could not be reached, or broke off its answer.
#[derive(Debug, Error)]
pub(crate) enum UpstreamError {
    #[error("cannot send the call to the endpoint")]
    Send(#[from] hyper_util::client::legacy::Error),
    #[error("cannot read the endpoint's answer")]
    Answer(#[from] hyper::Error),
}

impl Upstream {
    /// `None` where the address is not one of plain HTTP.
    pub(crate) fn new(address: &str) -> Option<Self> {
        let uri: Uri = address.parse().ok()?;
        (uri.scheme_str() == Some("http") && uri.host().is_some()).then_some(())?;
        Some(Self { client: Client::builder(TokioExecutor::new()).build_http(), uri })
    }

    /// Sends a call with this body and reads the whole answer.
    pub(crate) async fn send(&self, call: &Call, body: Bytes) -> Result<Response<Bytes>, UpstreamError> {
        let mut request = Request::post(self.uri.clone()).body(Full::new(body)).expect("a post to a valid address");
        *request.headers_mut() = call.headers.clone();
        for replaced in [HOST, CONTENT_LENGTH, CONNECTION] {
            request.headers_mut().remove(replaced);
        }
        let (mut head, body) = self.client.request(request).await?.into_parts();
        head.headers.remove(CONNECTION);
        Ok(Response::from_parts(head, body.collect().await?.to_bytes()))
    }
}

#[derive(Deserialize)]
struct Reported {
    #[serde(rename = "ConsumedCapacity")]
    consumed: Option<Value>,
}

/// The units that an answer reports in `ConsumedCapacity`, over all tables.
pub(crate) fn consumed_units(answer: &[u8]) -> Option<f64> {
    let reported: Reported = serde_json::from_slice(answer).ok()?;
    let units = |consumed: &Value| consumed.get("CapacityUnits").and_then(Value::as_f64);
    match reported.consumed? {
        Value::Array(tables) => Some(tables.iter().filter_map(units).sum()),
        table => units(&table),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn consumed_units_are_read_from_both_forms() {
        assert_eq!(consumed_units(br#"{"ConsumedCapacity":{"TableName":"t","CapacityUnits":2.5}}"#), Some(2.5));
        assert_eq!(consumed_units(br#"{"ConsumedCapacity":[{"CapacityUnits":2},{"CapacityUnits":1}]}"#), Some(3.0));
        assert_eq!(consumed_units(br#"{"Items":[]}"#), None);
    }

    #[test]
    fn only_plain_http_is_taken() {
        assert!(Upstream::new("http://127.0.0.1:8000").is_some());
        assert!(Upstream::new("https://127.0.0.1:8000").is_none());
        assert!(Upstream::new("127.0.0.1").is_none());
    }
}
