//! Writes the answer to a request for a list: the items that fit, what goes with them, and the headers.

use axum::{
    body::Body,
    extract::Query,
    http::{HeaderMap, HeaderName, HeaderValue, Response, StatusCode, Uri, header},
    response::IntoResponse,
};
use codec::item::Item;
use serde_json::Value;

use crate::config::MOST_BYTES;
use crate::http::caching::{Caching, Precondition};
use crate::http::lambda::size_as_sent;
use crate::http::problem::Problem;
use crate::http::render::{self, Columns, Format, Writer};
use crate::http::request::Presentation;

/// The header with the token of the next page, for formats whose body has no place for it.
const LAST_EVALUATED_KEY: HeaderName = HeaderName::from_static("last-evaluated-key");
/// The header with the number of intervals in `Gaps`.
const GAPS: HeaderName = HeaderName::from_static("gaps");

/// The header with the number of events that the first system and the daemon both stored, and that are shown once.
const DOUBLES: HeaderName = HeaderName::from_static("doubles");
/// The header with the number of trades in no candle's sums.
const SKIPPED: HeaderName = HeaderName::from_static("skipped");
/// The header with the names in `fields` that no event of the page has.
const UNKNOWN_FIELDS: HeaderName = HeaderName::from_static("unknown-fields");

/// The part of a list that fits into one answer.
pub struct Written {
    body: Vec<u8>,
    /// The number of items in the body.
    pub count: usize,
}

/// Writes items until the body is full: [`MOST_BYTES`] as sent, or at least one item.
pub fn write<'item>(
    presentation: &Presentation,
    columns: Columns,
    items: impl Iterator<Item = &'item Item>,
) -> Written {
    let fields = presentation.fields.as_deref();
    let mut body = Vec::with_capacity(64 * 1024);
    if presentation.format == Format::Json {
        body.extend_from_slice(b"{\"Items\":[");
    }
    render::first_line(&mut body, presentation.format, fields, columns);
    let mut writer = Writer::new(presentation.format, fields, columns);
    let (mut count, mut sent) = (0, 0);
    // JSON has no control characters, which are sent as six bytes.
    let worst = if presentation.format == Format::Csv { 6 } else { 2 };
    for item in items {
        let before = body.len();
        if presentation.format == Format::Json && count > 0 {
            body.push(b',');
        }
        writer.event(&mut body, item);
        // Far below the limit nothing needs to be counted, whatever becomes of each byte.
        if body.len() > MOST_BYTES / worst {
            let uncounted = if sent == 0 { 0 } else { before };
            sent += body.get(uncounted..).map_or(0, size_as_sent);
        }
        if sent > MOST_BYTES && count > 0 {
            body.truncate(before);
            break;
        }
        count += 1;
    }
    Written { body, count }
}

/// What an answer says besides its items, in the body or in headers.
#[derive(Default)]
pub struct Envelope {
    /// The token of the next page.
    pub token: Option<String>,
    /// Further fields of the JSON object.
    pub fields: Vec<(&'static str, Value)>,
    /// The number of intervals in `Gaps`.
    pub gaps: Option<usize>,
    /// The names in `fields` that no event here has.
    pub unknown_fields: Vec<String>,
    /// The number of events that are stored twice and shown once.
    pub doubles: usize,
    /// The number of trades in no candle's sums.
    pub skipped: u64,
}

/// Completes and encodes the body, and sets the headers.
///
/// # Errors
///
/// A [`Problem`] if the body cannot be encoded.
pub fn finish(
    written: Written,
    envelope: Envelope,
    presentation: &Presentation,
    caching: &Caching,
    uri: &Uri,
) -> Result<Response<Body>, Problem> {
    let Written { mut body, count } = written;
    match presentation.format {
        Format::Json => close_object(&mut body, count, &envelope),
        // A body of lines has events only: what else is to be said stands in headers.
        Format::Ndjson | Format::Csv => {}
    }
    let (encoding, body) =
        presentation.encoding.encode(body).map_err(|error| Problem::busy(format!("cannot encode: {error}")))?;
    let mut response = Response::new(Body::from(body));
    caching.apply(StatusCode::OK, response.headers_mut());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(presentation.format.content_type()));
    if let Some(name) = encoding.name() {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    if let Some(gaps) = envelope.gaps {
        headers.insert(GAPS, HeaderValue::from(gaps));
    }
    if envelope.doubles > 0 {
        headers.insert(DOUBLES, HeaderValue::from(envelope.doubles));
    }
    if envelope.skipped > 0 {
        headers.insert(SKIPPED, HeaderValue::from(envelope.skipped));
    }
    if let Ok(unknown) = HeaderValue::from_str(&envelope.unknown_fields.join(","))
        && !unknown.is_empty()
    {
        headers.insert(UNKNOWN_FIELDS, unknown);
    }
    if let Some((token, link)) = envelope.token.and_then(|token| Some((token.parse().ok()?, next_link(uri, &token)?))) {
        headers.insert(LAST_EVALUATED_KEY, token);
        headers.insert(header::LINK, link);
    }
    Ok(response)
}

/// Answers a request by its conditions, with 304 or 412; returns `None` if it needs an answer with a body.
#[must_use]
pub fn by_condition(caching: &Caching, headers: &HeaderMap) -> Option<Response<Body>> {
    let status = match caching.precondition(headers) {
        Precondition::Holds => return None,
        Precondition::NotModified => StatusCode::NOT_MODIFIED,
        Precondition::Failed => return Some(Problem::precondition().into_response()),
    };
    let mut response = Response::new(Body::empty());
    *response.status_mut() = status;
    caching.apply(status, response.headers_mut());
    Some(response)
}

fn close_object(body: &mut Vec<u8>, count: usize, envelope: &Envelope) {
    body.extend_from_slice(format!("],\"Count\":{count}").as_bytes());
    let token = envelope.token.iter().map(|token| ("LastEvaluatedKey", Value::String(token.clone())));
    for (name, value) in envelope.fields.iter().cloned().chain(token) {
        body.extend_from_slice(format!(",\"{name}\":{value}").as_bytes());
    }
    body.push(b'}');
}

/// Returns true if the pair of a query string is the token, however its name is encoded.
fn is_token(pair: &str) -> bool {
    let uri = format!("/?{pair}").parse().unwrap_or_default();
    let pairs = Query::<Vec<(String, String)>>::try_from_uri(&uri);
    pairs.is_ok_and(|Query(pairs)| pairs.iter().any(|(name, _)| name == "ExclusiveStartKey"))
}

/// Returns the `Link` to the next page, relative to this one, so that it holds behind any stage, domain or proxy.
fn next_link(uri: &Uri, token: &str) -> Option<HeaderValue> {
    let kept = uri.query().unwrap_or_default().split('&').filter(|pair| !pair.is_empty() && !is_token(pair));
    let query = kept.collect::<Vec<_>>().join("&");
    format!("<?{query}&ExclusiveStartKey={token}>; rel=\"next\"").parse().ok()
}
