//! Makes a block, event by event.

use aws_sdk_dynamodb::types::AttributeValue;
use std::sync::Arc;

use super::coder::Encoder;
use super::error::AddError;
use super::forms::{number, value_of, weigh};
use super::header::{Header, seal};
use super::literals::Literals;
use super::model::Model;
use super::shape::{MOST_NAMES, MOST_SHAPES, Shape};
use super::value::{Fixed, Val};
use super::words::EVENT_ID;
use super::{MAX_EVENTS, MAX_LITERALS, VERSION};
use crate::item::{self, Item};
use crate::table::{CHANNEL, NMICROTIMESTAMP};
use crate::time::Micros;

/// Compression of the literals.
const LEVEL: i32 = 9;
/// Shorter literals do not get shorter.
const WORTHWHILE: usize = 128;
/// Literals of one item are at most so long: a number may be written with six times the bytes that DynamoDB counts.
const MOST_OF_ONE: usize = 8 * item::MAX_SIZE;
/// The largest header, in bytes.
const HEADER: usize = 40;

/// A block that is being made.
///
/// The columns are coded as events come in, so their size is known at any time; what an event adds to it is what it tells that the
/// events before did not.
#[derive(Clone, Debug)]
pub struct Builder {
    channel: String,
    model: Model,
    encoder: Encoder,
    count: u32,
    /// Earliest and latest time.
    times: Option<(u64, u64)>,
    ordered: bool,
    /// Length of the literals when they were last compressed for [`Builder::weight`], and what was left of them.
    weighed: (usize, usize),
}

impl Builder {
    /// An empty block of a channel.
    #[must_use]
    pub fn new(channel: &str) -> Builder {
        Builder {
            channel: channel.to_owned(),
            model: Model::new(Literals::new(channel, &[])),
            encoder: Encoder::new(),
            count: 0,
            times: None,
            ordered: true,
            weighed: (0, 0),
        }
    }

    /// Adds the item of an event, as [`item::from_keyed`] builds it or as a table returns it. The block keeps the order in which items
    /// are added. After an error the block is as it was before.
    ///
    /// # Errors
    ///
    /// [`AddError`].
    pub fn add(&mut self, item: &Item) -> Result<(), AddError> {
        let time = self.check(item)?;
        let (shape, attributes) = self.shape(item)?;
        let mut event_id = None;
        self.model.values.clear();
        for (number, attribute) in shape.names.iter().zip(attributes) {
            let value = value_of(&mut self.model, *number, attribute, (time, event_id));
            if let (EVENT_ID, Val::EventId(_), AttributeValue::S(text)) = (*number, value, attribute) {
                event_id = Some(text.as_str());
            }
            self.model.values.push(value);
        }
        self.model.event(&mut self.encoder).expect("a writer's model has every shape, literal and order that it names");
        let (first, last) = self.times.unwrap_or((time, time));
        self.ordered &= time >= last;
        self.times = Some((first.min(time), last.max(time)));
        self.count += 1;
        self.weigh();
        Ok(())
    }

    /// Returns the item's time if it may be added.
    fn check(&self, item: &Item) -> Result<u64, AddError> {
        if self.count >= MAX_EVENTS {
            return Err(AddError::Full);
        }
        let size = most_of(item)?;
        if size > MOST_OF_ONE || item.len() > MOST_NAMES / 2 {
            return Err(AddError::TooLarge);
        }
        if self.model.literals.section().len() + size > MAX_LITERALS {
            return Err(AddError::Full);
        }
        match item.get(CHANNEL) {
            Some(AttributeValue::S(channel)) if *channel == self.channel => {}
            Some(AttributeValue::S(channel)) => return Err(AddError::Channel(channel.clone())),
            _ => return Err(AddError::Channel(String::new())),
        }
        time_of(item)
    }

    /// Finds the item's shape, or adds it; leaves its number in the model. Returns the item's attributes in its order.
    fn shape<'item>(&mut self, item: &'item Item) -> Result<(Arc<Shape>, Vec<&'item AttributeValue>), AddError> {
        let model = &mut self.model;
        let attributes = |shape: &Shape, model: &Model| -> Option<Vec<&'item AttributeValue>> {
            let values = || shape.names.iter().map(|number| item.get(model.names.text(*number)));
            if shape.names.len() == item.len() { values().collect() } else { None }
        };
        // Neighbours mostly have the same shape.
        for number in [model.shape].into_iter().chain(0..model.shapes.len()) {
            let Some(shape) = model.shapes.get(number) else { continue };
            if let Some(found) = attributes(shape, model) {
                let shape = Arc::clone(shape);
                model.shape = number;
                return Ok((shape, found));
            }
        }
        let new = item.keys().filter(|name| model.names.find(name).is_none()).count();
        if model.shapes.len() >= MOST_SHAPES || model.names.len() + new > MOST_NAMES {
            return Err(AddError::Full);
        }
        let shape = Arc::new(model.names.shape(item.keys().map(String::as_str)).ok_or(AddError::Full)?);
        let mut bytes = Vec::new();
        shape.push(&model.names, &mut bytes);
        model.literals.push_raw(&bytes);
        model.shape = model.shapes.len();
        model.shapes.push(Arc::clone(&shape));
        let found = attributes(&shape, model).ok_or(AddError::Full)?;
        Ok((shape, found))
    }

    /// Compresses the literals for their weight, each time that they have grown by a quarter.
    fn weigh(&mut self) {
        if self.model.literals.section().len() > self.weighed.0 + self.weighed.0 / 4 {
            self.weigh_anew();
        }
    }

    /// Compresses the literals for their weight.
    pub(super) fn weigh_anew(&mut self) {
        let section = self.model.literals.section();
        if section.len() > WORTHWHILE {
            self.weighed = (section.len(), compress(section).map_or(section.len(), |compressed| compressed.len()));
        }
    }

    /// What the finished block would weigh if none of the literals since they were last compressed became shorter, in bytes.
    pub(super) fn most(&self) -> usize {
        let (length, compressed) = self.weighed;
        HEADER + self.encoder.len() + compressed + (self.model.literals.section().len() - length)
    }

    /// The number of events.
    #[must_use]
    pub fn count(&self) -> u32 {
        self.count
    }

    /// The earliest and the latest time, microseconds since the Unix epoch by the exchange's clock; `None` while the block is empty.
    #[must_use]
    pub fn times(&self) -> Option<(Micros, Micros)> {
        self.times.map(|(first, last)| (Micros(first), Micros(last)))
    }

    /// What the finished block would weigh now, in bytes. For orders and trades it is at most 40 bytes more than it will; where events have
    /// values that are no column's, such as books, an estimate.
    #[must_use]
    pub fn weight(&self) -> usize {
        let (length, compressed) = self.weighed;
        let more = self.model.literals.section().len() - length;
        let more = (more * compressed).checked_div(length).unwrap_or(more);
        HEADER + self.encoder.len() + compressed + more
    }

    /// The block. An empty one has no events and no times.
    #[must_use]
    pub fn finish(self) -> Vec<u8> {
        let section = self.model.literals.section();
        let compressed = if section.len() > WORTHWHILE { compress(section) } else { None };
        let stored = compressed.as_deref().unwrap_or(section);
        let (first, last) = self.times.unwrap_or_default();
        let header = Header {
            version: VERSION,
            count: self.count,
            first: Micros(first),
            last: Micros(last),
            ordered: self.ordered,
            checksum: 0,
            compressed: compressed.is_some(),
            literals: section.len(),
            stored_literals: stored.len(),
            end: 0,
        };
        let mut bytes = Vec::with_capacity(HEADER + stored.len() + self.encoder.len());
        header.push(&mut bytes);
        bytes.extend_from_slice(stored);
        bytes.extend(self.encoder.finish());
        seal(&self.channel, &mut bytes);
        bytes
    }
}

/// The most bytes that an item takes as literals.
pub(super) fn most_of(item: &Item) -> Result<usize, AddError> {
    item.iter().try_fold(0, |sum, (name, value)| {
        Ok(sum + name.len() + weigh(value).ok_or_else(|| AddError::Type(name.clone()))?)
    })
}

/// The time of an item, microseconds since the Unix epoch by the exchange's clock.
pub(super) fn time_of(item: &Item) -> Result<u64, AddError> {
    match item.get(NMICROTIMESTAMP) {
        Some(AttributeValue::N(digits)) => number(digits).and_then(Fixed::whole).ok_or(AddError::NoTime),
        _ => Err(AddError::NoTime),
    }
}

/// The section compressed; `None` where that is not smaller.
fn compress(section: &[u8]) -> Option<Vec<u8>> {
    zstd::bulk::compress(section, LEVEL).ok().filter(|compressed| compressed.len() < section.len())
}
