//! Update expressions, worked out here and not in DynamoDB: a change and the record of what it makes of the item are one transaction, so the
//! item's new state has to be known before the transaction is sent.
//!
//! The language is DynamoDB's (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Expressions.UpdateExpressions.html>), except
//! that a reserved word needs no placeholder. A sum that needs more than 38 digits is refused, never rounded.

use aws_sdk_dynamodb::types::AttributeValue;
use std::{
    collections::{BTreeSet, HashMap},
    fmt,
};

mod apply;
mod arithmetic;
mod parse;
mod place;
mod token;

pub use place::{Path, Step};
pub use token::{is_balanced, placeholders};

/// What an update expression does, clause by clause.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Update {
    /// The actions in the order in which they were written.
    pub actions: Vec<Action>,
}

/// One action of an update expression.
#[derive(Clone, Debug, PartialEq)]
pub enum Action {
    /// Sets a path to a value.
    Set(Path, Operand),
    /// Removes a path.
    Remove(Path),
    /// Adds a number to a number, or members to a set.
    Add(Path, AttributeValue),
    /// Takes members out of a set.
    Delete(Path, AttributeValue),
}

/// The right-hand side of `SET`.
#[derive(Clone, Debug, PartialEq)]
pub enum Operand {
    /// A value of `ExpressionAttributeValues`.
    Value(AttributeValue),
    /// The value at a path before the update.
    Path(Path),
    /// `if_not_exists(path, operand)`
    IfNotExists(Path, Box<Operand>),
    /// `list_append(operand, operand)`
    ListAppend(Box<Operand>, Box<Operand>),
    /// `operand + operand`
    Plus(Box<Operand>, Box<Operand>),
    /// `operand - operand`
    Minus(Box<Operand>, Box<Operand>),
}

/// The reason why an expression cannot be read, or not be applied to an item.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ExpressionError {
    /// The text is no update expression.
    #[error("expected {expected} at `{found}`")]
    Syntax {
        /// What may stand here.
        expected: &'static str,
        /// The rest of the expression from here on, shortened.
        found: String,
    },
    /// A placeholder is nowhere explained.
    #[error("`{0}` is not in ExpressionAttributeNames or ExpressionAttributeValues")]
    Placeholder(String),
    /// A clause stands twice.
    #[error("`{0}` stands twice; give all its actions behind one")]
    Repeated(&'static str),
    /// Two actions concern the same place.
    #[error("`{0}` and `{1}` overlap")]
    Overlap(Path, Path),
    /// The path leads into something that is not there, or that is no map or list.
    #[error("`{0}` is not in the item")]
    NoPlace(Path),
    /// A value has a type that the action does not take.
    #[error("`{0}` takes {1}")]
    Type(&'static str, &'static str),
    /// A sum has more digits than DynamoDB keeps.
    #[error("the sum needs more than DynamoDB's 38 digits")]
    Digits,
}

/// What stands behind the placeholders of expressions.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Placeholders {
    /// `ExpressionAttributeNames`: `#name` to an attribute's name.
    pub names: HashMap<String, String>,
    /// `ExpressionAttributeValues`: `:name` to a value.
    pub values: HashMap<String, AttributeValue>,
}

impl Placeholders {
    /// Returns those that `used` has not.
    #[must_use]
    pub fn unused(&self, used: &BTreeSet<String>) -> Vec<&str> {
        let all = self.names.keys().chain(self.values.keys());
        let mut unused: Vec<_> = all.filter(|name| !used.contains(*name)).map(String::as_str).collect();
        unused.sort_unstable();
        unused
    }
}

impl Update {
    /// Returns the names of the attributes that the actions concern.
    pub fn attributes(&self) -> impl Iterator<Item = &str> {
        self.actions.iter().map(|action| action.path().attribute.as_str())
    }
}

impl Action {
    /// Returns the path that the action changes.
    #[must_use]
    pub fn path(&self) -> &Path {
        match self {
            Action::Set(path, _) | Action::Remove(path) | Action::Add(path, _) | Action::Delete(path, _) => path,
        }
    }
}

impl fmt::Display for Path {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.attribute)?;
        for step in &self.steps {
            match step {
                Step::Name(name) => write!(f, ".{name}")?,
                Step::Index(index) => write!(f, "[{index}]")?,
            }
        }
        Ok(())
    }
}
