//! What blocks weigh and what they cost to make and to read, by family of channels and by events in a block.
//!
//! ```sh
//! cargo run --release -p shared --example blocks              # events of the simulator
//! FRAMES_DIR=FOLDER cargo run --release -p shared --example blocks   # recorded frames too
//! ```
#![expect(
    clippy::indexing_slicing,
    clippy::print_stdout,
    clippy::unwrap_used,
    reason = "the table is this program's output, and it may panic"
)]

#[path = "../tests/it/flow.rs"]
mod flow;
#[path = "../tests/it/recordings.rs"]
mod recordings;

use std::collections::BTreeMap;
use std::hint::black_box;

use exchange_sim::model::channel::Family;
use flow::Captured;
use shared::block::{self, Block};
use shared::frame::Frame;
use shared::item;

const SIZES: [usize; 5] = [25, 60, 240, 1_000, 3_000];
/// A write unit of DynamoDB, in bytes.
const UNIT: usize = 1_024;
/// What the item around a block takes besides its data, in bytes.
const ENVELOPE: usize = 160;

fn main() {
    println!("bytes an event; units: write units an event, table and index, with {ENVELOPE} bytes of other attributes");
    println!(
        "{:<26} {:>6} {:>7} {:>7} {:>9} {:>11} {:>7}",
        "", "block", "json", "events", "ndjson+9", "block", "units"
    );
    let families = [
        (Family::LiveOrders, 12_000),
        (Family::LiveTrades, 3_000),
        (Family::DiffOrderBook, 1_000),
        (Family::OrderBook, 1_000),
        (Family::DetailOrderBook, 1_000),
    ];
    for (family, count) in families {
        let events = flow::captured("btcusd", family, count, 1);
        weigh(family.prefix(), &events);
    }
    weigh("funding_rate (sim)", &flow::captured("btcusd-perp", Family::FundingRate, 300, 1));
    for (channel, events) in recorded() {
        if events.len() >= 25 {
            weigh(&channel, &events);
        }
    }
    time(&flow::captured("btcusd", Family::LiveOrders, 1_000, 1));
}

fn weigh(name: &str, events: &[Captured]) {
    let json: usize = events.iter().map(|event| event.frame.len()).sum();
    let items: usize = events.iter().map(|event| item::size(&event.item)).sum();
    for size in SIZES.into_iter().filter(|size| *size <= events.len()) {
        let (mut zipped, mut packed, mut units, mut count) = (0, 0, 0, 0);
        for chunk in events.chunks_exact(size) {
            let text: String = chunk.iter().map(|event| format!("{}\n", event.frame)).collect();
            zipped += zstd::bulk::compress(text.as_bytes(), 9).unwrap().len();
            let bytes = encode(chunk);
            packed += bytes.len();
            units += 2 * (bytes.len() + ENVELOPE).div_ceil(UNIT);
            count += chunk.len();
        }
        println!(
            "{name:<26} {size:>6} {:>7} {:>7} {:>9} {:>11} {:>7}",
            tenths(json, events.len()),
            tenths(items, events.len()),
            tenths(zipped, count),
            tenths(packed, count),
            format!("{}.{:04}", units / count, units * 10_000 / count % 10_000)
        );
    }
}

fn encode(events: &[Captured]) -> Vec<u8> {
    block::encode(channel(&events[0]), events.iter().map(|event| &event.item)).unwrap()
}

fn channel(event: &Captured) -> &str {
    event.item["channel"].as_s().unwrap()
}

fn tenths(sum: usize, count: usize) -> String {
    let tenths = (sum * 10 + count / 2) / count;
    format!("{}.{}", tenths / 10, tenths % 10)
}

/// Recorded frames by channel, received a millisecond apart: most recordings do not say when.
fn recorded() -> BTreeMap<String, Vec<Captured>> {
    let mut channels: BTreeMap<String, Vec<Captured>> = BTreeMap::new();
    let Some(folder) = std::env::var_os("FRAMES_DIR") else { return channels };
    for line in recordings::lines(folder.as_ref()) {
        let Ok(Frame::Event(event)) = Frame::parse(line.frame.as_bytes()) else { continue };
        let events = channels.entry(event.channel.to_string()).or_default();
        let received = line.received.as_deref().and_then(micros);
        let received = received.unwrap_or(1_700_000_000_000_000 + 1_000 * events.len() as u64);
        events.push(Captured { item: flow::item(&line.frame, received), frame: line.frame });
    }
    channels
}

/// Seconds with decimals as microseconds.
fn micros(seconds: &str) -> Option<u64> {
    let (whole, fraction) = seconds.split_once('.')?;
    format!("{whole}{:0<6.6}", fraction).parse().ok()
}

/// The processor time that this thread has taken, nanoseconds: Linux counts it, so other work on the machine does not.
fn cpu() -> u128 {
    let text = std::fs::read_to_string("/proc/thread-self/schedstat").unwrap();
    text.split_whitespace().next().unwrap().parse().unwrap()
}

/// Times that a run is repeated for one figure: the system counts in steps of milliseconds.
const REPEATED: u128 = 60;

/// The best of nine figures, each for `count` events: few enough to stay in the processor's cache, as those of a daemon that just
/// built them.
fn best(count: usize, mut run: impl FnMut()) -> u128 {
    let once = |run: &mut dyn FnMut()| {
        let start = cpu();
        (0..REPEATED).for_each(|_| run());
        (cpu() - start) / (count as u128 * REPEATED)
    };
    (0..9).map(|_| once(&mut run)).min().unwrap()
}

fn time(events: &[Captured]) {
    println!("\nnanoseconds of processor time an order event (best of nine figures)");
    let count = events.len();
    let parse = best(count, || {
        for event in events {
            black_box(serde_json::from_str::<serde_json::Value>(&event.frame).unwrap());
        }
    });
    println!("{:<40} {parse:>7}", "serde_json parses its frame");
    for size in [60, 240, 1_000] {
        let chunks: Vec<&[Captured]> = events.chunks_exact(size).collect();
        let count = chunks.len() * size;
        let encoded = best(count, || {
            for chunk in &chunks {
                black_box(encode(chunk));
            }
        });
        let blocks: Vec<Vec<u8>> = chunks.iter().map(|chunk| encode(chunk)).collect();
        let each = |read: &dyn Fn(&Block<'_>)| {
            best(count, || {
                for bytes in &blocks {
                    read(&Block::open(channel(&events[0]), bytes).unwrap());
                }
            })
        };
        let skipped = each(&|block| block.rows().skip(u32::MAX).unwrap());
        let rows = each(&|block| {
            let mut rows = block.rows();
            while let Some(row) = rows.next().unwrap() {
                row.cells().for_each(|cell| {
                    black_box(cell);
                });
            }
        });
        let items = each(&|block| {
            let mut rows = block.rows();
            while let Some(row) = rows.next().unwrap() {
                black_box(row.to_item());
            }
        });
        println!(
            "{size:>6} a block: encode {encoded:>5}, pass over {skipped:>5}, rows {rows:>5}, rows as items {items:>5}"
        );
    }
}
