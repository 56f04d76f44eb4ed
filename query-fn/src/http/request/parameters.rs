//! The query string, taken apart: each method takes one parameter and collects its faults.

use axum::{extract::Query, http::Uri};

use crate::http::problem::{Fault, Problem};
use crate::http::render::Format;
use crate::http::token::InvalidToken;

mod channels;
mod range;
mod tail;

/// The largest `limit`, in events; a page also ends at 1 MB.
pub const MAX_LIMIT: usize = 10_000;
/// The most names in `fields`: more than any event has attributes.
const MAX_FIELDS: usize = 100;
const MAX_FIELDS_LENGTH: usize = 2_000;
/// The most faults of one answer, and the most characters of each: a request of any size gets an answer of bounded size.
const MAX_FAULTS: usize = 20;
const MAX_FAULT_LENGTH: usize = 400;
/// The most digits of an id: DynamoDB's limit.
const MAX_ID_DIGITS: usize = 38;

/// The values of `interval` of `/candles` and their lengths in microseconds.
pub const INTERVALS: [(&str, u64); 5] =
    [("1s", 1_000_000), ("1m", 60_000_000), ("5m", 300_000_000), ("1h", 3_600_000_000), ("1d", 86_400_000_000)];

/// The parameters that are not taken yet, and the faults found so far.
pub struct Parameters {
    given: Vec<(String, String)>,
    faults: Vec<Fault>,
}

impl Parameters {
    /// Splits the query string; a parameter that is not in `known`, or is given twice, is a fault.
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
        if self.faults.len() >= MAX_FAULTS {
            return;
        }
        let distance = |candidate: &&&str| {
            strsim::damerau_levenshtein(&candidate.to_ascii_lowercase(), &name.to_ascii_lowercase())
        };
        // At a name that is longer than two known ones, nothing known is near.
        let longest = known.iter().map(|known| known.len()).max().unwrap_or_default();
        let near = known.iter().filter(|_| name.chars().count() <= 2 * longest).min_by_key(distance);
        let nearest = near.filter(|nearest| distance(nearest) <= nearest.len() / 2);
        let reason = match nearest {
            Some(nearest) => format!("unknown; did you mean `{nearest}`?"),
            None => format!("unknown; known are {}", known.join(", ")),
        };
        self.fault(name, reason);
    }

    fn fault(&mut self, parameter: &str, reason: String) {
        if self.faults.len() < MAX_FAULTS {
            self.faults.push(Fault { parameter: shortened(parameter), reason: shortened(&reason) });
        }
    }

    /// Ends the reading of a request.
    ///
    /// # Errors
    ///
    /// A [`Problem`] with every fault found.
    pub fn finish(self) -> Result<(), Problem> {
        if self.faults.is_empty() { Ok(()) } else { Err(Problem::parameters(self.faults)) }
    }

    fn take(&mut self, name: &str) -> Option<String> {
        let index = self.given.iter().position(|(given, _)| given == name)?;
        Some(self.given.swap_remove(index).1)
    }

    /// Checks the id in the path of `/orders/{id}`; returns it without leading zeros.
    pub fn order_id(&mut self, id: String) -> String {
        if id.is_empty() || id.len() > MAX_ID_DIGITS || !id.bytes().all(|byte| byte.is_ascii_digit()) {
            self.fault("id", format!("`{id}` is no order id: up to {MAX_ID_DIGITS} digits"));
        }
        match id.trim_start_matches('0') {
            "" => "0".to_owned(),
            digits => digits.to_owned(),
        }
    }

    /// Takes `end`; returns true for `record`, its only value.
    pub fn has_end_record(&mut self) -> bool {
        match self.take("end").as_deref() {
            None => false,
            Some("record") => true,
            Some(other) => {
                self.fault("end", format!("`{other}` is not record, the only end that can be asked for"));
                false
            }
        }
    }

    /// Takes a parameter with one of a few values; the first is the default.
    pub fn one_of<const N: usize>(&mut self, name: &str, allowed: [&'static str; N]) -> &'static str {
        let default = allowed.first().copied().unwrap_or_default();
        let Some(text) = self.take(name) else { return default };
        allowed.into_iter().find(|value| *value == text).unwrap_or_else(|| {
            self.fault(name, format!("`{text}` is none of {}", allowed.join(", ")));
            default
        })
    }

    /// Takes `limit`, a number of events.
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

    /// Takes `interval`; returns its length in microseconds.
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

    /// Takes `ExclusiveStartKey` and reads it with `read`. An invalid token beside other faults follows from them and is not reported.
    pub fn token<T>(&mut self, read: impl FnOnce(&str) -> Result<T, InvalidToken>) -> Option<T> {
        let token = self.take("ExclusiveStartKey")?;
        match read(&token) {
            Ok(value) => Some(value),
            Err(invalid) => {
                if self.faults.is_empty() {
                    self.fault("ExclusiveStartKey", invalid.to_string());
                }
                None
            }
        }
    }

    /// Takes `format`.
    pub fn format(&mut self) -> Option<Format> {
        let text = self.take("format")?;
        let format = Format::ALL.into_iter().find(|format| format.name() == text);
        if format.is_none() {
            let names = Format::ALL.map(Format::name).join(", ");
            self.fault("format", format!("`{text}` is none of {names}"));
        }
        format
    }

    /// Takes `fields`, names separated by commas, each once.
    pub fn fields(&mut self) -> Option<Vec<String>> {
        let text = self.take("fields")?;
        if text.chars().count() > MAX_FIELDS_LENGTH {
            self.fault("fields", format!("longer than {MAX_FIELDS_LENGTH} characters"));
            return None;
        }
        let mut fields: Vec<String> = Vec::new();
        for name in text.split(',').map(str::trim) {
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

/// Cuts a text to the length that an answer may have.
fn shortened(text: &str) -> String {
    match text.char_indices().nth(MAX_FAULT_LENGTH) {
        Some((end, _)) => text.get(..end).unwrap_or_default().to_owned() + "...",
        None => text.to_owned(),
    }
}

/// Checks the fields of a list with fixed columns.
///
/// # Errors
///
/// A [`Problem`] that names each field that is no column.
pub fn check_fields(fields: Option<&[String]>, columns: &[&str]) -> Result<(), Problem> {
    let unknown = fields.unwrap_or_default().iter().filter(|field| !columns.contains(&field.as_str()));
    let faults: Vec<_> = unknown
        .map(|field| Fault {
            parameter: "fields".to_owned(),
            reason: format!("`{}` is none of {}", shortened(field), columns.join(", ")),
        })
        .take(MAX_FAULTS)
        .collect();
    if faults.is_empty() { Ok(()) } else { Err(Problem::parameters(faults)) }
}

/// Returns the known name that a misspelt one probably means.
#[must_use]
pub fn meant<'name>(field: &str, known: impl Iterator<Item = &'name str>) -> Option<&'name str> {
    let plain = field.to_lowercase();
    let near = known.map(|name| (strsim::damerau_levenshtein(name, &plain), name));
    near.filter(|(distance, name)| *distance <= 2 && *distance < name.len() / 2).min().map(|(_, name)| name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_answer_names_the_first_faults_of_many() {
        let uri = format!("/?{}", "nam&".repeat(16_000)).parse().unwrap();
        let parameters = Parameters::of(&uri, crate::http::request::EVENTS);
        assert_eq!(parameters.faults.len(), MAX_FAULTS);
        assert_eq!(parameters.finish().unwrap_err().errors.len(), MAX_FAULTS);
    }

    #[test]
    fn a_name_longer_than_two_known_ones_is_like_none() {
        let uri = format!("/?{}", "x".repeat(65_000)).parse().unwrap();
        let errors = Parameters::of(&uri, crate::http::request::EVENTS).finish().unwrap_err().errors;
        assert!(format!("{errors:?}").contains("known are"), "{errors:?}");
    }
}
