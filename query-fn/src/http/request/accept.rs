//! Chooses format and content coding from `Accept` and `Accept-Encoding` (RFC 9110, section 12.5).

use axum::http::{HeaderMap, HeaderName, header};

use crate::http::encoding::Encoding;
use crate::http::problem::Problem;
use crate::http::render::Format;

/// Returns the format with the highest weight in `Accept`; `default` without that header.
pub(super) fn format(headers: &HeaderMap, default: Format) -> Result<Format, Problem> {
    let ranges = weighted(headers, &header::ACCEPT);
    if ranges.is_empty() {
        return Ok(default);
    }
    // At equal weight: the default, then the order of `ALL`.
    let mut best = None;
    for format in std::iter::once(default).chain(Format::ALL) {
        let weight = accepts(&ranges, format);
        if weight > best.map_or(0, |(weight, _)| weight) {
            best = Some((weight, format));
        }
    }
    best.map(|(_, format)| format).ok_or_else(|| {
        let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
        Problem::format(accept)
    })
}

/// Returns the weight of the most precise media range that covers the format, in thousandths.
fn accepts(ranges: &[(String, u16)], format: Format) -> u16 {
    let exact = ranges.iter().find(|(range, _)| format.media_types().contains(&range.as_str()));
    let kind = || {
        ranges.iter().find(|(range, _)| {
            let kind = range.strip_suffix("/*");
            kind.is_some_and(|kind| kind != "*" && format.media_types().iter().any(|name| name.starts_with(kind)))
        })
    };
    // Java's own client writes the second one.
    let any = || ranges.iter().find(|(range, _)| range == "*/*" || range == "*");
    exact.or_else(kind).or_else(any).map_or(0, |(_, weight)| *weight)
}

/// Returns true if the client is a browser: `Accept` names HTML, at no lower weight than JSON. `*/*` names neither.
#[must_use]
pub fn prefers_html(headers: &HeaderMap) -> bool {
    let ranges = weighted(headers, &header::ACCEPT);
    let html = ranges.iter().find(|(range, _)| range == "text/html").map_or(0, |(_, weight)| *weight);
    html > 0 && html >= accepts(&ranges, Format::Json)
}

/// Returns true if the client takes gzip.
#[must_use]
pub fn accepts_gzip(headers: &HeaderMap) -> bool {
    weight(&weighted(headers, &header::ACCEPT_ENCODING), Encoding::Gzip) > 0
}

/// Returns the coding with the highest weight in `Accept-Encoding`: at equal weight zstd, then gzip; no compression if it names neither.
pub(super) fn encoding(headers: &HeaderMap) -> Encoding {
    let codings = weighted(headers, &header::ACCEPT_ENCODING);
    let mut best = (0, Encoding::Identity);
    for encoding in [Encoding::Zstd, Encoding::Gzip] {
        let weight = weight(&codings, encoding);
        if weight > best.0 {
            best = (weight, encoding);
        }
    }
    best.1
}

/// Returns the weight of a coding in `Accept-Encoding`, in thousandths.
fn weight(codings: &[(String, u16)], encoding: Encoding) -> u16 {
    let name = encoding.name().unwrap_or("identity");
    let given = codings.iter().find(|(coding, _)| coding == name || (coding == "x-gzip" && name == "gzip"));
    given.or_else(|| codings.iter().find(|(coding, _)| coding == "*")).map_or(0, |(_, weight)| *weight)
}

/// Parses a list such as `text/csv;q=0.5, */*` into names and weights in thousandths (RFC 9110, section 12.4.2).
fn weighted(headers: &HeaderMap, name: &HeaderName) -> Vec<(String, u16)> {
    let values = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
    let mut list = Vec::new();
    for element in values.flat_map(|value| value.split(',')) {
        let mut parts = element.split(';').map(str::trim);
        let name = parts.next().unwrap_or_default().to_ascii_lowercase();
        let weight = parts.find_map(|part| part.strip_prefix("q=").or_else(|| part.strip_prefix("Q=")));
        if !name.is_empty() {
            list.push((name, weight.map_or(1000, thousandths)));
        }
    }
    list
}

/// Parses a weight in thousandths: 500 for `0.5`, and for `.5`, which some clients write; 1000 for an invalid weight.
fn thousandths(weight: &str) -> u16 {
    let (whole, fraction) = weight.split_once('.').unwrap_or((weight, ""));
    let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
    match (whole, digits.parse()) {
        ("0" | "", Ok(thousandths)) if !weight.is_empty() => thousandths,
        _ => 1000,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(name: HeaderName, value: &'static str) -> HeaderMap {
        HeaderMap::from_iter([(name, value.parse().unwrap())])
    }

    #[test]
    fn the_caller_chooses_the_format() {
        for (accept, expected) in [
            ("*/*", Format::Json),
            ("", Format::Json),
            ("text/csv", Format::Csv),
            ("text/*", Format::Csv),
            ("application/x-ndjson", Format::Ndjson),
            ("application/jsonl", Format::Ndjson),
            ("text/csv;q=0.9, application/json;q=0.3", Format::Csv),
            ("application/json;q=0, */*;q=0.1", Format::Ndjson),
            ("text/html, image/gif, image/jpeg, *; q=.2, */*; q=.2", Format::Json),
            ("text/csv;q=.2, application/json;q=.8", Format::Json),
            ("text/csv;q=high", Format::Csv),
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Format::Json),
        ] {
            assert_eq!(format(&headers(header::ACCEPT, accept), Format::Json).unwrap(), expected, "{accept}");
        }
        for accept in ["image/png", "*/*;q=0", "*/*;q=.0"] {
            assert!(format(&headers(header::ACCEPT, accept), Format::Json).is_err(), "{accept}");
        }
    }

    #[test]
    fn a_browser_gets_a_page() {
        for (accept, expected) in [
            ("text/html,application/xhtml+xml,application/xml;q=0.9,image/avif,*/*;q=0.8", true),
            ("text/html", true),
            ("*/*", false),
            ("", false),
            ("application/json, text/html;q=0.9", false),
            ("text/html;q=0, */*", false),
            ("text/*", false),
        ] {
            assert_eq!(prefers_html(&headers(header::ACCEPT, accept)), expected, "{accept}");
        }
    }

    #[test]
    fn the_caller_chooses_the_coding() {
        for (accept, expected) in [
            ("gzip, deflate", Encoding::Gzip),
            ("deflate, gzip, br, zstd", Encoding::Zstd),
            ("zstd;q=0.5, gzip;q=0.8", Encoding::Gzip),
            ("gzip;q=0", Encoding::Identity),
            ("br", Encoding::Identity),
            ("*", Encoding::Zstd),
            ("", Encoding::Identity),
        ] {
            assert_eq!(encoding(&headers(header::ACCEPT_ENCODING, accept)), expected, "{accept}");
        }
    }
}
