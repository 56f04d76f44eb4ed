//! The commands that change nothing.

use anyhow::Context;
use axum::http::Method;
use serde_json::{Map, Number, Value, json};

use crate::args::{Audit, Key};
use crate::endpoint::Endpoint;
use crate::{Ended, print, say};

/// Returns a key in plain JSON, the id digit by digit.
pub(crate) fn key_of(key: &Key) -> anyhow::Result<Value> {
    let id = key.id.parse::<Number>().with_context(|| format!("the id `{}` is no number", key.id))?;
    Ok(json!({ "id": id, "microtimestamp": key.microtimestamp }))
}

/// Sends one operation.
pub(crate) async fn operate(endpoint: &Endpoint, operation: &str, payload: &Value) -> anyhow::Result<(u16, Value)> {
    let body = json!({ "operation": operation, "payload": payload }).to_string();
    endpoint.send(Method::POST, "/items", body).await
}

/// Says why a request was refused. A store that is busy, or a function that is set up wrongly, is a failure instead.
pub(crate) fn refused(status: u16, body: &Value) -> anyhow::Result<Ended> {
    let text = |name: &str| body.get(name).and_then(Value::as_str);
    // API Gateway's own refusals, of a signature for example, have a `message`.
    let detail =
        text("detail").or_else(|| text("message")).or_else(|| text("Message")).unwrap_or("no reason was given");
    for error in body.get("errors").and_then(Value::as_array).into_iter().flatten() {
        let part = |name: &str| error.get(name).and_then(Value::as_str).unwrap_or_default();
        say(&format!("{}: {}", part("parameter"), part("reason")));
    }
    if status >= 500 {
        anyhow::bail!("status {status}: {detail}");
    }
    say(&format!("refused, status {status}: {detail}"));
    Ok(Ended::Refused)
}

/// Prints an item.
pub(crate) async fn get(endpoint: &Endpoint, key: &Key, is_typed: bool) -> anyhow::Result<Ended> {
    let key = if is_typed {
        json!({ "id": { "N": key.id }, "microtimestamp": { "S": key.microtimestamp } })
    } else {
        key_of(key)?
    };
    let (status, body) = operate(endpoint, "read", &json!({ "Key": key })).await?;
    if status != 200 {
        return refused(status, &body);
    }
    match body.get("Item") {
        Some(item) => print(&format!("{item:#}"))?,
        None => {
            say("there is no such item");
            return Ok(Ended::Missing);
        }
    }
    Ok(Ended::Done)
}

/// Sends JSON there and back.
pub(crate) async fn echo(endpoint: &Endpoint, payload: &str) -> anyhow::Result<Ended> {
    let payload: Value = serde_json::from_str(payload).context("the payload is no JSON")?;
    let (status, body) = operate(endpoint, "echo", &payload).await?;
    if status != 200 {
        return refused(status, &body);
    }
    print(&body.to_string())?;
    Ok(Ended::Done)
}

/// Prints audit items, one a line.
pub(crate) async fn audit(endpoint: &Endpoint, audit: &Audit) -> anyhow::Result<Ended> {
    let mut token: Option<String> = None;
    loop {
        let order = if audit.ascending { "asc" } else { "desc" };
        let limit = audit.limit.to_string();
        let given = [
            ("from", audit.from.as_deref()),
            ("to", audit.to.as_deref()),
            ("order", Some(order)),
            ("limit", Some(&limit)),
            ("ExclusiveStartKey", token.as_deref()),
        ];
        let pairs: Vec<_> =
            given.into_iter().filter_map(|(name, value)| Some(format!("{name}={}", escaped(value?)))).collect();
        let (status, body) =
            endpoint.send(Method::GET, &format!("/items/audit?{}", pairs.join("&")), String::new()).await?;
        if status != 200 {
            return refused(status, &body);
        }
        for entry in body.get("Items").and_then(Value::as_array).into_iter().flatten() {
            print(&entry.to_string())?;
        }
        token = body.get("LastEvaluatedKey").and_then(Value::as_str).map(str::to_owned);
        if token.is_none() {
            return Ok(Ended::Done);
        }
        if !audit.all {
            say("there is more: --all, --limit, --from, --to");
            return Ok(Ended::Done);
        }
    }
}

/// Percent-encodes a value of a query string.
fn escaped(text: &str) -> String {
    text.bytes()
        .map(|byte| match byte {
            byte if byte.is_ascii_alphanumeric() || b"-._~".contains(&byte) => char::from(byte).to_string(),
            byte => format!("%{byte:02X}"),
        })
        .collect()
}

/// Reads an item; returns it with the digest of its state.
pub(crate) async fn seen(
    endpoint: &Endpoint,
    key: &Value,
) -> anyhow::Result<Result<(Option<Map<String, Value>>, Value), Ended>> {
    let (status, mut body) = operate(endpoint, "read", &json!({ "Key": key })).await?;
    if status != 200 {
        return refused(status, &body).map(Err);
    }
    let digest = body.get_mut("ifMatch").map(Value::take).context("the answer names no state")?;
    let item = body.get_mut("Item").map(Value::take);
    Ok(Ok((item.and_then(|item| item.as_object().cloned()), digest)))
}
