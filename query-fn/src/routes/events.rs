use axum::{
    Extension,
    body::Body,
    extract::{Path, State},
    http::{HeaderMap, Response, Uri},
};
use serde_json::{Value, json};
use std::sync::Arc;
use tokio::time::Instant;

use super::App;
use crate::{
    caching::Caching,
    coverage::{self, Coverage},
    invocation::Invocation,
    page::{self, Page},
    problem::Problem,
    render,
    reply::{self, Around},
    request::{EVENTS, EVENTS_TOKEN, EventsRequest, ORDERS, Order, Subject},
    store::StoreError,
};

/// The events of a channel.
pub(super) async fn of_channel(
    State(app): State<Arc<App>>,
    Extension(invocation): Extension<Invocation>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response<Body>, Problem> {
    let request = EventsRequest::read((&uri, &headers, &app.signer), EVENTS, None, render::Format::Json)?;
    answer(&app, &invocation, &uri, &headers, request).await
}

/// The events of an order, on whatever channel.
pub(super) async fn of_order(
    State(app): State<Arc<App>>,
    Extension(invocation): Extension<Invocation>,
    Path(id): Path<String>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response<Body>, Problem> {
    let request = EventsRequest::read((&uri, &headers, &app.signer), ORDERS, Some(id), render::Format::Json)?;
    answer(&app, &invocation, &uri, &headers, request).await
}

async fn answer(
    app: &App,
    invocation: &Invocation,
    uri: &Uri,
    headers: &HeaderMap,
    request: EventsRequest,
) -> Result<Response<Body>, Problem> {
    let mut caching = caching(app, &request);
    if caching.is_known(headers) {
        return Ok(reply::not_modified(&caching));
    }
    let deadline = invocation.deadline(app.config.time_budget);
    let EventsRequest { range, limit, after, look } = &request;
    let page = page::read(&app.store, range, after.as_ref(), *limit, deadline);
    let (page, coverage) = tokio::try_join!(page, covered(app, &request, deadline))?;
    if page.rows.is_empty() && after.is_none() {
        check_subject(app, &range.subject, deadline).await?;
    }
    if page.cut_short {
        caching = Caching::Open;
    }
    let columns = match &range.subject {
        Subject::Channel(channel) => render::columns(channel),
        Subject::Order(_) => render::ORDERS,
    };
    let written = reply::write(look, columns, page.rows.iter().map(|row| &row.item))?;
    let next = match page.rows.get(written.count.wrapping_sub(1)) {
        Some(row) if written.count < page.rows.len() => Some(&row.position),
        _ => page.next.as_ref(),
    };
    let binding = range.binding(EVENTS_TOKEN);
    let token = next.map(|next| app.signer.issue(&next.to_string(), &binding)).transpose()?;
    let gaps = coverage.map(|coverage| gaps(&request, &page, token.is_some(), &coverage)).unwrap_or_default();
    let around = Around {
        gaps: matches!(range.subject, Subject::Channel(_)).then_some(gaps.len()),
        fields: vec![("ScannedCount", json!(written.count)), ("Gaps", Value::Array(gaps))],
        token,
    };
    reply::finish(written, around, look, &caching, uri)
}

fn caching(app: &App, request: &EventsRequest) -> Caching {
    let rest = format!("{:?} {:?}", request.limit, request.after);
    Caching::of(&request.range, &rest, &request.look, &app.config, &app.signer)
}

/// The ledger for the time that the page may have. One page of it: days on a quiet channel, and a busy channel's page is
/// over within a minute.
async fn covered(app: &App, request: &EventsRequest, deadline: Instant) -> Result<Option<Coverage>, StoreError> {
    let Subject::Channel(channel) = &request.range.subject else { return Ok(None) };
    let (mut from, mut to) = (request.range.from, request.range.to);
    match (&request.after, request.range.order) {
        (Some(after), Order::Ascending) => from = from.max(after.time),
        (Some(after), Order::Descending) => to = to.min(after.time),
        (None, _) => {}
    }
    coverage::read(&app.store, channel, (from, to), 1, deadline).await.map(Some)
}

/// The gaps between the page's ends: from where it begins to its last event, or to the range's end if it is the last page.
fn gaps(request: &EventsRequest, page: &Page, more: bool, coverage: &Coverage) -> Vec<Value> {
    let mut from = request.range.from;
    let mut to = request.range.to;
    let last = page.rows.last().map(|row| row.position.time).filter(|_| more);
    let first = request.after.as_ref().map(|after| after.time);
    match request.range.order {
        Order::Ascending => (from, to) = (first.unwrap_or(from), last.unwrap_or(to)),
        Order::Descending => (from, to) = (last.unwrap_or(from), first.unwrap_or(to)),
    }
    coverage::gaps(coverage, from, to)
}

async fn check_subject(app: &App, subject: &Subject, deadline: Instant) -> Result<(), Problem> {
    match subject {
        Subject::Channel(name) => app.channels.check(name, &app.store, deadline).await,
        Subject::Order(id) => Err(Problem::no_order(id)),
    }
}
