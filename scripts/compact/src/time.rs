//! Reads times as people write them: those of the query API.

use std::time::{SystemTime, UNIX_EPOCH};

use shared::{item::Item, table::NMICROTIMESTAMP, time::Micros};

/// A day, microseconds.
pub const DAY: u64 = 86_400_000_000;

/// Which end of a range a day stands for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum End {
    /// Its first microsecond.
    From,
    /// Its last microsecond.
    To,
}

/// This machine's time, microseconds since the Unix epoch.
#[must_use]
pub fn now() -> u64 {
    let since = SystemTime::now().duration_since(UNIX_EPOCH).unwrap_or_default();
    u64::try_from(since.as_micros()).unwrap_or(u64::MAX)
}

/// Reads a time: microseconds, RFC 3339, a day in UTC (`2026-11-20`), or a time before now (`-36h`, `-7d`, `-2w`).
///
/// # Errors
/// A text that says what is wrong and what is expected.
pub fn parse(text: &str, end: End, now: u64) -> Result<u64, String> {
    if let Some(before) = text.strip_prefix('-') {
        return relative(before, now)
            .ok_or_else(|| format!("`{text}` is no time before now: -90s, -15m, -36h, -7d, -2w"));
    }
    if is_day(text) {
        let begin: Micros = format!("{text}T00:00:00Z").parse().map_err(|_| format!("`{text}` is no day"))?;
        return Ok(match end {
            End::From => begin.0,
            End::To => begin.0 + DAY - 1,
        });
    }
    text.parse::<Micros>().map(|time| time.0).map_err(|error| error.to_string())
}

fn is_day(text: &str) -> bool {
    let shape = |(place, byte): (usize, u8)| if matches!(place, 4 | 7) { byte == b'-' } else { byte.is_ascii_digit() };
    text.len() == 10 && text.bytes().enumerate().all(shape)
}

fn relative(text: &str, now: u64) -> Option<u64> {
    let seconds = match text.as_bytes().last()? {
        b's' => 1,
        b'm' => 60,
        b'h' => 3_600,
        b'd' => 86_400,
        b'w' => 604_800,
        _ => return None,
    };
    let count = Micros::from_digits(text.get(..text.len() - 1)?)?;
    now.checked_sub(count.0.checked_mul(seconds * 1_000_000)?)
}

/// The time under which the index has an item.
#[must_use]
pub fn time_of(item: &Item) -> Option<u64> {
    item.get(NMICROTIMESTAMP)?.as_n().ok()?.parse().ok()
}

/// A time for people.
#[must_use]
pub fn spell(time: u64) -> String {
    Micros(time).to_rfc3339().unwrap_or_else(|| time.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_forms_of_the_query_api_are_read() {
        let now = 1_795_000_000_000_000;
        let from = |text: &str| parse(text, End::From, now);
        assert_eq!(from("1647817207170000"), Ok(1_647_817_207_170_000));
        assert_eq!(from("2022-03-20T23:00:07.17Z"), Ok(1_647_817_207_170_000));
        assert_eq!(from("2022-03-20"), Ok(1_647_734_400_000_000));
        assert_eq!(parse("2022-03-20", End::To, now), Ok(1_647_820_799_999_999));
        assert_eq!(from("-1d"), Ok(now - DAY));
        assert_eq!(from("-2w"), Ok(now - 14 * DAY));
        assert_eq!(from("-36h"), Ok(now - DAY * 3 / 2));
    }

    #[test]
    fn what_cannot_be_meant_is_refused() {
        for text in ["", "-", "-3", "-3y", "-99999999999w", "2022-13-01", "yesterday", "1647817207"] {
            assert!(parse(text, End::From, 1_795_000_000_000_000).is_err(), "{text}");
        }
    }
}
