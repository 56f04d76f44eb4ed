//! The commands that change an item: each shows what it would do, asks, and does it only if the item is still what was shown.

use anyhow::{Context, bail};
use items_fn::{form::Form, request::Request};
use serde_json::{Map, Value, json};
use std::{
    io::{self, IsTerminal, Read, Write},
    path::Path,
    sync::atomic::Ordering,
};

use crate::args::{Consent, Key, Put, Set};
use crate::endpoint::Endpoint;
use crate::read::{key_of, operate, refused, seen};
use crate::{Ended, IS_SENT, diff, say};

/// Puts an item from a file.
pub(crate) async fn put(endpoint: &Endpoint, put: &Put) -> anyhow::Result<Ended> {
    let text = read(&put.file)?;
    let item: Map<String, Value> =
        serde_json::from_str(&text).with_context(|| format!("`{}` has no item in JSON", put.file.display()))?;
    let part = |name: &str| item.get(name).cloned().with_context(|| format!("the item has no `{name}`"));
    let key = json!({ "id": part("id")?, "microtimestamp": part("microtimestamp")? });
    let payload = json!({ "Item": item, "overwrite": put.overwrite, "allowReserved": put.consent.allow_reserved });
    change(endpoint, &key, ("create", payload), &put.consent).await
}

/// Sets and removes attributes.
pub(crate) async fn set(endpoint: &Endpoint, set: &Set) -> anyhow::Result<Ended> {
    let key = key_of(&set.key)?;
    let (mut names, mut values, mut assigned, mut removed) = (Map::new(), Map::new(), Vec::new(), Vec::new());
    for (number, assignment) in set.assignments.iter().enumerate() {
        let (name, value) = assigned_value(assignment)?;
        names.insert(format!("#set{number}"), json!(name));
        values.insert(format!(":set{number}"), value);
        assigned.push(format!("#set{number} = :set{number}"));
    }
    for (number, name) in set.remove.iter().enumerate() {
        names.insert(format!("#remove{number}"), json!(name));
        removed.push(format!("#remove{number}"));
    }
    let clauses = [("SET", assigned), ("REMOVE", removed)];
    let clauses = clauses.iter().filter(|(_, actions)| !actions.is_empty());
    let expression: Vec<_> = clauses.map(|(word, actions)| format!("{word} {}", actions.join(", "))).collect();
    let mut payload = json!({
        "Key": key, "UpdateExpression": expression.join(" "), "ExpressionAttributeNames": names,
        "allowKeyAttributes": set.allow_key_attributes, "allowReserved": set.consent.allow_reserved,
    });
    if !values.is_empty() {
        insert(&mut payload, "ExpressionAttributeValues", Value::Object(values));
    }
    change(endpoint, &key, ("update", payload), &set.consent).await
}

/// Removes an item.
pub(crate) async fn rm(endpoint: &Endpoint, key: &Key, consent: &Consent) -> anyhow::Result<Ended> {
    let key = key_of(key)?;
    let payload = json!({ "Key": key, "allowReserved": consent.allow_reserved });
    change(endpoint, &key, ("delete", payload), consent).await
}

/// Adds a field to a payload, which is an object.
fn insert(payload: &mut Value, name: &str, value: Value) {
    if let Some(fields) = payload.as_object_mut() {
        fields.insert(name.to_owned(), value);
    }
}

/// Reads `NAME=JSON`.
fn assigned_value(assignment: &str) -> anyhow::Result<(&str, Value)> {
    let (name, value) = assignment.split_once('=').with_context(|| format!("`{assignment}` is not NAME=JSON"))?;
    let value = serde_json::from_str(value)
        .with_context(|| format!("`{value}` is no JSON; a text needs its quotes: '{name}=\"{value}\"'"))?;
    Ok((name, value))
}

fn read(file: &Path) -> anyhow::Result<String> {
    if file == Path::new("-") {
        let mut text = String::new();
        io::stdin().read_to_string(&mut text).context("cannot read standard input")?;
        return Ok(text);
    }
    std::fs::read_to_string(file).with_context(|| format!("cannot read `{}`", file.display()))
}

/// Shows what the change does to the item, asks, and makes it.
async fn change(
    endpoint: &Endpoint,
    key: &Value,
    (operation, mut payload): (&str, Value),
    consent: &Consent,
) -> anyhow::Result<Ended> {
    let (before, digest) = match seen(endpoint, key).await? {
        Ok(seen) => seen,
        Err(ended) => return Ok(ended),
    };
    insert(&mut payload, "ifMatch", digest);
    let after = match preview(endpoint, operation, &payload, before.as_ref())? {
        Ok(after) => after,
        Err(ended) => return Ok(ended),
    };
    let lines = diff::lines(before.as_ref(), after.as_ref());
    if lines.is_empty() {
        say("nothing to change: the item is that already");
        return Ok(Ended::Done);
    }
    say(&format!("{operation} {key}\n{}", lines.join("\n")));
    if !consent.yes && !is_confirmed().await? {
        say("nothing was changed");
        return Ok(Ended::Declined);
    }
    IS_SENT.store(true, Ordering::SeqCst);
    let answered = operate(endpoint, operation, &payload).await;
    IS_SENT.store(false, Ordering::SeqCst);
    let (status, body) = answered.context("the change was sent, `items audit` says whether it was made")?;
    match status {
        200 => {
            say("done");
            Ok(Ended::Done)
        }
        409 => {
            let current = body.get("current").and_then(Value::as_object);
            say(&body
                .get("detail")
                .and_then(Value::as_str)
                .unwrap_or("conflict")
                .replace("`ifMatch` names", "was shown"));
            for line in diff::lines(before.as_ref(), current) {
                say(&line);
            }
            Ok(Ended::Conflict)
        }
        status => refused(status, &body),
    }
}

/// Works out what the change makes of the item, as the function will: with the same code.
fn preview(
    endpoint: &Endpoint,
    operation: &str,
    payload: &Value,
    before: Option<&Map<String, Value>>,
) -> anyhow::Result<Result<Option<Map<String, Value>>, Ended>> {
    let body = json!({ "operation": operation, "payload": payload }).to_string();
    let request = match Request::parse(body.as_bytes(), endpoint.table()) {
        Ok(request) => request,
        Err(problem) => {
            let document = serde_json::from_slice(&problem.document("")).unwrap_or(Value::Null);
            return refused(400, &document).map(Err);
        }
    };
    let Request::Change(change) = request else { bail!("`{operation}` changes nothing") };
    let before =
        before.map(|item| Form::Plain.read_item(item)).transpose().context("the item is none that DynamoDB holds")?;
    let after = items_fn::change::after(&change, before.as_ref())?;
    Ok(Ok(after.and_then(|after| Form::Plain.write_item(&after).as_object().cloned())))
}

/// Asks at the terminal; anything but yes is no.
async fn is_confirmed() -> anyhow::Result<bool> {
    if !io::stdin().is_terminal() {
        bail!("nobody can be asked here: --yes makes the change without a question");
    }
    write!(io::stderr(), "Make this change? [yes/no] ")?;
    let answer = tokio::task::spawn_blocking(|| {
        let mut answer = String::new();
        io::stdin().read_line(&mut answer).map(|_| answer)
    });
    Ok(matches!(answer.await??.trim(), "y" | "yes"))
}
