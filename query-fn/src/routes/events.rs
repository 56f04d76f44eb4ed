//! `/bitstamp`, `/latest` and `/orders/{id}`: pages of events.

use axum::{
    body::Body,
    extract::{Path, rejection::PathRejection},
    http::Response,
};
use serde_json::{Value, json};
use shared::channel::Family;
use tokio::time::Instant;

use super::context::RequestContext;
use super::fields::unknown_fields;
use crate::http::caching::Caching;
use crate::http::problem::Problem;
use crate::http::render;
use crate::http::request::{self, EVENTS, EVENTS_TOKEN, EventsRequest, ORDERS};
use crate::http::response::{self, Envelope};
use crate::query::gaps;
use crate::query::reader::Reader;
use crate::range::Subject;

/// Answers with a page of events of one channel or several.
pub(super) async fn of_channel(context: RequestContext) -> Result<Response<Body>, Problem> {
    let request = EventsRequest::read(context.input(), EVENTS, None, render::Format::Json)?;
    answer(&context, request).await
}

/// Answers with the newest events of one channel or several.
pub(super) async fn latest(context: RequestContext) -> Result<Response<Body>, Problem> {
    let request = request::latest(&context.uri, &context.headers)?;
    answer(&context, request).await
}

/// Answers with a page of events of an order, on whatever channel.
pub(super) async fn of_order(
    id: Result<Path<String>, PathRejection>,
    context: RequestContext,
) -> Result<Response<Body>, Problem> {
    // A path that is not UTF-8 is refused as an invalid id.
    let id = id.map_or_else(|_| context.uri.path().to_owned(), |Path(id)| id);
    let request = EventsRequest::read(context.input(), ORDERS, Some(id), render::Format::Json)?;
    answer(&context, request).await
}

/// Reads a page and the gaps in its time, and writes the answer.
async fn answer(context: &RequestContext, request: EventsRequest) -> Result<Response<Body>, Problem> {
    let app = &context.app;
    let deadline = context.deadline();
    let channels = app.channels.named(&request.channels, &context.store, deadline).await?;
    let rest = format!("{:?} {:?} {channels:?}", request.limit, request.after);
    let mut caching = context.caching(&request.range, &rest, &request.presentation);
    if let Some(response) = response::by_condition(&caching, &context.headers) {
        return Ok(response);
    }
    let EventsRequest { range, limit, after, presentation, .. } = &request;
    let mut reader = match &range.subject {
        Subject::Channel(_) => Reader::new(range, &channels, after.clone()),
        Subject::Order(_) => {
            let channels = app.channels.of_family(Family::LiveOrders, &context.store, deadline).await?;
            Reader::of_order(range, &channels, after.clone())
        }
    };
    let page = reader.page(&context.store, *limit, deadline).await?;
    if page.rows.is_empty() && page.next.is_none() && after.is_none() {
        check_subject(context, &range.subject, &channels, deadline).await?;
    }
    let columns = match &range.subject {
        Subject::Channel(_) => render::columns_of(&channels),
        Subject::Order(_) => render::ORDERS,
    };
    let unknown_fields = unknown_fields(presentation, columns, &page.rows)?;
    let written = response::write(presentation, columns, page.rows.iter().map(|row| &row.item));
    let next = match page.rows.get(written.count.wrapping_sub(1)) {
        Some(row) if written.count < page.rows.len() => Some(&row.position),
        _ => page.next.as_ref(),
    };
    let next = next.filter(|_| request.continues);
    let token = next.map(|next| app.signer.issue_for(range, &next.to_string(), EVENTS_TOKEN)).transpose()?;
    let shown = page.rows.get(..written.count).unwrap_or(&page.rows);
    let gaps =
        gaps::read(context.ledgers(), (range, after.as_ref()), &channels, (shown, token.is_some()), deadline).await;
    if page.cut_short || gaps.may_change {
        caching = Caching::Mutable;
    }
    let envelope = Envelope {
        gaps: Some(gaps.list.len()),
        fields: vec![("ScannedCount", json!(written.count)), ("Gaps", Value::Array(gaps.list))],
        token,
        unknown_fields,
        doubles: page.doubles,
        ..Envelope::default()
    };
    response::finish(written, envelope, presentation, &caching, &context.uri)
}

/// Refuses an order without events and a channel that was never subscribed; several channels were checked before.
async fn check_subject(
    context: &RequestContext,
    subject: &Subject,
    channels: &[String],
    deadline: Instant,
) -> Result<(), Problem> {
    match (subject, channels) {
        (Subject::Order(id), _) => Err(Problem::no_order(id)),
        (Subject::Channel(_), [name]) => Ok(context.app.channels.check(name, &context.store, deadline).await?),
        (Subject::Channel(_), _) => Ok(()),
    }
}
