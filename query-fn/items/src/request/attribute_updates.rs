//! `AttributeUpdates`, the form of updates before expressions.
//! (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/LegacyConditionalParameters.AttributeUpdates.html>)

use serde_json::{Map, Value};

use crate::expression::{Action, Operand, Path, Update};
use crate::form::Form;

const EXPECTED: &str = r#"{"Value": value}, and where it is not PUT, "Action": ADD or DELETE"#;

/// Translates the older form; each action is the one of an expression that does the same.
pub(super) fn read(updates: &Map<String, Value>, form: Form) -> Result<Update, String> {
    if updates.is_empty() {
        return Err(format!("no attribute; expected {{\"name\": {EXPECTED}}}"));
    }
    let actions = updates.iter().map(|(name, update)| action(name, update, form));
    Ok(Update { actions: actions.collect::<Result<_, _>>()? })
}

fn action(name: &str, update: &Value, form: Form) -> Result<Action, String> {
    let wrong = || format!("`{name}`: expected {EXPECTED}");
    let update = update.as_object().ok_or_else(wrong)?;
    if let Some(unknown) = update.keys().find(|key| !["Value", "Action"].contains(&key.as_str())) {
        return Err(format!("`{name}`: `{unknown}` is unknown; allowed are Value, Action"));
    }
    let value = update.get("Value").map(|value| form.read(name, value)).transpose();
    let value = value.map_err(|error| error.to_string())?;
    let kind = update.get("Action").map_or(Some("PUT"), Value::as_str);
    let path = Path::of(name);
    match (kind, value) {
        (Some("PUT"), Some(value)) => Ok(Action::Set(path, Operand::Value(value))),
        (Some("ADD"), Some(value)) => Ok(Action::Add(path, value)),
        (Some("DELETE"), Some(value)) => Ok(Action::Delete(path, value)),
        (Some("DELETE"), None) => Ok(Action::Remove(path)),
        _ => Err(wrong()),
    }
}
