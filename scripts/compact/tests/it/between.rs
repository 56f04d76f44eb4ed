//! Somebody changes, deletes or adds to an event between reading and deleting it; and a process ends between any two steps.

use std::time::Duration;

use aws_sdk_dynamodb::types::AttributeValue;
use compact::{
    checkpoint::{Book, OnItsWay, State},
    expiry::Expiry,
    pack::{Packed, Packer},
    store::{Limits, Store, Units},
    transfer::Transfer,
};
use serde_json::json;
use shared::item::Item;
use tokio_util::sync::CancellationToken;

use crate::support::{Desk, ORDERS, assert_nothing_missing, in_blocks, is_block, key, orders};

struct Steps {
    desk: Desk,
    store: Store,
    expiry: Expiry,
    book: Book,
}

impl Steps {
    async fn new(items: &[Item]) -> Steps {
        let desk = Desk::new().await;
        desk.put(items).await;
        let limits = Limits { read: None, write: None, calls: 8, patience: Duration::from_secs(60) };
        let store = Store::new(desk.client.clone(), &desk.table, limits, &CancellationToken::new());
        let path = desk.path("checkpoint.json");
        let (lock, _) = Book::open(&path, &json!({}), false).unwrap();
        let state = State::new(json!({}), 7, u64::MAX, vec![(ORDERS.to_owned(), 0)]);
        Steps { desk, store, expiry: Expiry::default(), book: Book::begin(&path, lock, state).unwrap() }
    }

    fn transfer(&self) -> Transfer<'_> {
        Transfer { store: &self.store, expiry: &self.expiry, book: &self.book, earlier: Units::default() }
    }

    /// One block of all events that are single items.
    async fn packed(&self) -> Packed {
        let mut packer = Packer::new(ORDERS, &self.expiry, 7, 0);
        let mut events: Vec<_> = self.desk.contents().await.into_values().filter(is_event).collect();
        events.sort_by_key(|item| item["nmicrotimestamp"].as_n().unwrap().clone());
        let mut packed: Vec<_> = events.into_iter().filter_map(|event| packer.add(event)).collect();
        packed.extend(packer.end());
        assert_eq!(packed.len(), 1);
        packed.remove(0)
    }

    async fn write(&self) -> Packed {
        let packed = self.packed().await;
        self.transfer().write(ORDERS, &packed, |_, _| ()).await.unwrap();
        packed
    }
}

fn is_event(item: &Item) -> bool {
    item["channel"].as_s().unwrap() == ORDERS
}

fn few() -> Vec<Item> {
    // The flow has 240 events a second, and the longest block 10 s.
    orders(300, 6)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_somebody_changed_stays_and_is_taken_out_of_the_block() {
    let steps = Steps::new(&few()).await;
    let packed = steps.write().await;
    let (first, last) = (packed.events[0].clone(), packed.events[299].clone());
    let mut changed = first.clone();
    changed.insert("price_str".to_owned(), AttributeValue::S("1.00".to_owned()));
    let mut more = packed.events[100].clone();
    more.insert("note".to_owned(), AttributeValue::S("an operator's".to_owned()));
    let mut later = packed.events[150].clone();
    later.insert("origin".to_owned(), AttributeValue::S("b/1".to_owned()));
    steps.desk.put(&[changed.clone(), more.clone(), later.clone()]).await;
    let (id, sort) = (last["id"].clone(), last["microtimestamp"].clone());
    let delete = steps.desk.client.delete_item().table_name(&steps.desk.table);
    delete.key("id", id).key("microtimestamp", sort).send().await.unwrap();

    let old = packed.block.key();
    steps.transfer().settle(ORDERS, packed, true).await.unwrap();
    let now = steps.desk.contents().await;
    for stays in [&changed, &more, &later] {
        assert_eq!(now.get(&key(stays)), Some(stays));
    }
    let held = in_blocks(&now);
    assert_eq!(held.len(), 296, "none of the three, and not the one that was deleted");
    assert!(!held.iter().any(|event| [key(&changed), key(&more), key(&later), key(&last)].contains(&key(event))));
    assert_eq!(now.values().filter(|item| is_block(item)).count(), 1);
    assert!(!now.contains_key(&(old.id, old.microtimestamp)), "the first block is gone");
    assert!(!now.contains_key(&key(&last)));
    let state = steps.book.state();
    assert_eq!((state.totals.changed, state.totals.moved), (4, 296));
    assert!(state.channels[ORDERS].open.is_empty());
}

/// The key of the block is in the checkpoint, and so many of its events are deleted, when the process ends.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_ends_between_two_steps_is_continued() {
    for deleted in [0, 1, 150, 300] {
        let steps = Steps::new(&few()).await;
        let before = steps.desk.contents().await;
        let packed = steps.write().await;
        for event in &packed.events[..deleted] {
            let delete = steps.desk.client.delete_item().table_name(&steps.desk.table);
            let delete = delete.key("id", event["id"].clone());
            delete.key("microtimestamp", event["microtimestamp"].clone()).send().await.unwrap();
        }
        let open = steps.book.channel(ORDERS).open;
        assert_eq!(open, [OnItsWay::new(&packed.block.key())]);
        steps.transfer().resume(ORDERS, open[0].clone()).await.unwrap();
        let now = steps.desk.contents().await;
        assert_nothing_missing(&before, &now, "continued");
        assert_eq!((now.values().filter(|item| is_event(item)).count(), in_blocks(&now).len()), (0, 300), "{deleted}");
        assert!(steps.book.channel(ORDERS).open.is_empty());
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_process_that_ends_while_a_block_is_replaced_is_continued() {
    let steps = Steps::new(&few()).await;
    let packed = steps.write().await;
    let mut changed = packed.events[7].clone();
    changed.insert("price_str".to_owned(), AttributeValue::S("1.00".to_owned()));
    steps.desk.put(std::slice::from_ref(&changed)).await;
    let open = OnItsWay::new(&packed.block.key());
    let block = packed.block.to_attributes();
    steps.transfer().settle(ORDERS, packed, true).await.unwrap();
    let settled = steps.desk.contents().await;
    // Both blocks are there, and the first one is to be deleted.
    steps.desk.put(std::slice::from_ref(&block)).await;
    let replaced = OnItsWay { replaced: true, ..open.clone() };
    steps.book.change_channel(ORDERS, |channel, _| channel.open.push(replaced.clone())).unwrap();
    steps.transfer().resume(ORDERS, replaced).await.unwrap();
    assert!(steps.desk.contents().await == settled);
    // Both are there, and nothing says which.
    steps.desk.put(&[block]).await;
    steps.book.change_channel(ORDERS, |channel, _| channel.open.push(open.clone())).unwrap();
    steps.transfer().resume(ORDERS, open).await.unwrap();
    assert!(steps.desk.contents().await == settled);
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn without_its_block_nothing_is_deleted() {
    let steps = Steps::new(&few()).await;
    let before = steps.desk.contents().await;
    let open = OnItsWay::new(&steps.packed().await.block.key());
    steps.book.change_channel(ORDERS, |channel, _| channel.open.push(open.clone())).unwrap();
    steps.transfer().resume(ORDERS, open).await.unwrap();
    assert!(steps.desk.contents().await == before);
    assert!(steps.book.channel(ORDERS).open.is_empty());
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_damaged_block_ends_the_command_and_nothing_is_deleted() {
    let steps = Steps::new(&few()).await;
    let packed = steps.write().await;
    let mut damaged = packed.block.to_attributes();
    let AttributeValue::B(data) = &damaged["data"] else { panic!("no data") };
    let mut bytes = data.as_ref().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    damaged.insert("data".to_owned(), AttributeValue::B(bytes.into()));
    steps.desk.put(&[damaged]).await;
    let before = steps.desk.contents().await;
    let error = steps.transfer().resume(ORDERS, OnItsWay::new(&packed.block.key())).await.unwrap_err();
    assert!(error.to_string().contains(&packed.block.key().microtimestamp), "{error}");
    assert!(steps.desk.contents().await == before);
}
