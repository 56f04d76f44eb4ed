//! `/status`: how the daemon does, as one JSON document, as the same document every second, and as a page for people.
//!
//! Nothing is worked out while nobody looks, and one document serves all who look: the rooms only count, as they do for `/metrics`. No part
//! waits for a disk, a lock that is held during a write to the disk, or a viewer.

use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use axum::body::Body;
use axum::extract::{Path, Query, State};
use axum::http::{HeaderMap, HeaderValue, Response, StatusCode, header};
use axum::middleware;
use axum::response::IntoResponse as _;
use axum::routing::get;
use serde::Deserialize;

use crate::observe::page::files::File;
use crate::observe::page::live::Live;

mod collect;
mod files;
pub(super) mod guard;
mod live;
mod rates;
mod viewer;

pub(super) use crate::observe::page::collect::troubles;
pub use crate::observe::page::collect::{About, Source};

/// What the page may do: load its own files and ask its own origin. Nothing is inline and nobody may frame it.
const POLICY: &str = "default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self'; connect-src 'self'; base-uri 'none'; \
                      form-action 'none'; frame-ancestors 'none'";

/// The status of a daemon for whoever asks over HTTP. Clones are one.
#[derive(Clone)]
pub struct StatusPage(Arc<Live>);

/// What the router of one server needs.
#[derive(Clone)]
struct Served {
    live: Arc<Live>,
    /// The page itself.
    html: Arc<str>,
}

impl StatusPage {
    /// Creates the page of a daemon.
    #[must_use]
    pub fn new(source: Source) -> StatusPage {
        StatusPage::every(source, live::EVERY)
    }

    /// Sends documents to viewers at another interval; for tests.
    #[doc(hidden)]
    #[must_use]
    pub fn every(source: Source, pace: Duration) -> StatusPage {
        StatusPage(Arc::new(Live::new(source, pace)))
    }

    /// Returns the routes of `/status`. `explorer`: address of the explorer, relative to the page, if the same server has one.
    ///
    /// They answer a browser that was sent to an IP address or to `localhost`, and to no other name: a page on the internet could let
    /// its own name lead here.
    pub fn router(&self, explorer: Option<&'static str>) -> Router {
        let served = Served { live: self.0.clone(), html: files::page(explorer).into() };
        Router::new()
            .route("/status", get(status))
            .route("/status/{file}", get(file))
            .layer(middleware::from_fn(guard::own_pages_only))
            .layer(middleware::from_fn(guard::own_names_only))
            .with_state(served)
    }

    /// Makes documents for viewers while there are any; never ends.
    pub async fn run(&self) -> std::convert::Infallible {
        self.0.run().await
    }
}

#[derive(Deserialize)]
struct Asked {
    format: Option<String>,
}

/// Answers in the format that `format` names, or else `Accept`: the page for a browser, JSON for everybody else.
async fn status(State(served): State<Served>, Query(asked): Query<Asked>, headers: HeaderMap) -> Response<Body> {
    let accept = headers.get(header::ACCEPT).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let by_accept = match accept {
        accept if accept.contains("text/html") => "html",
        accept if accept.contains("text/event-stream") => "events",
        _ => "json",
    };
    let mut response = match asked.format.as_deref().unwrap_or(by_accept) {
        "html" => html(&served),
        "json" => sent("application/json", served.live.counted().await),
        "events" => viewer::follow(&served.live),
        _ => (StatusCode::BAD_REQUEST, "format is json, events or html\n").into_response(),
    };
    let fixed = response.headers_mut();
    fixed.insert(header::VARY, HeaderValue::from_static("accept"));
    fixed.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
    response
}

fn html(served: &Served) -> Response<Body> {
    let mut response = sent("text/html; charset=utf-8", served.html.to_string());
    let fixed = response.headers_mut();
    fixed.insert(header::CONTENT_SECURITY_POLICY, HeaderValue::from_static(POLICY));
    fixed.insert(header::REFERRER_POLICY, HeaderValue::from_static("no-referrer"));
    let opener = header::HeaderName::from_static("cross-origin-opener-policy");
    fixed.insert(opener, HeaderValue::from_static("same-origin"));
    response
}

/// Answers with a file of the page.
async fn file(Path(name): Path<String>) -> Response<Body> {
    match files::ALL.iter().find(|file| file.name == name) {
        Some(File { media_type, content, .. }) => {
            let mut response = sent(media_type, *content);
            // Asked for anew each time, so that the files are those of the running version.
            response.headers_mut().insert(header::CACHE_CONTROL, HeaderValue::from_static("no-cache"));
            response
        }
        None => (StatusCode::NOT_FOUND, "no such file\n").into_response(),
    }
}

fn sent(media_type: &'static str, body: impl Into<Body>) -> Response<Body> {
    let mut response = Response::new(body.into());
    let fixed = response.headers_mut();
    fixed.insert(header::CONTENT_TYPE, HeaderValue::from_static(media_type));
    fixed.insert(header::X_CONTENT_TYPE_OPTIONS, HeaderValue::from_static("nosniff"));
    let resource = header::HeaderName::from_static("cross-origin-resource-policy");
    fixed.insert(resource, HeaderValue::from_static("same-origin"));
    response
}
