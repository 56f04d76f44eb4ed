//! Decides which answers never change, gives them a validator, and judges the conditions of a request against it.

use axum::http::{HeaderMap, HeaderName, HeaderValue, StatusCode, header};
use sha2::{Digest, Sha256};
use std::time::{Duration, SystemTime};

use crate::config::Config;
use crate::http::request::Presentation;
use crate::http::token::Signer;
use crate::range::Range;

/// The time for which a cache may keep an answer.
#[derive(Clone, Debug)]
pub enum Caching {
    /// None: the range may still change.
    Mutable,
    /// For ever: the range is closed, so that the answer follows from the request alone.
    Immutable {
        /// The strong validator of the answer.
        etag: HeaderValue,
    },
}

/// The result of the conditions of a request.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Precondition {
    /// The request has no condition, or its condition holds: it is answered.
    Holds,
    /// The client has the answer already: 304.
    NotModified,
    /// `If-Match` names another answer: 412.
    Failed,
}

/// Splits a list of entity tags such as `W/"a", "b,c"`: commas may stand within quotes.
fn entity_tags(list: &str) -> impl Iterator<Item = &str> {
    let mut quoted = false;
    let members = list.split(move |c| {
        quoted ^= c == '"';
        c == ',' && !quoted
    });
    members.map(str::trim).filter(|tag| !tag.is_empty())
}

/// Spells out how the answer is written, for its validator. The text stays as it is, so that validators that clients hold stay valid.
fn spelled(presentation: &Presentation) -> String {
    let Presentation { format, fields, encoding } = presentation;
    format!("Look {{ format: {format:?}, fields: {fields:?}, encoding: {encoding:?} }}")
}

impl Caching {
    /// Decides by the range of a request whether its answer may change. `rest` is everything else that the answer depends on.
    #[must_use]
    pub fn of(range: &Range, rest: &str, presentation: &Presentation, config: &Config, signer: &Signer) -> Caching {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let closed = Duration::from_micros(range.to) < now.saturating_sub(config.closed_after);
        // What is relative to now is another range tomorrow.
        if !closed || range.said.is_some() {
            return Caching::Mutable;
        }
        let mut hash = Sha256::new();
        hash.update(signer.fingerprint());
        for part in [
            env!("CARGO_PKG_VERSION"),
            &config.table,
            &config.data_version,
            &range.binding("etag"),
            rest,
            &spelled(presentation),
        ] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let digest: String = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let etag = HeaderValue::from_str(&format!("\"{digest}\"")).expect("hex digits are a header value");
        Caching::Immutable { etag }
    }

    /// Evaluates `If-Match` and `If-None-Match` (RFC 9110, section 13.2.2). Every valid request has an answer, so `*` always matches.
    #[must_use]
    pub fn precondition(&self, headers: &HeaderMap) -> Precondition {
        let names = |name: &HeaderName, weakly: bool| {
            let given = headers.get_all(name).into_iter().filter_map(|value| value.to_str().ok());
            let mut tags = given.flat_map(entity_tags);
            tags.any(|tag| match (tag, self) {
                ("*", _) => true,
                (tag, Caching::Immutable { etag }) => {
                    let strong = tag.strip_prefix("W/").filter(|_| weakly).unwrap_or(tag);
                    strong.as_bytes() == etag.as_bytes()
                }
                (_, Caching::Mutable) => false,
            })
        };
        if headers.contains_key(header::IF_MATCH) && !names(&header::IF_MATCH, false) {
            Precondition::Failed
        } else if names(&header::IF_NONE_MATCH, true) {
            Precondition::NotModified
        } else {
            Precondition::Holds
        }
    }

    /// Returns true if the request has a key or other credentials: no shared cache may keep its answer.
    #[must_use]
    pub fn is_private(headers: &HeaderMap) -> bool {
        headers.contains_key("x-api-key") || headers.contains_key(header::AUTHORIZATION)
    }

    /// Sets `ETag`, `Cache-Control` and `Vary` of an answer with this status.
    pub fn apply(&self, status: StatusCode, headers: &mut HeaderMap) {
        let fits = status == StatusCode::OK || status == StatusCode::NOT_MODIFIED;
        match self {
            Caching::Immutable { etag } if fits => {
                headers.insert(header::ETAG, etag.clone());
                let forever = HeaderValue::from_static("max-age=31536000, immutable");
                headers.insert(header::CACHE_CONTROL, forever);
            }
            _ => {
                headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
            }
        }
        headers.insert(header::VARY, HeaderValue::from_static("accept, accept-encoding"));
    }
}
