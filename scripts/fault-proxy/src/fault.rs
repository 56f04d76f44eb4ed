//! Decides which fault a call suffers, and injects it.

use bytes::Bytes;
use hyper::{Response, StatusCode};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use serde_json::Value;
use tokio::time::{Instant, sleep};

use crate::answer::{self, Exception, Limit, Resource};
use crate::batch::{StatementBatch, WriteBatch, some_but_not_all, with_unprocessed};
use crate::body::{Answer, Cut, broken_off, whole};
use crate::call::{Access, Call};
use crate::config::Outage;
use crate::hollow;
use crate::mix::Fault;
use crate::state::Shared;
use crate::upstream::consumed_units;

/// Decides what happens to one call and does it.
pub(crate) async fn handle(shared: &Shared, call: Call) -> Result<Response<Answer>, Cut> {
    shared.tally.change(|counts| *counts.requests.entry(call.action.clone()).or_default() += 1);
    let concerned = |down: &Outage| *down != Outage::WrongIndex || call.access() == Access::Write;
    if let Some(down) = shared.down().filter(concerned) {
        shared.tally.fault(Fault::Down);
        return match down {
            Outage::Refuse => Err(Cut),
            Outage::Mute => std::future::pending().await,
            Outage::Unavailable => Ok(whole(answer::unavailable())),
            Outage::Denied => Ok(whole(answer::access_denied(&call.action, &call.table()))),
            Outage::WrongIndex => Ok(whole(answer::wrong_index_key(shared.index()))),
        };
    }
    if let Some((action, resource)) = shared.missing_permission(&call) {
        shared.tally.fault(Fault::Denied);
        return Ok(whole(answer::access_denied(&action, &resource)));
    }
    if let Some((status, body)) = shared.canned(&call.action) {
        return Ok(whole(answer::canned(*status, body)));
    }
    let (fault, dice) = shared.throw();
    match fault.filter(|fault| applies(*fault, &call)) {
        Some(fault) => {
            shared.tally.fault(fault);
            tracing::debug!(action = call.action, fault = fault.name(), "fault injected");
            inject(shared, &call, fault, dice).await
        }
        None => forward(shared, &call).await.map(whole),
    }
}

fn applies(fault: Fault, call: &Call) -> bool {
    match fault {
        Fault::Unprocessed | Fault::ForeignUnprocessed => call.action == "BatchWriteItem",
        Fault::StatementError => call.action == "BatchExecuteStatement",
        Fault::ThrottledTable => call.access() != Access::Control,
        Fault::ThrottledIndex => call.access() == Access::Write || call.index().is_some(),
        _ => true,
    }
}

async fn inject(shared: &Shared, call: &Call, fault: Fault, mut dice: ChaCha8Rng) -> Result<Response<Answer>, Cut> {
    match fault {
        Fault::Unprocessed => cut_writes(shared, call, &mut dice).await.map(whole),
        Fault::StatementError => match StatementBatch::read(call.json(), &mut dice) {
            Some(batch) => run_statements(shared, call, &batch).await.map(whole),
            None => forward(shared, call).await.map(whole),
        },
        Fault::ThrottledTable => Ok(whole(throttled(shared, call, Resource::Table, &mut dice))),
        Fault::ThrottledIndex => Ok(whole(throttled(shared, call, Resource::Index, &mut dice))),
        Fault::ServerError => {
            maybe_forward(shared, call, &mut dice).await?;
            Ok(whole(if dice.random_bool(0.5) { answer::internal_server_error() } else { answer::unavailable() }))
        }
        Fault::Timeout => {
            maybe_forward(shared, call, &mut dice).await?;
            std::future::pending().await
        }
        Fault::Closed => {
            maybe_forward(shared, call, &mut dice).await?;
            Err(Cut)
        }
        Fault::Empty => {
            maybe_forward(shared, call, &mut dice).await?;
            Ok(whole(hollow::empty()))
        }
        Fault::Bare => {
            maybe_forward(shared, call, &mut dice).await?;
            Ok(whole(hollow::bare()))
        }
        Fault::ForeignUnprocessed => {
            maybe_forward(shared, call, &mut dice).await?;
            Ok(whole(hollow::foreign_unprocessed(call, &mut dice).unwrap_or_else(hollow::bare)))
        }
        Fault::HalfWritten => forward(shared, call).await.map(|answer| broken_off(answer, &mut dice)),
        _ => {
            sleep(shared.slow_limit().mul_f64(dice.random())).await;
            forward(shared, call).await.map(whole)
        }
    }
}

/// A fault that hides the answer strikes before the call takes effect, or after.
async fn maybe_forward(shared: &Shared, call: &Call, dice: &mut ChaCha8Rng) -> Result<(), Cut> {
    if dice.random_bool(0.5) {
        forward(shared, call).await?;
    }
    Ok(())
}

fn throttled(shared: &Shared, call: &Call, resource: Resource, dice: &mut ChaCha8Rng) -> Response<Bytes> {
    let (exception, limit) = if dice.random_bool(0.5) {
        (Exception::Throttling, Limit::KeyRange)
    } else {
        (Exception::ProvisionedThroughputExceeded, Limit::Provisioned)
    };
    answer::throttled(call, resource, limit, exception, shared.index())
}

/// Hands the call on, as far as the budgets allow.
async fn forward(shared: &Shared, call: &Call) -> Result<Response<Bytes>, Cut> {
    if call.access() == Access::Write && shared.overdrawn(&call.table()) {
        shared.tally.fault(Fault::TableBudget);
        return match StatementBatch::refused(call.json(), "ProvisionedThroughputExceeded") {
            Some(batch) => Ok(answer::response(StatusCode::OK, &batch.merge(None))),
            None => Ok(refusal(shared, call, Resource::Table, Limit::Provisioned)),
        };
    }
    let short = shared.admit(call, Instant::now());
    let Some(first) = short.iter().flatten().next().copied() else {
        return send(shared, call, call.body.clone()).await;
    };
    for resource in short.iter().flatten() {
        shared.tally.fault(match resource {
            Resource::Table => Fault::TableBudget,
            Resource::Index => Fault::IndexBudget,
        });
    }
    let forward: Vec<bool> = short.iter().map(Option::is_none).collect();
    match WriteBatch::read(call.json()) {
        Some(batch) if forward.contains(&true) => send_part(shared, call, batch, &forward).await,
        _ => Ok(refusal(shared, call, first, Limit::KeyRange)),
    }
}

/// On-demand tables answer with `ThrottlingException`, provisioned ones with `ProvisionedThroughputExceededException`.
fn refusal(shared: &Shared, call: &Call, resource: Resource, limit: Limit) -> Response<Bytes> {
    let exception = match limit {
        Limit::KeyRange => Exception::Throttling,
        Limit::Provisioned => Exception::ProvisionedThroughputExceeded,
    };
    answer::throttled(call, resource, limit, exception, shared.index())
}

async fn cut_writes(shared: &Shared, call: &Call, dice: &mut ChaCha8Rng) -> Result<Response<Bytes>, Cut> {
    let Some(batch) = WriteBatch::read(call.json()) else { return forward(shared, call).await };
    let forward = some_but_not_all(batch.requests.len(), dice);
    send_part(shared, call, batch, &forward).await
}

async fn send_part(shared: &Shared, call: &Call, batch: WriteBatch, forward: &[bool]) -> Result<Response<Bytes>, Cut> {
    let (body, left) = batch.split(forward);
    let Some(body) = body else { return Ok(answer::response(StatusCode::OK, &with_unprocessed(None, left))) };
    let answered = send(shared, call, body).await?;
    Ok(rewritten(answered, |answer| with_unprocessed(Some(answer), left)))
}

async fn run_statements(shared: &Shared, call: &Call, batch: &StatementBatch) -> Result<Response<Bytes>, Cut> {
    let Some(body) = batch.forwarded() else { return Ok(answer::response(StatusCode::OK, &batch.merge(None))) };
    let answered = send(shared, call, body).await?;
    Ok(rewritten(answered, |answer| batch.merge(Some(answer))))
}

/// An error of the endpoint stays as it is.
fn rewritten(answered: Response<Bytes>, change: impl FnOnce(Value) -> Value) -> Response<Bytes> {
    if !answered.status().is_success() {
        return answered;
    }
    let value = serde_json::from_slice(answered.body()).unwrap_or(Value::Null);
    answer::response(StatusCode::OK, &change(value))
}

async fn send(shared: &Shared, call: &Call, body: Bytes) -> Result<Response<Bytes>, Cut> {
    let puts = put_items(&call.action, &body);
    let answered = match shared.upstream().send(call, body).await {
        Ok(answered) => answered,
        Err(error) => {
            tracing::warn!(action = call.action, error = %error, "endpoint failed");
            shared.tally.fault(Fault::Upstream);
            return Err(Cut);
        }
    };
    let units = consumed_units(answered.body());
    let access = call.access();
    shared.tally.change(|counts| {
        *counts.forwarded.entry(call.action.clone()).or_default() += 1;
        counts.put_items_forwarded += puts;
        match access {
            Access::Write => counts.write_units += units.unwrap_or(0.0),
            Access::Read => counts.read_units += units.unwrap_or(0.0),
            Access::Control => {}
        }
    });
    if access == Access::Write && answered.status().is_success() {
        shared.charge(&call.table(), units.unwrap_or(1.0));
    }
    Ok(answered)
}

fn put_items(action: &str, body: &[u8]) -> u64 {
    match action {
        "PutItem" => 1,
        "BatchWriteItem" => {
            let batch = serde_json::from_slice(body).ok().and_then(WriteBatch::read);
            let puts = batch
                .map_or(0, |batch| batch.requests.iter().filter(|(_, put)| put.get("PutRequest").is_some()).count());
            u64::try_from(puts).unwrap_or(u64::MAX)
        }
        _ => 0,
    }
}
