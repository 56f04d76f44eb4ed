use axum::http::{HeaderMap, Uri};

use super::{
    CANDLES, COVERAGE, Look, Order, Range, Subject,
    parameters::{MAX_LIMIT, Parameters},
};
use crate::{
    problem::Problem,
    render::Format,
    token::{Forged, Signer},
};

/// A request for `/candles`.
#[derive(Debug)]
pub struct CandlesRequest {
    /// The trades to sum up.
    pub range: Range,
    /// A candle's length, microseconds.
    pub interval: u64,
    /// At most so many candles.
    pub limit: usize,
    /// What the token of the page before holds.
    pub token: Option<String>,
    /// How the answer is to look.
    pub look: Look,
}

impl CandlesRequest {
    /// Reads a request.
    ///
    /// # Errors
    ///
    /// A [`Problem`] that names every wrong parameter.
    pub fn read((uri, headers, signer): (&Uri, &HeaderMap, &Signer)) -> Result<CandlesRequest, Problem> {
        let mut parameters = Parameters::of(uri, CANDLES);
        let subject = Subject::Channel(parameters.trades_channel());
        let interval = parameters.interval();
        let (from, to) = parameters.times();
        let range = Range { subject, from, to, order: Order::Ascending };
        let limit = parameters.limit().unwrap_or(MAX_LIMIT);
        let token = parameters.token(|token| signer.read(token, &range.binding(&candles_token(interval))));
        let look = Look::read(&mut parameters, headers, Format::Json)?;
        parameters.finish()?;
        Ok(CandlesRequest { range, interval, limit, token, look })
    }
}

/// The purpose of tokens that continue candles.
#[must_use]
pub fn candles_token(interval: u64) -> String {
    format!("candles {interval}")
}

/// A request for `/coverage`.
#[derive(Debug)]
pub struct CoverageRequest {
    /// What to look at.
    pub range: Range,
    /// At most so many intervals.
    pub limit: usize,
    /// The time up to which the page before went, inclusive.
    pub after: Option<u64>,
    /// How the answer is to look.
    pub look: Look,
}

/// The purpose of tokens that continue coverage.
pub const COVERAGE_TOKEN: &str = "coverage";

impl CoverageRequest {
    /// Reads a request.
    ///
    /// # Errors
    ///
    /// A [`Problem`] that names every wrong parameter.
    pub fn read((uri, headers, signer): (&Uri, &HeaderMap, &Signer)) -> Result<CoverageRequest, Problem> {
        let mut parameters = Parameters::of(uri, COVERAGE);
        let subject = Subject::Channel(parameters.channel());
        let (from, to) = parameters.times();
        let range = Range { subject, from, to, order: Order::Ascending };
        let limit = parameters.limit().unwrap_or(MAX_LIMIT);
        let read = |token: &str| signer.read(token, &range.binding(COVERAGE_TOKEN));
        let after = parameters.token(|token| read(token).and_then(|text| text.parse().map_err(|_| Forged)));
        let look = Look::read(&mut parameters, headers, Format::Json)?;
        parameters.finish()?;
        Ok(CoverageRequest { range, limit, after, look })
    }
}
