//! `/tail`: the events that come, as server-sent events.

use axum::{
    body::{Body, Bytes},
    http::{HeaderName, HeaderValue, Response, StatusCode, header},
};
use std::{io, sync::Arc};

use super::context::RequestContext;
use super::fields::check_columns;
use crate::http::caching::Caching;
use crate::http::invocation::ReadsOn;
use crate::http::problem::{Fault, Problem};
use crate::http::render;
use crate::http::request::TailRequest;
use crate::http::sse;
use crate::query::tail::MOST_CHANNELS;

mod viewer;

use viewer::Viewer;

/// The header by which nginx passes an answer on while it is written.
const UNBUFFERED: (HeaderName, HeaderValue) =
    (HeaderName::from_static("x-accel-buffering"), HeaderValue::from_static("no"));

/// Answers with the events that come. The body is written while it is read: what its client does not read is not read from the store either.
pub(super) async fn follow(context: RequestContext) -> Result<Response<Body>, Problem> {
    let app = &context.app;
    let request = TailRequest::read(context.input())?;
    if app.config.exports_are_buffered {
        return Err(Problem::not_streamed());
    }
    let deadline = context.deadline();
    let channels = app.channels.named(&request.channels, &context.store, deadline).await?;
    if let [channel] = channels.as_slice() {
        app.channels.check(channel, &context.store, deadline).await?;
    }
    if channels.len() > MOST_CHANNELS {
        let reason = format!("{} channels fit; one tail follows at most {MOST_CHANNELS}", channels.len());
        return Err(Problem::parameters(vec![Fault { parameter: "channel".to_owned(), reason }]));
    }
    check_columns(request.fields.as_deref(), render::columns_of(&channels))?;
    let seat = Arc::clone(&app.viewers).try_acquire_owned();
    let seat = seat.map_err(|_| Problem::too_many_viewers(app.config.tail_viewers))?;
    let ends = context.deadline_within(app.config.tail_time_budget);
    let viewer = Viewer::new((Arc::clone(app), context.store), request, channels, ends, (seat, context.stopping));
    Ok(response(Body::from_stream(pieces(viewer))))
}

/// Returns the pieces of the body.
fn pieces(viewer: Viewer) -> impl futures_util::Stream<Item = io::Result<Bytes>> {
    futures_util::stream::unfold(Some(viewer), |viewer| async {
        let mut viewer = viewer?;
        match viewer.next().await {
            Ok(Some(bytes)) => Some((Ok(bytes), Some(viewer))),
            Ok(None) => None,
            Err(error) => Some((Err(error), None)),
        }
    })
}

fn response(body: Body) -> Response<Body> {
    let mut response = Response::new(body);
    Caching::Mutable.apply(StatusCode::OK, response.headers_mut());
    response.extensions_mut().insert(ReadsOn);
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(sse::CONTENT_TYPE));
    headers.insert(UNBUFFERED.0, UNBUFFERED.1);
    response
}
