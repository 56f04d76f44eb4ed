//! The fields of a payload, taken one by one; each method takes one field and collects its faults.

use query_fn::http::problem::{Fault, Problem};
use serde_json::{Map, Value};
use shared::item::Item;
use std::collections::BTreeSet;

use super::{Condition, ReturnValues, no_key, shown, typed_key};
use crate::expression::{self, Placeholders};
use crate::form::Form;
use crate::item::Key;

/// The longest expression, in bytes (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>); half of it, because
/// the condition on the item's state stands beside it.
const MAX_EXPRESSION: usize = 2048;

/// The fields that are not taken yet, and the faults found so far.
pub(super) struct Fields {
    given: Map<String, Value>,
    faults: Vec<Fault>,
    /// The placeholders that an expression has used.
    pub(super) used: BTreeSet<String>,
}

impl Fields {
    /// Returns the fields of a payload; one that is not in `known` is a fault.
    pub(super) fn of(payload: Map<String, Value>, known: &[&str]) -> Fields {
        let mut fields = Fields { given: Map::new(), faults: Vec::new(), used: BTreeSet::new() };
        for (name, value) in payload {
            if known.contains(&name.as_str()) {
                fields.given.insert(name, value);
            } else {
                fields.fault(&name, format!("unknown; allowed are {}", known.join(", ")));
            }
        }
        fields
    }

    pub(super) fn fault(&mut self, name: &str, reason: impl Into<String>) {
        self.faults.push(Fault { parameter: format!("payload.{name}"), reason: reason.into() });
    }

    /// Ends the reading of a payload.
    pub(super) fn finish(self) -> Result<(), Problem> {
        if self.faults.is_empty() { Ok(()) } else { Err(Problem::parameters(self.faults)) }
    }

    pub(super) fn take(&mut self, name: &str) -> Option<Value> {
        self.given.remove(name)
    }

    /// Takes a text.
    pub(super) fn text(&mut self, name: &str) -> Option<String> {
        match self.take(name)? {
            Value::String(text) if !text.is_empty() => Some(text),
            other => {
                self.fault(name, format!("expected a text, not {}", shown(&other)));
                None
            }
        }
    }

    /// Takes a flag; false where it is not given.
    pub(super) fn flag(&mut self, name: &str) -> bool {
        match self.take(name) {
            None => false,
            Some(Value::Bool(flag)) => flag,
            Some(other) => {
                self.fault(name, format!("expected true or false, not {}", shown(&other)));
                false
            }
        }
    }

    /// Takes `TableName`, which may only name the table that this function serves.
    pub(super) fn table(&mut self, table: &str) {
        if let Some(name) = self.text("TableName")
            && name != table
        {
            self.fault(
                "TableName",
                format!("`{name}` is not the table of this function, `{table}`; it may be left out"),
            );
        }
    }

    /// Takes an object that has to be there.
    pub(super) fn object(&mut self, name: &str) -> Map<String, Value> {
        match self.take(name) {
            Some(Value::Object(object)) => object,
            Some(other) => {
                self.fault(name, format!("expected an object, not {}", shown(&other)));
                Map::new()
            }
            None => {
                self.fault(name, "missing; expected an object with `id` and `microtimestamp`");
                Map::new()
            }
        }
    }

    /// Reads a complete key and nothing but a key.
    pub(super) fn key(&mut self, subject: &Map<String, Value>, form: Form) -> Key {
        if subject.is_empty() {
            return no_key();
        }
        match form.read_item(subject).map_err(|error| error.to_string()).and_then(|item| typed_key(&item)) {
            Ok(key) if subject.len() == 2 => return key,
            Ok(_) => self.fault("Key", "expected `id` and `microtimestamp` alone"),
            Err(reason) => self.fault("Key", reason),
        }
        no_key()
    }

    /// Reads the attributes of an item.
    pub(super) fn item(&mut self, subject: &Map<String, Value>, form: Form) -> Item {
        match form.read_item(subject) {
            Ok(item) => item,
            Err(error) => {
                self.fault("Item", error.to_string());
                Item::new()
            }
        }
    }

    /// Returns the key within an item.
    pub(super) fn key_of(&mut self, item: &Item) -> Key {
        match typed_key(item) {
            Ok(key) => key,
            Err(reason) => {
                if self.faults.is_empty() {
                    self.fault("Item", reason);
                }
                no_key()
            }
        }
    }

    /// Takes `ExpressionAttributeNames` and `ExpressionAttributeValues`.
    pub(super) fn placeholders(&mut self, form: Form) -> Placeholders {
        let mut placeholders = Placeholders::default();
        for (name, mark) in [("ExpressionAttributeNames", '#'), ("ExpressionAttributeValues", ':')] {
            let Some(given) = self.take(name) else { continue };
            let Value::Object(given) = given else {
                self.fault(name, format!("expected an object, not {}", shown(&given)));
                continue;
            };
            for (placeholder, value) in given {
                if expression::placeholders(&placeholder) != BTreeSet::from([placeholder.clone()])
                    || !placeholder.starts_with(mark)
                {
                    self.fault(name, format!("`{placeholder}` is not {mark} and letters, digits or _"));
                } else if mark == ':' {
                    match form.read(&placeholder, &value) {
                        Ok(value) => drop(placeholders.values.insert(placeholder, value)),
                        Err(error) => self.fault(name, error.to_string()),
                    }
                } else if let Value::String(attribute) = value {
                    placeholders.names.insert(placeholder, attribute);
                } else {
                    self.fault(name, format!("`{placeholder}`: expected an attribute's name"));
                }
            }
        }
        placeholders
    }

    /// Takes `ConditionExpression`.
    pub(super) fn condition(&mut self, placeholders: &Placeholders) -> Option<Condition> {
        let expression = self.text("ConditionExpression")?;
        if expression.len() > MAX_EXPRESSION {
            self.fault("ConditionExpression", format!("longer than {MAX_EXPRESSION} bytes"));
        }
        if !expression::is_balanced(&expression) {
            self.fault("ConditionExpression", "its parentheses do not match");
        }
        let used = expression::placeholders(&expression);
        let is_used = |name: &String| used.contains(name);
        let of_condition = Placeholders {
            names: placeholders.names.clone().into_iter().filter(|(name, _)| is_used(name)).collect(),
            values: placeholders.values.clone().into_iter().filter(|(name, _)| is_used(name)).collect(),
        };
        let known = |name: &String| of_condition.names.contains_key(name) || of_condition.values.contains_key(name);
        for missing in used.iter().filter(|name| !known(name)) {
            self.fault("ConditionExpression", format!("`{missing}` is not explained"));
        }
        self.used.extend(used);
        Some(Condition { expression, placeholders: of_condition })
    }

    /// Refuses placeholders that no expression uses, as DynamoDB does: one is probably misspelt.
    pub(super) fn check_unused(&mut self, placeholders: &Placeholders) {
        let unused = placeholders.unused(&self.used).join(", ");
        if !unused.is_empty() {
            self.fault("ExpressionAttributeNames", format!("no expression uses {unused}"));
        }
    }

    /// Takes `ReturnValues`.
    pub(super) fn returns(&mut self, is_update: bool) -> ReturnValues {
        let Some(name) = self.text("ReturnValues") else { return ReturnValues::None };
        let all = [
            ("NONE", ReturnValues::None),
            ("ALL_OLD", ReturnValues::AllOld),
            ("UPDATED_OLD", ReturnValues::UpdatedOld),
            ("ALL_NEW", ReturnValues::AllNew),
            ("UPDATED_NEW", ReturnValues::UpdatedNew),
        ];
        // Puts and deletes return nothing or the old item.
        let allowed = all.get(..if is_update { all.len() } else { 2 }).unwrap_or(&all);
        match allowed.iter().find(|(known, _)| *known == name) {
            Some((_, returns)) => *returns,
            None => {
                let names: Vec<_> = allowed.iter().map(|(name, _)| *name).collect();
                self.fault("ReturnValues", format!("`{name}` is none of {}", names.join(", ")));
                ReturnValues::None
            }
        }
    }
}
