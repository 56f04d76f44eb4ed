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
    channels::COLUMNS,
    invocation::Invocation,
    problem::Problem,
    reply::{self, Around},
    request,
};

/// Every channel ever subscribed.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Extension(invocation): Extension<Invocation>,
    uri: Uri,
    headers: HeaderMap,
) -> Result<Response<Body>, Problem> {
    let look = request::channels(&uri, &headers)?;
    let items = app.channels.items(&app.store, invocation.deadline(app.config.time_budget)).await?;
    let written = reply::write(&look, COLUMNS, items.iter())?;
    reply::finish(written, Around::default(), &look, &Caching::Open, &uri)
}
