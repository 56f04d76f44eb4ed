//! Converts one value to a time in the unit and type of the target attribute.

use aws_sdk_dynamodb::types::AttributeValue;
use shared::{key::SEPARATOR, number::Decimal};

/// A whole number below this is seconds (until the year 5138), ...
const SECONDS_END: u128 = 100_000_000_000;
/// ... below this milliseconds, ...
const MILLIS_END: u128 = 100_000_000_000_000;
/// ... below this microseconds, and above something else.
const MICROS_END: u128 = 100_000_000_000_000_000;

/// The type of the attribute to write.
#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
#[value(rename_all = "UPPER")]
pub enum ToType {
    /// Number: microseconds since the Unix epoch.
    N,
    /// String: the same digits.
    S,
}

/// Guesses that the user made explicit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Accept {
    /// Seconds, told by their size, are multiplied.
    pub seconds: bool,
    /// Milliseconds, told by their size, are multiplied.
    pub millis: bool,
    /// Spaces around the digits are ignored.
    pub spaces: bool,
    /// `1.6e15` and `1600000000000000.0` are whole numbers too.
    pub exponent: bool,
}

/// Why a value is not converted.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Reason {
    /// The item has no such attribute.
    #[error("missing")]
    Missing,
    /// Neither a string nor a number.
    #[error("wrong type")]
    WrongType,
    /// The empty string.
    #[error("empty")]
    Empty,
    /// Digits between spaces.
    #[error("spaces around the digits (--accept-spaces)")]
    Spaces,
    /// A number with a point or an exponent.
    #[error("not written as plain digits (--accept-exponent)")]
    Exponent,
    /// Anything else that is not digits.
    #[error("not a number")]
    NotDigits,
    /// So small that it is seconds.
    #[error("looks like seconds (--accept-seconds)")]
    Seconds,
    /// So small that it is milliseconds.
    #[error("looks like milliseconds (--accept-ms)")]
    Millis,
    /// Larger than any time in microseconds.
    #[error("too large for microseconds")]
    TooLarge,
}

/// The rule of a run: which values become which.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Rule {
    /// The type to write.
    pub to: ToType,
    /// The guesses allowed.
    pub accept: Accept,
    /// This project's own sort keys: what follows the `#` tells events of one microsecond apart and is no part of the time.
    pub discriminator: bool,
}

impl Rule {
    /// Microseconds since the Unix epoch (by the exchange's clock) as the attribute to store.
    ///
    /// # Errors
    /// The reason why the value is none; nothing is guessed beyond what was accepted.
    pub fn convert(&self, source: Option<&AttributeValue>) -> Result<AttributeValue, Reason> {
        let digits = match source {
            None => return Err(Reason::Missing),
            Some(AttributeValue::S(text)) => self.digits(text)?,
            Some(AttributeValue::N(text)) if self.to == ToType::S => self.digits(text)?,
            Some(_) => return Err(Reason::WrongType),
        };
        let micros = self.micros(digits)?.to_string();
        Ok(match self.to {
            ToType::N => AttributeValue::N(micros),
            ToType::S => AttributeValue::S(micros),
        })
    }

    fn digits(&self, text: &str) -> Result<u128, Reason> {
        let text = match text.split_once(SEPARATOR) {
            Some((time, _)) if self.discriminator => time,
            _ => text,
        };
        let trimmed = text.trim();
        let plain = match (trimmed.len() == text.len(), self.accept.spaces) {
            _ if trimmed.is_empty() => return Err(Reason::Empty),
            (true, _) | (false, true) => trimmed,
            (false, false) => return Err(Reason::Spaces),
        };
        if plain.bytes().all(|byte| byte.is_ascii_digit()) {
            return plain.parse().map_err(|_| Reason::TooLarge);
        }
        let Some(number) = Decimal::parse(plain) else { return Err(Reason::NotDigits) };
        if !self.accept.exponent {
            return Err(Reason::Exponent);
        }
        number.into_id().and_then(|digits| digits.parse().ok()).ok_or(Reason::NotDigits)
    }

    fn micros(&self, number: u128) -> Result<u128, Reason> {
        match number {
            0..SECONDS_END if self.accept.seconds => Ok(number * 1_000_000),
            0..SECONDS_END => Err(Reason::Seconds),
            SECONDS_END..MILLIS_END if self.accept.millis => Ok(number * 1_000),
            SECONDS_END..MILLIS_END => Err(Reason::Millis),
            MILLIS_END..MICROS_END => Ok(number),
            _ => Err(Reason::TooLarge),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const STRICT: Rule = Rule {
        to: ToType::N,
        accept: Accept { seconds: false, millis: false, spaces: false, exponent: false },
        discriminator: true,
    };

    fn text(rule: Rule, text: &str) -> Result<String, Reason> {
        rule.convert(Some(&AttributeValue::S(text.to_owned()))).map(|value| value.as_n().unwrap().clone())
    }

    #[test]
    fn digits_become_a_number() {
        assert_eq!(text(STRICT, "1647817207170000").unwrap(), "1647817207170000");
        assert_eq!(text(STRICT, "1789459694223000#00065b81-0d69-fe98").unwrap(), "1789459694223000");
        assert_eq!(text(STRICT, "0001647817207170000").unwrap(), "1647817207170000");
    }

    #[test]
    fn nothing_is_guessed() {
        let cases = [
            ("", Reason::Empty),
            ("   ", Reason::Empty),
            (" 1647817207170000", Reason::Spaces),
            ("1.64781720717e15", Reason::Exponent),
            ("1647817207170000.0", Reason::Exponent),
            ("-1647817207170000", Reason::Exponent),
            ("1647817207", Reason::Seconds),
            ("0", Reason::Seconds),
            ("1647817207170", Reason::Millis),
            ("1647817207170000000", Reason::TooLarge),
            ("9999999999999999999999999999999999999999999", Reason::TooLarge),
            ("2022-03-20T23:00:07Z", Reason::NotDigits),
            ("١٦٤٧٨١٧٢٠٧١٧٠٠٠٠", Reason::NotDigits),
        ];
        for (value, reason) in cases {
            assert_eq!(text(STRICT, value), Err(reason), "{value:?}");
        }
        assert_eq!(STRICT.convert(None), Err(Reason::Missing));
        assert_eq!(STRICT.convert(Some(&AttributeValue::Bool(true))), Err(Reason::WrongType));
        assert_eq!(STRICT.convert(Some(&AttributeValue::N("1647817207170000".into()))), Err(Reason::WrongType));
    }

    #[test]
    fn a_guess_that_was_asked_for_is_made() {
        let accept = Accept { seconds: true, millis: true, spaces: true, exponent: true };
        let rule = Rule { accept, ..STRICT };
        assert_eq!(text(rule, "1647817207").unwrap(), "1647817207000000");
        assert_eq!(text(rule, "1647817207170").unwrap(), "1647817207170000");
        assert_eq!(text(rule, " 1647817207170000 ").unwrap(), "1647817207170000");
        assert_eq!(text(rule, "1.64781720717e15").unwrap(), "1647817207170000");
        assert_eq!(text(rule, "-5"), Err(Reason::NotDigits));
    }

    #[test]
    fn strings_are_made_from_numbers_as_well() {
        let rule = Rule { to: ToType::S, ..STRICT };
        let number = AttributeValue::N("1647817207170000".into());
        assert_eq!(rule.convert(Some(&number)), Ok(AttributeValue::S("1647817207170000".into())));
    }

    proptest! {
        #[test]
        fn every_time_in_microseconds_keeps_its_digits(micros in 100_000_000_000_000_u64..100_000_000_000_000_000) {
            prop_assert_eq!(text(STRICT, &micros.to_string()), Ok(micros.to_string()));
        }

        #[test]
        fn a_converted_text_was_digits(value in "[0-9 .eE+#-]{0,20}") {
            if text(STRICT, &value).is_ok() {
                let time = value.split('#').next().unwrap();
                prop_assert!(!time.is_empty() && time.bytes().all(|byte| byte.is_ascii_digit()), "{:?}", value);
            }
        }
    }
}
