//! Decides which IAM actions a call needs and refuses those that are not allowed.

use std::collections::BTreeSet;

use serde_json::Value;

use crate::answer::{index_arn, table_arn};
use crate::call::{Call, verb};

/// The first action that the call needs and the list lacks, with the resource it is about.
///
/// Actions are those of policies: PartiQL statements need `PartiQLSelect`, `PartiQLUpdate`, ... and transactions need
/// the actions of their members.
/// Source: <https://docs.aws.amazon.com/service-authorization/latest/reference/list_amazondynamodb.html>
pub fn missing(allowed: &BTreeSet<String>, call: &Call) -> Option<(String, String)> {
    let action = needed(call).into_iter().find(|action| !allowed.contains(action))?;
    let table = call.table();
    let resource = match call.index() {
        Some(index) => index_arn(&table, &index),
        None => table_arn(&table),
    };
    Some((action, resource))
}

fn needed(call: &Call) -> Vec<String> {
    match call.action.as_str() {
        "ExecuteStatement" | "BatchExecuteStatement" | "ExecuteTransaction" => {
            call.statements().iter().map(|statement| statement_action(statement)).collect()
        }
        "TransactWriteItems" | "TransactGetItems" => transaction_actions(&call.json()),
        action => vec![action.to_owned()],
    }
}

fn statement_action(statement: &str) -> String {
    let action = match verb(statement).as_str() {
        "SELECT" => "PartiQLSelect",
        "INSERT" => "PartiQLInsert",
        "DELETE" => "PartiQLDelete",
        _ => "PartiQLUpdate",
    };
    action.to_owned()
}

fn transaction_actions(body: &Value) -> Vec<String> {
    let members = body.get("TransactItems").and_then(Value::as_array).into_iter().flatten();
    members
        .filter_map(|member| member.as_object()?.keys().next())
        .map(|kind| match kind.as_str() {
            "ConditionCheck" => "ConditionCheckItem".to_owned(),
            kind => format!("{kind}Item"),
        })
        .collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn refused(allowed: &str, action: &str, body: &Value) -> Option<(String, String)> {
        let call = Call { action: action.into(), headers: Default::default(), body: body.to_string().into() };
        missing(&BTreeSet::from([allowed.to_owned()]), &call)
    }

    #[test]
    fn the_action_and_the_resource_are_named() {
        let query = json!({"TableName": "t", "IndexName": "i"});
        assert_eq!(refused("Query", "Query", &query), None);
        let (action, resource) = refused("Scan", "Query", &query).unwrap();
        assert_eq!((action.as_str(), resource.ends_with("table/t/index/i")), ("Query", true));
    }

    #[test]
    fn statements_and_transactions_need_the_actions_of_policies() {
        let batch = json!({"Statements": [{"Statement": "UPDATE \"t\" SET a = ?"}]});
        assert_eq!(refused("PartiQLUpdate", "BatchExecuteStatement", &batch), None);
        assert_eq!(refused("BatchExecuteStatement", "BatchExecuteStatement", &batch).unwrap().0, "PartiQLUpdate");
        let transaction = json!({"TransactItems": [{"ConditionCheck": {"TableName": "t"}}]});
        assert_eq!(refused("PutItem", "TransactWriteItems", &transaction).unwrap().0, "ConditionCheckItem");
    }
}
