//! Reads times as people write them: days, RFC 3339, microseconds, and times relative to now.

use shared::time::Micros;

/// The moment that a day without a time of day means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Edge {
    /// The first microsecond of the day.
    First,
    /// The last microsecond of the day.
    Last,
}

/// The units of times relative to now, and their microseconds.
const UNITS: [(char, u64); 5] = [('s', 1_000_000), ('m', 60_000_000), ('h', 3_600_000_000), ('d', DAY), ('w', 7 * DAY)];
const DAY: u64 = 86_400_000_000;

/// Returns true for `now` and for times like `-1h`.
pub(super) fn is_relative(text: &str) -> bool {
    let text = text.trim();
    text == "now" || text.starts_with('-')
}

/// Parses a time; returns it in microseconds since the Unix epoch. `text` has microseconds since the Unix epoch, RFC 3339, a day
/// (`2026-11-20`, in UTC), `now`, or a time before now (`-90s`, `-15m`, `-1h`, `-7d`, `-2w`).
///
/// # Errors
///
/// A text that says what is wrong and what would be right.
pub(super) fn read(text: &str, edge: Edge, now: u64) -> Result<u64, String> {
    let text = text.trim();
    if text == "now" {
        return Ok(now);
    }
    if let Some(ago) = text.strip_prefix('-') {
        let ago = duration(ago)
            .ok_or_else(|| format!("`{text}` is no time before now; expected one like -90s, -15m, -1h, -7d"))?;
        return now.checked_sub(ago).ok_or_else(|| format!("`{text}` is before 1970-01-01"));
    }
    if is_day(text) {
        let Micros(first) = format!("{text}T00:00:00Z").parse().map_err(|_| format!("`{text}` is no day"))?;
        return Ok(if edge == Edge::First { first } else { first + DAY - 1 });
    }
    let parsed = text.parse::<Micros>().or_else(|error| with_plus(text).parse().map_err(|_| error));
    parsed.map(|Micros(time)| time).map_err(|error| error.to_string())
}

fn duration(text: &str) -> Option<u64> {
    let (_, unit) = UNITS.iter().find(|(name, _)| text.ends_with(*name))?;
    let Micros(count) = Micros::from_digits(text.get(..text.len() - 1)?)?;
    count.checked_mul(*unit)
}

fn is_day(text: &str) -> bool {
    let pattern =
        |(place, byte): (usize, u8)| if place == 4 || place == 7 { byte == b'-' } else { byte.is_ascii_digit() };
    text.len() == 10 && text.bytes().enumerate().all(pattern)
}

/// Restores the `+` of an offset: without percent-encoding it arrives as a blank.
fn with_plus(text: &str) -> String {
    match text.rsplit_once(' ') {
        Some((time, offset)) => format!("{time}+{offset}"),
        None => text.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_write_days_and_times_before_now() {
        let (noon, midnight) = (1_763_640_000_000_000, 1_763_596_800_000_000);
        for (text, edge, expected) in [
            ("now", Edge::First, noon),
            ("-1h", Edge::First, noon - 3_600_000_000),
            ("-90s", Edge::Last, noon - 90_000_000),
            ("-2w", Edge::First, noon - 14 * DAY),
            ("2025-11-20", Edge::First, midnight),
            ("2025-11-20", Edge::Last, midnight + DAY - 1),
            ("2025-11-20T01:00:00 01:00", Edge::First, midnight),
        ] {
            assert_eq!(read(text, edge, noon), Ok(expected), "{text}");
        }
        for text in ["-1", "-h", "-1y", "-99999999999999999999w", "-4000w", "2025-13-01", "2025-02-30", "tomorrow", ""]
        {
            assert!(read(text, Edge::First, noon).is_err(), "{text}");
        }
    }
}
