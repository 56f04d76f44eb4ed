//! Sums of numbers and sets. Numbers are decimals of any length until the result is checked.

use aws_sdk_dynamodb::{primitives::Blob, types::AttributeValue};
use bigdecimal::BigDecimal;

use super::ExpressionError;
use crate::form::digits;

/// Adds two numbers, or subtracts the second from the first.
pub(super) fn sum(
    left: &AttributeValue,
    right: &AttributeValue,
    minus: bool,
) -> Result<AttributeValue, ExpressionError> {
    let sign = if minus { "-" } else { "+" };
    let number = |value: &AttributeValue| match value {
        AttributeValue::N(digits) => digits.parse::<BigDecimal>().map_err(|_| ExpressionError::Type(sign, "numbers")),
        _ => Err(ExpressionError::Type(sign, "numbers")),
    };
    let (left, right) = (number(left)?, number(right)?);
    let sum = if minus { left - right } else { left + right };
    digits(&sum.normalized().to_plain_string()).map(AttributeValue::N).ok_or(ExpressionError::Digits)
}

/// Adds a number to a number, or members to a set, as `ADD` does.
pub(super) fn add(before: Option<&AttributeValue>, value: &AttributeValue) -> Result<AttributeValue, ExpressionError> {
    use AttributeValue::{Bs, N, Ns, Ss};
    let wrong = ExpressionError::Type("ADD", "a number for a number, or a set for a set of the same type");
    match (before, value) {
        (None, N(_) | Ss(_) | Ns(_) | Bs(_)) => Ok(value.clone()),
        (Some(before @ N(_)), N(_)) => sum(before, value, false),
        (Some(Ss(before)), Ss(more)) => Ok(Ss(union(before, more))),
        (Some(Ns(before)), Ns(more)) => Ok(Ns(union(&spelled(before), &spelled(more)))),
        (Some(Bs(before)), Bs(more)) => Ok(Bs(union::<Blob>(before, more))),
        _ => Err(wrong),
    }
}

/// Takes members out of a set, as `DELETE` does; `None` where none is left.
pub(super) fn delete(
    before: &AttributeValue,
    value: &AttributeValue,
) -> Result<Option<AttributeValue>, ExpressionError> {
    use AttributeValue::{Bs, Ns, Ss};
    let left = match (before, value) {
        (Ss(before), Ss(less)) => Some(difference(before, less)).filter(|left| !left.is_empty()).map(Ss),
        (Ns(before), Ns(less)) => {
            Some(difference(&spelled(before), &spelled(less))).filter(|left| !left.is_empty()).map(Ns)
        }
        (Bs(before), Bs(less)) => Some(difference::<Blob>(before, less)).filter(|left| !left.is_empty()).map(Bs),
        _ => return Err(ExpressionError::Type("DELETE", "a set, from a set of the same type")),
    };
    Ok(left)
}

/// Numbers in one spelling, so that equal ones are equal.
fn spelled(numbers: &[String]) -> Vec<String> {
    numbers.iter().map(|number| digits(number).unwrap_or_else(|| number.clone())).collect()
}

fn union<T: Clone + PartialEq>(before: &[T], more: &[T]) -> Vec<T> {
    let mut all = before.to_vec();
    all.extend(difference(more, before));
    all
}

fn difference<T: Clone + PartialEq>(from: &[T], less: &[T]) -> Vec<T> {
    from.iter().filter(|member| !less.contains(member)).cloned().collect()
}
