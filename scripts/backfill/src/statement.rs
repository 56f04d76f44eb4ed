//! Builds the conditional statement that makes one change.

use std::collections::HashMap;

use aws_sdk_dynamodb::{
    Client,
    operation::update_item::builders::UpdateItemFluentBuilder,
    types::{AttributeValue, BatchStatementRequest, ReturnConsumedCapacity, ReturnValuesOnConditionCheckFailure},
};

use crate::examine::{Change, ItemClassifier};

/// A change as a PartiQL statement: nothing happens unless the item exists and is still as it was read.
///
/// An `UPDATE` of a missing item fails its condition and creates nothing, so a deleted item stays deleted.
/// Source: <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/ql-reference.update.html>
pub fn partiql(table: &str, classifier: &ItemClassifier, change: &Change) -> BatchStatementRequest {
    let mut text = format!("UPDATE \"{table}\" SET \"{}\"=? WHERE ", classifier.to);
    let mut parameters = vec![change.new.clone()];
    for (position, (name, value)) in classifier.keys.iter().zip(&change.key).enumerate() {
        text.push_str(if position == 0 { "" } else { " AND " });
        text.push_str(&format!("\"{name}\"=?"));
        parameters.push(value.clone());
    }
    match &change.old {
        None => text.push_str(&format!(" AND \"{}\" IS MISSING", classifier.to)),
        Some(old) => {
            text.push_str(&format!(" AND \"{}\"=?", classifier.to));
            parameters.push(old.clone());
        }
    }
    if let Some(source) = &change.source {
        text.push_str(&format!(" AND \"{}\"=?", classifier.from));
        parameters.push(source.clone());
    }
    BatchStatementRequest::builder()
        .statement(text)
        .set_parameters(Some(parameters))
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
        .build()
        .expect("a statement has a text")
}

/// The same as an `UpdateItem`, which would create a missing item if its condition did not forbid it.
pub fn update_item(
    client: &Client,
    table: &str,
    classifier: &ItemClassifier,
    change: &Change,
) -> UpdateItemFluentBuilder {
    let mut condition = "attribute_exists(#key)".to_owned();
    let mut names = HashMap::from([("#to".to_owned(), classifier.to.clone())]);
    names.extend(classifier.keys.first().map(|key| ("#key".to_owned(), key.clone())));
    let mut values: HashMap<String, AttributeValue> = HashMap::from([(":new".to_owned(), change.new.clone())]);
    match &change.old {
        None => condition.push_str(" AND attribute_not_exists(#to)"),
        Some(old) => {
            condition.push_str(" AND #to = :old");
            values.insert(":old".to_owned(), old.clone());
        }
    }
    if let Some(source) = &change.source {
        condition.push_str(" AND #from = :source");
        names.insert("#from".to_owned(), classifier.from.clone());
        values.insert(":source".to_owned(), source.clone());
    }
    client
        .update_item()
        .table_name(table)
        .set_key(Some(classifier.keys.iter().cloned().zip(change.key.iter().cloned()).collect()))
        .update_expression("SET #to = :new")
        .condition_expression(condition)
        .set_expression_attribute_names(Some(names))
        .set_expression_attribute_values(Some(values))
        .return_consumed_capacity(ReturnConsumedCapacity::Total)
        .return_values_on_condition_check_failure(ReturnValuesOnConditionCheckFailure::AllOld)
}
