//! What events weigh as items: reads frames, one a line, and prints for each family of channels how many there were, their
//! mean, median and largest size in bytes, and the write units of one (table and index together, each rounded up to a kilobyte).
//!
//! ```sh
//! cargo run -p shared --example item_sizes < frames.jsonl
//! ```
#![expect(clippy::print_stdout, reason = "the table is this program's output")]

use std::collections::BTreeMap;
use std::io::BufRead as _;

use shared::frame::Frame;
use shared::item;
use shared::time::Micros;

/// A write unit of DynamoDB, in bytes.
const UNIT: usize = 1024;
/// When the frames count as received; only its number of digits matters.
const RECEIVED_AT: Micros = Micros(1_763_000_000_000_000);

fn main() {
    let mut sizes: BTreeMap<String, Vec<usize>> = BTreeMap::new();
    for line in std::io::stdin().lock().lines().map_while(Result::ok) {
        let Ok(Frame::Event(event)) = Frame::parse(line.as_bytes()) else { continue };
        let family = event.channel.market().and_then(|market| event.channel.as_str().strip_suffix(market));
        let family = family.unwrap_or(event.channel.as_str()).trim_end_matches('_').to_owned();
        let Ok(item) = item::from_event(event, RECEIVED_AT) else { continue };
        sizes.entry(family).or_default().push(item::size(&item));
    }
    println!("{:<20} {:>8} {:>8} {:>8} {:>8} {:>12}", "family", "events", "mean", "median", "largest", "write units");
    for (family, mut sizes) in sizes {
        sizes.sort_unstable();
        let (count, sum) = (sizes.len(), sizes.iter().sum::<usize>());
        let units: usize = sizes.iter().map(|size| 2 * size.div_ceil(UNIT)).sum();
        let median = sizes.get(count / 2).copied().unwrap_or_default();
        let largest = sizes.last().copied().unwrap_or_default();
        let hundredths = units * 100 / count;
        println!(
            "{family:<20} {count:>8} {:>8} {median:>8} {largest:>8} {:>9}.{:02}",
            sum / count,
            hundredths / 100,
            hundredths % 100
        );
    }
}
