//! Literals: values that no column has a better form for, as bytes behind one another.

use aws_sdk_dynamodb::types::AttributeValue;

use super::bytes::{Reader, push_text, push_varint};
use super::value::plain;

const NULL: u8 = 0;
const FALSE: u8 = 1;
const TRUE: u8 = 2;
const TEXT: u8 = 3;
const NUMBER: u8 = 4;
const LIST: u8 = 5;
const MAP: u8 = 6;

/// DynamoDB nests up to 32 levels.
const MAX_DEPTH: u32 = 40;

/// The value of an attribute in a decoded event.
#[derive(Clone, Copy, Debug)]
pub enum Cell<'row> {
    /// S.
    Text(&'row str),
    /// N, in DynamoDB's spelling: all digits, no exponent, no zeros at either end.
    Number(&'row str),
    /// BOOL.
    Flag(bool),
    /// NULL.
    Null,
    /// L.
    List(Cells<'row>),
    /// M.
    Map(Fields<'row>),
}

/// The elements of a list.
#[derive(Clone, Copy, Debug)]
pub struct Cells<'row> {
    left: u64,
    reader: Reader<'row>,
}

/// The fields of a map, sorted by name.
#[derive(Clone, Copy, Debug)]
pub struct Fields<'row> {
    left: u64,
    reader: Reader<'row>,
}

impl<'row> Iterator for Cells<'row> {
    type Item = Cell<'row>;

    fn next(&mut self) -> Option<Cell<'row>> {
        self.left = self.left.checked_sub(1)?;
        Cell::read_and_pass(&mut self.reader)
    }
}

impl<'row> Iterator for Fields<'row> {
    type Item = (&'row str, Cell<'row>);

    fn next(&mut self) -> Option<(&'row str, Cell<'row>)> {
        self.left = self.left.checked_sub(1)?;
        let name = self.reader.text()?;
        Some((name, Cell::read_and_pass(&mut self.reader)?))
    }
}

impl<'row> Cell<'row> {
    /// Reads a value; of a list or a map the head only.
    fn read(reader: &mut Reader<'row>) -> Option<Cell<'row>> {
        Some(match reader.byte()? {
            NULL => Cell::Null,
            FALSE => Cell::Flag(false),
            TRUE => Cell::Flag(true),
            TEXT => Cell::Text(reader.text()?),
            NUMBER => Cell::Number(reader.text()?),
            LIST => Cell::List(Cells { left: reader.varint()?, reader: *reader }),
            MAP => Cell::Map(Fields { left: reader.varint()?, reader: *reader }),
            _ => return None,
        })
    }

    /// Reads a value and goes on behind it.
    fn read_and_pass(reader: &mut Reader<'row>) -> Option<Cell<'row>> {
        let cell = Cell::read(reader)?;
        match cell {
            Cell::List(_) | Cell::Map(_) => pass_inside(&cell, reader, 0)?,
            _ => {}
        }
        Some(cell)
    }

    /// The value as the SDK and the rest of this crate have it.
    #[must_use]
    pub fn to_attribute(self) -> AttributeValue {
        match self {
            Cell::Text(text) => AttributeValue::S(text.to_owned()),
            Cell::Number(digits) => AttributeValue::N(digits.to_owned()),
            Cell::Flag(flag) => AttributeValue::Bool(flag),
            Cell::Null => AttributeValue::Null(true),
            Cell::List(cells) => AttributeValue::L(cells.map(Cell::to_attribute).collect()),
            Cell::Map(fields) => {
                AttributeValue::M(fields.map(|(name, cell)| (name.to_owned(), cell.to_attribute())).collect())
            }
        }
    }
}

/// Goes behind the elements of a list or a map whose head was read.
fn pass_inside(cell: &Cell<'_>, reader: &mut Reader<'_>, depth: u32) -> Option<()> {
    let (left, named) = match cell {
        Cell::List(cells) => (cells.left, false),
        Cell::Map(fields) => (fields.left, true),
        _ => return Some(()),
    };
    if depth > MAX_DEPTH {
        return None;
    }
    // Each element takes a byte at least, so a forged count ends with the bytes.
    for _ in 0..left {
        if named {
            reader.text()?;
        }
        let inner = Cell::read(reader)?;
        pass_inside(&inner, reader, depth + 1)?;
    }
    Some(())
}

/// Writes a value. False for a type that no message becomes: binary values and sets.
pub(super) fn push(bytes: &mut Vec<u8>, value: &AttributeValue) -> bool {
    match value {
        AttributeValue::Null(_) => bytes.push(NULL),
        AttributeValue::Bool(flag) => bytes.push(if *flag { TRUE } else { FALSE }),
        AttributeValue::S(text) => {
            bytes.push(TEXT);
            push_text(bytes, text);
        }
        AttributeValue::N(digits) => {
            bytes.push(NUMBER);
            push_text(bytes, &plain(digits));
        }
        AttributeValue::L(values) => {
            bytes.push(LIST);
            push_varint(bytes, values.len() as u64);
            return values.iter().all(|value| push(bytes, value));
        }
        AttributeValue::M(fields) => {
            bytes.push(MAP);
            push_varint(bytes, fields.len() as u64);
            let mut fields: Vec<_> = fields.iter().collect();
            fields.sort_unstable_by_key(|(name, _)| *name);
            return fields.into_iter().all(|(name, value)| {
                push_text(bytes, name);
                push(bytes, value)
            });
        }
        _ => return false,
    }
    true
}

/// Reads a value with everything in it from the front of `bytes`: its length, if it is one.
pub(super) fn check(bytes: &[u8]) -> Option<usize> {
    let mut reader = Reader(bytes);
    let cell = Cell::read(&mut reader)?;
    pass_inside(&cell, &mut reader, 0)?;
    Some(bytes.len() - reader.0.len())
}

/// Reads a value that was [checked](check).
pub(super) fn get(bytes: &[u8]) -> Cell<'_> {
    Cell::read(&mut Reader(bytes)).unwrap_or(Cell::Null)
}
