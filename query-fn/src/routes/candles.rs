//! `/candles`: trades summed up by interval.

use axum::{body::Body, http::Response};
use serde_json::Value;
use tokio::time::Instant;

use super::context::RequestContext;
use crate::http::caching::Caching;
use crate::http::problem::Problem;
use crate::http::render::Columns;
use crate::http::request::derived::{CandlesRequest, candles_token};
use crate::http::request::parameters::check_fields;
use crate::http::response::{self, Envelope};
use crate::query::candles::{self, Candle, CandlesQuery};
use crate::query::coverage::{self, State};
use crate::query::expiry::Ledgers;
use crate::range;

/// The columns of `/candles` as CSV.
const COLUMNS: Columns =
    &["time", "open", "high", "low", "close", "volume", "buy_volume", "trades", "state", "skipped"];

/// Answers with the candles of a channel of trades.
pub(super) async fn list(context: RequestContext) -> Result<Response<Body>, Problem> {
    let app = &context.app;
    let request = CandlesRequest::read(context.input())?;
    check_fields(request.presentation.fields.as_deref(), COLUMNS)?;
    let rest = format!("{} {} {:?}", request.interval, request.limit, request.token);
    let mut caching = context.caching(&request.range, &rest, &request.presentation);
    if let Some(response) = response::by_condition(&caching, &context.headers) {
        return Ok(response);
    }
    let deadline = context.deadline();
    let query = CandlesQuery { range: &request.range, interval: request.interval, limit: request.limit };
    let read = candles::read(&context.store, query, request.token.as_deref(), deadline).await?;
    if read.candles.is_empty() && read.next.is_none() && request.token.is_none() {
        app.channels.check(request.range.subject.name(), &context.store, deadline).await?;
    }
    let purpose = candles_token(request.interval);
    let token = read.next.as_deref().map(|next| app.signer.issue_for(&request.range, next, &purpose)).transpose()?;
    let states = states(context.ledgers(), &request, &read.candles, deadline).await;
    // Trades of expired time are there today and gone tomorrow.
    let may_change = states.as_ref().is_none_or(|states| states.contains(&EXPIRED));
    if read.cut_short || may_change {
        caching = Caching::Mutable;
    }
    let states = states.unwrap_or_else(|| vec!["unread"; read.candles.len()]);
    let items: Vec<_> = read.candles.iter().zip(states).map(|(candle, state)| candle.item(state)).collect();
    let written = response::write(&request.presentation, COLUMNS, items.iter());
    let mut envelope = Envelope { token, skipped: read.skipped, ..Envelope::default() };
    if read.skipped > 0 {
        envelope.fields.push(("Skipped", Value::from(read.skipped)));
    }
    response::finish(written, envelope, &request.presentation, &caching, &context.uri)
}

/// The most pages of the ledger for one answer, which has up to 64 pages of trades.
const LEDGER_PAGES: usize = 8;

/// The state of a candle some of whose trades may have expired.
const EXPIRED: &str = "expired";

/// Returns the state of each candle's time inside the range: `complete`, `gap`, `unknown`, `open` while it lasts, `expired` if the trades of a part of it
/// may be gone, `unread` if the ledger is too large; returns `None` if the ledger cannot be read.
async fn states(
    ledgers: Ledgers<'_>,
    request: &CandlesRequest,
    candles: &[Candle],
    deadline: Instant,
) -> Option<Vec<&'static str>> {
    let (Some(first), Some(last)) = (candles.first(), candles.last()) else { return Some(Vec::new()) };
    let ends = |candle: &Candle| {
        let through = candle.time() + request.interval - 1;
        (candle.time().max(request.range.from), through.min(request.range.to))
    };
    let span = (ends(first).0, ends(last).1);
    let deadline = deadline.min(ledgers.long_deadline());
    let read = coverage::read(ledgers, request.range.subject.name(), span, LEDGER_PAGES, deadline).await;
    let coverage = match read {
        Ok(coverage) => coverage,
        Err(error) => {
            tracing::warn!(%error, "candles without ledger");
            return None;
        }
    };
    let now = range::now();
    let state = |candle: &Candle| {
        let (from, through) = ends(candle);
        // Intervals are in order: a binary search skips those before the candle.
        let start = coverage.intervals.partition_point(|interval| interval.through < from);
        let inside = coverage.intervals.iter().skip(start).take_while(|interval| interval.from <= through);
        let states: Vec<_> = inside.map(|interval| interval.state).collect();
        match () {
            () if states.contains(&State::Expired) => EXPIRED,
            () if through >= now => "open",
            () if coverage.through < through => "unread",
            () if states.contains(&State::Gap) => "gap",
            () if states.contains(&State::Unknown) => "unknown",
            () => "complete",
        }
    };
    Some(candles.iter().map(state).collect())
}
