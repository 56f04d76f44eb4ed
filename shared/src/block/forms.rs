//! Which form of a column an attribute has.

use aws_sdk_dynamodb::types::AttributeValue;

use super::model::Model;
use super::value::{EventId, Fixed, Val, parse_hash, plain};
use super::words::MICROTIMESTAMP;
use crate::key::SEPARATOR;

/// The most that a value takes as a literal; `None` for a type that no event has.
pub(super) fn weigh(value: &AttributeValue) -> Option<usize> {
    Some(match value {
        AttributeValue::S(text) => text.len() + 11,
        // A number that DynamoDB can hold has at most 168 digits.
        AttributeValue::N(digits) => digits.len().max(170) + 11,
        AttributeValue::Bool(_) | AttributeValue::Null(_) => 1,
        AttributeValue::L(values) => values.iter().try_fold(11, |sum, value| Some(sum + weigh(value)?))?,
        AttributeValue::M(fields) => {
            fields.iter().try_fold(11, |sum, (name, value)| Some(sum + name.len() + 11 + weigh(value)?))?
        }
        _ => return None,
    })
}

/// The form of an attribute that says most of it. `known` are the event's time and its `event_id`, where that is one.
pub(super) fn value_of(model: &mut Model, number: usize, value: &AttributeValue, known: (u64, Option<&str>)) -> Val {
    // What repeats needs no look at the literals.
    if let Some(Val::Literal(last)) = model.last(number)
        && model.literals.is(last, value)
    {
        return Val::Literal(last);
    }
    let found = match value {
        AttributeValue::S(text) if number == MICROTIMESTAMP => {
            sort_key(text, known).or_else(|| Fixed::parse(text).map(Val::Text))
        }
        AttributeValue::S(text) => Fixed::parse(text).map(Val::Text).or_else(|| EventId::parse(text).map(Val::EventId)),
        AttributeValue::N(digits) => self::number(digits).map(Val::Number),
        _ => None,
    };
    found.unwrap_or_else(|| Val::Literal(model.literals.intern(value)))
}

/// The value of an N, if it fits a column.
pub(super) fn number(digits: &str) -> Option<Fixed> {
    let shortest = Fixed::parse(digits).filter(|fixed| *fixed == fixed.shortest());
    shortest.or_else(|| Fixed::parse(&plain(digits)))
}

/// The sort key of an event with a discriminator.
fn sort_key(text: &str, (time, event_id): (u64, Option<&str>)) -> Option<Val> {
    let (digits, discriminator) = text.split_once(SEPARATOR)?;
    if Fixed::parse(digits) != Fixed::of_whole(time) {
        return None;
    }
    if let Some(hash) = parse_hash(discriminator) {
        return Some(Val::TimeAndHash(hash));
    }
    (event_id == Some(discriminator)).then_some(Val::TimeAndEventId)
}
