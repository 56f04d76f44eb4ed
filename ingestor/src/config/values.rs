//! Reads the settings that are neither a plain number nor a plain text.

use std::time::Duration;

use shared::channel::{Channel, Family};

use crate::config::units;

const MINUTES: Duration = Duration::from_secs(600);
const DAY: Duration = Duration::from_secs(86_400);

pub(super) fn rest_url(text: &str) -> Result<Option<String>, String> {
    match text.is_empty() {
        true => Ok(None),
        false if text.starts_with("http://") || text.starts_with("https://") => {
            Ok(Some(text.trim_end_matches('/').to_owned()))
        }
        false => Err("expected http:// or https:// and a host".to_owned()),
    }
}

pub(super) fn every(text: &str) -> Result<Option<Duration>, String> {
    units::duration(Duration::ZERO, DAY)(text).map(|every| Some(every).filter(|every| !every.is_zero()))
}

pub(super) fn lease(text: &str) -> Result<Option<Duration>, String> {
    match units::duration(Duration::ZERO, MINUTES)(text)? {
        Duration::ZERO => Ok(None),
        // Four beats and their requests must fit into it.
        _ => units::duration(Duration::from_secs(2), MINUTES)(text).map(Some),
    }
}

/// Parses a table's name, by the rules of DynamoDB
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html>).
pub(super) fn table_name(text: &str) -> Result<String, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if (3..=255).contains(&text.len()) && text.chars().all(allowed) {
        return Ok(text.to_owned());
    }
    Err("expected 3 to 255 letters, digits, `_`, `-` or `.`".to_owned())
}

/// Parses the name of a daemon in its items: short, because every item has it.
pub(super) fn origin(text: &str) -> Result<Option<String>, String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.');
    if text.len() <= 16 && text.chars().all(allowed) {
        return Ok(Some(text.to_owned()).filter(|text| !text.is_empty()));
    }
    Err("expected at most 16 letters, digits, `_`, `-` or `.`".to_owned())
}

pub(super) fn message_size(text: &str) -> Result<usize, String> {
    let bytes = units::size(text).and_then(|bytes| units::within(bytes, 64 << 10, 64 << 20))?;
    usize::try_from(bytes).map_err(|error| error.to_string())
}

/// Edit distance up to which an unknown family is taken for a misspelled known one. The exchange would refuse it with
/// an answer that names no channel.
const TYPO: usize = 2;

/// Parses the name of a channel or, with `*` as its market, of a family.
pub(super) fn channel(name: &str) -> Result<Channel, String> {
    let channel = name.parse::<Channel>().map_err(|error| error.to_string())?;
    let Some((family, market)) = name.rsplit_once('_').filter(|_| channel.family() == Family::Other) else {
        return Ok(channel);
    };
    let distance = |known: &str| strsim::levenshtein(known, family);
    match Family::WITH_MARKET.iter().map(|(_, known)| *known).min_by_key(|known| distance(known)) {
        Some(known) if distance(known) <= TYPO => {
            Err(format!("channel `{name}` is of no known family; did you mean `{known}_{market}`?"))
        }
        _ => Ok(channel),
    }
}
