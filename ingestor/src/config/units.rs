//! Reads sizes and durations as people write them.

use std::fmt::Display;
use std::time::Duration;

/// Parses a size (`512`, `64KiB`, `16MiB`, `2GiB`, also with a space) into bytes.
///
/// # Errors
///
/// Returns a sentence with what was expected.
pub fn size(text: &str) -> Result<u64, String> {
    let (number, unit) = split(text);
    let factor: u64 = match unit {
        "" | "B" => 1,
        "KiB" => 1 << 10,
        "MiB" => 1 << 20,
        "GiB" => 1 << 30,
        _ => return Err("expected a number and KiB, MiB or GiB".to_owned()),
    };
    let number: u64 = number.parse().map_err(|_| "expected a number and KiB, MiB or GiB".to_owned())?;
    number.checked_mul(factor).ok_or_else(|| "more than a file system holds".to_owned())
}

/// Returns a parser of durations (`25ms`, `5s`, `2min`, `24h`) between two bounds.
pub fn duration(low: Duration, high: Duration) -> impl Fn(&str) -> Result<Duration, String> {
    move |text| {
        let (number, unit) = split(text);
        let expected = || "expected a number and ms, s, min or h".to_owned();
        let millis = match unit {
            "ms" => 1,
            "s" => 1_000,
            "min" => 60_000,
            "h" => 3_600_000,
            _ => return Err(expected()),
        };
        let number: u64 = number.parse().map_err(|_| expected())?;
        let duration = Duration::from_millis(number.saturating_mul(millis));
        if duration < low || duration > high {
            return Err(format!("expected {low:?} to {high:?}"));
        }
        Ok(duration)
    }
}

/// Checks that a number lies within bounds, both included.
///
/// # Errors
///
/// Returns a sentence with the bounds.
pub fn within<N: PartialOrd + Display>(number: N, low: N, high: N) -> Result<N, String> {
    if number < low || number > high { Err(format!("expected {low} to {high}")) } else { Ok(number) }
}

/// Splits a number from its unit.
pub(super) fn split(text: &str) -> (&str, &str) {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    let (number, unit) = text.split_at(end);
    (number, unit.trim())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn people_write_sizes_and_times() {
        assert_eq!(size("2GiB"), Ok(2 << 30));
        assert_eq!(size("16 MiB"), Ok(16 << 20));
        assert_eq!(size("512"), Ok(512));
        for text in ["", "GiB", "2GB", "-1", "1.5GiB", "99999999999GiB"] {
            assert!(size(text).is_err(), "{text}");
        }
        let read = duration(Duration::from_millis(10), Duration::from_secs(60));
        assert_eq!(read("25ms"), Ok(Duration::from_millis(25)));
        assert_eq!(read("1 min"), Ok(Duration::from_secs(60)));
        for text in ["", "5", "9ms", "2min", "s", "99999999999999999999s"] {
            assert!(read(text).is_err(), "{text}");
        }
    }
}
