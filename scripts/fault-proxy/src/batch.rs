//! Takes batch calls apart, so that some of their members can fail.

use bytes::Bytes;
use rand::{RngExt, seq::IndexedRandom};
use rand_chacha::ChaCha8Rng;
use serde_json::{Map, Value, json};

/// A `BatchWriteItem` call taken apart into its write requests.
#[derive(Debug)]
pub struct WriteBatch {
    /// Everything of the body but the requests.
    rest: Map<String, Value>,
    /// The write requests with their tables, in order.
    pub requests: Vec<(String, Value)>,
}

impl WriteBatch {
    /// Takes a body apart; `None` where it has not the form of a `BatchWriteItem`.
    pub fn read(body: Value) -> Option<Self> {
        let Value::Object(mut rest) = body else { return None };
        let Value::Object(tables) = rest.remove("RequestItems")? else { return None };
        let mut requests = Vec::new();
        for (table, members) in tables {
            let Value::Array(members) = members else { return None };
            requests.extend(members.into_iter().map(|member| (table.clone(), member)));
        }
        Some(Self { rest, requests })
    }

    /// Splits off the requests whose flag in `forward` is false. The body to forward is `None` where nothing remains.
    pub fn split(mut self, forward: &[bool]) -> (Option<Bytes>, Vec<(String, Value)>) {
        let mut left = Vec::new();
        let mut kept = Vec::new();
        for (position, request) in self.requests.into_iter().enumerate() {
            let keep = forward.get(position).copied().unwrap_or(true);
            if keep { kept.push(request) } else { left.push(request) }
        }
        if kept.is_empty() {
            return (None, left);
        }
        self.rest.insert("RequestItems".to_owned(), by_table(kept));
        (Some(Value::Object(self.rest).to_string().into()), left)
    }
}

fn by_table(requests: Vec<(String, Value)>) -> Value {
    let mut tables = Map::new();
    for (table, request) in requests {
        let members = tables.entry(table).or_insert_with(|| json!([]));
        if let Value::Array(members) = members {
            members.push(request);
        }
    }
    Value::Object(tables)
}

/// Adds what was not forwarded to the `UnprocessedItems` of an answer.
pub fn with_unprocessed(answer: Option<Value>, left: Vec<(String, Value)>) -> Value {
    let mut answer = answer.unwrap_or_else(|| json!({}));
    let mut all = left;
    if let Some(Value::Object(tables)) = answer.get_mut("UnprocessedItems").map(Value::take) {
        for (table, members) in tables {
            let Value::Array(members) = members else { continue };
            all.extend(members.into_iter().map(|member| (table.clone(), member)));
        }
    }
    if let Value::Object(fields) = &mut answer {
        fields.insert("UnprocessedItems".to_owned(), by_table(all));
    }
    answer
}

/// A random selection of `count` flags with at least one false: the members to forward.
pub fn some_but_not_all(count: usize, dice: &mut ChaCha8Rng) -> Vec<bool> {
    let mut forward: Vec<bool> = (0..count).map(|_| dice.random_bool(0.5)).collect();
    if forward.iter().all(|keep| *keep) && count > 0 {
        let spared = dice.random_range(0..count);
        if let Some(flag) = forward.get_mut(spared) {
            *flag = false;
        }
    }
    forward
}

/// A `BatchExecuteStatement` call with errors planned for some of its statements.
#[derive(Debug)]
pub struct StatementBatch {
    body: Map<String, Value>,
    plans: Vec<Plan>,
}

/// What happens to one statement.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Plan {
    /// It runs and its own answer is given.
    Run,
    /// It does not run and fails with this code.
    Refuse(&'static str),
    /// It runs, and the answer says that it failed inside.
    RunAndHide,
}

/// Codes that a client has to send again.
/// Source: <https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_BatchStatementError.html>
const CODES: [&str; 5] = [
    "ThrottlingError",
    "ProvisionedThroughputExceeded",
    "InternalServerError",
    "RequestLimitExceeded",
    "TransactionConflict",
];

impl StatementBatch {
    /// Plans errors for a random part of the statements, one at least. `None` where the body has not the right form.
    pub fn read(body: Value, dice: &mut ChaCha8Rng) -> Option<Self> {
        let count = body.get("Statements")?.as_array()?.len();
        let plans = some_but_not_all(count, dice).into_iter().map(|run| if run { Plan::Run } else { error(dice) });
        Self::planned(body, plans.collect())
    }

    /// Lets every statement fail with one code.
    pub fn refused(body: Value, code: &'static str) -> Option<Self> {
        let count = body.get("Statements")?.as_array()?.len();
        Self::planned(body, vec![Plan::Refuse(code); count])
    }

    fn planned(body: Value, plans: Vec<Plan>) -> Option<Self> {
        let Value::Object(body) = body else { return None };
        Some(Self { body, plans })
    }

    /// The body with the statements that run; `None` where none does.
    pub fn forwarded(&self) -> Option<Bytes> {
        let mut body = self.body.clone();
        let statements = body.get_mut("Statements")?.as_array_mut()?;
        let mut plans = self.plans.iter();
        statements.retain(|_| !matches!(plans.next(), Some(Plan::Refuse(_))));
        (!statements.is_empty()).then(|| Value::Object(body).to_string().into())
    }

    /// The client's answer: the planned errors in their places among the real responses.
    pub fn merge(&self, answer: Option<Value>) -> Value {
        let mut answer = answer.unwrap_or_else(|| json!({}));
        let mut real = match answer.get_mut("Responses").map(Value::take) {
            Some(Value::Array(responses)) => responses.into_iter(),
            _ => Vec::new().into_iter(),
        };
        let mut responses = Vec::new();
        for plan in &self.plans {
            responses.push(match plan {
                Plan::Run => real.next().unwrap_or_else(|| json!({})),
                Plan::Refuse(code) => statement_error(code),
                Plan::RunAndHide => {
                    real.next();
                    statement_error("InternalServerError")
                }
            });
        }
        if let Value::Object(fields) = &mut answer {
            fields.insert("Responses".to_owned(), Value::Array(responses));
        }
        answer
    }
}

fn error(dice: &mut ChaCha8Rng) -> Plan {
    let code = CODES.choose(dice).copied().unwrap_or("InternalServerError");
    if code == "InternalServerError" && dice.random_bool(0.5) { Plan::RunAndHide } else { Plan::Refuse(code) }
}

fn statement_error(code: &str) -> Value {
    json!({"Error": {"Code": code, "Message": format!("the statement failed: {code}")}})
}

#[cfg(test)]
mod tests {
    use super::*;
    use rand::SeedableRng;

    fn puts(ids: std::ops::Range<u32>) -> Value {
        let members: Vec<Value> =
            ids.map(|id| json!({"PutRequest": {"Item": {"id": {"N": id.to_string()}}}})).collect();
        json!({"RequestItems": {"t": members}, "ReturnConsumedCapacity": "TOTAL"})
    }

    #[test]
    fn a_split_batch_loses_nothing() {
        for seed in 0..200 {
            let mut dice = ChaCha8Rng::seed_from_u64(seed);
            let count = dice.random_range(1..=25_u32);
            let batch = WriteBatch::read(puts(0..count)).unwrap();
            let all = batch.requests.clone();
            let forward = some_but_not_all(all.len(), &mut dice);
            let (body, left) = batch.split(&forward);
            assert!(!left.is_empty(), "seed {seed}");
            let kept = body.map_or_else(Vec::new, |body| {
                WriteBatch::read(serde_json::from_slice(&body).unwrap()).unwrap().requests
            });
            let mut together: Vec<String> = kept.iter().chain(&left).map(|(_, request)| request.to_string()).collect();
            let mut expected: Vec<String> = all.iter().map(|(_, request)| request.to_string()).collect();
            together.sort();
            expected.sort();
            assert_eq!(together, expected, "seed {seed}");
        }
    }

    #[test]
    fn the_engines_own_unprocessed_items_stay() {
        let theirs = json!({"UnprocessedItems": {"t": [{"a": 1}]}, "ConsumedCapacity": []});
        let merged = with_unprocessed(Some(theirs), vec![("t".into(), json!({"b": 2})), ("u".into(), json!({"c": 3}))]);
        assert_eq!(merged["UnprocessedItems"]["t"].as_array().unwrap().len(), 2);
        assert_eq!(merged["UnprocessedItems"]["u"].as_array().unwrap().len(), 1);
        assert_eq!(merged["ConsumedCapacity"], json!([]));
    }

    #[test]
    fn every_statement_gets_an_answer_in_its_place() {
        for seed in 0..200 {
            let mut dice = ChaCha8Rng::seed_from_u64(seed);
            let statements: Vec<Value> = (0..25).map(|n| json!({"Statement": n.to_string()})).collect();
            let batch = StatementBatch::read(json!({"Statements": statements}), &mut dice).unwrap();
            let sent: Value = batch.forwarded().map_or(Value::Null, |body| serde_json::from_slice(&body).unwrap());
            let echo: Vec<Value> = sent["Statements"].as_array().into_iter().flatten().cloned().collect();
            let merged = batch.merge(Some(json!({"Responses": echo})));
            let responses = merged["Responses"].as_array().unwrap();
            assert_eq!(responses.len(), 25);
            for (position, response) in responses.iter().enumerate() {
                let own = response["Statement"] == json!(position.to_string());
                assert!(own || response["Error"]["Code"].is_string(), "seed {seed}, statement {position}: {response}");
            }
            assert!(responses.iter().any(|response| response.get("Error").is_some()), "seed {seed}");
        }
    }
}
