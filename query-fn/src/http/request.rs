//! Reads the parameters of a request. All of them are checked before anything is answered, and one problem names every fault.

use axum::http::{HeaderMap, Uri};

use crate::http::encoding::Encoding;
use crate::http::problem::Problem;
use crate::http::render::Format;
use crate::http::token::{InvalidToken, Signer};
use crate::range::{Order, Position, Range, Subject};

mod accept;
pub mod derived;
mod parameter_names;
pub mod parameters;
mod tail;
mod times;

pub use accept::{accepts_gzip, prefers_html};
pub use parameter_names::{CANDLES, CHANNELS, COUNT, COVERAGE, EVENTS, EXPORT, LATEST, ORDERS, TAIL};
use parameters::Parameters;
pub use tail::TailRequest;

/// How an answer is written: format, attributes, compression.
#[derive(Clone, Debug)]
pub struct Presentation {
    /// The format, from `format=` or `Accept`.
    pub format: Format,
    /// The only attributes to write, in this order; `None` for all.
    pub fields: Option<Vec<String>>,
    /// The content coding, from `Accept-Encoding`.
    pub encoding: Encoding,
}

impl Presentation {
    /// Reads `format`, `fields` and the headers.
    ///
    /// # Errors
    ///
    /// A [`Problem`] with status 406 if the client accepts none of the formats.
    fn read(parameters: &mut Parameters, headers: &HeaderMap, default: Format) -> Result<Presentation, Problem> {
        let format = match parameters.format() {
            Some(format) => format,
            None => accept::format(headers, default)?,
        };
        Ok(Presentation { format, fields: parameters.fields(), encoding: accept::encoding(headers) })
    }
}

/// A request for events: `/bitstamp`, `/orders/{id}`, `/export`.
#[derive(Debug)]
pub struct EventsRequest {
    /// The range; its subject has the channels as the client wrote them.
    pub range: Range,
    /// The names and patterns of the channels, see [`Parameters::channels`]; empty for an order.
    pub channels: Vec<String>,
    /// The most events of the answer.
    pub limit: Option<usize>,
    /// The position at which the page before ended.
    pub after: Option<Position>,
    /// True if the answer has a token to continue with.
    pub continues: bool,
    /// True if an export ends with a record about itself.
    pub has_end_record: bool,
    /// How the answer is written.
    pub presentation: Presentation,
}

impl EventsRequest {
    /// Reads a request that may have the parameters `known`. `order` is the id in the path of `/orders/{id}`; `default` is the format of a
    /// client that chooses none.
    ///
    /// # Errors
    ///
    /// A [`Problem`] that names every wrong parameter.
    pub fn read(
        (uri, headers, signer): (&Uri, &HeaderMap, &Signer),
        known: &[&str],
        order: Option<String>,
        default: Format,
    ) -> Result<EventsRequest, Problem> {
        let mut parameters = Parameters::of(uri, known);
        let (subject, channels) = match order {
            Some(id) => (Subject::Order(parameters.order_id(id)), Vec::new()),
            None => subject(&mut parameters),
        };
        let mut range = parameters.range(subject);
        range.order = parameters.order();
        let limit = parameters.limit();
        let read = |token: &str| signer.open(&mut range, token, EVENTS_TOKEN).and_then(parse_position);
        let after = parameters.token(read);
        let has_end_record = parameters.has_end_record();
        let presentation = Presentation::read(&mut parameters, headers, default)?;
        parameters.finish()?;
        Ok(EventsRequest { range, channels, limit, after, continues: true, has_end_record, presentation })
    }
}

/// Reads the channels; returns them also as the subject of a range.
fn subject(parameters: &mut Parameters) -> (Subject, Vec<String>) {
    let channels = parameters.channels();
    (Subject::Channel(channels.join(",")), channels)
}

/// The purpose of tokens that continue a list of events; `/bitstamp` and `/export` continue each other.
pub const EVENTS_TOKEN: &str = "events";

fn parse_position(text: String) -> Result<Position, InvalidToken> {
    Position::parse(&text).ok_or(InvalidToken)
}

/// Reads a request for `/channels`.
///
/// # Errors
///
/// A [`Problem`] that names every wrong parameter.
pub fn channels(uri: &Uri, headers: &HeaderMap) -> Result<Presentation, Problem> {
    let mut parameters = Parameters::of(uri, CHANNELS);
    let presentation = Presentation::read(&mut parameters, headers, Format::Json)?;
    parameters.finish()?;
    Ok(presentation)
}

/// Reads a request for `/latest`: the newest events of a channel, one unless `limit` says more.
///
/// # Errors
///
/// A [`Problem`] that names every wrong parameter.
pub fn latest(uri: &Uri, headers: &HeaderMap) -> Result<EventsRequest, Problem> {
    let mut parameters = Parameters::of(uri, LATEST);
    let (subject, channels) = subject(&mut parameters);
    let range = Range { order: Order::Descending, ..parameters.range(subject) };
    let limit = Some(parameters.limit().unwrap_or(1));
    let presentation = Presentation::read(&mut parameters, headers, Format::Json)?;
    parameters.finish()?;
    Ok(EventsRequest { range, channels, limit, after: None, continues: false, has_end_record: false, presentation })
}
