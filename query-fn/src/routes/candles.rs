use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{HeaderMap, Response, Uri},
};
use serde_json::Value;
use std::sync::Arc;

use super::App;
use crate::{
    caching::Caching,
    candles::{self, COLUMNS, ReadError},
    invocation::Invocation,
    problem::Problem,
    reply::{self, Around},
    request::derived::{CandlesRequest, candles_token},
};

/// Trades summed up by interval.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Extension(invocation): Extension<Invocation>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response<Body>, Problem> {
    let request = CandlesRequest::read((&uri, &headers, &app.signer))?;
    let deadline = invocation.deadline(app.config.time_budget);
    let read = candles::read(&app.store, &request, request.token.as_deref(), deadline).await?;
    if read.candles.is_empty() && read.next.is_none() && request.token.is_none() {
        app.channels.check(request.range.subject.name(), &app.store, deadline).await?;
    }
    let binding = request.range.binding(&candles_token(request.interval));
    let token = read.next.as_deref().map(|next| app.signer.issue(next, &binding)).transpose()?;
    let items: Vec<_> = read.candles.iter().map(candles::Candle::item).collect();
    let written = reply::write(&request.look, COLUMNS, items.iter())?;
    let mut around = Around { token, ..Around::default() };
    if read.skipped > 0 {
        around.fields.push(("Skipped", Value::from(read.skipped)));
    }
    reply::finish(written, around, &request.look, &Caching::Open, &uri)
}

impl From<ReadError> for Problem {
    fn from(error: ReadError) -> Problem {
        match error {
            ReadError::Store(error) => error.into(),
            ReadError::Forged(forged) => forged.into(),
        }
    }
}
