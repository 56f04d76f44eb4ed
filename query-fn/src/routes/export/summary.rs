//! What an export says of itself where it ends: as its last record, or as trailers.

use axum::http::{HeaderMap, HeaderName, HeaderValue, header};
use rust_decimal::Decimal;
use serde_json::{Number, Value, json};

use crate::http::invocation::READ_UNITS;
use crate::http::render::Format;

const COMPLETE: HeaderName = HeaderName::from_static("complete");
const ROWS: HeaderName = HeaderName::from_static("rows");
const BYTES: HeaderName = HeaderName::from_static("bytes");
const FIRST: HeaderName = HeaderName::from_static("first");
const LAST: HeaderName = HeaderName::from_static("last");
const GAPS: HeaderName = HeaderName::from_static("gaps");
const LAST_EVALUATED_KEY: HeaderName = HeaderName::from_static("last-evaluated-key");

/// The value of `Trailer` in the header of an answer: the names of all trailers that may follow.
pub(super) const TRAILERS: &str = "complete, rows, bytes, first, last, gaps, x-read-units, last-evaluated-key";

/// The facts about a body that ended cleanly.
#[derive(Debug)]
pub(super) struct Summary {
    /// The number of events.
    pub(super) rows: u64,
    /// The bytes of the body before content coding, without the last record.
    pub(super) bytes: u64,
    /// The time of the first event, microseconds since the Unix epoch.
    pub(super) first: Option<u64>,
    /// The time of the last event, microseconds since the Unix epoch.
    pub(super) last: Option<u64>,
    /// The intervals between the two in which events may be missing.
    pub(super) gaps: Vec<Value>,
    /// The read units of the whole answer; `None` if the store does not tell.
    pub(super) read_units: Option<Decimal>,
    /// The token to continue with; `None` if the range is complete.
    pub(super) token: Option<String>,
}

impl Summary {
    /// Writes the last record as one line.
    pub(super) fn record(&self, format: Format) -> Vec<u8> {
        let Summary { rows, bytes, first, last, gaps, read_units, token } = self;
        // The digits as they are, without a float.
        let read_units: Option<Number> = read_units.and_then(|units| units.to_string().parse().ok());
        let record = json!({ "end": {
            "complete": token.is_none(), "rows": rows, "bytes": bytes, "first": first, "last": last, "gaps": gaps,
            "read_units": read_units, "LastEvaluatedKey": token,
        } });
        let mut line = Vec::new();
        match format {
            Format::Csv => codec::csv::only_cell(&mut line, &record.to_string()),
            Format::Json | Format::Ndjson => line.extend(format!("{record}\n").into_bytes()),
        }
        line
    }

    /// Returns the same facts as trailers (RFC 9110, section 6.5). Of the gaps there is the number, as in the header of a page: a list of a
    /// thousand would be a longer line than clients read. What is `None` is left out.
    pub(super) fn trailers(&self) -> HeaderMap {
        let number = |number: u64| Some(HeaderValue::from(number));
        let complete = HeaderValue::from_static(if self.token.is_none() { "true" } else { "false" });
        let values = [
            (COMPLETE, Some(complete)),
            (ROWS, number(self.rows)),
            (BYTES, number(self.bytes)),
            (FIRST, self.first.and_then(number)),
            (LAST, self.last.and_then(number)),
            (GAPS, Some(HeaderValue::from(self.gaps.len()))),
            (READ_UNITS, self.read_units.and_then(|units| units.to_string().parse().ok())),
            (LAST_EVALUATED_KEY, self.token.as_ref().and_then(|token| token.parse().ok())),
        ];
        values.into_iter().filter_map(|(name, value)| Some((name, value?))).collect()
    }
}

/// Returns true if the client takes trailers (`TE: trailers`; RFC 9110, section 10.1.4).
pub(super) fn are_taken(headers: &HeaderMap) -> bool {
    let values = headers.get_all(header::TE).into_iter().filter_map(|value| value.to_str().ok());
    values.flat_map(|value| value.split(',')).any(|coding| coding.trim().eq_ignore_ascii_case("trailers"))
}
