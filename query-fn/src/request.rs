use axum::{extract::Query, http::Uri};
use shared::{channel::Channel, time::Micros};
use std::cmp::Ordering;

use crate::{
    page::Position,
    problem::{Fault, Problem},
    token::Signer,
};

/// A channel's time range and the direction to read it in.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Range {
    /// The channel's name.
    pub channel: String,
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
    /// What a token is bound to.
    #[must_use]
    pub fn binding(&self) -> String {
        let order = match self.order {
            Order::Ascending => "asc",
            Order::Descending => "desc",
        };
        format!("page {} {} {order} {}", self.from, self.to, self.channel)
    }
}

/// A request for `/bitstamp`.
#[derive(Debug)]
pub struct PageRequest {
    /// What to read.
    pub range: Range,
    /// At most so many events.
    pub limit: Option<usize>,
    /// Where the page before ended.
    pub after: Option<Position>,
}

/// The largest `limit`; a page ends at 1 MB anyway.
pub const MAX_LIMIT: usize = 10_000;
/// The latest time that can be asked for: year 9999. Keeps every number within what DynamoDB and JSON readers hold exactly.
const END_OF_TIME: u64 = 253_402_300_799_999_999;

impl PageRequest {
    /// Reads the query string.
    ///
    /// # Errors
    ///
    /// A [`Problem`] that names every wrong parameter.
    pub fn read(uri: &Uri, signer: &Signer) -> Result<PageRequest, Problem> {
        let mut parameters = Parameters::of(uri, &["channel", "from", "to", "limit", "order", "ExclusiveStartKey"]);
        let channel = parameters.channel();
        let (from, to) = parameters.times();
        let order = parameters.order();
        let limit = parameters.limit();
        let token = parameters.take("ExclusiveStartKey");
        let range = Range { channel, from, to, order };
        let after = token.and_then(|token| match signer.read(&token, &range.binding()) {
            Ok(position) => Some(position),
            // A wrong token beside a wrong range is a consequence, not a fault of its own.
            Err(_) if parameters.any_fault() => None,
            Err(forged) => {
                parameters.fault("ExclusiveStartKey", forged.to_string());
                None
            }
        });
        parameters.finish()?;
        Ok(PageRequest { range, limit, after })
    }
}

/// The parameters not yet taken, and the faults found so far.
struct Parameters {
    given: Vec<(String, String)>,
    faults: Vec<Fault>,
}

impl Parameters {
    fn of(uri: &Uri, known: &[&str]) -> Parameters {
        let given = Query::<Vec<(String, String)>>::try_from_uri(uri).map(|Query(pairs)| pairs).unwrap_or_default();
        let mut parameters = Parameters { given: Vec::new(), faults: Vec::new() };
        for (name, value) in given {
            if !known.contains(&name.as_str()) {
                parameters.unknown(&name, known);
            } else if parameters.given.iter().any(|(earlier, _)| *earlier == name) {
                parameters.fault(&name, "given more than once".to_owned());
            } else {
                parameters.given.push((name, value));
            }
        }
        parameters
    }

    fn unknown(&mut self, name: &str, known: &[&str]) {
        let distance = |candidate: &&&str| {
            strsim::damerau_levenshtein(&candidate.to_ascii_lowercase(), &name.to_ascii_lowercase())
        };
        let nearest = known.iter().min_by_key(distance).filter(|nearest| distance(nearest) <= nearest.len() / 2);
        let reason = match nearest {
            Some(nearest) => format!("unknown; did you mean `{nearest}`?"),
            None => format!("unknown; known are {}", known.join(", ")),
        };
        self.fault(name, reason);
    }

    fn fault(&mut self, parameter: &str, reason: String) {
        self.faults.push(Fault { parameter: parameter.to_owned(), reason });
    }

    fn any_fault(&self) -> bool {
        !self.faults.is_empty()
    }

    fn finish(self) -> Result<(), Problem> {
        if self.faults.is_empty() { Ok(()) } else { Err(Problem::parameters(self.faults)) }
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let index = self.given.iter().position(|(given, _)| given == name)?;
        Some(self.given.swap_remove(index).1)
    }

    fn channel(&mut self) -> String {
        let name = self.take("channel").unwrap_or_default();
        if name.is_empty() {
            self.fault("channel", "missing; expected a channel's name such as live_trades_btcusd".to_owned());
        } else if let Err(error) = name.parse::<Channel>() {
            self.fault("channel", error.to_string());
        } else if name.starts_with('_') {
            self.fault("channel", format!("`{name}` is reserved; see /channels and /coverage"));
        }
        name
    }

    fn times(&mut self) -> (u64, u64) {
        let from = self.time("from").unwrap_or(0);
        let to = self.time("to").unwrap_or(END_OF_TIME);
        if from > to {
            self.fault("from", format!("{from} is after `to`, {to}"));
        }
        (from, to)
    }

    fn time(&mut self, name: &str) -> Option<u64> {
        let text = self.take(name)?;
        // `+` of an offset that was not percent-encoded arrives as a space.
        let parsed = text.parse::<Micros>().or_else(|error| text.replace(' ', "+").parse().map_err(|_| error));
        match parsed {
            Ok(Micros(time)) if time <= END_OF_TIME => Some(time),
            Ok(Micros(time)) => {
                self.fault(name, format!("{time} is after the year 9999; microseconds are expected"));
                None
            }
            Err(error) => {
                self.fault(name, error.to_string());
                None
            }
        }
    }

    fn order(&mut self) -> Order {
        match self.take("order").as_deref() {
            None | Some("asc") => Order::Ascending,
            Some("desc") => Order::Descending,
            Some(other) => {
                self.fault("order", format!("`{other}` is neither asc nor desc"));
                Order::Ascending
            }
        }
    }

    fn limit(&mut self) -> Option<usize> {
        let text = self.take("limit")?;
        match text.parse() {
            Ok(limit @ 1..=MAX_LIMIT) => Some(limit),
            _ => {
                self.fault("limit", format!("`{text}` is not a whole number from 1 to {MAX_LIMIT}"));
                None
            }
        }
    }
}
