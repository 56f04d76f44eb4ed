//! The range of a request: `from`, `to` or `before`, and `order`.

use super::Parameters;
use crate::http::request::times::{self, Edge};
use crate::range::{self, END_OF_TIME, Order, Range, Subject};

const TIMES: [&str; 3] = ["from", "to", "before"];

impl Parameters {
    /// Takes `from`, and `to` (inclusive) or `before` (exclusive), as an ascending range of `subject`.
    pub fn range(&mut self, subject: Subject) -> Range {
        let faults = self.faults.len();
        let said: Vec<_> = TIMES.iter().map(|name| self.given(name).unwrap_or_default()).collect();
        let is_relative = said.iter().any(|text| times::is_relative(text));
        if said.iter().skip(1).all(|text| !text.is_empty()) {
            self.fault("before", "given beside `to`; one of them ends the range".to_owned());
        }
        let from = self.time("from", Edge::First).unwrap_or(0);
        let to = self.time("to", Edge::Last);
        let before = self.time("before", Edge::First);
        if before == Some(0) {
            self.fault("before", "there is no time before 1970-01-01".to_owned());
        }
        let to = before.map(|before| before.saturating_sub(1)).or(to).unwrap_or(END_OF_TIME);
        if from > to && self.faults.len() == faults {
            self.fault("from", format!("{from} is after the range's end, {to}"));
        }
        Range { subject, from, to, order: Order::Ascending, said: is_relative.then(|| said.join("\n")) }
    }

    /// Takes `order`, ascending by default.
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

    fn given(&self, name: &str) -> Option<String> {
        self.given.iter().find(|(given, _)| given == name).map(|(_, value)| value.clone())
    }

    /// Takes a time, microseconds since the Unix epoch.
    pub(super) fn time(&mut self, name: &str, edge: Edge) -> Option<u64> {
        let text = self.take(name)?;
        match times::read(&text, edge, range::now()) {
            Ok(time) if time <= END_OF_TIME => return Some(time),
            Ok(time) => self.fault(name, format!("{time} is after the year 9999; microseconds are expected")),
            Err(reason) => self.fault(name, reason),
        }
        None
    }
}
