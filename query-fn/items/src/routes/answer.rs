//! The answers about one item.

use query_fn::http::problem::{Fault, Kind, Problem};
use serde_json::{Map, Value};
use shared::{block::stored::BlockItem, item::Item};

use super::{IF_MATCH, digest};
use crate::change::{Done, Refused};
use crate::form::Form;
use crate::item::is_block;
use crate::request::Change;

/// `Item`, if there is one, and the digest that names its state; of a block also its events, or what is wrong with it.
pub(super) fn of_item(item: Option<&Item>, form: Form) -> Value {
    let mut answer = Map::new();
    if let Some(item) = item {
        answer.insert("Item".to_owned(), form.write_item(item));
        if is_block(item) {
            let events = BlockItem::from_attributes(item).and_then(|block| block.events());
            let (name, value) = match events {
                Ok(events) => ("Events", events.iter().map(|event| form.write_item(event)).collect()),
                Err(error) => ("Fault", Value::String(error.to_string())),
            };
            answer.insert(name.to_owned(), value);
        }
    }
    answer.insert(IF_MATCH.to_owned(), digest(item));
    Value::Object(answer)
}

/// `Attributes` as `ReturnValues` asks for, the digest of the item now, and whether anything was written.
pub(super) fn of_change(change: &Change, done: &Done) -> Value {
    let mut answer = Map::new();
    if let Some(returned) = change.returned(done.before.as_ref(), done.after.as_ref()) {
        answer.insert("Attributes".to_owned(), change.form.write_item(&returned));
    }
    answer.insert(IF_MATCH.to_owned(), digest(done.after.as_ref()));
    answer.insert("changed".to_owned(), Value::Bool(done.is_change));
    Value::Object(answer)
}

/// Why nothing was changed. A conflict has the item as it is now, and the digest to try again with.
pub(super) fn of_refusal(refused: Refused, form: Form) -> Problem {
    let fault =
        |name: &str, reason: String| Problem::parameters(vec![Fault { parameter: format!("payload.{name}"), reason }]);
    match refused {
        Refused::Conflict { reason, current } => {
            let mut problem = Problem::new(Kind::Conflict, format!("{reason}; nothing was changed"));
            let current_item = current.as_ref().map_or(Value::Null, |current| form.write_item(current));
            problem.members.insert("current".to_owned(), current_item);
            problem.members.insert(IF_MATCH.to_owned(), digest(current.as_ref()));
            problem
        }
        Refused::NotAllowed { field, reason } => fault(field, reason),
        Refused::Expression(error) => fault("UpdateExpression", error.to_string()),
        Refused::Invalid(reason) => {
            let detail = format!("the store refuses this change: {reason}; nothing was changed");
            Problem::new(Kind::WrongParameters, detail)
        }
        Refused::Unknown => Problem::busy(
            "the store did not say in time whether the change was made. If it was, /items/audit has it; a repetition with the same `ifMatch` \
             changes nothing twice"
                .to_owned(),
        ),
        Refused::Store(error) => error.into(),
    }
}
