//! The literals of a block by number.

use aws_sdk_dynamodb::types::AttributeValue;
use std::collections::HashMap;

use super::literal::{self, Cell};
use super::words::TEXTS;

/// Literals up to this size are kept once and named by their number; longer ones are as good as never equal.
const SHARED: usize = 64;

/// The literals of a block. The writer adds one when it meets it, the reader when the columns first name it; both in the same order.
#[derive(Clone, Debug, Default)]
pub(super) struct Literals {
    /// What every block knows, then the block's section.
    bytes: Vec<u8>,
    /// Where the section begins.
    section: usize,
    /// How far the section was read.
    read: usize,
    /// Begin and end of each literal.
    places: Vec<(usize, usize)>,
    /// The number of literals that the columns have named, or that need no naming.
    pub(super) revealed: u32,
    known: HashMap<Vec<u8>, u32>,
    scratch: Vec<u8>,
}

impl Literals {
    /// The literals that every block of the channel knows, and a section of more.
    pub(super) fn new(channel: &str, section: &[u8]) -> Literals {
        let mut literals = Literals::default();
        let flags = [AttributeValue::Null(true), AttributeValue::Bool(false), AttributeValue::Bool(true)];
        let texts = [channel].into_iter().chain(TEXTS).map(|text| AttributeValue::S(text.to_owned()));
        for value in flags.into_iter().chain(texts) {
            literals.intern(&value);
        }
        literals.revealed = u32::try_from(literals.places.len()).unwrap_or(u32::MAX);
        literals.section = literals.bytes.len();
        literals.read = literals.section;
        literals.bytes.extend_from_slice(section);
        literals
    }

    /// The section as the writer has filled it.
    pub(super) fn section(&self) -> &[u8] {
        self.bytes.get(self.section..).unwrap_or_default()
    }

    /// The number of a value; added if it is new.
    pub(super) fn intern(&mut self, value: &AttributeValue) -> u32 {
        self.scratch.clear();
        literal::push(&mut self.scratch, value);
        if let Some(number) = self.known.get(&self.scratch) {
            return *number;
        }
        let number = u32::try_from(self.places.len()).unwrap_or(u32::MAX);
        let begin = self.bytes.len();
        self.bytes.extend_from_slice(&self.scratch);
        self.places.push((begin, self.bytes.len()));
        if self.scratch.len() <= SHARED {
            self.known.insert(self.scratch.clone(), number);
        }
        number
    }

    /// Appends bytes to the section that are no literal: names.
    pub(super) fn push_raw(&mut self, bytes: &[u8]) {
        self.bytes.extend_from_slice(bytes);
    }

    /// Reads bytes from the section that are no literal; `read` returns what it found and how many bytes that took.
    pub(super) fn read_raw<T>(&mut self, read: impl FnOnce(&[u8]) -> Option<(T, usize)>) -> Option<T> {
        let (found, length) = read(self.bytes.get(self.read..)?)?;
        self.read += length;
        Some(found)
    }

    /// The columns name the next literal: the reader adds it. False if the section has no further one.
    pub(super) fn reveal(&mut self) -> bool {
        self.revealed = self.revealed.saturating_add(1);
        if self.places.len() >= self.revealed as usize {
            return true;
        }
        let Some(length) = self.bytes.get(self.read..).and_then(literal::check) else { return false };
        self.places.push((self.read, self.read + length));
        self.read += length;
        true
    }

    /// The value of a number; null if there is none.
    pub(super) fn get(&self, number: u32) -> Cell<'_> {
        let place = self.places.get(number as usize);
        place.and_then(|(begin, end)| self.bytes.get(*begin..*end)).map_or(Cell::Null, literal::get)
    }

    /// Whether a value, if it is a text or a flag, is the one of this number.
    pub(super) fn is(&self, number: u32, value: &AttributeValue) -> bool {
        match (self.get(number), value) {
            (Cell::Text(known), AttributeValue::S(text)) => known == text,
            (Cell::Flag(known), AttributeValue::Bool(flag)) => known == *flag,
            _ => false,
        }
    }
}
