//! Which attributes an event has.

use super::bytes::{Reader, push_text, push_varint};
use super::predict::Rule;
use super::words::{NAMES, ORDER_TYPE, Role, TIME};

/// The attributes of an event, by numbers of names, in the order in which they are coded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Shape {
    pub(super) names: Vec<usize>,
    /// The same numbers in the order of the names' texts.
    pub(super) sorted: Vec<usize>,
    /// For each place in `names`, the place of that number in `sorted`.
    pub(super) ranks: Vec<usize>,
    /// Whether events of this shape are steps of an order's life.
    pub(super) is_order: bool,
}

impl Shape {
    fn of(mut numbers: Vec<usize>, names: &Names) -> Shape {
        numbers.sort_unstable();
        let mut sorted: Vec<(usize, usize)> = numbers.iter().copied().enumerate().collect();
        sorted.sort_by_key(|(_, number)| names.text(*number));
        let mut ranks = vec![0; numbers.len()];
        for (rank, (place, _)) in sorted.iter().enumerate() {
            if let Some(kept) = ranks.get_mut(*place) {
                *kept = rank;
            }
        }
        let sorted = sorted.into_iter().map(|(_, number)| number).collect();
        Shape { sorted, ranks, is_order: numbers.contains(&ORDER_TYPE), names: numbers }
    }

    /// Writes which of the words the event has, as bits, and the names that are no words.
    pub(super) fn push(&self, names: &Names, bytes: &mut Vec<u8>) {
        let (words, others): (Vec<usize>, Vec<usize>) = self.names.iter().partition(|number| **number < NAMES.len());
        push_varint(bytes, words.iter().fold(0, |bits, word| bits | 1 << word));
        push_varint(bytes, others.len() as u64);
        for number in others {
            push_text(bytes, names.text(number));
        }
    }
}

/// Names by number: the words, then what the block has besides.
#[derive(Clone, Debug)]
pub(super) struct Names(Vec<String>);

/// More names than this are in no block: each takes memory for what is learned of its column.
pub(super) const MOST_NAMES: usize = 1_024;
/// More shapes than this are in no block.
pub(super) const MOST_SHAPES: usize = 1_024;

impl Names {
    pub(super) fn new() -> Names {
        Names(NAMES.iter().map(|(name, _)| (*name).to_owned()).collect())
    }

    pub(super) fn text(&self, number: usize) -> &str {
        self.0.get(number).map_or("", String::as_str)
    }

    pub(super) fn find(&self, name: &str) -> Option<usize> {
        self.0.iter().position(|known| known == name)
    }

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    fn number(&mut self, name: &str) -> Option<usize> {
        if let Some(number) = self.find(name) {
            return Some(number);
        }
        if self.0.len() >= MOST_NAMES {
            return None;
        }
        self.0.push(name.to_owned());
        Some(self.0.len() - 1)
    }

    /// The shape of an event with these attributes; `None` if the block has too many names.
    pub(super) fn shape<'name>(&mut self, names: impl Iterator<Item = &'name str>) -> Option<Shape> {
        let mut names: Vec<&str> = names.collect();
        names.sort_unstable();
        let numbers = names.into_iter().map(|name| self.number(name)).collect::<Option<Vec<_>>>()?;
        Some(Shape::of(numbers, self))
    }

    /// Reads a shape, and how many bytes it takes; `None` for what [`Shape::push`] does not write.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Option<(Shape, usize)> {
        let mut reader = Reader(bytes);
        let bits = reader.varint()?;
        if bits >> NAMES.len() != 0 || bits >> TIME & 1 == 0 {
            return None;
        }
        let mut numbers: Vec<usize> = (0..NAMES.len()).filter(|word| bits >> word & 1 == 1).collect();
        for _ in 0..reader.varint()? {
            let number = self.number(reader.text()?)?;
            if numbers.contains(&number) {
                return None;
            }
            numbers.push(number);
        }
        Some((Shape::of(numbers, self), bytes.len() - reader.0.len()))
    }
}

/// What becomes of the column of this number.
pub(super) fn role(number: usize) -> Role {
    NAMES.get(number).map_or(Role::Bound(Rule::Last), |(_, role)| *role)
}
