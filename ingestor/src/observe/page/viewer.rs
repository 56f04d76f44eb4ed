//! Server-sent events: the newest document every second, for as long as a viewer looks or the daemon runs.

use std::sync::Arc;

use axum::body::{Body, Bytes};
use axum::http::{HeaderValue, Response, StatusCode, header};
use axum::response::IntoResponse as _;
use futures_util::stream;
use tokio::sync::{OwnedSemaphorePermit, watch};
use tokio_util::sync::CancellationToken;

use crate::observe::page::live::{Live, VIEWERS};
use crate::observe::page::sent;

/// Seconds after which a viewer without a place may try again.
const AGAIN: &str = "5";
/// What ends a stream in order.
const END: &[u8] = b"event: end\ndata: the daemon stops\n\n";

/// One viewer. The document that it is sent comes every second, so no other keep-alive is needed.
struct Viewer {
    /// What it is sent first, at once.
    first: Option<Bytes>,
    newest: watch::Receiver<Bytes>,
    /// `None` once the end was sent.
    stopping: Option<CancellationToken>,
    _place: OwnedSemaphorePermit,
}

/// Answers with documents until the viewer leaves or the daemon stops.
pub(super) fn follow(live: &Arc<Live>) -> Response<Body> {
    let Ok(place) = live.places.clone().try_acquire_owned() else {
        let said = format!("{VIEWERS} viewers look already; /status?format=json answers everybody\n");
        return (StatusCode::SERVICE_UNAVAILABLE, [(header::RETRY_AFTER, AGAIN)], said).into_response();
    };
    let newest = live.newest.subscribe();
    live.arrived.notify_one();
    let first = [b"retry: 2000\n", event(&live.document()).as_ref()].concat();
    let stopping = Some(live.source.about.stopping.clone());
    let viewer = Viewer { first: Some(first.into()), newest, stopping, _place: place };
    let body = Body::from_stream(stream::unfold(viewer, async |mut viewer| {
        let next = viewer.next().await?;
        Some((Ok::<_, std::convert::Infallible>(next), viewer))
    }));
    let mut response = sent("text/event-stream", body);
    // Proxies that buffer would hold documents back.
    response.headers_mut().insert("x-accel-buffering", HeaderValue::from_static("no"));
    response
}

impl Viewer {
    async fn next(&mut self) -> Option<Bytes> {
        if let Some(first) = self.first.take() {
            return Some(first);
        }
        let stopping = self.stopping.clone()?;
        tokio::select! {
            () = stopping.cancelled() => {
                self.stopping = None;
                Some(Bytes::from_static(END))
            }
            changed = self.newest.changed() => {
                changed.ok()?;
                Some(event(&self.newest.borrow_and_update()))
            }
        }
    }
}

fn event(document: &Bytes) -> Bytes {
    [b"data: ", document.as_ref(), b"\n\n"].concat().into()
}
