//! How fast the flow is: `cargo run --release -p exchange-sim --example throughput`.
//!
//! Prints events a second on one core, decided only and with every order and trade frame written; nothing here is a test.

use std::time::Instant;

use exchange_sim::flow::{Flow, Plan};
use exchange_sim::model::channel::Family;
use exchange_sim::model::market::Market;

/// Flow time that is generated, seconds.
const SECONDS: u64 = 600;
/// Microseconds since the Unix epoch at which the flow begins; any will do.
const ORIGIN: u64 = 1_789_459_694_223_519;

fn main() {
    measure("decided only", &|_, _| false);
    measure("orders and trades written", &|_, family| matches!(family, Family::LiveOrders | Family::LiveTrades));
    measure("everything written", &|_, _| true);
}

#[expect(clippy::print_stdout, reason = "the figures are the output")]
fn measure(name: &str, wanted: &dyn Fn(&Market, Family) -> bool) {
    let markets = Market::named("btcusd").into_iter().collect();
    let plan = Plan { markets, seed: 1, rate: 1.0, resting: 1_500, history: 250_000 };
    let mut flow = Flow::new(&plan, ORIGIN);
    let (mut events, mut frames, mut bytes) = (0_usize, 0_usize, 0_usize);
    let mut out = Vec::new();
    let start = Instant::now();
    let mut is_more = true;
    while is_more {
        is_more = flow.advance(SECONDS * 1_000_000, 256, wanted, &mut out);
        for emission in out.drain(..) {
            events += usize::from(emission.family == Family::LiveOrders);
            frames += usize::from(emission.text.is_some());
            bytes += emission.text.map_or(0, |text| text.len());
        }
    }
    let seconds = start.elapsed().as_secs_f64();
    let rate = events as f64 / seconds;
    println!(
        "{name:28} {rate:>10.0} order events/s ({events} events, {frames} frames, {bytes} bytes in {seconds:.3} s)"
    );
}
