use axum::http::{HeaderMap, HeaderName, header};

use crate::{encoding::Encoding, problem::Problem, render::Format};

/// The format of ours that the caller likes best; `default` where it does not say.
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

/// The weight of the most precise range that covers the format.
fn accepts(ranges: &[(String, u16)], format: Format) -> u16 {
    let exact = ranges.iter().find(|(range, _)| format.media_types().contains(&range.as_str()));
    let kind = || {
        ranges.iter().find(|(range, _)| {
            let kind = range.strip_suffix("/*");
            kind.is_some_and(|kind| kind != "*" && format.media_types().iter().any(|name| name.starts_with(kind)))
        })
    };
    let any = || ranges.iter().find(|(range, _)| range == "*/*");
    exact.or_else(kind).or_else(any).map_or(0, |(_, weight)| *weight)
}

/// The coding that the caller likes best; at equal weight zstd, then gzip; none where it names none of them.
pub(super) fn encoding(headers: &HeaderMap) -> Encoding {
    let codings = weighted(headers, &header::ACCEPT_ENCODING);
    let weight = |encoding: &Encoding| {
        let name = encoding.name().unwrap_or("identity");
        let given = codings.iter().find(|(coding, _)| coding == name || (coding == "x-gzip" && name == "gzip"));
        given.or_else(|| codings.iter().find(|(coding, _)| coding == "*")).map_or(0, |(_, weight)| *weight)
    };
    let mut best = (0, Encoding::Identity);
    for encoding in [Encoding::Zstd, Encoding::Gzip] {
        if weight(&encoding) > best.0 {
            best = (weight(&encoding), encoding);
        }
    }
    best.1
}

/// The names of a list like `text/csv;q=0.5, */*` and their weights in thousandths (RFC 9110, section 12.4.2).
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

/// `0.5` is 500; what is no weight counts as not acceptable.
fn thousandths(weight: &str) -> u16 {
    let (whole, fraction) = weight.split_once('.').unwrap_or((weight, ""));
    let digits: String = fraction.chars().chain("000".chars()).take(3).collect();
    match (whole, digits.parse()) {
        ("1", Ok(0)) => 1000,
        ("0", Ok(thousandths)) => thousandths,
        _ => 0,
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
            ("text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8", Format::Json),
        ] {
            assert_eq!(format(&headers(header::ACCEPT, accept), Format::Json).unwrap(), expected, "{accept}");
        }
        assert!(format(&headers(header::ACCEPT, "image/png"), Format::Json).is_err());
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
