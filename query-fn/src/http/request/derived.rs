//! Requests for what is derived from events: candles, coverage, counts.

use axum::http::{HeaderMap, Uri};

use super::{
    CANDLES, COUNT, COVERAGE, Presentation,
    parameters::{MAX_LIMIT, Parameters},
};
use crate::http::problem::Problem;
use crate::http::render::Format;
use crate::http::token::{InvalidToken, Signer};
use crate::query::count::Count;
use crate::range::{Range, Subject};

/// A request for `/candles`.
#[derive(Debug)]
pub struct CandlesRequest {
    /// The range of the trades.
    pub range: Range,
    /// The length of a candle, microseconds.
    pub interval: u64,
    /// The most candles of the answer.
    pub limit: usize,
    /// The progress in the token of the page before.
    pub token: Option<String>,
    /// How the answer is written.
    pub presentation: Presentation,
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
        let mut range = parameters.range(subject);
        let limit = parameters.limit().unwrap_or(MAX_LIMIT);
        let token = parameters.token(|token| signer.open(&mut range, token, &candles_token(interval)));
        let presentation = Presentation::read(&mut parameters, headers, Format::Json)?;
        parameters.finish()?;
        Ok(CandlesRequest { range, interval, limit, token, presentation })
    }
}

/// Returns the purpose of tokens that continue candles of this length.
#[must_use]
pub fn candles_token(interval: u64) -> String {
    format!("candles {interval}")
}

/// A request for `/coverage`.
#[derive(Debug)]
pub struct CoverageRequest {
    /// The channel and the range.
    pub range: Range,
    /// The most intervals of the answer.
    pub limit: usize,
    /// The last exchange time of the page before, inclusive, microseconds since the Unix epoch.
    pub after: Option<u64>,
    /// How the answer is written.
    pub presentation: Presentation,
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
        let mut range = parameters.range(subject);
        let limit = parameters.limit().unwrap_or(MAX_LIMIT);
        let mut read = |token: &str| signer.open(&mut range, token, COVERAGE_TOKEN);
        let after = parameters.token(|token| read(token).and_then(|text| text.parse().map_err(|_| InvalidToken)));
        let presentation = Presentation::read(&mut parameters, headers, Format::Json)?;
        parameters.finish()?;
        Ok(CoverageRequest { range, limit, after, presentation })
    }
}

/// A request for `/count`.
#[derive(Debug)]
pub struct CountRequest {
    /// The channel and the range.
    pub range: Range,
    /// The count of the answer before.
    pub so_far: Count,
    /// How the answer is written.
    pub presentation: Presentation,
}

/// The purpose of tokens that continue a count.
pub const COUNT_TOKEN: &str = "count";

impl CountRequest {
    /// Reads a request.
    ///
    /// # Errors
    ///
    /// A [`Problem`] that names every wrong parameter.
    pub fn read((uri, headers, signer): (&Uri, &HeaderMap, &Signer)) -> Result<CountRequest, Problem> {
        let mut parameters = Parameters::of(uri, COUNT);
        let subject = Subject::Channel(parameters.channel());
        let mut range = parameters.range(subject);
        let mut read = |token: &str| signer.open(&mut range, token, COUNT_TOKEN);
        let so_far = parameters.token(|token| read(token).and_then(|text| Ok(Count::parse(&text)?)));
        let presentation = Presentation::read(&mut parameters, headers, Format::Json)?;
        parameters.finish()?;
        Ok(CountRequest { range, so_far: so_far.unwrap_or_default(), presentation })
    }
}
