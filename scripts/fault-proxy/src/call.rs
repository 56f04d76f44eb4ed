//! Parses one call: its action, table, index and kind of access.

use bytes::Bytes;
use http_body_util::BodyExt;
use hyper::{HeaderMap, Request, body::Incoming};
use serde_json::Value;

const TARGET_PREFIX: &str = "DynamoDB_20120810.";

/// One call as it arrived.
#[derive(Clone, Debug)]
pub struct Call {
    /// `BatchWriteItem`, `Query`, ...; empty where the target header is missing or foreign.
    pub action: String,
    /// The client's headers, forwarded as they are.
    pub headers: HeaderMap,
    /// The client's body, unread so far.
    pub body: Bytes,
}

impl Call {
    /// Reads a request to its end.
    ///
    /// # Errors
    /// When the client goes away before its request is complete.
    pub async fn read(request: Request<Incoming>) -> Result<Self, hyper::Error> {
        let (head, body) = request.into_parts();
        let action = head
            .headers
            .get("x-amz-target")
            .and_then(|target| target.to_str().ok())
            .and_then(|target| target.strip_prefix(TARGET_PREFIX))
            .unwrap_or_default()
            .to_owned();
        Ok(Self { action, headers: head.headers, body: body.collect().await?.to_bytes() })
    }

    /// The body as JSON; `Null` where it is none.
    pub fn json(&self) -> Value {
        serde_json::from_slice(&self.body).unwrap_or(Value::Null)
    }

    /// What kind of access the call is.
    pub fn access(&self) -> Access {
        match self.action.as_str() {
            "BatchWriteItem" | "PutItem" | "UpdateItem" | "DeleteItem" | "TransactWriteItems" => Access::Write,
            "GetItem" | "BatchGetItem" | "Query" | "Scan" | "TransactGetItems" => Access::Read,
            "ExecuteStatement" | "BatchExecuteStatement" | "ExecuteTransaction" => match self.statements().first() {
                Some(statement) if verb(statement) == "SELECT" => Access::Read,
                _ => Access::Write,
            },
            _ => Access::Control,
        }
    }

    /// The PartiQL texts of the call.
    pub fn statements(&self) -> Vec<String> {
        let body = self.json();
        let single = body.get("Statement").into_iter();
        let many = ["Statements", "TransactStatements"]
            .into_iter()
            .filter_map(|name| body.get(name)?.as_array())
            .flatten()
            .filter_map(|member| member.get("Statement"));
        single.chain(many).filter_map(Value::as_str).map(str::to_owned).collect()
    }

    /// The table the call is about (the first one where there are several).
    pub fn table(&self) -> String {
        let body = self.json();
        let named = body.get("TableName").and_then(Value::as_str).map(str::to_owned);
        let batched = || body.get("RequestItems")?.as_object()?.keys().next().cloned();
        let transacted = || {
            let member = body.get("TransactItems")?.as_array()?.first()?.as_object()?;
            Some(member.values().next()?.get("TableName")?.as_str()?.to_owned())
        };
        let spoken = || self.statements().first().and_then(|statement| table_of_statement(statement));
        named.or_else(batched).or_else(transacted).or_else(spoken).unwrap_or_else(|| "unknown".to_owned())
    }

    /// The index the call names.
    pub fn index(&self) -> Option<String> {
        self.json().get("IndexName").and_then(Value::as_str).map(str::to_owned)
    }
}

/// What kind of access a call is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Access {
    /// Reads items.
    Read,
    /// Writes items.
    Write,
    /// Neither: describes or changes tables.
    Control,
}

/// The first word of a PartiQL statement, in capitals.
pub fn verb(statement: &str) -> String {
    statement.split_whitespace().next().unwrap_or_default().to_ascii_uppercase()
}

fn table_of_statement(statement: &str) -> Option<String> {
    let mut words = statement.split_whitespace();
    let name = match verb(statement).as_str() {
        "UPDATE" => words.nth(1)?,
        _ => words.find(|word| ["FROM", "INTO"].contains(&word.to_ascii_uppercase().as_str())).and(words.next())?,
    };
    Some(name.trim_matches('"').to_owned())
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn call(action: &str, body: &Value) -> Call {
        Call { action: action.into(), headers: HeaderMap::new(), body: body.to_string().into() }
    }

    #[test]
    fn the_table_is_found_in_every_kind_of_call() {
        let calls = [
            call("Query", &json!({"TableName": "t"})),
            call("BatchWriteItem", &json!({"RequestItems": {"t": []}})),
            call("TransactWriteItems", &json!({"TransactItems": [{"Put": {"TableName": "t"}}]})),
            call("ExecuteStatement", &json!({"Statement": "SELECT * FROM \"t\" WHERE id = 1"})),
            call("BatchExecuteStatement", &json!({"Statements": [{"Statement": "UPDATE \"t\" SET a = ?"}]})),
        ];
        for call in calls {
            assert_eq!(call.table(), "t", "{}", call.action);
        }
    }

    #[test]
    fn statements_are_reads_or_writes_by_their_verb() {
        let access = |statement| call("ExecuteStatement", &json!({"Statement": statement})).access();
        assert_eq!(access("select * from t"), Access::Read);
        assert_eq!(access("update t set a = 1"), Access::Write);
        assert_eq!(call("DescribeTable", &json!({})).access(), Access::Control);
    }
}
