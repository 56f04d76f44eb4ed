//! An embedded engine with order events of the simulator's flow, each as an item or many in a block, for measurements: prints the endpoint and
//! serves until it is stopped.
//!
//!     cargo run --release -p query-fn --example orders -- blocks 8000000 8000 0.385
//!
//! The arguments: `events` or `blocks`; how many events; the port; the multiple of the flow's usual rate (1 by default). A block closes with the
//! first event that is a second after its first one, as the daemon's do by default. Times of receipt are more regular than a network's, so a block
//! is smaller than a real one.

#[path = "support/table.rs"]
mod table;

use anyhow::{Context, bail};
use exchange_sim::flow::{Flow, Plan};
use exchange_sim::model::{channel::Family, market::Market};
use shared::{
    block::stored::OpenBlock,
    frame::Frame,
    item::{self, Item},
    time::Micros,
};
use std::{collections::VecDeque, mem};
use table::{Engine, channel, put};

const CHANNEL: &str = "live_orders_btcusd";
/// When the flow begins, microseconds since the Unix epoch.
const ORIGIN: u64 = 1_789_459_694_223_519;
/// The time in which the book settles; its events are left out. Microseconds, as are all times here.
const SETTLED: u64 = 10_000_000;
const LATENCY: u64 = 3_000;
/// How long a block is open, by its events' own times.
const AGE: u64 = 1_000_000;
const BATCH: usize = 25;

#[tokio::main]
async fn main() -> anyhow::Result<()> {
    let mut arguments = std::env::args().skip(1);
    let kind = arguments.next().context("`events` or `blocks` comes first")?;
    let count: u64 = arguments.next().context("how many events?")?.parse().context("number of events")?;
    let port: u16 = arguments.next().unwrap_or_else(|| "8000".to_owned()).parse().context("port")?;
    let rate: f64 = arguments.next().unwrap_or_else(|| "1".to_owned()).parse().context("rate")?;
    let mut packer = match kind.as_str() {
        "events" => None,
        "blocks" => Some(Packer::new()),
        other => bail!("`{other}` is neither `events` nor `blocks`"),
    };
    let engine = Engine::start(port).await?;
    let mut events = Events::new(rate)?;
    let (mut batch, mut stored, mut last) = (Vec::new(), 0_u64, 0);
    for number in 0..count {
        let (item, time) = events.next()?;
        last = time;
        match &mut packer {
            None => batch.push(item),
            Some(packer) => batch.extend(packer.add(&item, time)?),
        }
        if batch.len() == BATCH {
            stored += BATCH as u64;
            put(&engine.client, &mem::take(&mut batch)).await?;
        }
        if number % 500_000 == 499_999 {
            eprintln!("{} events, {stored} items", number + 1);
        }
    }
    batch.extend(packer.map(Packer::finish).transpose()?);
    batch.push(channel(CHANNEL, 1, ORIGIN));
    for items in batch.chunks(BATCH) {
        put(&engine.client, items).await?;
    }
    stored += batch.len() as u64 - 1;
    eprintln!("{}: {count} events in {stored} items, from {} to {last}", engine.endpoint, ORIGIN + SETTLED);
    engine.serve().await
}

/// The order events of a market, from the first after the book has settled.
struct Events {
    flow: Flow,
    pending: VecDeque<(String, u64)>,
    received: u64,
}

impl Events {
    fn new(rate: f64) -> anyhow::Result<Events> {
        let market = Market::named("btcusd").context("no such market")?;
        let plan = Plan { markets: vec![market], seed: 1, rate, resting: 1_500, history: 0 };
        Ok(Events { flow: Flow::new(&plan, ORIGIN), pending: VecDeque::new(), received: 0 })
    }

    /// The item of the next event, as the daemon stores it, and the time at which it is received.
    fn next(&mut self) -> anyhow::Result<(Item, u64)> {
        let mut out = Vec::new();
        while self.pending.is_empty() {
            let due = self.flow.next().context("the flow has an end")?;
            self.flow.advance(due, 1, &|_, wanted| wanted == Family::LiveOrders, &mut out);
            let texts = out.drain(..).filter_map(|emission| emission.text);
            self.pending.extend(texts.filter(|_| due > SETTLED).map(|text| (text, due)));
        }
        let (text, due) = self.pending.pop_front().context("nothing is pending")?;
        // Up to 0.8 ms more on the way, and never two at once.
        self.received = (ORIGIN + due + LATENCY + due.wrapping_mul(7_919) % 800).max(self.received + 5);
        match Frame::parse(text.as_bytes())? {
            Frame::Event(event) => Ok((item::from_event(event, Micros(self.received))?, self.received)),
            Frame::Control(control) => bail!("{control:?} is no event"),
        }
    }
}

/// Packs events into blocks.
struct Packer {
    open: OpenBlock,
    begun: Option<u64>,
    sequence: u64,
}

impl Packer {
    fn new() -> Packer {
        Packer { open: OpenBlock::new(CHANNEL, "vm-1-3f2a77c1", 0), begun: None, sequence: 0 }
    }

    /// Adds an event; returns the item of the block that it closes.
    fn add(&mut self, item: &Item, received: u64) -> anyhow::Result<Option<Item>> {
        let is_due = self.begun.is_some_and(|begun| received >= begun + AGE);
        let closed =
            is_due.then(|| mem::replace(&mut self.open, OpenBlock::new(CHANNEL, "vm-1-3f2a77c1", self.sequence)));
        self.begun = self.begun.filter(|_| !is_due).or(Some(received));
        self.sequence += 1;
        self.open.add(item)?;
        Ok(closed.map(OpenBlock::finish).transpose()?.map(|block| block.to_attributes()))
    }

    fn finish(self) -> anyhow::Result<Item> {
        Ok(self.open.finish()?.to_attributes())
    }
}
