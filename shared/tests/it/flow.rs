//! Events of the simulator's flow as items, with times of receipt.

use exchange_sim::flow::{Flow, Plan};
use exchange_sim::model::channel::Family;
use exchange_sim::model::market::Market;
use shared::frame::Frame;
use shared::item::{self, Item};
use shared::time::Micros;

/// When the flow begins, microseconds since the Unix epoch; any time will do.
const ORIGIN: u64 = 1_789_459_694_223_519;
/// The fastest way from the exchange to the daemon, microseconds.
const LATENCY: u64 = 3_000;

/// An event as it was sent and as it is stored.
pub(crate) struct Captured {
    pub(crate) frame: String,
    pub(crate) item: Item,
}

/// The first `count` events of one channel, after the book has settled for ten seconds.
///
/// A message takes 3 ms to the daemon and up to 0.8 ms more, one in 50 up to 5 ms more; messages that the network delivers together are
/// read 2 to 13 microseconds apart. The flow decides in microseconds what happens and sends milliseconds, as the exchange does.
pub(crate) fn captured(market: &str, family: Family, count: usize, seed: u64) -> Vec<Captured> {
    let market = Market::named(market).unwrap();
    let plan = Plan { markets: vec![market], seed, rate: 1.0, resting: 1_500, history: 0 };
    let mut flow = Flow::new(&plan, ORIGIN);
    let mut random = Random(seed);
    let (mut out, mut events, mut received) = (Vec::new(), Vec::new(), 0);
    while events.len() < count {
        let due = flow.next().unwrap();
        flow.advance(due, 1, &|_, wanted| wanted == family, &mut out);
        for emission in out.drain(..) {
            let Some(frame) = emission.text.filter(|_| due > 10_000_000) else { continue };
            let slow = if random.below(50) == 0 { random.below(5_000) } else { 0 };
            let arrives = ORIGIN + due + LATENCY + random.below(400) + random.below(400) + slow;
            received = arrives.max(received + 2 + random.below(12));
            events.push(Captured { item: item(&frame, received), frame });
        }
    }
    events.truncate(count);
    events
}

/// The item of a frame.
pub(crate) fn item(frame: &str, received: u64) -> Item {
    let Frame::Event(event) = Frame::parse(frame.as_bytes()).unwrap() else { panic!("a control message") };
    item::from_event(event, Micros(received)).unwrap()
}

/// Numbers of a seed (SplitMix64).
pub(crate) struct Random(pub(crate) u64);

impl Random {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ mixed >> 30).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ mixed >> 31
    }

    pub(crate) fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
