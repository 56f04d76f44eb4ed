//! Decodes the events of a block into items, as the answer to a Query would have them.

use shared::{
    block::{
        BlockError, Cell, Row,
        stored::{BlockItem, Fault, StoredError},
    },
    table::ID,
    time::Micros,
};
use smol_str::SmolStr;
use std::{ops::RangeInclusive, sync::Arc};

use crate::item::{Item, Shape, Value};

/// The most that one event weighs, in the measure of [`Events::bytes`]: many times what DynamoDB takes.
const MOST_OF_ONE: usize = 4 << 20;
/// The most that the events of one block weigh: more than 65,536 events of the usual size.
const MOST_OF_ALL: usize = 64 << 20;
/// What an element weighs besides its text.
const ELEMENT: usize = 8;

/// Events of a block.
#[derive(Debug, Default)]
pub struct Events {
    /// The items, in the block's order.
    pub items: Vec<Item>,
    /// About as many bytes as they have as JSON.
    pub bytes: usize,
}

/// Decodes the events whose time is in `times`, microseconds since the Unix epoch by the exchange's clock, and, if `id` is given, whose `id`
/// has these digits.
///
/// # Errors
///
/// [`StoredError`] if the block is damaged, or if its events are larger than any writer makes them: a forged block of a few bytes must not
/// fill the memory.
pub fn events(stored: &BlockItem, times: &RangeInclusive<Micros>, id: Option<&str>) -> Result<Events, StoredError> {
    let block = stored.open()?;
    let (mut rows, mut events, mut shapes) = (block.rows(), Events::default(), Vec::new());
    while let Some(row) = rows.next_within(times).map_err(|error| stored.error(error.into()))? {
        stored.check(&row)?;
        if id.is_some_and(|id| !matches!(row.get(ID), Some(Cell::Number(digits)) if digits == id)) {
            continue;
        }
        let mut left = MOST_OF_ONE.min(MOST_OF_ALL.saturating_sub(events.bytes));
        let before = left;
        let too_large = || stored.error(Fault::Block(BlockError::Damaged("events too large for a table")));
        events.items.push(item(&row, &mut shapes, &mut left).ok_or_else(too_large)?);
        events.bytes += before - left;
    }
    Ok(events)
}

/// Returns the item of an event; `None` if it weighs more than is `left`. Rows of the same shape share it.
fn item(row: &Row<'_>, shapes: &mut Vec<Option<Arc<Shape>>>, left: &mut usize) -> Option<Item> {
    let shape = shapes.get(row.shape()).cloned().flatten();
    if let Some(shape) = shape {
        let mut values = Vec::with_capacity(shape.len());
        for (name, cell) in row.cells() {
            *left = left.checked_sub(name.len())?;
            values.push(value(cell, left)?);
        }
        return Item::shaped(shape, values);
    }
    let mut attributes = Vec::new();
    for (name, cell) in row.cells() {
        *left = left.checked_sub(name.len())?;
        attributes.push((SmolStr::new(name), value(cell, left)?));
    }
    let item = Item::of(attributes);
    // A block has at most 1,024 shapes.
    if shapes.len() <= row.shape() {
        shapes.resize(row.shape() + 1, None);
    }
    if let Some(place) = shapes.get_mut(row.shape()) {
        *place = Some(Arc::clone(item.shape()));
    }
    Some(item)
}

fn value(cell: Cell<'_>, left: &mut usize) -> Option<Value> {
    let text = |text: &str, left: &mut usize| {
        *left = left.checked_sub(ELEMENT + text.len())?;
        Some(SmolStr::new(text))
    };
    Some(match cell {
        Cell::Text(found) => Value::Text(text(found, left)?),
        Cell::Number(digits) => Value::Number(text(digits, left)?),
        Cell::Flag(flag) => text("", left).map(|_| Value::Flag(flag))?,
        Cell::Null => text("", left).map(|_| Value::Null)?,
        Cell::List(cells) => {
            text("", left)?;
            Value::List(cells.map(|cell| value(cell, left)).collect::<Option<_>>()?)
        }
        Cell::Map(fields) => {
            text("", left)?;
            let field = |(name, cell)| Some((text(name, left)?, value(cell, left)?));
            Value::Map(fields.map(field).collect::<Option<_>>()?)
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_dynamodb::types::AttributeValue;
    use shared::block::{Builder, stored::OpenBlock};

    const CHANNEL: &str = "live_orders_btcusd";

    fn event(time: u64, more: Vec<(&str, AttributeValue)>) -> shared::item::Item {
        let mut item = shared::item::Item::from([
            ("id".to_owned(), AttributeValue::N("7".to_owned())),
            ("microtimestamp".to_owned(), AttributeValue::S(format!("{time}#a"))),
            ("channel".to_owned(), AttributeValue::S(CHANNEL.to_owned())),
            ("nmicrotimestamp".to_owned(), AttributeValue::N(time.to_string())),
        ]);
        item.extend(more.into_iter().map(|(name, value)| (name.to_owned(), value)));
        item
    }

    #[test]
    fn events_are_the_items_of_the_table() {
        let nested = AttributeValue::L(vec![
            AttributeValue::Null(true),
            AttributeValue::Bool(false),
            AttributeValue::M([("x".to_owned(), AttributeValue::N("-1.5".to_owned()))].into()),
        ]);
        let stored = [
            event(1_000_000, vec![("bids", nested.clone())]),
            event(1_000_001, vec![("bids", AttributeValue::L(vec![]))]),
            event(1_000_002, vec![("b", AttributeValue::S("text".to_owned()))]),
            event(1_000_003, vec![("bids", nested)]),
        ];
        let mut open = OpenBlock::new(CHANNEL, "a", 0);
        stored.iter().for_each(|item| open.add(item).unwrap());
        let block = open.finish().unwrap();
        let all = events(&block, &(Micros(0)..=Micros(u64::MAX)), None).unwrap();
        assert_eq!(all.items.iter().map(Item::attributes).collect::<Vec<_>>(), stored);
        assert!(Arc::ptr_eq(all.items[0].shape(), all.items[3].shape()));
        let some = events(&block, &(Micros(1_000_001)..=Micros(1_000_002)), None).unwrap();
        assert_eq!(some.items, all.items[1..=2]);
        assert!(some.bytes < all.bytes && some.bytes > 100);
        for (id, count) in [("7", 4), ("70", 0)] {
            let read = events(&block, &(Micros(0)..=Micros(u64::MAX)), Some(id)).unwrap();
            assert_eq!(read.items.len(), count);
        }
    }

    /// Nulls take a byte in the block, and thirty in memory.
    #[test]
    fn a_block_of_a_few_bytes_does_not_fill_the_memory() {
        let nulls = AttributeValue::L(vec![AttributeValue::Null(true); 1 << 18]);
        for (nulls, count, fits) in [
            (nulls.clone(), 1, true),
            (nulls.clone(), 40, false),
            (AttributeValue::L(vec![nulls.clone(), nulls.clone(), nulls]), 1, false),
        ] {
            let mut builder = Builder::new(CHANNEL);
            for time in 0..count {
                builder.add(&event(1_000_000 + time, vec![("x", nulls.clone())])).unwrap();
            }
            let block = BlockItem::new(CHANNEL, "a", 0, builder.finish()).unwrap();
            assert!(block.size() < 20_000);
            let read = events(&block, &(Micros(0)..=Micros(u64::MAX)), None);
            assert_eq!(read.is_ok(), fits, "{count}: {:?}", read.err());
        }
    }
}
