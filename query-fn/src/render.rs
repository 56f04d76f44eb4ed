use aws_sdk_dynamodb::types::AttributeValue;
use serde_json::{Map, Value, json};
use shared::item::{self, Item, ItemError};

use crate::page::Row;

/// The body of a page of `/bitstamp`.
///
/// # Errors
///
/// [`ItemError`] for items that this project did not write.
pub fn page(rows: &[Row], token: Option<String>) -> Result<Vec<u8>, ItemError> {
    let items = rows.iter().map(|row| event(&row.item)).collect::<Result<Vec<_>, _>>()?;
    let mut body = json!({ "Count": items.len(), "ScannedCount": items.len(), "Gaps": [] });
    if let Value::Object(fields) = &mut body {
        fields.insert("Items".to_owned(), Value::Array(items.into_iter().map(Value::Object).collect()));
        if let Some(token) = token {
            fields.insert("LastEvaluatedKey".to_owned(), Value::String(token));
        }
    }
    Ok(body.to_string().into_bytes())
}

/// An item as people see it, with a string beside every number that a reader with 53-bit integers would round.
fn event(item: &Item) -> Result<Map<String, Value>, ItemError> {
    let mut event = item::to_json(item)?;
    for (name, value) in item {
        let AttributeValue::N(digits) = value else { continue };
        let sibling = format!("{name}_str");
        if (name == "id" || name.ends_with("_id")) && !item.contains_key(&sibling) {
            event.insert(sibling, Value::String(digits.clone()));
        }
    }
    Ok(event)
}
