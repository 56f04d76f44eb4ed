//! `/` and `/assets/{file}`: a page that shows the data, for browsers; programs get the contract at `/`. The sources are in
//! `query-fn/explorer`, what is built from them is compiled in.

use axum::{
    body::Body,
    extract::{Path, rejection::PathRejection},
    http::{HeaderMap, HeaderValue, Response, Uri, header},
    response::IntoResponse,
};
use flate2::read::GzDecoder;
use std::io::Read;

use super::about;
use crate::http::caching::Caching;
use crate::http::problem::Problem;
use crate::http::request;
use crate::http::response;

mod files;

/// A file of the page.
struct File {
    name: &'static str,
    media_type: &'static str,
    /// Hex digits that change with its content.
    tag: &'static str,
    /// Its content, compressed.
    gzip: &'static [u8],
}

/// What the page may do: load its own files and ask its own origin. Nothing is inline and nobody may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// Answers a browser with the page, and everybody else with the contract.
pub(super) async fn page(headers: HeaderMap) -> Response<Body> {
    if !request::prefers_html(&headers) {
        let mut response = about::contract().await.into_response();
        response.headers_mut().insert(header::VARY, HeaderValue::from_static("accept"));
        return response;
    }
    let mut response = sent(&files::PAGE, &headers);
    let fixed = response.headers_mut();
    // Asked for anew each time, so that the names of its files are those of this version.
    fixed.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
    for (name, value) in [
        (header::CONTENT_SECURITY_POLICY, POLICY),
        (header::REFERRER_POLICY, "no-referrer"),
        (header::HeaderName::from_static("cross-origin-opener-policy"), "same-origin"),
        (
            header::HeaderName::from_static("permissions-policy"),
            "camera=(), geolocation=(), microphone=(), payment=(), usb=()",
        ),
    ] {
        fixed.insert(name, HeaderValue::from_static(value));
    }
    response
}

/// Answers with a file of the page. Its name changes with its content, so caches keep it for ever.
pub(super) async fn asset(
    name: Result<Path<String>, PathRejection>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response<Body>, Problem> {
    let file = files::ASSETS.iter().find(|file| name.as_ref().is_ok_and(|Path(name)| name == file.name));
    file.map(|file| sent(file, &headers)).ok_or_else(|| Problem::no_path(uri.path()))
}

/// Sends a file as it is stored, or unpacked to a client that takes no gzip.
fn sent(file: &File, headers: &HeaderMap) -> Response<Body> {
    let is_packed = request::accepts_gzip(headers);
    let etag = format!("\"{}{}\"", file.tag, if is_packed { "-gzip" } else { "" });
    let etag = HeaderValue::from_str(&etag).expect("hex digits are a header value");
    let caching = Caching::Immutable { etag };
    if let Some(response) = response::by_condition(&caching, headers) {
        return response;
    }
    let body = if is_packed { Body::from(file.gzip) } else { Body::from(unpacked(file.gzip)) };
    let mut response = Response::new(body);
    caching.apply(response.status(), response.headers_mut());
    let fixed = response.headers_mut();
    fixed.insert(header::CONTENT_TYPE, HeaderValue::from_static(file.media_type));
    fixed.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    if is_packed {
        fixed.insert(header::CONTENT_ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

fn unpacked(gzip: &[u8]) -> Vec<u8> {
    let mut body = Vec::new();
    GzDecoder::new(gzip).read_to_end(&mut body).expect("the files were compressed when they were built");
    body
}
