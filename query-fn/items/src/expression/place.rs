//! Places in an item: reading, writing and removing what a path leads to.

use aws_sdk_dynamodb::types::AttributeValue;
use shared::item::Item;

use super::ExpressionError;

/// A place in an item: an attribute, and the steps into it.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct Path {
    /// The name of the attribute.
    pub attribute: String,
    /// Names in maps, indexes in lists.
    pub steps: Vec<Step>,
}

/// One step into an attribute.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    /// A member of a map.
    Name(String),
    /// A member of a list, counted from 0.
    Index(usize),
}

impl Path {
    /// Returns the path of an attribute as a whole.
    #[must_use]
    pub fn of(attribute: &str) -> Path {
        Path { attribute: attribute.to_owned(), steps: Vec::new() }
    }

    /// True if one of the two leads to, or into, the place of the other.
    pub(super) fn overlaps(&self, other: &Path) -> bool {
        let shorter = self.steps.len().min(other.steps.len());
        self.attribute == other.attribute && self.steps.iter().take(shorter).eq(other.steps.iter().take(shorter))
    }

    /// Returns what is at the place.
    pub(super) fn get<'item>(&self, item: &'item Item) -> Option<&'item AttributeValue> {
        let mut value = item.get(&self.attribute)?;
        for step in &self.steps {
            value = match (step, value) {
                (Step::Name(name), AttributeValue::M(fields)) => fields.get(name)?,
                (Step::Index(index), AttributeValue::L(values)) => values.get(*index)?,
                _ => return None,
            };
        }
        Some(value)
    }

    /// Puts a value to the place; behind the end of a list it is appended.
    pub(super) fn set(&self, item: &mut Item, value: AttributeValue) -> Result<(), ExpressionError> {
        let Some((last, _)) = self.steps.split_last() else {
            item.insert(self.attribute.clone(), value);
            return Ok(());
        };
        match (last, self.parent(item)?) {
            (Step::Name(name), AttributeValue::M(fields)) => {
                fields.insert(name.clone(), value);
            }
            (Step::Index(index), AttributeValue::L(values)) => match values.get_mut(*index) {
                Some(member) => *member = value,
                None => values.push(value),
            },
            _ => return Err(ExpressionError::NoPlace(self.clone())),
        }
        Ok(())
    }

    /// Removes what is at the place; what is not there need not be removed, but the way to it has to be there.
    pub(super) fn remove(&self, item: &mut Item) -> Result<(), ExpressionError> {
        let Some((last, _)) = self.steps.split_last() else {
            item.remove(&self.attribute);
            return Ok(());
        };
        match (last, self.parent(item)?) {
            (Step::Name(name), AttributeValue::M(fields)) => {
                fields.remove(name);
            }
            (Step::Index(index), AttributeValue::L(values)) => {
                if *index < values.len() {
                    values.remove(*index);
                }
            }
            _ => return Err(ExpressionError::NoPlace(self.clone())),
        }
        Ok(())
    }

    /// Returns the map or the list that the last step leads into.
    fn parent<'item>(&self, item: &'item mut Item) -> Result<&'item mut AttributeValue, ExpressionError> {
        let missing = || ExpressionError::NoPlace(self.clone());
        let mut value = item.get_mut(&self.attribute).ok_or_else(missing)?;
        for step in self.steps.iter().take(self.steps.len().saturating_sub(1)) {
            value = match (step, value) {
                (Step::Name(name), AttributeValue::M(fields)) => fields.get_mut(name).ok_or_else(missing)?,
                (Step::Index(index), AttributeValue::L(values)) => values.get_mut(*index).ok_or_else(missing)?,
                _ => return Err(missing()),
            };
        }
        Ok(value)
    }
}
