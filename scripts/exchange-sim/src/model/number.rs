//! Numbers as the exchange spells them. Everything is counted in whole ticks and lots, so no digit passes a float.

use std::fmt;

/// Units of `10^-decimals` with all their decimals, as in `*_str` and in books: `"58356.10"`.
pub struct Fixed {
    /// How many units of the last decimal.
    pub units: i64,
    /// Digits after the point.
    pub decimals: u32,
}

impl fmt::Display for Fixed {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let scale = 10_i64.pow(self.decimals);
        let (whole, part) = (self.units / scale, self.units % scale);
        match usize::try_from(self.decimals) {
            Ok(0) | Err(_) => write!(f, "{whole}"),
            Ok(width) => write!(f, "{whole}.{part:0width$}"),
        }
    }
}

/// The same number as a JSON number: no trailing zeros, and an exponent below a millionth (`1e-8`).
pub struct Number(pub Fixed);

impl fmt::Display for Number {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Fixed { mut units, mut decimals } = self.0;
        while decimals > 0 && units % 10 == 0 {
            units /= 10;
            decimals -= 1;
        }
        if is_tiny(&self.0) { scientific(f, units, decimals, 'e') } else { write!(f, "{}", Fixed { units, decimals }) }
    }
}

/// The exponent spelling that `*_str` fields carry now and then: `"1E-8"`.
pub struct Exponent(pub Fixed);

impl fmt::Display for Exponent {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        scientific(f, self.0.units, self.0.decimals, 'E')
    }
}

/// Below 10^-6, where the exchange's encoder turns to exponents.
pub fn is_tiny(number: &Fixed) -> bool {
    let limit = number.decimals.checked_sub(6).map_or(0, |digits| 10_i64.pow(digits));
    number.units > 0 && number.units < limit
}

/// `units * 10^-decimals` with one digit before the point.
fn scientific(f: &mut fmt::Formatter<'_>, units: i64, decimals: u32, e: char) -> fmt::Result {
    let digits = units.checked_ilog10().unwrap_or(0);
    let scale = 10_i64.pow(digits);
    let exponent = i64::from(digits) - i64::from(decimals);
    match units % scale {
        0 => write!(f, "{}{e}{exponent}", units / scale),
        part => {
            let width = usize::try_from(digits).unwrap_or(0);
            write!(f, "{}.{part:0width$}{e}{exponent}", units / scale)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_spelled_like_the_recorded_ones() {
        let number = |units, decimals| Number(Fixed { units, decimals }).to_string();
        assert_eq!(number(1, 8), "1e-8");
        assert_eq!(number(12, 8), "1.2e-7");
        assert_eq!(number(100, 8), "0.000001");
        assert_eq!(number(792_010_000, 8), "7.9201");
        assert_eq!(number(0, 8), "0");
        assert_eq!(number(2_586_200, 2), "25862");
        assert_eq!(number(209_022, 2), "2090.22");
        assert_eq!(Fixed { units: 99_999_999_900, decimals: 2 }.to_string(), "999999999.00");
        assert_eq!(Fixed { units: 84_010, decimals: 0 }.to_string(), "84010");
        assert_eq!(Exponent(Fixed { units: 1, decimals: 8 }).to_string(), "1E-8");
    }
}
