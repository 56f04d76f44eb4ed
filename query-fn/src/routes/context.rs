//! What every handler takes of a request, as one extractor.

use axum::{
    Extension,
    extract::{FromRequestParts, rejection::ExtensionRejection},
    http::{HeaderMap, Uri, Version, request::Parts},
};
use std::{sync::Arc, time::Duration};
use tokio::time::Instant;

use super::app::App;
use crate::http::caching::Caching;
use crate::http::invocation::Invocation;
use crate::http::request::Presentation;
use crate::http::server::Stopping;
use crate::http::token::Signer;
use crate::query::expiry::Ledgers;
use crate::query::store::Store;
use crate::range::Range;

/// A request as the handlers see it, with the state that they share.
pub(super) struct RequestContext {
    pub(super) app: Arc<App>,
    /// The table; counts what this request reads.
    pub(super) store: Store,
    pub(super) uri: Uri,
    pub(super) headers: HeaderMap,
    pub(super) version: Version,
    /// Tells that the server stops; `None` where nothing does.
    pub(super) stopping: Option<Stopping>,
    invocation: Invocation,
}

impl FromRequestParts<Arc<App>> for RequestContext {
    type Rejection = ExtensionRejection;

    async fn from_request_parts(parts: &mut Parts, app: &Arc<App>) -> Result<RequestContext, ExtensionRejection> {
        let Extension(invocation) = Extension::<Invocation>::from_request_parts(parts, app).await?;
        let (uri, headers) = (parts.uri.clone(), parts.headers.clone());
        let stopping = parts.extensions.get().cloned();
        let store = app.store.counting(invocation.units.clone());
        Ok(RequestContext { app: Arc::clone(app), store, uri, headers, version: parts.version, stopping, invocation })
    }
}

impl RequestContext {
    /// Returns what ledgers are read with.
    pub(super) fn ledgers(&self) -> Ledgers<'_> {
        self.app.ledgers(&self.store)
    }

    /// Returns what the parameters of a request are read from.
    pub(super) fn input(&self) -> (&Uri, &HeaderMap, &Signer) {
        (&self.uri, &self.headers, &self.app.signer)
    }

    /// Returns the moment to stop reading: the end of the time budget that starts now, or of Lambda's invocation.
    pub(super) fn deadline(&self) -> Instant {
        self.deadline_within(self.app.config.time_budget)
    }

    /// Returns the moment to stop reading: the end of `budget` from now on, or of Lambda's invocation.
    pub(super) fn deadline_within(&self, budget: Duration) -> Instant {
        self.invocation.deadline(budget)
    }

    /// Returns true inside Lambda, whose streams have no trailers.
    pub(super) fn is_in_lambda(&self) -> bool {
        self.invocation.ends.is_some()
    }

    /// Decides how long an answer about `range` may be kept; `rest` is everything else that it depends on.
    pub(super) fn caching(&self, range: &Range, rest: &str, presentation: &Presentation) -> Caching {
        Caching::of(range, rest, presentation, &self.app.config, &self.app.signer)
    }
}
