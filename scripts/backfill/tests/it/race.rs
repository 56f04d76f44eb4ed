//! Killed again and again while others write and delete: nothing missed, nothing resurrected, nothing wrong.

use std::{
    collections::BTreeSet,
    sync::{
        Arc,
        atomic::{AtomicBool, AtomicU64, Ordering},
    },
    time::Duration,
};

use aws_sdk_dynamodb::{Client, types::IndexStatus};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

use crate::{
    fixture::{Fixture, create_table, expected, fill, number_of},
    support::{Desk, Engine, TABLE, client, dynamodb_local, each_item, embedded, number},
};

const KILLS: u32 = 10;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_ten_times_beside_a_writer_and_a_deleter() {
    let seed = number("BACKFILL_SEED", 5);
    let items = number("BACKFILL_ITEMS", 20_000);
    race(&embedded(), seed, items, 900.max(items / 100)).await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn killed_ten_times_on_dynamodb_local() {
    if let Some(engine) = dynamodb_local().await {
        let items = number("BACKFILL_ITEMS", 5_000);
        race(&engine, number("BACKFILL_SEED", 6), items, 900.max(items / 5)).await;
    }
}

/// Each of the kills comes at most `patience` milliseconds after the start: chosen so that, at the engine's pace, they are
/// spread over half of a large migration.
async fn race(engine: &Engine, seed: u64, items: u64, patience: u64) {
    println!("seed {seed}, {items} items");
    let client = client(&engine.url);
    let fixture = Arc::new(Fixture::new(seed, items, usize::try_from((items / 400).min(500)).unwrap()));
    create_table(&client, TABLE, false).await;
    fill(&client, TABLE, &fixture, 0..items).await;
    let desk = Desk::new(&engine.url);
    let others = Others::start(&client, &fixture);
    // A small table is migrated slowly enough to be killed ten times; a large one as fast as it goes.
    let pace = if items > 100_000 { String::new() } else { format!("--max-wcu {}", items / 5) };
    let run = format!("run --create-index --force --page-items 200 {pace}");
    let mut dice = ChaCha8Rng::seed_from_u64(seed);
    let mut killed = 0;
    for _ in 0..KILLS {
        let mut child = desk.start(&run);
        // The first kill may hit the creation of the index, which takes an engine minutes; the others the migration itself.
        if killed > 0 {
            until_index_is_active(&client).await;
        }
        // The moment is the dice's: there is nothing to wait for.
        tokio::time::sleep(Duration::from_millis(dice.random_range(100..patience))).await;
        killed += u32::from(child.try_wait().unwrap().is_none());
        println!("kill {killed} after {} rejects", desk.rejects_so_far());
        child.kill().unwrap();
        child.wait().unwrap();
    }
    let ended = desk.run(&format!("{run} --json")).await.assert_code(3);
    assert_eq!(killed, KILLS, "the run ended before the last kill: give it more items");
    assert_eq!(ended.json()["resumed"], true);
    let (inserted, deleted) = others.stop().await;
    println!(
        "killed {killed} times, {inserted} inserted and {} deleted meanwhile: {}",
        deleted.len(),
        ended.out.trim()
    );

    // What the writer put behind the scan is the second run's; the third finds nothing.
    let second = desk.run("run --force --json").await.assert_code(3).json();
    println!("second run: {second}");
    let third = desk.run("run --force").await.assert_code(3);
    assert!(third.out.contains("nothing changed"), "{third:?}");
    let verified = desk.run("verify --json").await.assert_code(3).json();
    println!("verify: {verified}");
    check_table(&client, &fixture, items + inserted, &deleted).await;
    check_rejects(&desk, &fixture);
}

async fn until_index_is_active(client: &Client) {
    loop {
        let described = client.describe_table().table_name(TABLE).send().await.unwrap().table.unwrap();
        let indexes = described.global_secondary_indexes.unwrap_or_default();
        if indexes.iter().any(|index| index.index_status == Some(IndexStatus::Active)) {
            return;
        }
        tokio::time::sleep(Duration::from_millis(100)).await;
    }
}

/// Every item, attribute by attribute, against what the fixture says.
async fn check_table(client: &Client, fixture: &Fixture, end: u64, deleted: &BTreeSet<u64>) {
    let (mut seen, mut wrong, mut resurrected, mut index) = (BTreeSet::new(), 0, 0, 0);
    each_item(client, TABLE, |mut item| {
        let number = number_of(&item);
        let target = item.remove("nmicrotimestamp").map(|target| target.as_n().unwrap().clone());
        let poisoned = fixture.poisoned.contains(&number);
        let right = if poisoned { None } else { Some(expected(number)) };
        wrong += u64::from(target != right || item != fixture.item(number));
        resurrected += u64::from(deleted.contains(&number));
        index += u64::from(target.is_some());
        seen.insert(number);
    })
    .await;
    let missed = (0..end).filter(|number| !seen.contains(number) && !deleted.contains(number)).count();
    println!("{} items: {missed} missed, {wrong} wrong, {resurrected} resurrected, {index} with a target", seen.len());
    assert_eq!((missed, wrong, resurrected), (0, 0, 0));
}

fn check_rejects(desk: &Desk, fixture: &Fixture) {
    let id = |line: &serde_json::Value| line["key"]["id"]["N"].as_str().unwrap().parse::<u64>().unwrap();
    let lines: Vec<u64> = desk.rejects().iter().map(|line| id(line) - 1_470_000_000_000_000).collect();
    let distinct: BTreeSet<u64> = lines.iter().copied().collect();
    assert_eq!(lines.len(), distinct.len(), "a reject stands twice");
    assert_eq!(distinct, fixture.poisoned);
}

/// A writer of the old kind and a deleter.
struct Others {
    stop: Arc<AtomicBool>,
    inserted: Arc<AtomicU64>,
    writer: tokio::task::JoinHandle<()>,
    deleter: tokio::task::JoinHandle<BTreeSet<u64>>,
}

impl Others {
    fn start(client: &Client, fixture: &Arc<Fixture>) -> Self {
        let (stop, inserted) = (Arc::new(AtomicBool::new(false)), Arc::new(AtomicU64::new(0)));
        let writer = insert(client.clone(), Arc::clone(fixture), Arc::clone(&stop), Arc::clone(&inserted));
        let deleter = delete(client.clone(), Arc::clone(fixture), Arc::clone(&stop));
        Self { stop, inserted, writer: tokio::spawn(writer), deleter: tokio::spawn(deleter) }
    }

    async fn stop(self) -> (u64, BTreeSet<u64>) {
        self.stop.store(true, Ordering::Relaxed);
        self.writer.await.unwrap();
        (self.inserted.load(Ordering::Relaxed), self.deleter.await.unwrap())
    }
}

async fn insert(client: Client, fixture: Arc<Fixture>, stop: Arc<AtomicBool>, inserted: Arc<AtomicU64>) {
    while !stop.load(Ordering::Relaxed) {
        let item = fixture.item(fixture.items + inserted.load(Ordering::Relaxed));
        client.put_item().table_name(TABLE).set_item(Some(item)).send().await.unwrap();
        inserted.fetch_add(1, Ordering::Relaxed);
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
}

/// Deletes items that are not poisoned, so that the rejects stay exactly those.
async fn delete(client: Client, fixture: Arc<Fixture>, stop: Arc<AtomicBool>) -> BTreeSet<u64> {
    let (mut dice, mut deleted) = (ChaCha8Rng::seed_from_u64(fixture.seed + 1), BTreeSet::new());
    while !stop.load(Ordering::Relaxed) {
        let number = dice.random_range(0..fixture.items);
        if !fixture.poisoned.contains(&number) && deleted.insert(number) {
            let item = fixture.item(number);
            let call = client.delete_item().table_name(TABLE).key("id", item["id"].clone());
            call.key("microtimestamp", item["microtimestamp"].clone()).send().await.unwrap();
        }
        tokio::time::sleep(Duration::from_millis(5)).await;
    }
    deleted
}
