use axum::{
    body::Body,
    http::{HeaderName, HeaderValue, Response, StatusCode, Uri, header},
};
use codec::item::Item;
use serde_json::Value;

use crate::{
    caching::Caching,
    problem::Problem,
    render::{self, Columns, Format, Writer},
    request::Look,
    store::StoreError,
};

/// The token of the next page, for formats whose body has no place for it.
const LAST_EVALUATED_KEY: HeaderName = HeaderName::from_static("last-evaluated-key");
/// How many recorded gaps the page's time has.
const GAPS: HeaderName = HeaderName::from_static("gaps");

/// A buffered answer ends at 6 MB where base64 counts (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>):
/// a page of DynamoDB's 1 MB stays far below, whatever its attributes; this is for the rest.
const MAX_BODY: usize = 4_000_000;

/// The part of a list that fits.
pub struct Written {
    body: Vec<u8>,
    /// How many items it has.
    pub count: usize,
}

/// Writes items as `look` wants them until the body is full.
///
/// # Errors
///
/// A [`Problem`] for items that this project did not write.
pub fn write<'item>(
    look: &Look,
    columns: Columns,
    items: impl Iterator<Item = &'item Item>,
) -> Result<Written, Problem> {
    let fields = look.fields.as_deref();
    let mut body = Vec::with_capacity(64 * 1024);
    if look.format == Format::Json {
        body.extend_from_slice(b"{\"Items\":[");
    }
    render::first_line(&mut body, look.format, fields, columns);
    let mut writer = Writer::new(look.format, fields, columns);
    let mut count = 0;
    for item in items {
        if body.len() > MAX_BODY {
            break;
        }
        if look.format == Format::Json && count > 0 {
            body.push(b',');
        }
        writer.event(&mut body, item).map_err(|error| StoreError::Refused(error.to_string()))?;
        count += 1;
    }
    Ok(Written { body, count })
}

/// What goes with the items.
#[derive(Default)]
pub struct Around {
    /// Continues the list.
    pub token: Option<String>,
    /// More fields of the JSON object.
    pub fields: Vec<(&'static str, Value)>,
    /// Recorded gaps in the page's time.
    pub gaps: Option<usize>,
}

/// Completes the body and sets the headers.
///
/// # Errors
///
/// A [`Problem`] where the body cannot be encoded.
pub fn finish(
    written: Written,
    around: Around,
    look: &Look,
    caching: &Caching,
    uri: &Uri,
) -> Result<Response<Body>, Problem> {
    let Written { mut body, count } = written;
    match look.format {
        Format::Json => close_object(&mut body, count, &around),
        Format::Ndjson => body.extend(around.token.iter().flat_map(|token| token_line(token))),
        Format::Csv => {}
    }
    let (encoding, body) =
        look.encoding.encode(body).map_err(|error| Problem::busy(format!("cannot encode: {error}")))?;
    let mut response = Response::new(Body::from(body));
    caching.apply(StatusCode::OK, response.headers_mut());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(look.format.content_type()));
    if let Some(name) = encoding.name() {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    if let Some(gaps) = around.gaps {
        headers.insert(GAPS, HeaderValue::from(gaps));
    }
    if let Some((token, link)) = around.token.and_then(|token| Some((token.parse().ok()?, next_link(uri, &token)?))) {
        headers.insert(LAST_EVALUATED_KEY, token);
        headers.insert(header::LINK, link);
    }
    Ok(response)
}

/// The caller has it already.
#[must_use]
pub fn not_modified(caching: &Caching) -> Response<Body> {
    let mut response = Response::new(Body::empty());
    *response.status_mut() = StatusCode::NOT_MODIFIED;
    caching.apply(StatusCode::NOT_MODIFIED, response.headers_mut());
    response
}

/// The last line of NDJSON where there is more.
#[must_use]
pub fn token_line(token: &str) -> Vec<u8> {
    format!("{{\"LastEvaluatedKey\":\"{token}\"}}\n").into_bytes()
}

fn close_object(body: &mut Vec<u8>, count: usize, around: &Around) {
    body.extend_from_slice(format!("],\"Count\":{count}").as_bytes());
    let token = around.token.iter().map(|token| ("LastEvaluatedKey", Value::String(token.clone())));
    for (name, value) in around.fields.iter().cloned().chain(token) {
        body.extend_from_slice(format!(",\"{name}\":{value}").as_bytes());
    }
    body.push(b'}');
}

/// The next page relative to this one: the same whatever stage, domain or proxy the request came through.
fn next_link(uri: &Uri, token: &str) -> Option<HeaderValue> {
    let kept = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.starts_with("ExclusiveStartKey="));
    let query = kept.collect::<Vec<_>>().join("&");
    format!("<?{query}&ExclusiveStartKey={token}>; rel=\"next\"").parse().ok()
}
