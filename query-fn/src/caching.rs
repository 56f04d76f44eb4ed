use axum::http::{HeaderMap, HeaderValue, StatusCode, header};
use sha2::{Digest, Sha256};
use std::time::{Duration, SystemTime};

use crate::{
    config::Config,
    request::{Look, Range},
    token::Signer,
};

/// How long an answer may be kept.
#[derive(Clone, Debug)]
pub enum Caching {
    /// The range is still growing.
    Open,
    /// The range ended so long ago that nothing is added to it: the answer follows from the request alone.
    Closed {
        /// A strong validator.
        etag: HeaderValue,
    },
}

impl Caching {
    /// Judges a request by its range. `rest` is everything else that the answer depends on.
    #[must_use]
    pub fn of(range: &Range, rest: &str, look: &Look, config: &Config, signer: &Signer) -> Caching {
        let now = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
        let closed = Duration::from_micros(range.to) < now.saturating_sub(config.closed_after);
        if !closed {
            return Caching::Open;
        }
        let mut hash = Sha256::new();
        hash.update(signer.fingerprint());
        for part in [
            env!("CARGO_PKG_VERSION"),
            &config.table,
            &config.data_version,
            &range.binding("etag"),
            rest,
            &format!("{look:?}"),
        ] {
            hash.update((part.len() as u64).to_be_bytes());
            hash.update(part);
        }
        let digest: String = hash.finalize().iter().take(16).map(|byte| format!("{byte:02x}")).collect();
        let etag = HeaderValue::from_str(&format!("\"{digest}\"")).expect("hex digits are a header value");
        Caching::Closed { etag }
    }

    /// Whether the caller has the answer already.
    #[must_use]
    pub fn is_known(&self, headers: &HeaderMap) -> bool {
        let Caching::Closed { etag } = self else { return false };
        let given = headers.get_all(header::IF_NONE_MATCH).into_iter().filter_map(|value| value.to_str().ok());
        let mut tags = given.flat_map(|value| value.split(',')).map(str::trim);
        tags.any(|tag| tag.strip_prefix("W/").unwrap_or(tag).as_bytes() == etag.as_bytes())
    }

    /// Sets the headers for an answer with this status.
    pub fn apply(&self, status: StatusCode, headers: &mut HeaderMap) {
        let fits = status == StatusCode::OK || status == StatusCode::NOT_MODIFIED;
        match self {
            Caching::Closed { etag } if fits => {
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
