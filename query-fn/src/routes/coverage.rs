use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{HeaderMap, Response, Uri},
};
use std::sync::Arc;

use super::App;
use crate::{
    caching::Caching,
    coverage::{self, COLUMNS, State as Known, Stretch},
    invocation::Invocation,
    problem::Problem,
    reply::{self, Around},
    request::{
        derived::{COVERAGE_TOKEN, CoverageRequest},
        parameters::END_OF_TIME,
    },
};

/// At most so many pages of the ledger for one answer: about a month of a daemon.
const MAX_QUERIES: usize = 8;

/// What was captured of a channel and what may have been missed.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Extension(invocation): Extension<Invocation>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response<Body>, Problem> {
    let request = CoverageRequest::read((&uri, &headers, &app.signer))?;
    let deadline = invocation.deadline(app.config.time_budget);
    let (range, channel) = (&request.range, request.range.subject.name());
    let from = request.after.map_or(range.from, |after| after.saturating_add(1)).min(range.to);
    let read = coverage::read(&app.store, channel, (from, range.to), MAX_QUERIES, deadline).await?;
    let mut through = read.through;
    let mut stretches = read.stretches;
    stretches.retain(|stretch| !is_beyond_record(stretch, range.from, range.to));
    if stretches.is_empty() && request.after.is_none() {
        app.channels.check(channel, &app.store, deadline).await?;
    }
    if stretches.len() > request.limit {
        stretches.truncate(request.limit);
        through = stretches.last().map_or(through, |last| last.through);
    }
    let items: Vec<_> = stretches.iter().map(|stretch| coverage::item(stretch, channel)).collect();
    let written = reply::write(&request.look, COLUMNS, items.iter())?;
    if written.count < items.len() {
        through = stretches.get(written.count - 1).map_or(through, |last| last.through);
    }
    let binding = range.binding(COVERAGE_TOKEN);
    let token = if through < range.to { Some(app.signer.issue(&through.to_string(), &binding)?) } else { None };
    reply::finish(written, Around { token, ..Around::default() }, &request.look, &Caching::Open, &uri)
}

/// Without `from` or `to` the answer begins and ends with the record, not with the beginning and the end of time.
fn is_beyond_record(stretch: &Stretch, from: u64, to: u64) -> bool {
    let touches_open_end = (from == 0 && stretch.from == 0) || (to == END_OF_TIME && stretch.through == END_OF_TIME);
    stretch.state == Known::Unknown && touches_open_end
}
