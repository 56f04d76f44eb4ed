//! `/channels`: every channel that was ever subscribed.

use axum::{body::Body, http::Response};

use super::context::RequestContext;
use crate::http::caching::Caching;
use crate::http::problem::Problem;
use crate::http::render::Columns;
use crate::http::request;
use crate::http::request::parameters::check_fields;
use crate::http::response::{self, Envelope};

/// The columns of `/channels` as CSV.
const COLUMNS: Columns = &["channel", "family", "market", "first_subscribed"];

/// Answers with every channel that was ever subscribed.
pub(super) async fn list(context: RequestContext) -> Result<Response<Body>, Problem> {
    let app = &context.app;
    let presentation = request::channels(&context.uri, &context.headers)?;
    check_fields(presentation.fields.as_deref(), COLUMNS)?;
    let items = app.channels.items(&context.store, context.deadline()).await?;
    let written = response::write(&presentation, COLUMNS, items.iter());
    response::finish(written, Envelope::default(), &presentation, &Caching::Mutable, &context.uri)
}
