//! What clients send to the query API.

use axum::http::{HeaderMap, HeaderName, HeaderValue, Uri};
use query_fn::http::problem::Problem;
use query_fn::http::render::Format;
use query_fn::http::request::derived::{CandlesRequest, CountRequest, CoverageRequest};
use query_fn::http::request::{self, EVENTS, EVENTS_TOKEN, EXPORT, EventsRequest, ORDERS, TailRequest};
use query_fn::http::token::Signer;
use query_fn::query::tail::Place;
use query_fn::range::{Order, Position, Range, Subject};

/// The largest problem document, in bytes: 20 faults with at most 400 characters each for name and reason, of up to 4 bytes that JSON may
/// escape to 6.
const LARGEST_PROBLEM: usize = 20 * 2 * 400 * 6 + 20 * 400 * 6 + 4_096;

fn signer() -> Signer {
    Signer::new(vec![vec![7; 32]])
}

/// Reads a request of each path with the first line as its query string, the second as `Accept`, the third as `Accept-Encoding`, and the
/// fourth as `Last-Event-ID`.
pub fn query(data: &[u8]) {
    let mut lines = data.split(|byte| *byte == b'\n');
    let Ok(query) = str::from_utf8(lines.next().unwrap_or_default()) else { return };
    let Ok(uri) = format!("/x?{query}").parse::<Uri>() else { return };
    let mut headers = HeaderMap::new();
    for (name, value) in ["accept", "accept-encoding", "last-event-id"].into_iter().zip(lines) {
        if let Ok(value) = HeaderValue::from_bytes(value) {
            headers.insert(HeaderName::from_static(name), value);
        }
    }
    let signer = signer();
    let from = (&uri, &headers, &signer);
    for (known, order) in
        [(EVENTS, None), (EXPORT, None), (ORDERS, Some("7".to_owned())), (ORDERS, Some(query.to_owned()))]
    {
        if let Some(request) = read(EventsRequest::read(from, known, order, Format::Json)) {
            range(&request.range);
            // With one secret key of its own, nobody else issues tokens.
            assert_eq!(request.after, None, "a forged token");
        }
    }
    for range_of in [
        read(request::latest(&uri, &headers)).map(|request| request.range),
        read(CandlesRequest::read(from)).map(|request| request.range),
        read(CoverageRequest::read(from)).map(|request| request.range),
        read(CountRequest::read(from)).map(|request| request.range),
    ]
    .into_iter()
    .flatten()
    {
        range(&range_of);
    }
    let _presentation = read(request::channels(&uri, &headers));
    let _tail = read(TailRequest::read(from));
    let _is_browser = request::prefers_html(&headers);
    let _takes_gzip = request::accepts_gzip(&headers);
}

fn range(range: &Range) {
    assert!(range.from <= range.to, "{} is after {}", range.from, range.to);
}

/// Passes what was read; a problem names its faults within bounds.
fn read<T>(result: Result<T, Problem>) -> Option<T> {
    result
        .inspect_err(|problem| {
            let document = problem.document("id");
            assert!(document.len() <= LARGEST_PROBLEM, "a problem of {} bytes", document.len());
            assert!(!problem.detail.is_empty());
        })
        .ok()
}

/// Reads tokens as they come, and as if this service had issued them with this content.
pub fn token(data: &[u8]) {
    let Ok(text) = str::from_utf8(data) else { return };
    let signer = signer();
    for said in [None, Some("now-1h".to_owned())] {
        let subject = Subject::Channel("live_trades_btcusd".to_owned());
        let mut range = Range { subject, from: 0, to: 9, order: Order::Ascending, said };
        assert!(signer.open(&mut range, text, EVENTS_TOKEN).is_err(), "a forged token");
        let token = signer.issue(text, &range.binding(EVENTS_TOKEN)).expect("there is a key");
        let opened = signer.open(&mut range, &token, EVENTS_TOKEN);
        if range.said.is_none() {
            assert_eq!(opened.as_deref(), Ok(text));
        }
    }
    if let Some(position) = Position::parse(text) {
        assert_eq!(Position::parse(&position.to_string()), Some(position));
    }
    if let Ok(place) = Place::parse(text) {
        let written = place.to_string();
        assert_eq!(Place::parse(&written).map(|place| place.to_string()), Ok(written));
    }
}
