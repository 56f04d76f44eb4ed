//! Reads a body: the operation, then the payload with the fields that the operation knows.

use query_fn::http::problem::{Fault, Problem};
use serde::Deserialize;
use serde_json::{Map, Value, value::RawValue};
use shared::table::{ID, MICROTIMESTAMP};

use super::fields::Fields;
use super::{Change, ItemAction, OPERATIONS, Request, attribute_updates, shown};
use crate::expression::{Placeholders, Update};
use crate::form::Form;

/// What `payload` of each operation may have. Names of the SDK begin with a capital letter, those of this function do not.
const READ: &[&str] = &["TableName", "Key", "ConsistentRead"];
const CREATE: &[&str] = &[
    "TableName",
    "Item",
    "ConditionExpression",
    "ExpressionAttributeNames",
    "ExpressionAttributeValues",
    "ReturnValues",
    "overwrite",
    "ifMatch",
    "allowReserved",
];
const UPDATE: &[&str] = &[
    "TableName",
    "Key",
    "UpdateExpression",
    "AttributeUpdates",
    "ConditionExpression",
    "ExpressionAttributeNames",
    "ExpressionAttributeValues",
    "ReturnValues",
    "ifMatch",
    "allowKeyAttributes",
    "allowReserved",
];
const DELETE: &[&str] = &[
    "TableName",
    "Key",
    "ConditionExpression",
    "ExpressionAttributeNames",
    "ExpressionAttributeValues",
    "ReturnValues",
    "ifMatch",
    "allowReserved",
];

#[derive(Deserialize)]
struct Raw<'body> {
    #[serde(borrow)]
    payload: Option<&'body RawValue>,
}

impl Request {
    /// Reads a body; `table` is the only table that a payload may name.
    ///
    /// # Errors
    ///
    /// A [`Problem`] that names every fault and what is allowed.
    pub fn parse(body: &[u8], table: &str) -> Result<Request, Problem> {
        let whole = |reason: String| Problem::parameters(vec![Fault { parameter: "body".to_owned(), reason }]);
        let value: Value =
            serde_json::from_slice(body).map_err(|error| whole(format!("not JSON: {error}; expected {EXPECTED}")))?;
        let Value::Object(mut members) = value else { return Err(whole(format!("expected {EXPECTED}"))) };
        let operation = members.remove("operation");
        let payload = members.remove("payload").unwrap_or(Value::Object(Map::new()));
        let unknown = members.keys().map(|name| Fault {
            parameter: name.clone(),
            reason: "unknown; allowed are operation, payload".to_owned(),
        });
        let mut faults: Vec<_> = unknown.collect();
        let operation = match operation {
            Some(Value::String(name)) if OPERATIONS.contains(&name.as_str()) => name,
            other => {
                let shown = other.as_ref().map_or("nothing".to_owned(), shown);
                let reason = format!("unrecognized operation {shown}; allowed are {}", OPERATIONS.join(", "));
                faults.push(Fault { parameter: "operation".to_owned(), reason });
                String::new()
            }
        };
        if !faults.is_empty() {
            return Err(Problem::parameters(faults));
        }
        if operation == "echo" {
            let raw: Raw<'_> = serde_json::from_slice(body).map_err(|error| whole(error.to_string()))?;
            return Ok(Request::Echo(raw.payload.map_or("null", RawValue::get).to_owned()));
        }
        let Value::Object(payload) = payload else {
            return Err(Problem::parameters(vec![Fault {
                parameter: "payload".to_owned(),
                reason: "expected an object".to_owned(),
            }]));
        };
        of_payload(&operation, payload, table)
    }
}

const EXPECTED: &str = r#"{"operation": "read", "payload": {"Key": {"id": 1, "microtimestamp": "5"}}}"#;

fn of_payload(operation: &str, payload: Map<String, Value>, table: &str) -> Result<Request, Problem> {
    let known = match operation {
        "read" => READ,
        "create" => CREATE,
        "update" => UPDATE,
        _ => DELETE,
    };
    let mut fields = Fields::of(payload, known);
    fields.table(table);
    let subject = fields.object(if operation == "create" { "Item" } else { "Key" });
    let form = Form::of(&subject);
    if operation == "read" {
        let key = fields.key(&subject, form);
        // Every read is consistent; what asks for less gets more.
        fields.flag("ConsistentRead");
        return fields.finish().map(|()| Request::Read { key, form });
    }
    change(operation, fields, &subject, form).map(|change| Request::Change(Box::new(change)))
}

fn change(operation: &str, mut fields: Fields, subject: &Map<String, Value>, form: Form) -> Result<Change, Problem> {
    let placeholders = fields.placeholders(form);
    let condition = fields.condition(&placeholders);
    let returns = fields.returns(operation == "update");
    let (key, action) = match operation {
        "create" => {
            let item = fields.item(subject, form);
            let key = fields.key_of(&item);
            (key, ItemAction::Create { item, overwrite: fields.flag("overwrite") })
        }
        "update" => {
            let key = fields.key(subject, form);
            let update = fields.update(&placeholders, form);
            fields.check_keys(&update);
            (key, ItemAction::Update(update))
        }
        _ => (fields.key(subject, form), ItemAction::Delete),
    };
    fields.check_unused(&placeholders);
    let change = Change {
        key,
        action,
        condition,
        if_match: fields.text("ifMatch"),
        allows_key_attributes: fields.flag("allowKeyAttributes"),
        allows_reserved: fields.flag("allowReserved"),
        returns,
        form,
    };
    fields.finish()?;
    Ok(change)
}

impl Fields {
    /// Refuses to change the primary key.
    fn check_keys(&mut self, update: &Update) {
        for name in [ID, MICROTIMESTAMP] {
            if update.attributes().any(|attribute| attribute == name) {
                self.fault(name, "the primary key of an item does not change: create another item and delete this one");
            }
        }
    }

    /// Takes what an update does, in its newer or its older form.
    fn update(&mut self, placeholders: &Placeholders, form: Form) -> Update {
        let expression = self.text("UpdateExpression");
        let older = self.take("AttributeUpdates");
        match (expression, older) {
            (Some(expression), None) => {
                self.used.extend(crate::expression::placeholders(&expression));
                match Update::parse(&expression, placeholders) {
                    Ok(update) => return update,
                    Err(error) => self.fault("UpdateExpression", error.to_string()),
                }
            }
            (None, Some(Value::Object(updates))) => match attribute_updates::read(&updates, form) {
                Ok(update) => return update,
                Err(reason) => self.fault("AttributeUpdates", reason),
            },
            (None, Some(_)) => self.fault("AttributeUpdates", r#"expected {"name": {"Value": value}}"#),
            (Some(_), Some(_)) => {
                self.fault("AttributeUpdates", "given beside UpdateExpression; one of them says what to do")
            }
            (None, None) => self.fault("UpdateExpression", "missing; expected one such as SET price_str = :price"),
        }
        Update::default()
    }
}
