//! The members of a transaction: the change, its audit item, the number of changes.

use aws_sdk_dynamodb::{
    error::BuildError,
    types::{AttributeValue, ConditionCheck, Delete, Put, TransactWriteItem, Update},
};
use query_fn::query::store::StoreError;
use shared::{
    item::{EXPIRES, Item, ORIGIN, SOURCE},
    table::{CHANNEL, ID, NMICROTIMESTAMP, RECEIVED_AT},
};
use std::collections::{BTreeSet, HashMap};

use crate::audit::{CHANGES, Entry};
use crate::expression::Placeholders;
use crate::request::Condition;

/// The attributes by which the index finds an item.
pub(super) const INDEX_KEY: [&str; 2] = [CHANNEL, NMICROTIMESTAMP];
/// The attributes that programs of this project add to items that are there already.
const ADDED_LATER: [&str; 6] = [CHANNEL, NMICROTIMESTAMP, RECEIVED_AT, EXPIRES, ORIGIN, SOURCE];

type Members = Vec<TransactWriteItem>;

/// Returns a change with its record.
pub(super) fn of_change(table: &str, entry: &Entry<'_>, condition: Option<&Condition>) -> Result<Members, StoreError> {
    build_change(table, entry, condition).map_err(|error| StoreError::Refused(error.to_string()))
}

/// Returns a check of the caller's condition, where the item is already what the change makes of it.
pub(super) fn of_check(table: &str, entry: &Entry<'_>, condition: Option<&Condition>) -> Result<Members, StoreError> {
    let mut guard = Guard::new(condition);
    guard.require(entry);
    let (expression, names, values) = guard.finish(condition);
    let check = ConditionCheck::builder()
        .table_name(table)
        .set_key(Some(entry.key.to_item()))
        .condition_expression(expression)
        .set_expression_attribute_names(names)
        .set_expression_attribute_values(values)
        .build()
        .map_err(|error| StoreError::Refused(error.to_string()))?;
    Ok(vec![TransactWriteItem::builder().condition_check(check).build()])
}

fn build_change(table: &str, entry: &Entry<'_>, condition: Option<&Condition>) -> Result<Members, BuildError> {
    let member = TransactWriteItem::builder();
    let mut guard = Guard::new(condition);
    guard.require(entry);
    let change = match (entry.operation, entry.before, entry.after) {
        ("update", Some(before), Some(after)) => {
            let update = guard.difference(before, after);
            let (expression, names, values) = guard.finish(condition);
            let update = Update::builder()
                .table_name(table)
                .set_key(Some(entry.key.to_item()))
                .update_expression(update)
                .condition_expression(expression)
                .set_expression_attribute_names(names)
                .set_expression_attribute_values(values);
            member.update(update.build()?)
        }
        (_, _, Some(after)) => {
            let (expression, names, values) = guard.finish(condition);
            let put = Put::builder()
                .table_name(table)
                .set_item(Some(after.clone()))
                .condition_expression(expression)
                .set_expression_attribute_names(names)
                .set_expression_attribute_values(values);
            member.put(put.build()?)
        }
        (_, _, None) => {
            let (expression, names, values) = guard.finish(condition);
            let delete = Delete::builder()
                .table_name(table)
                .set_key(Some(entry.key.to_item()))
                .condition_expression(expression)
                .set_expression_attribute_names(names)
                .set_expression_attribute_values(values);
            member.delete(delete.build()?)
        }
    };
    Ok(vec![change.build(), record(table, entry)?, count(table, entry)?])
}

/// The audit item, under a key that is free.
fn record(table: &str, entry: &Entry<'_>) -> Result<TransactWriteItem, BuildError> {
    let put = Put::builder()
        .table_name(table)
        .set_item(Some(entry.to_item()))
        .condition_expression("attribute_not_exists(#id)")
        .expression_attribute_names("#id", ID);
    Ok(TransactWriteItem::builder().put(put.build()?).build())
}

/// The number of changes, raised by one.
fn count(table: &str, entry: &Entry<'_>) -> Result<TransactWriteItem, BuildError> {
    let put = Put::builder()
        .table_name(table)
        .set_item(Some(entry.counter()))
        .expression_attribute_names("#changes", CHANGES);
    let put = match entry.change.saturating_sub(1) {
        0 => put.condition_expression("attribute_not_exists(#changes)"),
        before => put
            .condition_expression("#changes = :before")
            .expression_attribute_values(":before", AttributeValue::N(before.to_string())),
    };
    Ok(TransactWriteItem::builder().put(put.build()?).build())
}

type Names = Option<HashMap<String, String>>;
type Values = Option<HashMap<String, AttributeValue>>;

/// The condition that an item is still what was read, with placeholders that the caller's expressions do not use.
struct Guard {
    prefix: String,
    placeholders: Placeholders,
    terms: Vec<String>,
}

impl Guard {
    fn new(condition: Option<&Condition>) -> Guard {
        let placeholders = condition.map(|condition| condition.placeholders.clone()).unwrap_or_default();
        let taken: Vec<&String> = placeholders.names.keys().chain(placeholders.values.keys()).collect();
        let mut prefix = "s".to_owned();
        while taken.iter().any(|name| name.get(1..).is_some_and(|name| name.starts_with(&prefix))) {
            prefix.push('_');
        }
        Guard { prefix, placeholders, terms: Vec::new() }
    }

    /// A placeholder of an attribute's name.
    fn name(&mut self, attribute: &str) -> String {
        let name = format!("#{}{}", self.prefix, self.placeholders.names.len());
        self.placeholders.names.insert(name.clone(), attribute.to_owned());
        name
    }

    /// A placeholder of a value.
    fn value(&mut self, value: &AttributeValue) -> String {
        let name = format!(":{}{}", self.prefix, self.placeholders.values.len());
        self.placeholders.values.insert(name.clone(), value.clone());
        name
    }

    /// Requires the item as it was read: each attribute as it was, and none that this change or another program adds. What else might be added
    /// meanwhile, DynamoDB has no condition for; where this function adds it, the number of changes tells.
    fn require(&mut self, entry: &Entry<'_>) {
        let Some(before) = entry.before else {
            let id = self.name(ID);
            self.terms.push(format!("attribute_not_exists({id})"));
            return;
        };
        for (attribute, value) in before {
            let (name, value) = (self.name(attribute), self.value(value));
            self.terms.push(format!("{name} = {value}"));
        }
        let new = entry.after.into_iter().flat_map(|after| after.keys().map(String::as_str));
        let absent: BTreeSet<&str> =
            new.chain(ADDED_LATER).filter(|attribute| !before.contains_key(*attribute)).collect();
        for attribute in absent {
            let name = self.name(attribute);
            self.terms.push(format!("attribute_not_exists({name})"));
        }
    }

    /// Returns the update expression that makes the one state of the other; what another program adds meanwhile stays.
    fn difference(&mut self, before: &Item, after: &Item) -> String {
        let changed = after.iter().filter(|(name, value)| before.get(*name) != Some(value));
        let set: Vec<_> = changed.map(|(name, value)| format!("{} = {}", self.name(name), self.value(value))).collect();
        let gone = before.keys().filter(|name| !after.contains_key(*name));
        let removed: Vec<_> = gone.map(|name| self.name(name)).collect();
        let clause = |word: &str, actions: Vec<String>| match actions.as_slice() {
            [] => String::new(),
            actions => format!("{word} {} ", actions.join(", ")),
        };
        format!("{}{}", clause("SET", set), clause("REMOVE", removed)).trim_end().to_owned()
    }

    /// Returns the whole condition with its placeholders.
    fn finish(self, condition: Option<&Condition>) -> (String, Names, Values) {
        let mut expression = self.terms.join(" AND ");
        if let Some(condition) = condition {
            expression = format!("({expression}) AND ({})", condition.expression);
        }
        let Placeholders { names, values } = self.placeholders;
        (expression, Some(names).filter(|names| !names.is_empty()), Some(values).filter(|values| !values.is_empty()))
    }
}
