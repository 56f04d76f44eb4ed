//! `/export`: a whole range in one streamed answer.

use axum::{
    body::{Body, Bytes},
    http::{HeaderMap, HeaderValue, Response, StatusCode, Version, header},
};
use futures_util::{Stream, StreamExt, stream};
use http_body_util::StreamBody;
use hyper::body::Frame;
use std::{io, sync::Arc};
use tokio::{sync::mpsc, task::yield_now, time::Instant};

use super::context::RequestContext;
use super::fields::unknown_fields;
use crate::http::caching::Caching;
use crate::http::invocation::ReadsOn;
use crate::http::problem::{Fault, Problem};
use crate::http::render::{self, Format};
use crate::http::request::{EXPORT, EventsRequest, Presentation};
use crate::query::expiry::Ledgers;
use crate::query::page::{self, Page};
use crate::query::reader::Reader;
use crate::query::recorded;
use crate::query::store::Store;

mod summary;
mod writer;

use writer::{End, Sending, Writer};

/// The pages that are read ahead of the client: one is read while one is sent.
const AHEAD: usize = 1;
/// The size of a page, in bytes as JSON: several are in memory at once, where an event takes twice as much.
const PAGE: usize = 1 << 20;
/// A range is refused before it is read if its ledger counts this many times the events that fit: by then it certainly does not, though later
/// events may be shorter than the first ones, or compress better.
const CERTAIN: u64 = 4;

/// Answers with a whole range. The first page is read before the answer begins, so that an error of the request or of the store is still a
/// problem document. A body that ends cleanly is complete: one that ends early is cut off, so that every client reports an error, unless the
/// client asked for a last record that says so.
pub(super) async fn stream(context: RequestContext) -> Result<Response<Body>, Problem> {
    let (app, store) = (&context.app, &context.store);
    let request = EventsRequest::read(context.input(), EXPORT, None, Format::Ndjson)?;
    if request.presentation.format == Format::Json {
        let reason = "json is no format of a stream; ndjson and csv are".to_owned();
        return Err(Problem::parameters(vec![Fault { parameter: "format".to_owned(), reason }]));
    }
    let deadline = context.deadline_within(app.config.export_time_budget);
    let first_deadline = deadline.min(Instant::now() + app.config.time_budget);
    let channels = app.channels.named(&request.channels, store, first_deadline).await?;
    let mut reader = Reader::new(&request.range, &channels, request.after.clone()).with_pages_of(PAGE);
    let first = reader.page(store, None, first_deadline).await?;
    if let ([channel], [], None) = (channels.as_slice(), first.rows.as_slice(), &request.after) {
        app.channels.check(channel, store, deadline).await?;
    }
    let presentation = request.presentation.clone();
    unknown_fields(&presentation, render::columns_of(&channels), &first.rows)?;
    let sending = sending(&context);
    let has_more = first.next.is_some();
    let (pages, received) = mpsc::channel(AHEAD);
    let mut writer =
        Writer::new((Arc::clone(app), store.clone()), &request, channels.clone(), (first, received), sending)
            .map_err(|error| broken(&error))?;
    let begin = writer.next().await.map_err(|error| broken(&error))?.unwrap_or_default();
    if has_more && !request.has_end_record {
        refuse_what_cannot_fit(context.ledgers(), &request, &channels, writer.capacity()).await?;
    }
    let reading = read_ahead(store.clone(), reader, has_more, pages, deadline);
    if sending.is_buffered {
        let ((), body) = tokio::join!(reading, whole(begin, writer));
        return Ok(response(Body::from(body?), &presentation));
    }
    tokio::spawn(reading);
    let mut response = response(Body::new(StreamBody::new(frames(begin, writer))), &presentation);
    response.extensions_mut().insert(ReadsOn);
    if sending.has_trailers {
        response.headers_mut().insert(header::TRAILER, HeaderValue::from_static(summary::TRAILERS));
    }
    Ok(response)
}

/// Decides how the answer is sent. Before HTTP/1.1 the end of the connection is the end of the body: a cut one looks complete.
fn sending(context: &RequestContext) -> Sending {
    let is_buffered = context.app.config.exports_are_buffered || context.version < Version::HTTP_11;
    let has_trailers = !is_buffered && !context.is_in_lambda() && summary::are_taken(&context.headers);
    Sending { is_buffered, has_trailers }
}

/// Refuses a range of which the ledger counts many more events than fit. A ledger that does not answer refuses nothing.
async fn refuse_what_cannot_fit(
    ledgers: Ledgers<'_>,
    request: &EventsRequest,
    channels: &[String],
    capacity: u64,
) -> Result<(), Problem> {
    let rest = page::rest(&request.range, request.after.as_ref());
    match recorded::events(ledgers.store, channels, (rest.from, rest.to), ledgers.deadline()).await {
        Ok(events) if events / CERTAIN > capacity => Err(Problem::too_large(Some((events, capacity)))),
        Ok(_) => Ok(()),
        Err(error) => {
            tracing::warn!(%error, "export begins without ledger");
            Ok(())
        }
    }
}

fn response(body: Body, presentation: &Presentation) -> Response<Body> {
    let mut response = Response::new(body);
    Caching::Mutable.apply(StatusCode::OK, response.headers_mut());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(presentation.format.content_type()));
    if let Some(name) = presentation.encoding.name() {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    response
}

/// Reads the pages behind the first one until the end of the range, the deadline, or the end of the connection. A page that cannot be read
/// ends the export.
async fn read_ahead(
    store: Store,
    mut reader: Reader,
    mut has_more: bool,
    pages: mpsc::Sender<Page>,
    deadline: Instant,
) {
    while has_more {
        match reader.page(&store, None, deadline).await {
            Ok(page) => {
                has_more = page.next.is_some();
                if pages.send(page).await.is_err() {
                    return;
                }
            }
            Err(error) => {
                tracing::warn!(%error, "export ends early");
                return;
            }
        }
    }
}

/// The rest of a streamed body.
enum Rest {
    Rows(Box<Writer>),
    Trailers(HeaderMap),
}

/// Returns the frames of a streamed body, `begin` first.
fn frames(begin: Bytes, writer: Writer) -> impl Stream<Item = io::Result<Frame<Bytes>>> {
    let begin = stream::iter([Ok(Frame::data(begin))]);
    begin.chain(stream::unfold(Some(Rest::Rows(Box::new(writer))), async |rest| match next(rest?).await {
        Ok((frame, rest)) => Some((Ok(frame), rest)),
        Err(error) => {
            // The server sends what it has of the answer while it waits; at an error it would drop that.
            yield_now().await;
            Some((Err(error), None))
        }
    }))
}

/// Returns the next frame and what follows it.
async fn next(rest: Rest) -> io::Result<(Frame<Bytes>, Option<Rest>)> {
    let mut writer = match rest {
        Rest::Rows(writer) => writer,
        Rest::Trailers(trailers) => return Ok((Frame::trailers(trailers), None)),
    };
    if let Some(bytes) = writer.next().await? {
        return Ok((Frame::data(bytes), Some(Rest::Rows(writer))));
    }
    let (bytes, trailers) = last(*writer).await?;
    Ok((Frame::data(bytes), trailers.map(Rest::Trailers)))
}

/// Returns the last bytes of a streamed body and its trailers; an error cuts the connection off.
async fn last(writer: Writer) -> io::Result<(Bytes, Option<HeaderMap>)> {
    match writer.finish().await? {
        (bytes, End::Said(trailers)) => Ok((bytes, trailers)),
        (_, End::TooLarge) => Err(io::Error::other("the answer is as large as it may be and the range goes on")),
        (_, End::Unread) => Err(io::Error::other("the range could not be read to its end")),
    }
}

fn broken(error: &io::Error) -> Problem {
    Problem::busy(format!("cannot encode: {error}"))
}

/// Writes the whole body into memory.
async fn whole(begin: Bytes, mut writer: Writer) -> Result<Vec<u8>, Problem> {
    let mut body = Vec::from(begin);
    while let Some(bytes) = writer.next().await.map_err(|error| broken(&error))? {
        body.extend(bytes);
    }
    match writer.finish().await.map_err(|error| broken(&error))? {
        (bytes, End::Said(_)) => body.extend(bytes),
        (_, End::TooLarge) => return Err(Problem::too_large(None)),
        (_, End::Unread) => return Err(Problem::busy("the store did not answer in time".to_owned())),
    }
    Ok(body)
}
