//! Blocks at the rate of the busiest market: what the daemon costs, and how old an event is when a reader finds it.

use std::collections::HashSet;
use std::time::{Duration, Instant};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use exchange_sim::Simulator;
use ingestor::clock::system_micros;
use ingestor::store::table;
use shared::block::stored::{BlockItem, SPAN, partition};
use shared::item::Item;
use shared::table::{INDEX, RECEIVED_AT};

use crate::daemon::{self, CHANNEL, Daemon, Storage, TABLE};

/// Time between two looks of the reader.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// A reader of the table, and the blocks that it has seen.
struct Reader {
    client: Client,
    seen: HashSet<String>,
    /// The first time of the newest block, microseconds since the Unix epoch.
    newest: u64,
}

/// Runs the daemon with the simulator's flow for `BENCH_SECONDS`, and prints its CPU time and the events' ages.
pub(crate) async fn at_the_usual_rate() {
    let seconds = std::env::var("BENCH_SECONDS").map_or(60, |text| text.parse().unwrap());
    let folder = tempfile::tempdir().unwrap();
    let engine = daemon::store().await;
    let client = daemon::client(&engine).await;
    table::create(&client, TABLE).await.unwrap();
    let simulator = Simulator::start(exchange_sim::Config {
        markets: vec!["btcusd".to_owned()],
        paused: true,
        ..exchange_sim::Config::default()
    })
    .await
    .unwrap();
    let daemon = Daemon::start(&simulator, &engine, folder.path(), Storage::Blocks).await;
    let (before, mut reader) = (daemon.cpu_seconds(), Reader { client, seen: HashSet::new(), newest: 0 });
    let started = Instant::now();
    simulator.resume();
    let mut ages = Vec::new();
    while started.elapsed() < Duration::from_secs(seconds) {
        reader.look(&mut ages).await;
        tokio::time::sleep(LOOK_EVERY).await;
    }
    let (cpu, events, elapsed) = (daemon.cpu_seconds() - before, ages.len() as f64, started.elapsed().as_secs_f64());
    daemon.kill();
    ages.sort_unstable();
    let age = |part: f64| {
        let place = ages.len().saturating_sub(1) as f64 * part;
        #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a place in the list")]
        ages.get(place as usize).map_or(0.0, |age| *age as f64 / 1e6)
    };
    println!(
        "blocks at {:.0} events/s for {elapsed:.0} s: {} blocks of {:.0} events, the daemon's CPU {cpu:.2} s, {:.1} s per million events",
        events / elapsed,
        reader.seen.len(),
        events / reader.seen.len() as f64,
        cpu / events * 1e6
    );
    println!(
        "  from received to readable: median {:.2} s, p99 {:.2} s, at most {:.2} s",
        age(0.5),
        age(0.99),
        age(1.0)
    );
}

impl Reader {
    /// Reads the blocks that it has not seen; appends the age of each of their events, in microseconds.
    async fn look(&mut self, ages: &mut Vec<u64>) {
        let query = self.client.query().table_name(TABLE).index_name(INDEX);
        let answer = query
            .key_condition_expression("channel = :channel and nmicrotimestamp >= :from")
            .expression_attribute_values(":channel", AttributeValue::S(partition(CHANNEL)))
            .expression_attribute_values(":from", AttributeValue::N(self.newest.saturating_sub(SPAN).to_string()))
            .send()
            .await
            .unwrap();
        assert!(answer.last_evaluated_key.is_none(), "a page has the blocks of ten seconds");
        let now = system_micros();
        for item in answer.items() {
            let block = BlockItem::from_attributes(item).unwrap();
            if self.seen.insert(block.key().microtimestamp) {
                self.newest = self.newest.max(block.times().0.0);
                ages.extend(block.events().unwrap().iter().map(|event| now.saturating_sub(received_at(event))));
            }
        }
    }
}

fn received_at(event: &Item) -> u64 {
    event.get(RECEIVED_AT).unwrap().as_n().unwrap().parse().unwrap()
}
