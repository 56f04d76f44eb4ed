//! Converts an event of API Gateway or of a function URL to a request.

use axum::{
    body::Body,
    http::{HeaderMap, HeaderName, HeaderValue, Method, Request, Uri},
};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde_json::{Map, Value};

/// The payload format of an event, and of its answer.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Form {
    /// Payload format 1.0, of a REST API's proxy integration.
    /// (<https://docs.aws.amazon.com/apigateway/latest/developerguide/set-up-lambda-proxy-integrations.html>)
    Rest,
    /// Payload format 2.0, of HTTP APIs and function URLs; every other sender gets this form too.
    /// (<https://docs.aws.amazon.com/apigateway/latest/developerguide/http-api-develop-integrations-lambda.html>)
    Http,
}

/// The reason why an event is no request.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub(super) enum Refused {
    /// The event is another service's, a test event of the console, or not an object.
    #[error("the event is no request of an API Gateway or a function URL")]
    Foreign,
    /// The event is a load balancer's.
    #[error("load balancers are not supported; put a function URL or an API Gateway before this function")]
    LoadBalancer,
    /// A part of the event is not as documented.
    #[error("the event's {0} cannot be read")]
    Part(&'static str),
}

impl Form {
    pub(super) fn of(event: &Value) -> Form {
        if event.get("httpMethod").is_some() && event.pointer("/requestContext/elb").is_none() {
            Form::Rest
        } else {
            Form::Http
        }
    }
}

/// Converts an event to a request.
pub(super) fn request(event: &Value) -> Result<Request<Body>, Refused> {
    if event.pointer("/requestContext/elb").is_some() {
        return Err(Refused::LoadBalancer);
    }
    let text = |pointer: &str| event.pointer(pointer).and_then(Value::as_str);
    let (method, path, query) = match Form::of(event) {
        Form::Rest => (text("/httpMethod"), text("/path"), rest_query(event)?),
        Form::Http => {
            let query = text("/rawQueryString").unwrap_or_default();
            (text("/requestContext/http/method"), text("/rawPath"), escaped(query, b"/?:@!$&'()*+,;=%[]"))
        }
    };
    let (Some(method), Some(path)) = (method, path) else { return Err(Refused::Foreign) };
    let mut target = escaped(path, b"/:@!$&'()*+,;=%");
    if !target.starts_with('/') {
        target.insert(0, '/');
    }
    if !query.is_empty() {
        target = format!("{target}?{query}");
    }
    let mut request = Request::new(Body::from(body(event)));
    *request.uri_mut() = Uri::try_from(target).map_err(|_| Refused::Part("path and query"))?;
    *request.method_mut() = Method::from_bytes(method.as_bytes()).map_err(|_| Refused::Part("method"))?;
    *request.headers_mut() = headers(event);
    Ok(request)
}

/// Returns the event's body; an empty one for base64 that no gateway sends.
fn body(event: &Value) -> Vec<u8> {
    let text = event.get("body").and_then(Value::as_str).unwrap_or_default();
    match event.get("isBase64Encoded").and_then(Value::as_bool) {
        Some(true) => STANDARD.decode(text).unwrap_or_default(),
        _ => text.as_bytes().to_vec(),
    }
}

/// Returns the ARN of who signed the request, as the gateway that checked the signature says.
/// (`identity.userArn`: <https://docs.aws.amazon.com/apigateway/latest/developerguide/api-gateway-mapping-template-reference.html>,
/// `authorizer.iam.userArn`: <https://docs.aws.amazon.com/lambda/latest/dg/urls-invocation.html>)
pub(super) fn caller(event: &Value) -> Option<&str> {
    let place = match Form::of(event) {
        Form::Rest => "/requestContext/identity/userArn",
        Form::Http => "/requestContext/authorizer/iam/userArn",
    };
    event.pointer(place).and_then(Value::as_str).filter(|arn| !arn.is_empty())
}

/// Encodes the parameters of a REST API's event, which arrive decoded, as a query string.
fn rest_query(event: &Value) -> Result<String, Refused> {
    let mut pairs = Vec::new();
    let mut add = |name: &str, value: &Value| {
        let value = value.as_str().ok_or(Refused::Part("query"))?;
        pairs.push(format!("{}={}", escaped(name, b""), escaped(value, b"")));
        Ok(())
    };
    match (object(event, "multiValueQueryStringParameters"), object(event, "queryStringParameters")) {
        (Some(many), _) => {
            for (name, values) in many {
                for value in values.as_array().ok_or(Refused::Part("query"))? {
                    add(name, value)?;
                }
            }
        }
        (None, Some(single)) => {
            for (name, value) in single {
                add(name, value)?;
            }
        }
        (None, None) => {}
    }
    Ok(pairs.join("&"))
}

fn object<'event>(event: &'event Value, name: &str) -> Option<&'event Map<String, Value>> {
    event.get(name)?.as_object()
}

/// Reads the headers of an event; skips invalid ones, which no proxy sends.
fn headers(event: &Value) -> HeaderMap {
    let mut headers = HeaderMap::new();
    let mut add = |name: &str, value: Option<&str>| {
        let name = HeaderName::from_bytes(name.as_bytes());
        if let (Ok(name), Some(Ok(value))) = (name, value.map(HeaderValue::from_str)) {
            headers.append(name, value);
        }
    };
    if let Some(many) = object(event, "multiValueHeaders") {
        for (name, values) in many {
            values.as_array().into_iter().flatten().for_each(|value| add(name, value.as_str()));
        }
    } else if let Some(single) = object(event, "headers") {
        single.iter().for_each(|(name, value)| add(name, value.as_str()));
    }
    headers
}

/// Percent-encodes every byte except letters, digits, `-._~` and those in `kept`.
fn escaped(text: &str, kept: &[u8]) -> String {
    let mut escaped = String::with_capacity(text.len());
    for byte in text.bytes() {
        if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) || kept.contains(&byte) {
            escaped.push(char::from(byte));
        } else {
            escaped.push_str(&format!("%{byte:02X}"));
        }
    }
    escaped
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::json;

    #[test]
    fn what_is_no_request_is_refused() {
        for (event, refused) in [
            (json!({ "key1": "value1", "key2": "value2" }), Refused::Foreign),
            (json!(null), Refused::Foreign),
            (json!({ "httpMethod": "GET", "path": null }), Refused::Foreign),
            (json!({ "httpMethod": "GET", "path": "/x", "requestContext": { "elb": {} } }), Refused::LoadBalancer),
            (json!({ "httpMethod": "G T", "path": "/x" }), Refused::Part("method")),
            (json!({ "httpMethod": "GET", "path": "/x", "queryStringParameters": { "a": 1 } }), Refused::Part("query")),
            (json!({ "httpMethod": "GET", "path": "x".repeat(70_000) }), Refused::Part("path and query")),
        ] {
            assert_eq!(request(&event).unwrap_err(), refused, "{event}");
        }
    }

    #[test]
    fn odd_hosts_paths_and_parameters_are_requests_all_the_same() {
        let event = json!({
            "httpMethod": "GET", "path": "prod/orders/a b?#\u{e9}%FF", "headers": { "host": "a b:99999999", "bad name": "x" },
            "multiValueQueryStringParameters": { "from": ["2022-03-21T00:00:07.17+01:00", "a&b=c"] },
            "body": "!", "isBase64Encoded": true,
        });
        let request = request(&event).unwrap();
        let expected = "/prod/orders/a%20b%3F%23%C3%A9%FF?from=2022-03-21T00%3A00%3A07.17%2B01%3A00&from=a%26b%3Dc";
        assert_eq!(request.uri(), expected);
        assert_eq!(request.headers()["host"], "a b:99999999");
    }

    fn json_value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![
            Just(Value::Null),
            any::<bool>().prop_map(Value::from),
            any::<u64>().prop_map(Value::from),
            any::<String>().prop_map(Value::from),
        ];
        let name = "httpMethod|path|rawPath|rawQueryString|headers|requestContext|http|method|.{0,3}";
        leaf.prop_recursive(4, 32, 6, move |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..3).prop_map(Value::from),
                prop::collection::btree_map(name, inner, 0..8).prop_map(|fields| json!(fields)),
            ]
        })
    }

    proptest! {
        #[test]
        fn whatever_is_sent_is_a_request_or_refused(event in json_value(), path in ".{0,20}", query in ".{0,20}") {
            if let Ok(request) = request(&event) {
                prop_assert!(request.uri().path().starts_with('/'));
            }
            let event = json!({ "rawPath": path, "rawQueryString": query, "requestContext": { "http": { "method": "GET" } } });
            prop_assert!(request(&event).is_ok());
        }
    }
}
