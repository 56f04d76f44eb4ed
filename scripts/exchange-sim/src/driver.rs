//! What drives events: the flow by the clock, or a recording by its own times.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use tokio::time::{Instant, sleep, sleep_until};

use crate::clock::wall_micros;
use crate::flow::Emission;
use crate::model::channel::Family;
use crate::model::market::Market;
use crate::recording::{Entry, Recording};
use crate::state::{Exchange, State};

/// Actions done under one lock, so that sockets and REST get their turn.
const STEPS: usize = 256;
/// How long to wait for a client that has no room for the next recorded frame.
const ROOM: Duration = Duration::from_millis(1);

/// What to do after a step.
enum Next {
    /// Go on at once.
    Now,
    /// Nothing is due before then.
    At(Instant),
    /// Until somebody resumes.
    Paused,
}

/// Lets the flow run until shutdown. Every event has its absolute time, so that lateness does not add up.
pub(crate) async fn run_flow(exchange: Arc<Exchange>) {
    let mut emissions = Vec::new();
    loop {
        let next = step(&mut exchange.lock(), &mut emissions);
        tokio::select! {
            () = exchange.shutdown.cancelled() => return,
            () = wait(&exchange, next) => {}
        }
    }
}

async fn wait(exchange: &Exchange, next: Next) {
    match next {
        Next::Now => tokio::task::yield_now().await,
        Next::Paused => exchange.changed.notified().await,
        Next::At(moment) => tokio::select! {
            () = sleep_until(moment) => {}
            () = exchange.changed.notified() => {}
        },
    }
}

fn step(state: &mut State, emissions: &mut Vec<Emission>) -> Next {
    if !state.is_running() {
        return Next::Paused;
    }
    let until = u64::try_from(state.elapsed().as_micros()).unwrap_or(u64::MAX);
    let State { broadcaster, flow: Some(flow), .. } = state else { return Next::Paused };
    for market_state in &mut flow.markets {
        market_state.is_open = !broadcaster.is_delisted(&market_state.market.name);
    }
    let is_truth = broadcaster.truth.is_on();
    let wanted = |market: &Market, family| {
        let light = matches!(family, Family::LiveOrders | Family::LiveTrades);
        let wanted = (light && is_truth) || broadcaster.has_subscribers(market.channel(family));
        wanted && !broadcaster.is_delisted(&market.name)
    };
    let is_more = flow.advance(until, STEPS, &wanted, emissions);
    let at = wall_micros();
    for emission in emissions.drain(..) {
        match (emission.text, flow.markets.get(emission.market)) {
            (Some(text), Some(market_state)) => {
                broadcaster.dispatch(market_state.market.channel(emission.family), text, at)
            }
            _ => broadcaster.emitted += 1,
        }
    }
    let due = flow.next().map(Duration::from_micros);
    match due.and_then(|due| state.moment(due)) {
        _ if is_more => Next::Now,
        Some(moment) => Next::At(moment),
        None => Next::Paused,
    }
}

/// Sends a recording once. It starts by itself when a client has subscribed to all of `channels`, unless None.
pub(crate) async fn run_recording(exchange: Arc<Exchange>, recording: Recording, channels: Option<Vec<String>>) {
    tokio::select! {
        () = exchange.shutdown.cancelled() => {}
        result = replay(&exchange, recording, channels) => {
            if let Err(error) = result {
                tracing::error!(%error, "the recording cannot be read any further");
            }
            exchange.lock().broadcaster.release_held();
            exchange.finished.send_replace(true);
        }
    }
}

async fn replay(exchange: &Exchange, mut recording: Recording, channels: Option<Vec<String>>) -> io::Result<()> {
    while !exchange.lock().is_running() {
        exchange.changed.notified().await;
        let mut state = exchange.lock();
        if channels.as_ref().is_some_and(|channels| state.broadcaster.anyone_has_all(channels)) {
            state.resume();
        }
    }
    let mut sent = 0_usize;
    while let Some(entry) = recording.next_entry()? {
        while !try_send(exchange, &entry).await {}
        sent += 1;
        if sent.is_multiple_of(STEPS) {
            tokio::task::yield_now().await;
        }
    }
    Ok(())
}

/// Sends a recorded frame if its time has come and its subscribers have room; else waits for that and returns false.
async fn try_send(exchange: &Exchange, entry: &Entry) -> bool {
    let next = {
        let mut state = exchange.lock();
        match state.moment(entry.after) {
            None => Next::Paused,
            Some(moment) if moment > Instant::now() => Next::At(moment),
            Some(_) if state.broadcaster.has_room(&entry.channel) => {
                state.broadcaster.dispatch(&entry.channel, entry.frame.clone(), wall_micros());
                return true;
            }
            Some(_) => Next::Now,
        }
    };
    match next {
        Next::Now => sleep(ROOM).await,
        next => wait(exchange, next).await,
    }
    false
}
