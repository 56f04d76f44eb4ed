use axum::{extract::Query, http::Uri};
use shared::{
    channel::{Channel, Family},
    time::Micros,
};

use super::Order;
use crate::{
    problem::{Fault, Problem},
    render::Format,
    token::Forged,
};

/// The largest `limit`; a page ends at 1 MB anyway.
pub const MAX_LIMIT: usize = 10_000;
/// The latest time that can be asked for: year 9999. Keeps every number within what readers with floats hold exactly.
pub const END_OF_TIME: u64 = 253_402_300_799_999_999;
/// More than any event has.
const MAX_FIELDS: usize = 100;
const MAX_FIELDS_LENGTH: usize = 2_000;
/// DynamoDB's limit for an id's digits.
const MAX_ID_DIGITS: usize = 38;

/// `interval` of `/candles` and its length in microseconds.
pub const INTERVALS: [(&str, u64); 5] =
    [("1s", 1_000_000), ("1m", 60_000_000), ("5m", 300_000_000), ("1h", 3_600_000_000), ("1d", 86_400_000_000)];

/// The parameters not yet taken, and the faults found so far.
pub struct Parameters {
    given: Vec<(String, String)>,
    faults: Vec<Fault>,
}

impl Parameters {
    /// Takes the query string apart; whatever is not `known` or given twice is a fault.
    #[must_use]
    pub fn of(uri: &Uri, known: &[&str]) -> Parameters {
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

    /// # Errors
    ///
    /// The [`Problem`] with every fault found.
    pub fn finish(self) -> Result<(), Problem> {
        if self.faults.is_empty() { Ok(()) } else { Err(Problem::parameters(self.faults)) }
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let index = self.given.iter().position(|(given, _)| given == name)?;
        Some(self.given.swap_remove(index).1)
    }

    /// A channel whose name is well formed.
    pub fn channel(&mut self) -> String {
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

    /// A channel that carries trades.
    pub fn trades_channel(&mut self) -> String {
        let name = self.channel();
        let channel = Channel::from_frame(name.clone());
        if self.faults.iter().all(|fault| fault.parameter != "channel") && channel.family() != Family::LiveTrades {
            let reason = match channel.market() {
                Some(market) => format!("`{name}` carries no trades; did you mean `live_trades_{market}`?"),
                None => format!("`{name}` carries no trades; expected one like live_trades_btcusd"),
            };
            self.fault("channel", reason);
        }
        name
    }

    /// The id in the path of `/orders/{id}`.
    pub fn order_id(&mut self, id: String) -> String {
        if id.is_empty() || id.len() > MAX_ID_DIGITS || !id.bytes().all(|byte| byte.is_ascii_digit()) {
            self.fault("id", format!("`{id}` is no order id: up to {MAX_ID_DIGITS} digits"));
        }
        match id.trim_start_matches('0') {
            "" => "0".to_owned(),
            digits => digits.to_owned(),
        }
    }

    /// `from` and `to`, both inclusive, in microseconds since the Unix epoch.
    pub fn times(&mut self) -> (u64, u64) {
        let faults = self.faults.len();
        let from = self.time("from").unwrap_or(0);
        let to = self.time("to").unwrap_or(END_OF_TIME);
        if from > to && self.faults.len() == faults {
            self.fault("from", format!("{from} is after `to`, {to}"));
        }
        (from, to)
    }

    fn time(&mut self, name: &str) -> Option<u64> {
        let text = self.take(name)?;
        // `+` of an offset that was not percent-encoded arrives as a space.
        let parsed = text.parse::<Micros>().or_else(|error| text.replace(' ', "+").parse().map_err(|_| error));
        match parsed {
            Ok(Micros(time)) if time <= END_OF_TIME => return Some(time),
            Ok(Micros(time)) => self.fault(name, format!("{time} is after the year 9999; microseconds are expected")),
            Err(error) => self.fault(name, error.to_string()),
        }
        None
    }

    /// `order`, ascending by default.
    pub fn order(&mut self) -> Order {
        match self.take("order").as_deref() {
            None | Some("asc") => Order::Ascending,
            Some("desc") => Order::Descending,
            Some(other) => {
                self.fault("order", format!("`{other}` is neither asc nor desc"));
                Order::Ascending
            }
        }
    }

    /// `limit`.
    pub fn limit(&mut self) -> Option<usize> {
        let text = self.take("limit")?;
        match text.parse() {
            Ok(limit @ 1..=MAX_LIMIT) => Some(limit),
            _ => {
                self.fault("limit", format!("`{text}` is not a whole number from 1 to {MAX_LIMIT}"));
                None
            }
        }
    }

    /// `interval`, in microseconds.
    pub fn interval(&mut self) -> u64 {
        let text = self.take("interval").unwrap_or_default();
        match INTERVALS.iter().find(|(name, _)| *name == text) {
            Some((_, length)) => *length,
            None => {
                let names = INTERVALS.map(|(name, _)| name).join(", ");
                self.fault("interval", format!("`{text}` is none of {names}"));
                1
            }
        }
    }

    /// `ExclusiveStartKey`, as `read` understands it. A wrong token beside other faults is their consequence and not told.
    pub fn token<T>(&mut self, read: impl FnOnce(&str) -> Result<T, Forged>) -> Option<T> {
        let token = self.take("ExclusiveStartKey")?;
        match read(&token) {
            Ok(value) => Some(value),
            Err(forged) => {
                if self.faults.is_empty() {
                    self.fault("ExclusiveStartKey", forged.to_string());
                }
                None
            }
        }
    }

    /// `format`.
    pub fn format(&mut self) -> Option<Format> {
        let text = self.take("format")?;
        let format = Format::ALL.into_iter().find(|format| format.name() == text);
        if format.is_none() {
            let names = Format::ALL.map(Format::name).join(", ");
            self.fault("format", format!("`{text}` is none of {names}"));
        }
        format
    }

    /// `fields`.
    pub fn fields(&mut self) -> Option<Vec<String>> {
        let text = self.take("fields")?;
        if text.chars().count() > MAX_FIELDS_LENGTH {
            self.fault("fields", format!("longer than {MAX_FIELDS_LENGTH} characters"));
            return None;
        }
        let mut fields: Vec<String> = Vec::new();
        for name in text.split(',') {
            if name.is_empty() {
                self.fault("fields", "expected attributes' names separated by commas".to_owned());
                return None;
            }
            if !fields.iter().any(|earlier| earlier == name) {
                fields.push(name.to_owned());
            }
        }
        if fields.len() > MAX_FIELDS {
            self.fault("fields", format!("more than {MAX_FIELDS} names"));
        }
        Some(fields)
    }
}
