//! Compares JSON numbers by value and tells which of them DynamoDB can hold.

/// A JSON number's value: sign, significant digits without zeros at either end, and the power of ten of the last digit.
///
/// Two spellings of one value (`1.50` and `15e-1`) are equal; nothing is rounded.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct Decimal {
    negative: bool,
    digits: String,
    exponent: i64,
}

/// DynamoDB holds 38 significant digits ...
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/HowItWorks.NamingRulesDataTypes.html>)
const MAX_DIGITS: usize = 38;
/// ... from 1E-130 to 9.99..E+125 (same page).
const MIN_MAGNITUDE: i64 = -130;
const MAX_MAGNITUDE: i64 = 125;

impl Decimal {
    /// Reads a number as JSON spells it, also with a leading `+` or zeros; `None` for anything else.
    #[must_use]
    pub fn parse(text: &str) -> Option<Decimal> {
        let (negative, rest) = match text.strip_prefix('-') {
            Some(rest) => (true, rest),
            None => (false, text.strip_prefix('+').unwrap_or(text)),
        };
        let (mantissa, exponent) = match rest.split_once(['e', 'E']) {
            Some((mantissa, exponent)) => (mantissa, exponent.parse::<i64>().ok()?),
            None => (rest, 0),
        };
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = [whole, fraction].concat();
        if all.is_empty() || !all.bytes().all(|byte| byte.is_ascii_digit()) {
            return None;
        }
        let significant = all.trim_start_matches('0');
        let digits = significant.trim_end_matches('0');
        if digits.is_empty() {
            return Some(Decimal { negative: false, digits: "0".to_owned(), exponent: 0 });
        }
        let dropped = i64::try_from(significant.len() - digits.len()).ok()?;
        let scale = i64::try_from(fraction.len()).ok()?;
        let exponent = exponent.checked_sub(scale)?.checked_add(dropped)?;
        Some(Decimal { negative, digits: digits.to_owned(), exponent })
    }

    /// Whether DynamoDB's N can hold the value without losing a digit.
    #[must_use]
    pub fn fits_dynamodb(&self) -> bool {
        let Some(magnitude) =
            i64::try_from(self.digits.len()).ok().and_then(|length| self.exponent.checked_add(length - 1))
        else {
            return false;
        };
        self.digits == "0" || (self.digits.len() <= MAX_DIGITS && (MIN_MAGNITUDE..=MAX_MAGNITUDE).contains(&magnitude))
    }

    /// The digits of a non-negative whole number of at most 38 digits, without a leading zero; else `None`.
    #[must_use]
    pub fn to_id(&self) -> Option<String> {
        let zeros = usize::try_from(self.exponent).ok()?;
        if self.negative || self.digits.len().checked_add(zeros)? > MAX_DIGITS {
            return None;
        }
        Some(format!("{}{}", self.digits, "0".repeat(zeros)))
    }

    /// All digits without an exponent, as DynamoDB returns numbers: `-1.5`, `0.00000001`; [`Decimal::canonical`] for a number that it
    /// [cannot hold](Decimal::fits_dynamodb).
    #[must_use]
    pub fn plain(&self) -> String {
        if !self.fits_dynamodb() {
            return self.canonical();
        }
        let sign = if self.negative { "-" } else { "" };
        match usize::try_from(self.exponent) {
            Ok(zeros) => format!("{sign}{}{}", self.digits, "0".repeat(zeros)),
            Err(_) => {
                let scale = usize::try_from(self.exponent.unsigned_abs()).unwrap_or_default();
                let digits = format!("{}{}", "0".repeat((scale + 1).saturating_sub(self.digits.len())), self.digits);
                let (whole, fraction) = digits.split_at(digits.len() - scale);
                format!("{sign}{whole}.{fraction}")
            }
        }
    }

    /// One spelling per value, short and independent of size: `-15e-1`.
    #[must_use]
    pub fn canonical(&self) -> String {
        let sign = if self.negative { "-" } else { "" };
        format!("{sign}{}e{}", self.digits, self.exponent)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn parse(text: &str) -> Decimal {
        Decimal::parse(text).unwrap_or_else(|| panic!("{text}"))
    }

    #[test]
    fn spellings_of_one_value_are_equal() {
        for (left, right) in [("1e-08", "0.00000001"), ("1E-8", "1e-8"), ("1.50", "15e-1"), ("1000", "1e+3")] {
            assert_eq!(parse(left), parse(right), "{left} {right}");
        }
        assert_eq!(parse("-0.0"), parse("0"));
        assert_eq!(parse("0e999"), parse("0"));
        assert_ne!(parse("0.0015847299999999999"), parse("0.00158473"));
    }

    #[test]
    fn as_dynamodb_returns_it() {
        for (sent, returned) in [
            ("1.50", "1.5"),
            ("1e-08", "0.00000001"),
            ("-15e-1", "-1.5"),
            ("1e3", "1000"),
            ("0.0", "0"),
            ("-12.5e-3", "-0.0125"),
        ] {
            assert_eq!(parse(sent).plain(), returned);
        }
        assert_eq!(parse("1e125").plain().len(), 126);
    }

    #[test]
    fn what_is_no_number_is_refused() {
        for text in ["", "-", "1e", "1e1.5", "abc", "1_000", " 1", "NaN", ".", "1.2.3"] {
            assert_eq!(Decimal::parse(text), None, "{text}");
        }
    }

    #[test]
    fn the_limits_of_dynamodb() {
        assert!(parse(&"9".repeat(38)).fits_dynamodb());
        assert!(!parse(&"9".repeat(39)).fits_dynamodb());
        assert!(parse(&format!("1{}", "0".repeat(100))).fits_dynamodb());
        assert!(parse("9.9e125").fits_dynamodb());
        assert!(!parse("1e126").fits_dynamodb());
        assert!(parse("1e-130").fits_dynamodb());
        assert!(!parse("1e-131").fits_dynamodb());
        assert!(!parse("1e9223372036854775807").fits_dynamodb());
    }

    #[test]
    fn ids_are_whole_and_not_negative() {
        assert_eq!(parse("2001939623936278528").to_id().unwrap(), "2001939623936278528");
        assert_eq!(parse("1e3").to_id().unwrap(), "1000");
        assert_eq!(parse("007").to_id().unwrap(), "7");
        assert_eq!(parse("0").to_id().unwrap(), "0");
        for text in ["1.5", "-1", "1e38", "1e999999999999"] {
            assert_eq!(parse(text).to_id(), None, "{text}");
        }
    }
}
