//! Reads items back: the event that an item was built from, and the item as JSON.

use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Map, Value};

use super::{DATA, DATA_PREFIX, FRAME_FIELDS, FRAME_PREFIX, Item, RESERVED, restored};
use crate::attribute::{self, AttributeError};
use crate::channel::Channel;
use crate::event::Event;
use crate::key::SEPARATOR;
use crate::table::{CHANNEL, DERIVED, EVENT, ID, MICROTIMESTAMP};

/// Why an item is not one of ours.
#[derive(Debug, thiserror::Error)]
pub enum ItemError {
    /// An attribute that every item has is missing or of another type.
    #[error("attribute `{0}` is missing or of another type")]
    Attribute(&'static str),
    /// An attribute that no message becomes.
    #[error("attribute `{name}`: {source}")]
    Value {
        /// The attribute's name.
        name: String,
        /// What is wrong with it.
        source: AttributeError,
    },
}

/// The event that the item was built from, field by field.
///
/// # Errors
///
/// [`ItemError`] for an item that [`super::from_event`] did not build.
pub fn to_event(item: &Item) -> Result<Event, ItemError> {
    let derived = derived(item);
    let mut data = Map::new();
    let mut extra = Map::new();
    let mut other = None;
    for (name, value) in item {
        let json = || attribute::to_json(value).map_err(|source| ItemError::Value { name: name.clone(), source });
        if let Some(field) = name.strip_prefix(DATA_PREFIX) {
            data.insert(field.to_owned(), json()?);
        } else if let Some(field) = name.strip_prefix(FRAME_PREFIX) {
            extra.insert(field.to_owned(), json()?);
        } else if FRAME_FIELDS.contains(&name.as_str()) {
            extra.insert(name.clone(), json()?);
        } else if name == DATA {
            other = Some(json()?);
        } else if !RESERVED.contains(&name.as_str()) {
            data.insert(attribute::unescape(name).to_owned(), json()?);
        }
    }
    let sort = text(item, MICROTIMESTAMP)?;
    let time = sort.split(SEPARATOR).next().unwrap_or_default();
    for (name, digits, as_number) in [(ID, digits(item, ID)?, true), (MICROTIMESTAMP, time, false)] {
        if !derived.contains(&name) && !data.contains_key(name) {
            data.insert(name.to_owned(), restored(digits, as_number));
        }
    }
    Ok(Event {
        channel: Channel::from_frame(text(item, CHANNEL)?.to_owned()),
        name: text(item, EVENT)?.to_owned(),
        data: other.unwrap_or(Value::Object(data)),
        extra,
    })
}

/// The item as people see it: its attributes as JSON, `microtimestamp` without the discriminator, no digit lost.
///
/// # Errors
///
/// [`ItemError`] for attributes that have no JSON form.
pub fn to_json(item: &Item) -> Result<Map<String, Value>, ItemError> {
    let mut object = Map::new();
    for (name, value) in item {
        let json = match value {
            AttributeValue::S(sort) if name == MICROTIMESTAMP => {
                Value::String(sort.split(SEPARATOR).next().unwrap_or_default().to_owned())
            }
            _ => attribute::to_json(value).map_err(|source| ItemError::Value { name: name.clone(), source })?,
        };
        object.insert(name.clone(), json);
    }
    Ok(object)
}

fn derived(item: &Item) -> Vec<&str> {
    match item.get(DERIVED) {
        Some(AttributeValue::L(names)) => {
            names.iter().filter_map(|name| name.as_s().ok().map(String::as_str)).collect()
        }
        _ => Vec::new(),
    }
}

fn text<'item>(item: &'item Item, name: &'static str) -> Result<&'item str, ItemError> {
    match item.get(name) {
        Some(AttributeValue::S(text)) => Ok(text),
        _ => Err(ItemError::Attribute(name)),
    }
}

fn digits<'item>(item: &'item Item, name: &'static str) -> Result<&'item str, ItemError> {
    match item.get(name) {
        Some(AttributeValue::N(digits)) => Ok(digits),
        _ => Err(ItemError::Attribute(name)),
    }
}
