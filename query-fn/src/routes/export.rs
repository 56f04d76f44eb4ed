use axum::{
    Extension,
    body::{Body, Bytes},
    extract::State,
    http::{HeaderMap, HeaderValue, Response, StatusCode, Uri, header},
};
use std::{io, sync::Arc};
use tokio::{sync::mpsc, time::Instant};

use super::App;
use crate::{
    caching::Caching,
    encoding::Encoder,
    invocation::Invocation,
    page::{self, Page, Position},
    problem::Problem,
    render::{self, Columns, Format},
    reply,
    request::{EVENTS_TOKEN, EXPORT, EventsRequest},
};

/// Pages read ahead of the reader: one on its way while one is sent.
const AHEAD: usize = 1;

/// The whole range in one answer. The first page is read before the answer begins, so that what is wrong with the request or
/// the store is still a problem document.
pub(super) async fn stream(
    State(app): State<Arc<App>>,
    Extension(invocation): Extension<Invocation>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response<Body>, Problem> {
    let request = EventsRequest::read((&uri, &headers, &app.signer), EXPORT, None, Format::Ndjson)?;
    if request.look.format == Format::Json {
        let reason = "json is no format of a stream; ndjson and csv are".to_owned();
        return Err(Problem::parameters(vec![crate::problem::Fault { parameter: "format".to_owned(), reason }]));
    }
    let deadline = invocation.deadline(app.config.export_time_budget);
    let first_deadline = deadline.min(Instant::now() + app.config.time_budget);
    let first = page::read(&app.store, &request.range, request.after.as_ref(), None, first_deadline).await?;
    if first.rows.is_empty() && request.after.is_none() {
        app.channels.check(request.range.subject.name(), &app.store, deadline).await?;
    }
    let look = request.look.clone();
    let encoder = Encoder::new(look.encoding).map_err(|error| Problem::busy(format!("cannot encode: {error}")))?;
    let (pages, received) = mpsc::channel(AHEAD);
    let writer = Writer::new(Arc::clone(&app), &request, encoder);
    tokio::spawn(read_ahead(app, request, first, pages, deadline));
    let body = futures_util::stream::unfold(Some((writer, received)), |state| async {
        let (mut writer, mut received) = state?;
        match writer.next(&mut received).await {
            Ok((bytes, true)) => Some((Ok(bytes), Some((writer, received)))),
            Ok((_, false)) => Some((writer.finish(), None)),
            Err(error) => Some((Err(error), None)),
        }
    });
    let mut response = Response::new(Body::from_stream(body));
    Caching::Open.apply(StatusCode::OK, response.headers_mut());
    let headers = response.headers_mut();
    headers.insert(header::CONTENT_TYPE, HeaderValue::from_static(look.format.content_type()));
    if let Some(name) = look.encoding.name() {
        headers.insert(header::CONTENT_ENCODING, HeaderValue::from_static(name));
    }
    Ok(response)
}

/// Reads pages until the range, the time or the reader ends. A page that cannot be read ends the stream: the writer then
/// tells where to go on.
async fn read_ahead(app: Arc<App>, request: EventsRequest, first: Page, pages: mpsc::Sender<Page>, deadline: Instant) {
    let mut next = first.next.clone();
    if pages.send(first).await.is_err() {
        return;
    }
    while let Some(after) = next {
        match page::read(&app.store, &request.range, Some(&after), None, deadline).await {
            Ok(page) => {
                next = page.next.clone();
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

/// Turns pages into the body.
struct Writer {
    app: Arc<App>,
    encoder: Encoder,
    format: Format,
    fields: Option<Vec<String>>,
    columns: Columns,
    binding: String,
    sent: u64,
    /// Where a client would go on after what was written, if there is more.
    next: Option<Position>,
    header: Vec<u8>,
}

impl Writer {
    fn new(app: Arc<App>, request: &EventsRequest, encoder: Encoder) -> Writer {
        let columns = render::columns(request.range.subject.name());
        let look = &request.look;
        let mut header = Vec::new();
        render::first_line(&mut header, look.format, look.fields.as_deref(), columns);
        Writer {
            app,
            encoder,
            format: look.format,
            fields: look.fields.clone(),
            columns,
            binding: request.range.binding(EVENTS_TOKEN),
            sent: 0,
            next: None,
            header,
        }
    }

    /// The next piece of the body; false when nothing follows but the end.
    async fn next(&mut self, pages: &mut mpsc::Receiver<Page>) -> io::Result<(Bytes, bool)> {
        if self.sent >= self.app.config.export_bytes {
            return Ok((Bytes::new(), false));
        }
        let Some(page) = pages.recv().await else { return Ok((Bytes::new(), false)) };
        let mut piece = std::mem::take(&mut self.header);
        let mut writer = render::Writer::new(self.format, self.fields.as_deref(), self.columns);
        for row in &page.rows {
            writer.event(&mut piece, &row.item).map_err(io::Error::other)?;
        }
        self.next = page.next;
        self.encoder.write(piece)?;
        let bytes = self.encoder.take()?;
        self.sent += bytes.len() as u64;
        Ok((bytes, true))
    }

    /// The end: where there is more, a line that says where to go on.
    fn finish(mut self) -> io::Result<Bytes> {
        if let Some(next) = &self.next {
            let token = self.app.signer.issue(&next.to_string(), &self.binding).map_err(io::Error::other)?;
            let line = match self.format {
                Format::Csv => format!("#LastEvaluatedKey,{token}\r\n").into_bytes(),
                Format::Json | Format::Ndjson => reply::token_line(&token),
            };
            self.encoder.write(line)?;
        }
        self.encoder.finish()
    }
}
