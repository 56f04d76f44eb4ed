//! Times in microseconds since the Unix epoch, and how people write them.

use std::fmt;
use std::str::FromStr;

/// A moment in microseconds since the Unix epoch. Whose clock is stated where the value stands: the exchange's
/// (`microtimestamp`) or the daemon's (`received_at`).
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Micros(pub u64);

/// Below this an integer written by a person is seconds (until the year 5138) ...
const SECONDS_END: u64 = 100_000_000_000;
/// ... and below this milliseconds (until the year 5138); above, microseconds (from March 1973).
const MILLIS_END: u64 = 100_000_000_000_000;

/// 365 days in microseconds.
const YEAR: i64 = 365 * 86_400_000_000;

impl Micros {
    /// The last microsecond of the year 9999: the latest time that is written as RFC 3339 and that a query reaches.
    pub const END: Micros = Micros(253_402_300_799_999_999);

    /// Reads digits as microseconds; `None` for anything else (a sign, a space, more than 64 bits).
    #[must_use]
    pub fn from_digits(text: &str) -> Option<Micros> {
        if text.is_empty() || !text.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        text.parse().ok().map(Micros)
    }

    /// Reads the exchange's `timestamp`: seconds as a rule, milliseconds in one perpetual market's trades (September
    /// 2026), told apart by their size. Books carry it beside `microtimestamp`, funding rates carry nothing else.
    #[must_use]
    pub fn from_exchange_timestamp(text: &str) -> Option<Micros> {
        let Micros(number) = Micros::from_digits(text)?;
        let factor = match number {
            0..SECONDS_END => 1_000_000,
            SECONDS_END..MILLIS_END => 1_000,
            MILLIS_END.. => 1,
        };
        number.checked_mul(factor).map(Micros)
    }
}

/// Why a time written by a person was refused.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum TimeError {
    /// An integer whose size says seconds: refused rather than guessed.
    #[error("`{0}` looks like seconds; microseconds since the unix epoch are expected: {0}000000")]
    Seconds(u64),
    /// An integer whose size says milliseconds: refused rather than guessed.
    #[error("`{0}` looks like milliseconds; microseconds since the unix epoch are expected: {0}000")]
    Millis(u64),
    /// Neither an integer nor RFC 3339.
    #[error(
        "`{0}` is neither microseconds since the unix epoch (1647817207170000) nor an RFC 3339 time (2022-03-20T23:00:07.17Z)"
    )]
    Unreadable(String),
    /// RFC 3339, but before 1970 or with an offset that leaves the range of the calendar.
    #[error("`{0}` is before 1970-01-01")]
    BeforeEpoch(String),
}

impl FromStr for Micros {
    type Err = TimeError;

    /// Reads what a person writes: microseconds since the Unix epoch, or RFC 3339. Zero is zero in every unit.
    fn from_str(text: &str) -> Result<Micros, TimeError> {
        if let Some(Micros(number)) = Micros::from_digits(text) {
            return match number {
                0 => Ok(Micros(0)),
                1..SECONDS_END => Err(TimeError::Seconds(number)),
                SECONDS_END..MILLIS_END => Err(TimeError::Millis(number)),
                MILLIS_END.. => Ok(Micros(number)),
            };
        }
        let read = |text: &str| text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_microsecond);
        // The library's last moment is the 30th of December, so that every offset fits; the year before has as many days.
        let in_last_year = || read(&format!("9998{}", text.strip_prefix("9999")?)).map(|time| time + YEAR);
        let time = read(text).or_else(in_last_year).ok_or_else(|| TimeError::Unreadable(text.to_owned()))?;
        u64::try_from(time).map(Micros).map_err(|_| TimeError::BeforeEpoch(text.to_owned()))
    }
}

impl fmt::Display for Micros {
    /// Digits, as the table and the API write them.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Micros {
    /// RFC 3339 in UTC, for people; `None` past the year 9999.
    #[must_use]
    pub fn to_rfc3339(self) -> Option<String> {
        let micros = i64::try_from(self.0).ok()?;
        jiff::Timestamp::from_microsecond(micros).ok().map(|time| time.to_string())
    }
}

impl Micros {
    /// RFC 3339 in UTC with all six decimals, so that all times of a column have one form; `None` past the year 9999.
    #[must_use]
    pub fn to_full_rfc3339(self) -> Option<String> {
        let micros = i64::try_from(self.0).ok()?;
        let time = jiff::Timestamp::from_microsecond(micros).ok()?;
        Some(time.strftime("%Y-%m-%dT%H:%M:%S%.6fZ").to_string())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_times_of_a_column_have_one_form() {
        for (micros, text) in [
            (1_647_817_207_170_000, "2022-03-20T23:00:07.170000Z"),
            (1_647_817_207_000_000, "2022-03-20T23:00:07.000000Z"),
            (1, "1970-01-01T00:00:00.000001Z"),
        ] {
            assert_eq!(Micros(micros).to_full_rfc3339().as_deref(), Some(text));
            assert_eq!(text.parse(), Ok(Micros(micros)));
        }
        assert_eq!(Micros(u64::MAX).to_full_rfc3339(), None);
    }

    #[test]
    fn a_person_may_write_microseconds_or_rfc3339() {
        assert_eq!("1647817207170000".parse(), Ok(Micros(1_647_817_207_170_000)));
        assert_eq!("2022-03-20T23:00:07.17Z".parse(), Ok(Micros(1_647_817_207_170_000)));
        assert_eq!("2022-03-21T00:00:07.17+01:00".parse(), Ok(Micros(1_647_817_207_170_000)));
        assert_eq!("0".parse(), Ok(Micros(0)));
        assert_eq!("9999-12-31T23:59:59.999999Z".parse(), Ok(Micros::END));
        assert_eq!("9999-12-31T00:00:00-01:00".parse(), Ok(Micros(Micros::END.0 - 82_799_999_999)));
        assert_eq!("9999-02-28T00:00:00Z".parse::<Micros>().unwrap().to_rfc3339().unwrap(), "9999-02-28T00:00:00Z");
    }

    #[test]
    fn seconds_and_milliseconds_are_refused_with_the_right_number() {
        let seconds = "1647817207".parse::<Micros>().unwrap_err();
        assert!(seconds.to_string().contains("1647817207000000"), "{seconds}");
        let millis = "1647817207170".parse::<Micros>().unwrap_err();
        assert!(millis.to_string().contains("1647817207170000"), "{millis}");
        for text in ["", "-1", "1.5", "yesterday", "1647817207170000 ", "0x12"] {
            assert_eq!(text.parse::<Micros>(), Err(TimeError::Unreadable(text.to_owned())));
        }
        assert!(matches!("1969-12-31T23:59:59Z".parse::<Micros>(), Err(TimeError::BeforeEpoch(_))));
    }

    #[test]
    fn the_exchange_writes_seconds_and_once_milliseconds() {
        assert_eq!(Micros::from_exchange_timestamp("1789455924"), Some(Micros(1_789_455_924_000_000)));
        assert_eq!(Micros::from_exchange_timestamp("1789456400586"), Some(Micros(1_789_456_400_586_000)));
        assert_eq!(Micros::from_exchange_timestamp("1.5"), None);
    }

    #[test]
    fn written_for_people_and_read_back() {
        let time = Micros(1_647_817_207_170_001);
        assert_eq!(time.to_rfc3339().unwrap(), "2022-03-20T23:00:07.170001Z");
        assert_eq!(time.to_rfc3339().unwrap().parse(), Ok(time));
    }
}
