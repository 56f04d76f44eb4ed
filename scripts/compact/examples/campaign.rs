//! A large table is packed and taken apart again, with kills on the way: is it the same table?
//!
//! `cargo build --release -p compact --bins --example campaign`, then
//! `target/release/examples/campaign --events 1000000 --kills 10 --program target/release/compact --folder /tmp/campaign`
#![expect(
    clippy::unwrap_used,
    clippy::print_stdout,
    reason = "a tool for measurements: it ends at the first thing that goes wrong and prints figures"
)]

use std::{
    collections::hash_map::DefaultHasher,
    hash::{Hash, Hasher},
    path::PathBuf,
    process::{Command, Stdio},
    time::{Duration, Instant},
};

use aws_sdk_dynamodb::{
    Client,
    types::{PutRequest, WriteRequest},
};
use clap::Parser;
use dynoxide::{Database, server::serve_with_shutdown};
use exchange_sim::{
    flow::{Flow, Plan},
    model::{channel::Family, market::Market},
};
use futures_util::{StreamExt, stream};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use shared::{
    coverage::channel_item,
    frame::Frame,
    item::{self, Item},
    time::Micros,
};

#[path = "../../../query-fn/tests/it/table.rs"]
#[expect(dead_code, reason = "the engine is on a file here")]
mod table;

const TABLE: &str = "campaign";
const CHANNEL: &str = "live_orders_btcusd";
/// When the flow begins, microseconds since the Unix epoch.
const ORIGIN: u64 = 1_709_459_694_223_519;

#[derive(Parser)]
struct Cli {
    #[arg(long, default_value_t = 1_000_000)]
    events: usize,
    #[arg(long, default_value_t = 10)]
    kills: usize,
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// The longest time from a start to the kill, in seconds
    #[arg(long, default_value_t = 40.0)]
    longest: f64,
    #[arg(long)]
    program: PathBuf,
    #[arg(long)]
    folder: PathBuf,
}

/// The number of items, and two sums over what is in them: equal for equal tables in any order.
type Digest = (u64, u64, u64);

#[tokio::main]
async fn main() {
    let cli = Cli::parse();
    std::fs::create_dir_all(&cli.folder).unwrap();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    let database = Database::new(cli.folder.join("table.db").to_str().unwrap()).unwrap();
    let engine = tokio::spawn(serve_with_shutdown(listener, database, std::future::pending()));
    let client = table::client(&endpoint);
    table::create_table(&client, TABLE).await;
    let begin = Instant::now();
    fill(&client, cli.events, cli.seed).await;
    println!("seed {}, {} events stored in {:.0} s", cli.seed, cli.events, begin.elapsed().as_secs_f64());
    let before = digest(&client).await;
    println!("before: {before:?}");
    let mut random = StdRng::seed_from_u64(cli.seed);
    for command in ["run", "expand"] {
        until_done(&cli, &endpoint, command, &mut random).await;
        let after = digest(&client).await;
        println!("after {command}: {after:?}");
        assert_eq!(after == before, command == "expand");
    }
    println!("the identical table");
    engine.abort();
}

async fn until_done(cli: &Cli, endpoint: &str, command: &str, random: &mut StdRng) {
    let begin = Instant::now();
    for kill in 0..=cli.kills {
        let mut child = Command::new(std::fs::canonicalize(&cli.program).unwrap())
            .args([command, CHANNEL, "--force", "--table", TABLE, "--endpoint-url", endpoint])
            .current_dir(&cli.folder)
            .env_remove("AWS_ACCESS_KEY_ID")
            .stderr(Stdio::null())
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        if kill < cli.kills {
            let wait = Duration::from_secs_f64(random.random_range(0.02..cli.longest));
            tokio::time::sleep(wait).await;
            assert!(child.try_wait().unwrap().is_none(), "it ended before kill {}; give a smaller --longest", kill + 1);
            child.kill().unwrap();
            child.wait().unwrap();
            println!("{command}: kill {} after {:.2} s", kill + 1, wait.as_secs_f64());
            continue;
        }
        let ended = tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap();
        println!("{}", String::from_utf8(ended.stdout).unwrap());
        assert!(ended.status.success(), "{:?}", ended.status);
    }
    println!("{command}: {:.0} s in all", begin.elapsed().as_secs_f64());
}

async fn fill(client: &Client, events: usize, seed: u64) {
    let market = Market::named("btcusd").unwrap();
    let mut flow = Flow::new(&Plan { markets: vec![market], seed, rate: 1.0, resting: 300, history: 0 }, ORIGIN);
    let mut out = Vec::new();
    let mut items = vec![channel_item(CHANNEL, ORIGIN)];
    let mut count = 0;
    while count < events {
        let due = flow.next().unwrap();
        flow.advance(due, 1, &|_, wanted| wanted == Family::LiveOrders, &mut out);
        for text in out.drain(..).filter_map(|emission| emission.text) {
            if count < events {
                let Frame::Event(event) = Frame::parse(text.as_bytes()).unwrap() else { panic!("{text}") };
                items.push(item::from_event(event, Micros(ORIGIN + due + 3_000)).unwrap());
                count += 1;
            }
        }
        if items.len() >= 5_000 || count >= events {
            put(client, &items).await;
            items.clear();
        }
    }
}

async fn put(client: &Client, items: &[Item]) {
    stream::iter(items.chunks(25))
        .for_each_concurrent(4, |chunk| async move {
            let puts = chunk.iter().map(|item| {
                let put = PutRequest::builder().set_item(Some(item.clone())).build().unwrap();
                WriteRequest::builder().put_request(put).build()
            });
            let output = client.batch_write_item().request_items(TABLE, puts.collect()).send().await.unwrap();
            assert!(output.unprocessed_items.unwrap_or_default().is_empty());
        })
        .await;
}

async fn digest(client: &Client) -> Digest {
    let (mut sums, mut after) = ((0, 0, 0), None);
    loop {
        let call = client.scan().table_name(TABLE).consistent_read(true).limit(2_000).set_exclusive_start_key(after);
        let page = call.send().await.unwrap();
        for item in page.items.unwrap_or_default() {
            let text = backfill::json::to_json(&item).to_string();
            let hash = |salt: u8| {
                let mut hasher = DefaultHasher::new();
                (salt, &text).hash(&mut hasher);
                hasher.finish()
            };
            sums = (sums.0 + 1, hash(1).wrapping_add(sums.1), hash(2).wrapping_add(sums.2));
        }
        after = page.last_evaluated_key;
        if after.is_none() {
            return sums;
        }
    }
}
