use axum::http::{HeaderMap, Uri};
use std::cmp::Ordering;

use crate::{
    encoding::Encoding,
    page::Position,
    problem::Problem,
    render::Format,
    token::{Forged, Signer},
};

mod accept;
/// Requests for what follows from events: candles, coverage.
pub mod derived;
/// The query string, taken apart.
pub mod parameters;

use parameters::Parameters;

/// What `/bitstamp` takes.
pub const EVENTS: &[&str] = &["channel", "from", "to", "limit", "order", "ExclusiveStartKey", "format", "fields"];
/// What `/orders/{id}` takes.
pub const ORDERS: &[&str] = &["from", "to", "limit", "order", "ExclusiveStartKey", "format", "fields"];
/// What `/candles` takes.
pub const CANDLES: &[&str] = &["channel", "interval", "from", "to", "limit", "ExclusiveStartKey", "format", "fields"];
/// What `/coverage` takes.
pub const COVERAGE: &[&str] = &["channel", "from", "to", "limit", "ExclusiveStartKey", "format", "fields"];
/// What `/channels` takes.
pub const CHANNELS: &[&str] = &["format", "fields"];
/// What `/export` takes.
pub const EXPORT: &[&str] = &["channel", "from", "to", "order", "ExclusiveStartKey", "format", "fields"];

/// Where events are looked for.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// On a channel.
    Channel(String),
    /// Among all events of an order: its id, digits.
    Order(String),
}

impl Subject {
    /// The channel's name or the order's id.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Subject::Channel(name) | Subject::Order(name) => name,
        }
    }
}

/// A time range and the direction to read it in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// Whose events.
    pub subject: Subject,
    /// First time, inclusive, microseconds since the Unix epoch by the exchange's clock.
    pub from: u64,
    /// Last time, inclusive.
    pub to: u64,
    /// Which end comes first.
    pub order: Order,
}

/// Which end of a range comes first.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// Oldest first.
    Ascending,
    /// Newest first.
    Descending,
}

impl Order {
    /// The total order of events, or its reverse.
    #[must_use]
    pub fn compare(self, left: &Position, right: &Position) -> Ordering {
        match self {
            Order::Ascending => left.cmp(right),
            Order::Descending => right.cmp(left),
        }
    }

    /// Whether `left` is shown before `right`.
    #[must_use]
    pub fn is_before(self, left: &Position, right: &Position) -> bool {
        self.compare(left, right).is_lt()
    }
}

impl Range {
    /// What a token is bound to, besides `purpose`.
    #[must_use]
    pub fn binding(&self, purpose: &str) -> String {
        let order = match self.order {
            Order::Ascending => "asc",
            Order::Descending => "desc",
        };
        let subject = match &self.subject {
            Subject::Channel(_) => "channel",
            Subject::Order(_) => "order",
        };
        format!("{purpose} {} {} {order} {subject} {}", self.from, self.to, self.subject.name())
    }
}

/// How the answer is to look.
#[derive(Clone, Debug)]
pub struct Look {
    /// `format=` or `Accept`.
    pub format: Format,
    /// Only these attributes, in this order.
    pub fields: Option<Vec<String>>,
    /// `Accept-Encoding`.
    pub encoding: Encoding,
}

impl Look {
    /// Reads `format`, `fields` and the headers.
    ///
    /// # Errors
    ///
    /// 406 if the caller accepts no format of ours.
    fn read(parameters: &mut Parameters, headers: &HeaderMap, default: Format) -> Result<Look, Problem> {
        let format = match parameters.format() {
            Some(format) => format,
            None => accept::format(headers, default)?,
        };
        Ok(Look { format, fields: parameters.fields(), encoding: accept::encoding(headers) })
    }
}

/// A request for events: `/bitstamp`, `/orders/{id}`, `/export`.
#[derive(Debug)]
pub struct EventsRequest {
    /// What to read.
    pub range: Range,
    /// At most so many events.
    pub limit: Option<usize>,
    /// Where the page before ended.
    pub after: Option<Position>,
    /// How the answer is to look.
    pub look: Look,
}

impl EventsRequest {
    /// Reads a request whose path is `known`'s. `order` is the id in the path of `/orders/{id}`.
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
        let subject = match order {
            Some(id) => Subject::Order(parameters.order_id(id)),
            None => Subject::Channel(parameters.channel()),
        };
        let (from, to) = parameters.times();
        let range = Range { subject, from, to, order: parameters.order() };
        let limit = parameters.limit();
        let read = |token: &str| signer.read(token, &range.binding(EVENTS_TOKEN)).and_then(parse_position);
        let after = parameters.token(read);
        let look = Look::read(&mut parameters, headers, default)?;
        parameters.finish()?;
        Ok(EventsRequest { range, limit, after, look })
    }
}

/// The purpose of tokens that continue a list of events; `/bitstamp` and `/export` continue each other.
pub const EVENTS_TOKEN: &str = "events";

fn parse_position(text: String) -> Result<Position, Forged> {
    Position::parse(&text).ok_or(Forged)
}

/// A request for `/channels`.
///
/// # Errors
///
/// A [`Problem`] that names every wrong parameter.
pub fn channels(uri: &Uri, headers: &HeaderMap) -> Result<Look, Problem> {
    let mut parameters = Parameters::of(uri, CHANNELS);
    let look = Look::read(&mut parameters, headers, Format::Json)?;
    parameters.finish()?;
    Ok(look)
}
