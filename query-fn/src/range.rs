//! The vocabulary of a query: whose events ([`Subject`]), of which time and in which direction ([`Range`]), and where a reader stands
//! between two pages ([`Position`]).

use smol_str::SmolStr;
use std::{cmp::Ordering, fmt, time::SystemTime};

/// The latest time that can be asked for: year 9999. Keeps every number within what readers with floats hold exactly.
pub const END_OF_TIME: u64 = 253_402_300_799_999_999;

/// Returns the time by this machine's clock, microseconds since the Unix epoch.
#[must_use]
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(SystemTime::UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(END_OF_TIME)
}

/// Whose events a query reads.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Subject {
    /// The events of a channel, by its name.
    Channel(String),
    /// The events of an order, by its id: decimal digits.
    Order(String),
}

impl Subject {
    /// Returns the channel's name or the order's id.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Subject::Channel(name) | Subject::Order(name) => name,
        }
    }
}

/// The events of a subject in a range of exchange time, in one direction.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// The channel or the order.
    pub subject: Subject,
    /// First exchange time, inclusive, microseconds since the Unix epoch.
    pub from: u64,
    /// Last exchange time, inclusive, microseconds since the Unix epoch.
    pub to: u64,
    /// The direction to read in.
    pub order: Order,
    /// The times as the caller wrote them if one is relative to now: tokens keep what they meant on the first page.
    pub said: Option<String>,
}

/// The direction in which a range is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Order {
    /// The oldest event comes first.
    Ascending,
    /// The newest event comes first.
    Descending,
}

impl Order {
    /// Compares two positions in the total order of events, or in its reverse.
    #[must_use]
    pub fn compare(self, left: &Position, right: &Position) -> Ordering {
        match self {
            Order::Ascending => left.cmp(right),
            Order::Descending => right.cmp(left),
        }
    }

    /// Returns a number by which times (microseconds since the Unix epoch) stand in this order.
    #[must_use]
    pub fn rank(self, time: u64) -> u64 {
        match self {
            Order::Ascending => time,
            Order::Descending => u64::MAX - time,
        }
    }

    /// Returns true if `left` is shown before `right`.
    #[must_use]
    pub fn is_before(self, left: &Position, right: &Position) -> bool {
        self.compare(left, right).is_lt()
    }
}

impl Range {
    /// Returns the text that binds a token to this range and to `purpose`.
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
        let times = self.said.clone().unwrap_or_else(|| format!("{} {}", self.from, self.to));
        format!("{purpose} {times} {order} {subject} {}", self.subject.name())
    }
}

/// The error for a text that is not the progress of a query as this version writes it.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("not the progress of a query of this version")]
pub struct InvalidProgress;

/// A position in the total order of events: right after this event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Position {
    /// `nmicrotimestamp`: exchange time, microseconds since the Unix epoch.
    pub time: u64,
    /// Received time by the daemon's clock, microseconds since the Unix epoch; 0 in tables of the first system, which has none.
    pub received_at: u64,
    /// The partition key `id`: decimal digits.
    pub id: SmolStr,
    /// The whole sort key, `microtimestamp` with its discriminator.
    pub sort: SmolStr,
}

impl Ord for Position {
    fn cmp(&self, other: &Position) -> Ordering {
        let numbers = |position: &Position| (position.time, position.received_at, position.id.len());
        // Ids are digits without leading zeros, so length before text is numeric order.
        numbers(self).cmp(&numbers(other)).then_with(|| (&self.id, &self.sort).cmp(&(&other.id, &other.sort)))
    }
}

impl PartialOrd for Position {
    fn partial_cmp(&self, other: &Position) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Position {
    /// Parses what [`Position`]'s `Display` wrote; returns `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Position> {
        let mut parts = text.splitn(4, '|');
        let mut next = || parts.next();
        let (time, received_at, id, sort) = (next()?, next()?, next()?, next()?);
        Some(Position {
            time: time.parse().ok()?,
            received_at: received_at.parse().ok()?,
            id: id.into(),
            sort: sort.into(),
        })
    }
}

impl fmt::Display for Position {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}|{}|{}|{}", self.time, self.received_at, self.id, self.sort)
    }
}
