//! The events of a block, one after another.

use std::fmt;
use std::ops::RangeInclusive;
use std::sync::Arc;

use super::coder::Decoder;
use super::error::BlockError;
use super::literal::Cell;
use super::model::Model;
use super::shape::Shape;
use super::value::{EventId, Fixed, Val, hex, push_ascii};
use super::words::EVENT_ID;
use crate::item::Item;
use crate::key::SEPARATOR;
use crate::time::Micros;

/// Reads the events of a block in the order in which they were added. To begin in the middle, [`Rows::skip`].
#[derive(Clone, Debug)]
pub struct Rows<'block> {
    pub(super) model: Model,
    decoder: Decoder<'block>,
    left: u32,
    failed: Option<BlockError>,
    shape: Arc<Shape>,
    /// The texts of the row at hand.
    text: String,
    /// In the order of the names' texts.
    pieces: Vec<Piece>,
}

/// An attribute of the row at hand.
#[derive(Clone, Copy, Debug)]
enum Piece {
    /// From one place of the row's texts to another.
    Text(usize, usize),
    Number(usize, usize),
    Literal(u32),
}

/// An event of a block: the attributes that its item in events mode has.
#[derive(Clone, Copy)]
pub struct Row<'row> {
    rows: &'row Rows<'row>,
}

impl<'block> Rows<'block> {
    pub(super) fn new(model: Model, coded: &'block [u8], count: u32) -> Rows<'block> {
        Rows {
            model,
            decoder: Decoder::new(coded),
            left: count,
            failed: None,
            shape: Arc::new(Shape::default()),
            text: String::new(),
            pieces: Vec::new(),
        }
    }

    /// The number of events that were not read yet.
    #[must_use]
    pub fn left(&self) -> u32 {
        self.left
    }

    /// Passes over `count` events, at half the price of reading them: texts are not built. Less if there are no more.
    ///
    /// # Errors
    ///
    /// [`BlockError::Damaged`].
    pub fn skip(&mut self, count: u32) -> Result<(), BlockError> {
        for _ in 0..count.min(self.left) {
            self.advance()?;
        }
        Ok(())
    }

    /// Reads the next event; `None` behind the last one.
    ///
    /// # Errors
    ///
    /// [`BlockError::Damaged`], then and from then on.
    #[expect(clippy::should_implement_trait, reason = "the row borrows from the reader, which no iterator's item can")]
    pub fn next(&mut self) -> Result<Option<Row<'_>>, BlockError> {
        if self.left == 0 {
            return Ok(None);
        }
        self.advance()?;
        self.row().map(Some)
    }

    /// The event in the model.
    fn row(&mut self) -> Result<Row<'_>, BlockError> {
        if let Err(error) = self.render() {
            self.failed = Some(error.clone());
            return Err(error);
        }
        Ok(Row { rows: self })
    }

    /// Reads the next event whose time is in `times`; `None` if there is none. Those before it are passed over at half the price.
    ///
    /// # Errors
    ///
    /// As [`Rows::next`].
    pub fn next_within(&mut self, times: &RangeInclusive<Micros>) -> Result<Option<Row<'_>>, BlockError> {
        loop {
            if self.left == 0 {
                return Ok(None);
            }
            self.advance()?;
            if times.contains(&Micros(self.model.time)) {
                break;
            }
        }
        self.row().map(Some)
    }

    /// Decodes the next event into the model; there must be one.
    pub(super) fn advance(&mut self) -> Result<(), BlockError> {
        if let Some(error) = &self.failed {
            return Err(error.clone());
        }
        self.left = self.left.saturating_sub(1);
        self.model.event(&mut self.decoder).inspect_err(|error| self.failed = Some(error.clone()))
    }

    /// Builds the texts of the event in the model.
    fn render(&mut self) -> Result<(), BlockError> {
        let Rows { model, text, pieces, shape, .. } = self;
        *shape = model.shapes.get(model.shape).cloned().ok_or(BlockError::Damaged("a shape that is not there"))?;
        text.clear();
        pieces.resize(shape.names.len(), Piece::Literal(0));
        let mut event_id = None;
        for ((number, rank), value) in shape.names.iter().zip(&shape.ranks).zip(&model.values) {
            let begin = text.len();
            match *value {
                Val::Text(fixed) | Val::Number(fixed) => fixed.push(text),
                Val::EventId(id) => id.push(text),
                Val::TimeAndEventId => push_sort_key(text, model.time, event_id)?,
                Val::TimeAndHash(hash) => {
                    push_time(text, model.time);
                    push_ascii(text, &hex(hash));
                }
                Val::Literal(_) => {}
            }
            if let Some(piece) = pieces.get_mut(*rank) {
                *piece = match *value {
                    Val::Number(_) => Piece::Number(begin, text.len()),
                    Val::Literal(literal) => Piece::Literal(literal),
                    _ => Piece::Text(begin, text.len()),
                };
            }
            if let (EVENT_ID, Val::EventId(id)) = (*number, *value) {
                event_id = Some(id);
            }
        }
        Ok(())
    }
}

fn push_time(text: &mut String, time: u64) {
    Fixed::of_whole(time).unwrap_or_default().push(text);
    text.push(SEPARATOR);
}

fn push_sort_key(text: &mut String, time: u64, event_id: Option<EventId>) -> Result<(), BlockError> {
    push_time(text, time);
    event_id.ok_or(BlockError::Damaged("a sort key without an event id"))?.push(text);
    Ok(())
}

impl<'row> Row<'row> {
    /// The exchange's time (`nmicrotimestamp`), microseconds since the Unix epoch.
    #[must_use]
    pub fn time(&self) -> Micros {
        Micros(self.rows.model.time)
    }

    /// The number of the row's shape: rows of a block with the same number have the same names.
    #[must_use]
    pub fn shape(&self) -> usize {
        self.rows.model.shape
    }

    /// Names and values of the attributes, sorted by name.
    pub fn cells(&self) -> impl Iterator<Item = (&'row str, Cell<'row>)> + use<'row> {
        let rows = self.rows;
        rows.shape.sorted.iter().zip(&rows.pieces).map(move |(number, piece)| {
            let slice = |begin: usize, end: usize| rows.text.get(begin..end).unwrap_or_default();
            let cell = match *piece {
                Piece::Text(begin, end) => Cell::Text(slice(begin, end)),
                Piece::Number(begin, end) => Cell::Number(slice(begin, end)),
                Piece::Literal(literal) => rows.model.literals.get(literal),
            };
            (rows.model.names.text(*number), cell)
        })
    }

    /// The value of an attribute.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<Cell<'row>> {
        self.cells().find_map(|(known, cell)| (known == name).then_some(cell))
    }

    /// The event as an item, as a table returns it in events mode.
    #[must_use]
    pub fn to_item(&self) -> Item {
        self.cells().map(|(name, cell)| (name.to_owned(), cell.to_attribute())).collect()
    }
}

impl fmt::Debug for Row<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_map().entries(self.cells()).finish()
    }
}
