//! Applies an update to an item.

use aws_sdk_dynamodb::types::AttributeValue;
use shared::item::Item;
use std::cmp::Reverse;

use super::{Action, ExpressionError, Operand, Path, Update, arithmetic};

impl Update {
    /// Returns the item after the update. Right-hand sides see the item as it was, and indexes of lists are those of the lists as they were.
    ///
    /// # Errors
    ///
    /// [`ExpressionError`] if two actions concern one place, a path leads nowhere, or a value has a wrong type.
    pub fn apply(&self, before: &Item) -> Result<Item, ExpressionError> {
        self.check_overlaps()?;
        let mut after = before.clone();
        let mut sets = Vec::new();
        let mut removals = Vec::new();
        for action in &self.actions {
            match action {
                Action::Set(path, operand) => sets.push((path, operand.value(before)?)),
                Action::Add(path, value) => sets.push((path, arithmetic::add(path.get(before), value)?)),
                Action::Remove(path) => removals.push(path),
                // Of what is not there nothing is left, but what is to be taken away has to be a set all the same.
                Action::Delete(path, value) => match arithmetic::delete(path.get(before).unwrap_or(value), value)? {
                    Some(left) => sets.push((path, left)),
                    None => removals.push(path),
                },
            }
        }
        // What lies behind the end of a list is appended in the order of its indexes.
        sets.sort_by_key(|(path, _)| *path);
        for (path, value) in sets {
            path.set(&mut after, value)?;
        }
        // From behind, so that the indexes before stay what they were.
        removals.sort_by_key(|path| Reverse(*path));
        for path in removals {
            path.remove(&mut after)?;
        }
        Ok(after)
    }

    fn check_overlaps(&self) -> Result<(), ExpressionError> {
        let mut paths: Vec<&Path> = self.actions.iter().map(Action::path).collect();
        // A path sorts right before those that lead into its place.
        paths.sort();
        for (left, right) in paths.iter().zip(paths.iter().skip(1)) {
            if left.overlaps(right) {
                return Err(ExpressionError::Overlap((*left).clone(), (*right).clone()));
            }
        }
        Ok(())
    }
}

impl Operand {
    fn value(&self, before: &Item) -> Result<AttributeValue, ExpressionError> {
        match self {
            Operand::Value(value) => Ok(value.clone()),
            Operand::Path(path) => path.get(before).cloned().ok_or_else(|| ExpressionError::NoPlace(path.clone())),
            Operand::IfNotExists(path, otherwise) => match path.get(before) {
                Some(value) => Ok(value.clone()),
                None => otherwise.value(before),
            },
            Operand::ListAppend(first, second) => match (first.value(before)?, second.value(before)?) {
                (AttributeValue::L(mut first), AttributeValue::L(second)) => {
                    first.extend(second);
                    Ok(AttributeValue::L(first))
                }
                _ => Err(ExpressionError::Type("list_append", "two lists")),
            },
            Operand::Plus(left, right) => arithmetic::sum(&left.value(before)?, &right.value(before)?, false),
            Operand::Minus(left, right) => arithmetic::sum(&left.value(before)?, &right.value(before)?, true),
        }
    }
}
