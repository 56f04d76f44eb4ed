//! Cuts a JSON array into its elements while it arrives.

use std::collections::VecDeque;

/// Size of the longest element, in bytes; an order event has 500.
const LONGEST: usize = 64 << 10;

/// Splits a JSON array into its objects, in whatever pieces it arrives. The objects themselves are left to a parser.
#[derive(Debug, Default)]
pub struct ArrayCutter {
    element: Vec<u8>,
    elements: VecDeque<Vec<u8>>,
    position: Position,
    /// Nesting depth in braces and brackets; the array itself is 1.
    depth: u32,
    in_text: bool,
    escaped: bool,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Position {
    #[default]
    Before,
    Inside,
    After,
}

/// Why bytes are no array of objects.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum CutError {
    /// Another character where an object should begin.
    #[error("expected an array of objects and found `{0}`")]
    Unexpected(char),
    /// An element of more than 64 KiB.
    #[error("an element of more than {LONGEST} bytes")]
    TooLong,
}

impl ArrayCutter {
    /// Takes the next piece of the answer.
    ///
    /// # Errors
    ///
    /// Returns a [`CutError`] if the bytes are no array of objects.
    pub fn feed(&mut self, bytes: &[u8]) -> Result<(), CutError> {
        bytes.iter().try_for_each(|byte| self.step(*byte))
    }

    /// Returns the next complete element.
    pub fn take(&mut self) -> Option<Vec<u8>> {
        self.elements.pop_front()
    }

    /// Returns true once the array's end was seen.
    #[must_use]
    pub fn is_whole(&self) -> bool {
        self.position == Position::After
    }

    fn step(&mut self, byte: u8) -> Result<(), CutError> {
        let outside = self.depth < 2;
        if outside && byte.is_ascii_whitespace() {
            return Ok(());
        }
        match (self.position, self.depth, byte) {
            (Position::Before, _, b'[') => (self.position, self.depth) = (Position::Inside, 1),
            (Position::Inside, 1, b']') => (self.position, self.depth) = (Position::After, 0),
            (Position::Inside, 1, b',') => {}
            (Position::Inside, 1, b'{') => self.keep(byte, 2)?,
            (Position::Inside, 2.., _) if self.in_text => {
                self.in_text = self.escaped || byte != b'"';
                self.escaped = !self.escaped && byte == b'\\';
                self.keep(byte, self.depth)?;
            }
            (Position::Inside, 2.., b'"') => {
                self.in_text = true;
                self.keep(byte, self.depth)?;
            }
            (Position::Inside, 2.., b'{' | b'[') => self.keep(byte, self.depth + 1)?,
            (Position::Inside, 2.., b'}' | b']') => {
                self.keep(byte, self.depth - 1)?;
                if self.depth == 1 {
                    self.elements.push_back(std::mem::take(&mut self.element));
                }
            }
            (Position::Inside, 2.., _) => self.keep(byte, self.depth)?,
            _ => return Err(CutError::Unexpected(char::from(byte))),
        }
        Ok(())
    }

    fn keep(&mut self, byte: u8, depth: u32) -> Result<(), CutError> {
        self.depth = depth;
        self.element.push(byte);
        if self.element.len() > LONGEST { Err(CutError::TooLong) } else { Ok(()) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Value, json};

    fn cut(text: &[u8], piece: usize) -> Result<(Vec<Value>, bool), CutError> {
        let (mut cutter, mut found) = (ArrayCutter::default(), Vec::new());
        for bytes in text.chunks(piece) {
            cutter.feed(bytes)?;
            while let Some(element) = cutter.take() {
                found.push(serde_json::from_slice(&element).unwrap());
            }
        }
        Ok((found, cutter.is_whole()))
    }

    fn value() -> impl Strategy<Value = Value> {
        let leaf = prop_oneof![any::<i64>().prop_map(Value::from), r#"[a"\\\[\]{},:é]{0,9}"#.prop_map(Value::from)];
        leaf.prop_recursive(3, 12, 4, |inner| {
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(Value::from),
                prop::collection::btree_map(r#"[a"\\}]{0,3}"#, inner, 0..4).prop_map(|fields| json!(fields)),
            ]
        })
    }

    proptest! {
        #[test]
        fn every_object_comes_out_whole(
            objects in prop::collection::vec(prop::collection::btree_map("[a-z]{0,3}", value(), 0..4), 0..6),
            piece in 1_usize..40,
            pretty: bool,
        ) {
            let objects: Vec<Value> = objects.into_iter().map(|fields| json!(fields)).collect();
            let text = if pretty { serde_json::to_vec_pretty(&objects) } else { serde_json::to_vec(&objects) }.unwrap();
            prop_assert_eq!(cut(&text, piece), Ok((objects.clone(), true)));
            let (found, whole) = cut(&text[..text.len() - 1], piece).unwrap();
            prop_assert_eq!((found, whole), (objects, false));
        }
    }

    #[test]
    fn what_is_no_array_of_objects_is_named() {
        assert_eq!(cut(b"<html>", 3), Err(CutError::Unexpected('<')));
        assert_eq!(cut(b"[1]", 3), Err(CutError::Unexpected('1')));
        assert_eq!(cut(b"{\"status\":\"error\"}", 9), Err(CutError::Unexpected('{')));
        assert_eq!(cut(format!("[{{\"a\":\"{}", "a".repeat(LONGEST)).as_bytes(), 500), Err(CutError::TooLong));
    }
}
