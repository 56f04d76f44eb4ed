//! Values of attributes as the columns have them: numbers as units and scale, event ids as 128 bits, everything else as a literal.

use uuid::Uuid;

use crate::number::Decimal;

/// A decimal number with a fixed number of digits behind the point: `58356.10` is 5,835,610 units of scale 2.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Fixed {
    /// The number in units of `10^-scale`.
    pub units: i64,
    /// Digits behind the point, at most [`Fixed::MAX_SCALE`].
    pub scale: u8,
}

impl Fixed {
    /// More digits than this behind the point are no column's.
    pub const MAX_SCALE: u8 = 18;

    /// Reads the one spelling that [`Fixed::push`] writes; `None` for any other, and for what does not fit 64 bits.
    pub(super) fn parse(text: &str) -> Option<Fixed> {
        let (negative, digits) = match text.as_bytes() {
            [b'-', digits @ ..] => (true, digits),
            digits => (false, digits),
        };
        let (mut units, mut point) = (0_i64, None);
        for (place, byte) in digits.iter().enumerate() {
            match byte {
                b'0'..=b'9' => units = units.checked_mul(10)?.checked_add(i64::from(byte - b'0'))?,
                b'.' if point.is_none() => point = Some(place),
                _ => return None,
            }
        }
        let whole = point.unwrap_or(digits.len());
        let scale = point.map_or(0, |point| digits.len() - point - 1);
        let leading_zero = digits.first() == Some(&b'0') && whole > 1;
        let empty = whole == 0 || (point.is_some() && scale == 0);
        if empty || leading_zero || scale > usize::from(Fixed::MAX_SCALE) || (negative && units == 0) {
            return None;
        }
        Some(Fixed { units: if negative { -units } else { units }, scale: u8::try_from(scale).ok()? })
    }

    /// Appends the number with all its digits.
    pub(super) fn push(self, text: &mut String) {
        if self.units < 0 {
            text.push('-');
        }
        let mut buffer = itoa::Buffer::new();
        let digits = buffer.format(self.units.unsigned_abs());
        let scale = usize::from(self.scale);
        let (whole, fraction) = digits.split_at_checked(digits.len().saturating_sub(scale)).unwrap_or((digits, ""));
        text.push_str(if whole.is_empty() { "0" } else { whole });
        if scale > 0 {
            text.push('.');
            for _ in fraction.len()..scale {
                text.push('0');
            }
            text.push_str(fraction);
        }
    }

    /// The same value without zeros at the end: the spelling of a number.
    pub(super) fn shortest(self) -> Fixed {
        let Fixed { mut units, mut scale } = self;
        while scale > 0 && units % 10 == 0 {
            units /= 10;
            scale -= 1;
        }
        Fixed { units, scale }
    }

    /// A whole number that is not negative.
    pub(super) fn whole(self) -> Option<u64> {
        if self.scale == 0 { u64::try_from(self.units).ok() } else { None }
    }

    pub(super) fn of_whole(number: u64) -> Option<Fixed> {
        i64::try_from(number).ok().map(|units| Fixed { units, scale: 0 })
    }
}

/// The value of an attribute.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Val {
    /// S: a decimal number with exactly these digits.
    Text(Fixed),
    /// N.
    Number(Fixed),
    /// S: `00065aad-a8b2-3408-0000-000102000020`.
    EventId(EventId),
    /// S: the event's time, `#`, its `event_id`.
    TimeAndEventId,
    /// S: the event's time, `#`, 16 hex digits.
    TimeAndHash(u64),
    /// The literal of this number.
    Literal(u32),
}

/// 128 bits that are written as hex digits in groups of 8, 4, 4, 4, 12. The first 64 are microseconds since the Unix epoch.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct EventId {
    pub(super) time: u64,
    pub(super) rest: u64,
}

impl EventId {
    pub(super) fn parse(text: &str) -> Option<EventId> {
        let bytes: &[u8; 36] = text.as_bytes().try_into().ok()?;
        let mut bits = 0_u128;
        for (place, byte) in bytes.iter().enumerate() {
            let nibble = match (place, byte) {
                (8 | 13 | 18 | 23, b'-') => continue,
                (8 | 13 | 18 | 23, _) => return None,
                (_, b'0'..=b'9') => byte - b'0',
                (_, b'a'..=b'f') => byte - b'a' + 10,
                _ => return None,
            };
            bits = bits << 4 | u128::from(nibble);
        }
        let half = |bits: u128| u64::try_from(bits & u128::from(u64::MAX)).ok();
        Some(EventId { time: half(bits >> 64)?, rest: half(bits)? })
    }

    /// Appends the id: it is written as a UUID is.
    pub(super) fn push(self, text: &mut String) {
        let mut digits = Uuid::encode_buffer();
        text.push_str(Uuid::from_u64_pair(self.time, self.rest).hyphenated().encode_lower(&mut digits));
    }

    /// The id of the next event of the market, at `time`: the fourth group counts within a microsecond, the fifth has a counter of
    /// four states.
    pub(super) fn next(self, time: u64) -> EventId {
        const COUNTER: u64 = 0xff << 24;
        let index = if self.time == time { (self.rest >> 48).wrapping_add(1) & 0xffff } else { 0 };
        let counter = (self.rest & COUNTER).wrapping_add(1 << 24) & (3 << 24);
        let market = self.rest & !(0xffff << 48) & !COUNTER;
        EventId { time, rest: index << 48 | counter | market }
    }
}

/// The digits of 64 bits.
pub(super) fn hex(bits: u64) -> [u8; 16] {
    let mut digits = [b'0'; 16];
    let mut rest = bits;
    for digit in digits.iter_mut().rev() {
        let [low, ..] = (rest & 0xf).to_le_bytes();
        *digit = if low < 10 { b'0' + low } else { b'a' + low - 10 };
        rest >>= 4;
    }
    digits
}

/// Appends hex digits.
pub(super) fn push_ascii(text: &mut String, digits: &[u8]) {
    text.push_str(std::str::from_utf8(digits).unwrap_or_default());
}

/// Reads 16 hex digits in lower case.
pub(super) fn parse_hash(text: &str) -> Option<u64> {
    let is_hex = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if text.len() == 16 && text.bytes().all(is_hex) { u64::from_str_radix(text, 16).ok() } else { None }
}

/// A number in the one spelling in which DynamoDB returns it: all digits, no exponent, no zeros at either end. What is no number that
/// DynamoDB could hold stays as it is.
pub(super) fn plain(digits: &str) -> String {
    match Decimal::parse(digits) {
        Some(decimal) if decimal.fits_dynamodb() => decimal.plain(),
        _ => digits.to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn spell(fixed: Fixed) -> String {
        let mut text = String::new();
        fixed.push(&mut text);
        text
    }

    #[test]
    fn only_the_spelling_that_is_written_is_read() {
        for text in ["0", "0.00", "58356.10", "-1", "-0.05", "9223372036854775807", "0.000000000000000001"] {
            assert_eq!(spell(Fixed::parse(text).unwrap()), text);
        }
        for text in
            ["", "-", ".", "1.", ".5", "00", "01.5", "-0", "-0.0", "1e5", "1E-8", "+1", "9223372036854775808", "1.2.3"]
        {
            assert_eq!(Fixed::parse(text), None, "{text}");
        }
        assert_eq!(Fixed::parse("0.0000000000000000001"), None);
    }

    proptest! {
        #[test]
        fn fixed_numbers_come_back(units in any::<i64>(), shift in 0_u32..64, scale in 0_u8..=18) {
            let fixed = Fixed { units: units >> shift, scale };
            prop_assert!(fixed.units == i64::MIN || Fixed::parse(&spell(fixed)) == Some(fixed));
        }

        #[test]
        fn event_ids_come_back(time in any::<u64>(), rest in any::<u64>()) {
            let mut text = String::new();
            EventId { time, rest }.push(&mut text);
            prop_assert_eq!(EventId::parse(&text), Some(EventId { time, rest }));
        }
    }

    #[test]
    fn the_next_event_id_counts() {
        let id = EventId::parse("00065b81-0d69-fe98-0000-006903000020").unwrap();
        let mut text = String::new();
        id.next(id.time).push(&mut text);
        assert_eq!(text, "00065b81-0d69-fe98-0001-006900000020");
    }
}
