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
        let are_digits = |part: &str| part.bytes().all(|byte| byte.is_ascii_digit());
        if (whole.is_empty() && fraction.is_empty()) || !are_digits(whole) || !are_digits(fraction) {
            return None;
        }
        let scale = i64::try_from(fraction.len()).ok()?;
        let whole = whole.trim_start_matches('0');
        let fraction = if whole.is_empty() { fraction.trim_start_matches('0') } else { fraction };
        let mut digits = String::with_capacity(whole.len() + fraction.len());
        digits.push_str(whole);
        digits.push_str(fraction);
        let significant = digits.len();
        digits.truncate(digits.trim_end_matches('0').len());
        if digits.is_empty() {
            return Some(Decimal { negative: false, digits: "0".to_owned(), exponent: 0 });
        }
        let dropped = i64::try_from(significant - digits.len()).ok()?;
        let exponent = exponent.checked_sub(scale)?.checked_add(dropped)?;
        Some(Decimal { negative, digits, exponent })
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
    pub fn into_id(self) -> Option<String> {
        let zeros = usize::try_from(self.exponent).ok()?;
        let mut digits = self.digits;
        if self.negative || digits.len().checked_add(zeros)? > MAX_DIGITS {
            return None;
        }
        digits.extend(std::iter::repeat_n('0', zeros));
        Some(digits)
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
        self.canonical_parts(&mut itoa::Buffer::new()).concat()
    }

    /// The parts of [`Decimal::canonical`].
    pub(crate) fn canonical_parts<'text>(&'text self, buffer: &'text mut itoa::Buffer) -> [&'text str; 4] {
        [if self.negative { "-" } else { "" }, &self.digits, "e", buffer.format(self.exponent)]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

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

    /// The canonical spelling by its definition; hashes of it are in keys, so it never changes.
    fn spelled_out(text: &str) -> Option<String> {
        let (sign, rest) = text.strip_prefix('-').map_or(("", text), |rest| ("-", rest));
        let (mantissa, exponent) = rest.split_once('e').unwrap_or((rest, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all = format!("{whole}{fraction}");
        let significant = all.trim_start_matches('0');
        let digits = significant.trim_end_matches('0');
        let dropped = (significant.len() - digits.len()) as i64;
        match (all.is_empty(), digits.is_empty()) {
            (true, _) => None,
            (_, true) => Some("0e0".to_owned()),
            _ => {
                let exponent = exponent.parse::<i64>().unwrap() - fraction.len() as i64 + dropped;
                Some(format!("{sign}{digits}e{exponent}"))
            }
        }
    }

    proptest! {
        #[test]
        fn every_number_has_one_canonical_spelling(text in "-?[0-9]{0,5}(\\.[0-9]{0,6})?(e-?[0-9]{1,3})?|-?0{0,3}[1-9]{0,2}0{0,3}(\\.0{0,3})?") {
            prop_assert_eq!(Decimal::parse(&text).map(|number| number.canonical()), spelled_out(&text));
        }
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
        assert_eq!(parse("2001939623936278528").into_id().unwrap(), "2001939623936278528");
        assert_eq!(parse("1e3").into_id().unwrap(), "1000");
        assert_eq!(parse("007").into_id().unwrap(), "7");
        assert_eq!(parse("0").into_id().unwrap(), "0");
        for text in ["1.5", "-1", "1e38", "1e999999999999"] {
            assert_eq!(parse(text).into_id(), None, "{text}");
        }
    }
}
