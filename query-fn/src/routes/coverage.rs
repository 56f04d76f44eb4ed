//! `/coverage`: what was captured of a channel and what may have been missed.

use axum::{body::Body, http::Response};

use super::context::RequestContext;
use crate::http::caching::Caching;
use crate::http::problem::Problem;
use crate::http::render::Columns;
use crate::http::request::derived::{COVERAGE_TOKEN, CoverageRequest};
use crate::http::request::parameters::check_fields;
use crate::http::response::{self, Envelope};
use crate::query::coverage::{self, Interval, State};
use crate::range::END_OF_TIME;

/// The columns of `/coverage` as CSV.
const COLUMNS: Columns = &["channel", "from", "through", "state", "reason"];

/// The most pages of the ledger for one answer: about a month of a daemon.
const MAX_QUERIES: usize = 8;

/// Answers with the coverage of a channel.
pub(super) async fn list(context: RequestContext) -> Result<Response<Body>, Problem> {
    let app = &context.app;
    let request = CoverageRequest::read(context.input())?;
    check_fields(request.presentation.fields.as_deref(), COLUMNS)?;
    let deadline = context.deadline();
    let (range, channel) = (&request.range, request.range.subject.name());
    let from = request.after.map_or(range.from, |after| after.saturating_add(1)).min(range.to);
    let read = coverage::read(context.ledgers(), channel, (from, range.to), MAX_QUERIES, deadline).await?;
    let mut through = read.through;
    let mut intervals = read.intervals;
    intervals.retain(|interval| !is_beyond_record(interval, range.from, range.to));
    if intervals.is_empty() && request.after.is_none() {
        app.channels.check(channel, &context.store, deadline).await?;
    }
    if intervals.len() > request.limit {
        intervals.truncate(request.limit);
        through = intervals.last().map_or(through, |last| last.through);
    }
    let items: Vec<_> = intervals.iter().map(|interval| coverage::item(interval, channel)).collect();
    let written = response::write(&request.presentation, COLUMNS, items.iter());
    if written.count < items.len() {
        through = intervals.get(written.count - 1).map_or(through, |last| last.through);
    }
    let next = (through < range.to).then(|| app.signer.issue_for(range, &through.to_string(), COVERAGE_TOKEN));
    let token = next.transpose()?;
    response::finish(
        written,
        Envelope { token, ..Envelope::default() },
        &request.presentation,
        &Caching::Mutable,
        &context.uri,
    )
}

/// Returns true for the unknown time before and after all entries: without `from` or `to` the answer begins and ends with the entries.
fn is_beyond_record(interval: &Interval, from: u64, to: u64) -> bool {
    let touches_open_end = (from == 0 && interval.from == 0) || (to == END_OF_TIME && interval.through == END_OF_TIME);
    interval.state == State::Unknown && touches_open_end
}
