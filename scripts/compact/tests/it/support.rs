//! The table and the program that the tests share.

use std::{
    collections::BTreeMap,
    path::PathBuf,
    process::{Child, Command, Stdio},
};

use aws_sdk_dynamodb::{
    Client,
    types::{PutRequest, WriteRequest},
};
use exchange_sim::model::channel::Family;
use futures_util::{StreamExt, stream};
use rand::{RngExt, SeedableRng, rngs::StdRng};
use shared::{
    block::stored::{BlockItem, channel_of},
    coverage::channel_item,
    frame::Frame,
    item::{self, Item},
    time::Micros,
};
use tempfile::TempDir;

use crate::{
    ended::{Ended, ended},
    flows::{self, Tables},
    table::{client, create_table, whole_engine},
};

pub(crate) const ORDERS: &str = "live_orders_btcusd";

/// A table by primary key.
pub(crate) type Contents = BTreeMap<(String, String), Item>;

/// A table on an engine, and a folder in which the program runs.
pub(crate) struct Desk {
    pub(crate) endpoint: String,
    pub(crate) client: Client,
    pub(crate) table: String,
    folder: TempDir,
}

impl Desk {
    pub(crate) async fn new() -> Desk {
        let endpoint = whole_engine().await;
        let (client, table) = (client(&endpoint), format!("compact-{:016x}", rand::random::<u64>()));
        create_table(&client, &table).await;
        Desk { endpoint, client, table, folder: TempDir::new().unwrap() }
    }

    pub(crate) fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    pub(crate) async fn put(&self, items: &[Item]) {
        stream::iter(items.chunks(25))
            .for_each_concurrent(4, |chunk| async move {
                let puts = chunk.iter().map(|item| {
                    let put = PutRequest::builder().set_item(Some(item.clone())).build().unwrap();
                    WriteRequest::builder().put_request(put).build()
                });
                let call = self.client.batch_write_item().request_items(&self.table, puts.collect());
                assert!(call.send().await.unwrap().unprocessed_items.unwrap_or_default().is_empty());
            })
            .await;
    }

    /// Every item of the table.
    pub(crate) async fn contents(&self) -> Contents {
        let (mut contents, mut after) = (Contents::new(), None);
        loop {
            let call = self.client.scan().table_name(&self.table).consistent_read(true);
            let page = call.set_exclusive_start_key(after).send().await.unwrap();
            contents.extend(page.items.unwrap_or_default().into_iter().map(|item| (key(&item), item)));
            after = page.last_evaluated_key;
            if after.is_none() {
                return contents;
            }
        }
    }

    /// Starts the program against an endpoint; arguments are separated by spaces.
    pub(crate) fn start_at(&self, endpoint: &str, arguments: &str) -> Child {
        Command::new(env!("CARGO_BIN_EXE_compact"))
            .args(arguments.split_whitespace())
            .args(["--endpoint-url", endpoint, "--table", &self.table])
            .current_dir(self.folder.path())
            .env_remove("AWS_ACCESS_KEY_ID")
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn()
            .unwrap()
    }

    pub(crate) async fn run_at(&self, endpoint: &str, arguments: &str) -> Ended {
        let child = self.start_at(endpoint, arguments);
        ended(tokio::task::spawn_blocking(move || child.wait_with_output().unwrap()).await.unwrap())
    }

    pub(crate) async fn run(&self, arguments: &str) -> Ended {
        self.run_at(&self.endpoint, arguments).await
    }
}

pub(crate) fn key(item: &Item) -> (String, String) {
    (item["id"].as_n().unwrap().clone(), item["microtimestamp"].as_s().unwrap().clone())
}

pub(crate) fn is_block(item: &Item) -> bool {
    channel_of(item["channel"].as_s().unwrap()).is_some()
}

/// The events of all blocks.
pub(crate) fn in_blocks(contents: &Contents) -> Vec<Item> {
    let blocks = contents.values().filter(|item| is_block(item));
    blocks.flat_map(|item| BlockItem::from_attributes(item).unwrap().events().unwrap()).collect()
}

/// Each item of `before` is still there, by itself or in a block.
pub(crate) fn assert_nothing_missing(before: &Contents, now: &Contents, when: &str) {
    let mut blocks: BTreeMap<_, Vec<Item>> = BTreeMap::new();
    for event in in_blocks(now) {
        blocks.entry(key(&event)).or_default().push(event);
    }
    let is_there = |(key, item): &(&(String, String), &Item)| {
        is_block(item)
            || now.get(*key) == Some(*item)
            || blocks.get(*key).is_some_and(|copies| copies.iter().any(|copy| copy == *item))
    };
    let missing: Vec<_> = before.iter().filter(|entry| !is_there(entry)).map(|(key, _)| key).collect();
    assert!(missing.is_empty(), "{when}: {} of {} are missing, as {:?}", missing.len(), before.len(), missing[0]);
}

/// A number from the environment, for other seeds and larger runs by hand.
pub(crate) fn number(name: &str, default: u64) -> u64 {
    std::env::var(name).map_or(default, |text| text.parse().unwrap())
}

/// Channels of all families, with ties, late, odd and duplicate events, blocks of two daemons, fetched copies.
pub(crate) fn odd_tables(seed: u64, count: usize) -> Tables {
    println!("seed {seed}");
    let mut random = StdRng::seed_from_u64(seed);
    let of = |market: &str, family, count, seed| flows::frames(market, family, count, seed);
    let mut channels = vec![
        of("btcusd", Family::LiveOrders, count, random.random()),
        of("ethusd", Family::LiveOrders, count / 2, random.random()),
        of("btcusd", Family::LiveTrades, 100, random.random()),
        of("btcusd", Family::OrderBook, 40, random.random()),
        of("btcusd", Family::DiffOrderBook, 80, random.random()),
    ];
    channels.push(of("btcusd-perp", Family::FundingRate, 20, random.random()));
    flows::tables(channels, 0.1, &mut random)
}

/// Order events of one channel as single items, and the channel's entry in the list.
pub(crate) fn orders(count: usize, seed: u64) -> Vec<Item> {
    let frames = flows::frames("btcusd", Family::LiveOrders, count, seed);
    let mut items: Vec<Item> = frames.iter().map(|(frame, sent)| stored(frame, flows::ORIGIN + sent + 3_000)).collect();
    items.push(channel_item(ORDERS, flows::ORIGIN));
    items
}

fn stored(frame: &str, received_at: u64) -> Item {
    match Frame::parse(frame.as_bytes()).unwrap() {
        Frame::Event(event) => item::from_event(event, Micros(received_at)).unwrap(),
        Frame::Control(control) => panic!("{control:?}"),
    }
}
