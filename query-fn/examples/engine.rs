//! An embedded engine with a table of trades, for measurements and for checks by hand: prints the endpoint and serves until
//! it is stopped.
//!
//!     cargo run --release -p query-fn --example engine -- 20000 8000 6 359
//!
//! The last numbers are days of ledger of two daemons (none by default): from the day of the trades on an entry a minute, and before
//! it closed days of one entry each.

#[path = "support/table.rs"]
mod table;

use anyhow::Context;
use shared::{
    coverage::{
        Interval, Record, State,
        days::{DAY, Run},
    },
    frame::Frame,
    item::{self, Item},
    time::Micros,
};
use table::{Engine, channel, put};

const FIRST: u64 = 1_647_817_207_170_000;
const MINUTE: u64 = 60_000_000;
const DAEMONS: [&str; 2] = ["vm-1-3f2a77c1", "vm-2-81d0aa42"];

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let count: u64 = arguments.next().unwrap_or_else(|| "20000".to_owned()).parse().context("number of trades")?;
    let port: u16 = arguments.next().unwrap_or_else(|| "8000".to_owned()).parse().context("port")?;
    let engine = Engine::start(port).await?;
    let client = &engine.client;
    let items: Vec<Item> = (0..count).map(trade).collect::<anyhow::Result<_>>()?;
    for chunk in items.chunks(25) {
        put(client, chunk).await?;
    }
    let days: u64 = arguments.next().unwrap_or_default().parse().unwrap_or(0);
    let closed: u64 = arguments.next().unwrap_or_default().parse().unwrap_or(0);
    let minutes = (0..days * 1440).flat_map(|minute| DAEMONS.map(|daemon| entry(daemon, minute)));
    let closed = (1..=closed).flat_map(|before| DAEMONS.map(|daemon| closed_day(daemon, FIRST / DAY - before)));
    for chunk in minutes.chain(closed).collect::<Vec<Item>>().chunks(25) {
        put(client, chunk).await?;
    }
    put(client, &[channel("live_trades_btcusd", 1, FIRST), channel("live_orders_btcusd", 2, FIRST)]).await?;
    eprintln!("{}: {count} trades from {FIRST} to {}", engine.endpoint, FIRST + count * 1000);
    engine.serve().await
}

/// A captured minute, as a daemon enters it.
fn entry(daemon: &str, minute: u64) -> Item {
    let from = FIRST / DAY * DAY + minute * MINUTE;
    record(daemon, from, from + MINUTE - 1).to_item()
}

/// A captured day, as a daemon puts it together.
fn closed_day(daemon: &str, day: u64) -> Item {
    Run { record: record(daemon, day * DAY, (day + 1) * DAY - 1), entries: 1440 }.to_item()
}

fn record(daemon: &str, from: u64, through: u64) -> Record {
    let interval = Interval { from, through, state: State::Captured, reason: None };
    Record { daemon: daemon.to_owned(), channel: "live_trades_btcusd".to_owned(), interval, frames: 60_000 }
}

/// A trade as the exchange sent them in 2022, one a millisecond.
fn trade(number: u64) -> anyhow::Result<Item> {
    let time = FIRST + number * 1000;
    let message = format!(
        r#"{{"data":{{"id":{},"timestamp":"{}","amount":0.{:08},"amount_str":"0.{:08}","price":{}.1{},"price_str":"{}.1{}","type":{},"microtimestamp":"{time}","buy_order_id":{},"sell_order_id":{}}},"channel":"live_trades_btcusd","event":"trade"}}"#,
        220_000_000 + number,
        time / 1_000_000,
        number * 7919 % 99_999_999 + 1,
        number * 7919 % 99_999_999 + 1,
        41_000 + number % 97,
        number % 9 + 1,
        41_000 + number % 97,
        number % 9 + 1,
        number % 2,
        1_471_000_000_000_000 + number * 3,
        1_471_000_000_000_000 + number * 3 + 1,
    );
    match Frame::parse(message.as_bytes())? {
        Frame::Event(event) => Ok(item::from_event(event, Micros(time + 250))?),
        Frame::Control(control) => anyhow::bail!("{control:?} is no trade"),
    }
}
