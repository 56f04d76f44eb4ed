//! `/items/audit`: what was changed, by whom, a page at a time.

use axum::{
    Extension,
    body::Body,
    extract::State,
    http::{Response, Uri},
};
use query_fn::{
    config::MOST_BYTES,
    http::{
        invocation::{Invocation, Origin},
        lambda::size_as_sent,
        problem::Problem,
        request::parameters::Parameters,
        token::InvalidToken,
    },
    range::{Order, Range, Subject},
};
use serde_json::Value;
use std::sync::Arc;

use super::{App, author, json};
use crate::audit::{CHANNEL_NAME, sort_key, sort_range};
use crate::form::Form;
use crate::store::Page;

/// The parameters of a page.
const KNOWN: &[&str] = &["from", "to", "before", "order", "limit", "form", "ExclusiveStartKey"];
/// The purpose of the tokens.
const TOKEN: &str = "audit";
/// The entries of a page where no `limit` is given.
const LIMIT: usize = 100;

/// A request for a page.
struct AuditRequest {
    range: Range,
    limit: usize,
    form: Form,
    /// The sort key of the last entry of the page before.
    after: Option<String>,
}

impl AuditRequest {
    fn read(uri: &Uri, app: &App) -> Result<AuditRequest, Problem> {
        let mut parameters = Parameters::of(uri, KNOWN);
        let mut range = parameters.range(Subject::Channel(CHANNEL_NAME.to_owned()));
        range.order = parameters.order();
        let limit = parameters.limit().unwrap_or(LIMIT);
        let form = parameters.one_of("form", [Form::Plain.name(), Form::Typed.name()]);
        let form = if form == Form::Typed.name() { Form::Typed } else { Form::Plain };
        let after = parameters.token(|token| {
            let place = app.signer.open(&mut range, token, TOKEN)?;
            if place.starts_with(CHANNEL_NAME) { Ok(place) } else { Err(InvalidToken) }
        });
        parameters.finish()?;
        Ok(AuditRequest { range, limit, form, after })
    }
}

/// Answers with a page of audit items.
pub(super) async fn list(
    State(app): State<Arc<App>>,
    Extension(invocation): Extension<Invocation>,
    origin: Option<Extension<Origin>>,
    uri: Uri,
) -> Result<Response<Body>, Problem> {
    let author = author(origin.as_deref(), &invocation)?;
    let request = AuditRequest::read(&uri, &app)?;
    let deadline = invocation.deadline(app.config.time_budget);
    let AuditRequest { range, limit, form, after } = request;
    let is_ascending = range.order == Order::Ascending;
    let most = i32::try_from(limit).unwrap_or(i32::MAX);
    let sort = sort_range(range.from, range.to);
    let page = app.store.audit(sort, (is_ascending, most), after.as_deref(), deadline).await?;
    tracing::info!(who = author.who, request_id = author.request_id, operation = "audit", "carried out");
    let (entries, last) = written(&page, form);
    let mut body = format!("{{\"Items\":[{}],\"Count\":{}", entries.join(","), entries.len());
    if let Some(last) = last {
        let token = app.signer.issue_for(&range, last, TOKEN)?;
        body.push_str(&format!(",\"LastEvaluatedKey\":{}", Value::String(token)));
    }
    body.push('}');
    Ok(json(body))
}

/// Writes the entries that fit into one answer; returns with them the place of the last one if more follow.
fn written(page: &Page, form: Form) -> (Vec<String>, Option<&str>) {
    let mut entries: Vec<String> = Vec::new();
    let mut sent = 0;
    for item in &page.items {
        let entry = form.write_item(item).to_string();
        sent += size_as_sent(entry.as_bytes());
        if sent > MOST_BYTES && !entries.is_empty() {
            break;
        }
        entries.push(entry);
    }
    let has_more = page.is_cut || entries.len() < page.items.len();
    let last = entries.len().checked_sub(1).and_then(|last| page.items.get(last)).and_then(sort_key);
    (entries, last.filter(|_| has_more))
}
