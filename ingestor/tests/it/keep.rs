//! How long items are kept: whatever the daemon writes says when it expires, by the time of what it holds.

use std::collections::{BTreeMap, BTreeSet};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::types::AttributeValue;
use shared::block::stored;
use shared::coverage::days::{DAY, days_channel};
use shared::coverage::{Interval, Record, State, channel_item, ledger_channel};
use shared::item::{EXPIRES, Item, SOURCE};
use shared::keep::{KEEP, Keeps, SETTLE};

use crate::blocks::leave_blocks_in_the_spool;
use crate::commands::{role, run};
use crate::support::{Bench, Daemon, assert_prefixes, in_blocks, open_spool, until, until_async};

type Settings = BTreeMap<String, String>;

const MINUTE: u64 = 60_000_000;

fn settings(bench: &Bench, changes: &[(&str, &str)]) -> Settings {
    let mut settings = bench.settings();
    in_blocks(&mut settings);
    settings.extend(changes.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())));
    settings
}

fn now() -> u64 {
    u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap()
}

fn number(item: &Item, name: &str) -> u64 {
    item[name].as_n().unwrap().parse().unwrap()
}

fn channel(item: &Item) -> &str {
    item["channel"].as_s().unwrap()
}

/// The expected `expires` of an item that is kept for so many days; `None`: it has none.
fn expected(item: &Item, days: u64) -> Option<u64> {
    let name = channel(item);
    let through = match name.split_once(':') {
        Some(("_coverage" | "_coverage-days", _)) => number(item, "nmicrotimestamp"),
        Some(("_blocks", _)) => number(item, "through"),
        Some(("_snapshot", _)) => number(item, "nmicrotimestamp") + DAY,
        _ if name.starts_with('_') => return None,
        _ => number(item, "nmicrotimestamp"),
    };
    Some(through.div_ceil(1_000_000) + days * 86_400)
}

fn kind(item: &Item) -> String {
    match channel(item).split_once(':') {
        Some(("_coverage", _)) => format!("ledger {}", item["state"].as_s().unwrap()),
        Some((reserved, _)) => reserved.to_owned(),
        None if item.contains_key(SOURCE) => "fetched".to_owned(),
        None if channel(item).starts_with('_') => channel(item).to_owned(),
        None => "event".to_owned(),
    }
}

async fn record(bench: &Bench) -> Keeps {
    let items = bench.all_items().await;
    Keeps::from_item(items.iter().find(|item| channel(item) == KEEP).unwrap()).unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_kind_of_item_expires_by_its_own_time() {
    let bench = Bench::new(161, 0.6).await;
    let changes = [
        ("keep", "90d,live_orders_*=5w,live_trades_ethusd=forever"),
        ("fill_after", "2s"),
        ("request_timeout", "10s"),
        ("ping_every", "500ms"),
        ("heartbeat_every", "500ms"),
        ("snapshot_every", "24h"),
        ("origin", "a"),
    ];
    let daemon = bench.start(&settings(&bench, &changes)).await;
    crate::fill::miss(&bench, &daemon).await;
    let status = daemon.status();
    until("filled, and books stored", || status.filled.get() >= 4 && status.books.get() >= 2).await;
    bench.drain(&daemon).await;
    daemon.stop().await.unwrap();
    let comparison = bench.compare().await;
    assert_eq!((comparison.missing.as_slice(), comparison.extra), (&[][..], 0));

    let mut kinds = BTreeSet::new();
    for item in bench.all_items().await {
        let days = match channel(&item) {
            name if name.ends_with("live_trades_ethusd") => None,
            name if name.contains("live_orders_") => Some(35),
            _ => Some(90),
        };
        let expires = days.and_then(|days| expected(&item, days));
        assert_eq!(item.get(EXPIRES), expires.map(|time| AttributeValue::N(time.to_string())).as_ref(), "{item:?}");
        kinds.insert(kind(&item));
    }
    let all = [
        "_blocks",
        "_channels",
        "_keep",
        "_snapshot",
        "event",
        "fetched",
        "ledger captured",
        "ledger filled",
        "ledger gap",
    ];
    assert_eq!(kinds.iter().map(String::as_str).collect::<Vec<_>>(), all);
    // No event in a block has it: its bytes are the same whatever is set.
    assert!(bench.copies().await.iter().all(|event| event.contains_key("price_str")));
    let in_blocks = bench.blocks().await.into_values().map(|block| stored::BlockItem::from_attributes(&block).unwrap());
    for block in in_blocks {
        assert!(block.events().unwrap().iter().all(|event| !event.contains_key(EXPIRES)));
    }
    // Counted as they were written.
    let bytes: usize = bench.all_items().await.iter().filter(|item| is_of_events(item)).map(shared::item::size).sum();
    let fetched: usize =
        bench.items().await.iter().filter(|item| item.contains_key(SOURCE)).map(shared::item::size).sum();
    assert_eq!(status.stored_bytes.get(), (bytes - fetched) as u64);
}

fn is_of_events(item: &Item) -> bool {
    !channel(item).starts_with('_') || channel(item).starts_with("_blocks:")
}

/// What was kept in the spool under one setting is written under another: the same block, and it expires when it would have.
#[tokio::test(flavor = "multi_thread")]
async fn a_changed_setting_holds_for_what_comes_and_changes_no_block() {
    let bench = Bench::new(162, 1.0).await;
    let settings = settings(&bench, &[("keep", "30d")]);
    leave_blocks_in_the_spool(&bench, &settings).await;
    let before = bench.blocks().await;
    let first = record(&bench).await;
    assert_eq!((first.changes(), first.of("live_orders_btcusd")[0].from), (1, 0), "a new table: from the beginning");
    let spool = open_spool(bench.folder.path());
    let kept: Vec<Vec<u8>> = spool.kept_blocks().unwrap().into_iter().map(|block| block.data).collect();
    drop(spool);

    bench.proxy.set_down(None);
    for (number, keep) in [(2, "2d"), (3, "")] {
        let mut settings = settings.clone();
        settings.insert("keep".to_owned(), keep.to_owned());
        let started = now();
        let daemon = Daemon::start(&settings).await;
        daemon.until_metric("bitstamp_spool_records", |records| records == 0.0).await;
        assert_eq!(daemon.terminate(Duration::from_secs(60)).await, 0);
        let changed = record(&bench).await;
        assert_eq!(changed.changes(), number);
        let last = *changed.of("live_orders_btcusd").last().unwrap();
        assert_eq!(last.seconds, (!keep.is_empty()).then_some(2 * 86_400));
        assert!(last.from >= started + SETTLE && last.from <= now() + SETTLE);
        // The record of a daemon with the same setting stays.
        let daemon = Daemon::start(&settings).await;
        daemon.until_metric("bitstamp_spool_records", |records| records == 0.0).await;
        assert_eq!(daemon.terminate(Duration::from_secs(60)).await, 0);
        assert_eq!(record(&bench).await, changed);
    }
    let after = bench.blocks().await;
    assert!(before.iter().all(|(name, block)| after[name] == *block), "a block has changed");
    assert!(after.len() > before.len());
    for data in kept {
        assert!(
            after.values().any(|block| block[stored::DATA].as_b().unwrap().as_ref() == data),
            "a kept block is missing"
        );
    }
    assert_prefixes(&bench.truth(), &bench.items().await);
    // All of it happened before the other settings came into force.
    for item in bench.all_items().await {
        let expires = expected(&item, 30).map(|time| AttributeValue::N(time.to_string()));
        assert_eq!(item.get(EXPIRES), expires.as_ref(), "{item:?}");
    }
}

/// Without the record nobody could tell what has expired from what is unknown: nothing is written before it.
#[tokio::test(flavor = "multi_thread")]
async fn nothing_expires_that_is_not_recorded() {
    let bench = Bench::new(163, 0.5).await;
    let role = role(&bench, &["DescribeTable", "Query", "BatchWriteItem"]).await;
    let settings = settings(&bench, &[("keep", "30d"), ("endpoint_url", &role.url()), ("fill_after", "1s")]);
    let daemon = bench.start(&settings).await;
    let status = daemon.status();
    until("subscribed", || bench.simulator.subscriptions() == 4).await;
    bench.simulator.resume();
    until("received", || status.received.get() > 200).await;
    let said = || status.trouble().values().cloned().collect::<Vec<_>>().join("; ");
    until("in trouble", || said().contains("permission dynamodb:PutItem is missing")).await;
    assert!(bench.all_items().await.is_empty());
    bench.arrive(&daemon).await;
    daemon.stop().await.unwrap();
    until("the simulator noticed", || bench.simulator.subscriptions() == 0).await;
    // With the permission it goes on.
    let daemon = bench.start(&with(&settings, "endpoint_url", &bench.proxy.url())).await;
    until_async("written", async || daemon.spool().depth() == 0).await;
    daemon.stop().await.unwrap();
    bench.assert_table_is_truth().await;
    assert!(bench.items().await.len() > 100);

    // A damaged record is no reason to write by another one.
    let mut item = bench.all_items().await.into_iter().find(|item| channel(item) == KEEP).unwrap();
    item.remove("changes");
    bench.store.put_item().table_name("bitstamp-live").set_item(Some(item)).send().await.unwrap();
    let daemon = bench.start(&with(&settings, "endpoint_url", &bench.proxy.url())).await;
    let status = daemon.status();
    let said = || status.trouble().values().cloned().collect::<Vec<_>>().join("; ");
    until("in trouble", || {
        said().contains("the item `_keep`, which says how long items are kept, has no valid `changes`")
    })
    .await;
    daemon.stop().await.unwrap();
}

fn with(settings: &Settings, key: &str, value: &str) -> Settings {
    let mut settings = settings.clone();
    settings.insert(key.to_owned(), value.to_owned());
    settings
}

/// A table that was written without the setting keeps what it holds; the quarantine is retried by the same record.
#[tokio::test(flavor = "multi_thread")]
async fn a_table_that_holds_events_begins_ten_minutes_later() {
    let bench = Bench::new(164, 0.5).await;
    let put = async |item: Item| {
        bench.store.put_item().table_name("bitstamp-live").set_item(Some(item)).send().await.unwrap()
    };
    put(channel_item("live_orders_btcusd", now() - DAY)).await;
    let settings = settings(&bench, &[("keep", "30d"), ("channels", "live_orders_btcusd,live_trades_btcusd")]);
    let daemon = bench.start(&settings).await;
    let status = daemon.status();
    until("subscribed", || bench.simulator.subscriptions() == 2).await;
    bench.simulator.resume();
    until("stored", || status.stored.get() > 200 && status.blocks.get() > 3).await;
    bench.drain(&daemon).await;
    daemon.stop().await.unwrap();
    let items = bench.all_items().await;
    let (expire, stay): (Vec<_>, Vec<_>) = items.iter().partition(|item| item.contains_key(EXPIRES));
    assert!(expire.iter().all(|item| channel(item).contains("live_trades_btcusd")) && !expire.is_empty());
    assert!(stay.iter().any(|item| channel(item) == "_blocks:live_orders_btcusd"));
    assert!(!stay.iter().any(|item| channel(item).contains("live_trades_btcusd")));
    let ran = run(&settings, &["check"]);
    assert!(ran.out.contains("live_orders_btcusd, live_trades_btcusd kept 30d"), "{}", ran.out);
}

/// Minutes expire by themselves, and are put together all the same, once.
#[tokio::test(flavor = "multi_thread")]
async fn days_are_closed_although_their_minutes_expire() {
    const CHANNEL: &str = "live_trades_btcusd";
    let bench = Bench::new(165, 1.0).await;
    let changes = [("keep", "5d"), ("channels", CHANNEL), ("fill_after", "1s"), ("request_timeout", "10s")];
    let settings = settings(&bench, &[changes.as_slice(), &[("storage", "")]].concat());
    let daemon = bench.start(&settings).await;
    let name = daemon.spool().daemon().to_owned();
    daemon.stop().await.unwrap();

    let midnight = (now() / DAY - 4) * DAY;
    let keeps = record(&bench).await;
    let minute = |minute: u64| {
        let from = midnight + minute * MINUTE;
        let interval = Interval { from, through: from + MINUTE - 1, state: State::Captured, reason: None };
        let record = Record { daemon: name.clone(), channel: CHANNEL.to_owned(), interval, frames: 2 };
        let mut item = record.to_item();
        let expires = keeps.expires(CHANNEL, from, from + MINUTE - 1).unwrap();
        item.insert(EXPIRES.to_owned(), AttributeValue::N(expires.to_string()));
        item
    };
    // The first of them has expired, and the table has not deleted it yet.
    let mut items: Vec<Item> = (600..620).map(minute).collect();
    items[0].insert(EXPIRES.to_owned(), AttributeValue::N((now() / 1_000_000 - 60).to_string()));
    for item in items {
        bench.store.put_item().table_name("bitstamp-live").set_item(Some(item)).send().await.unwrap();
    }
    let mut seen = Vec::new();
    for _ in 0..2 {
        let asked = bench.proxy.counts().requested("Query");
        let daemon = bench.start(&settings).await;
        until("asked", || bench.proxy.counts().requested("Query") >= asked + 33).await;
        daemon.stop().await.unwrap();
        let all = bench.all_items().await;
        let of = |name: String| all.iter().filter(|item| channel(item) == name).cloned().collect::<Vec<_>>();
        let (minutes, days) = (of(ledger_channel(CHANNEL)), of(days_channel(CHANNEL)));
        assert_eq!(days.len(), 1, "{days:?}");
        assert_eq!((number(&days[0], "from"), number(&days[0], "entries")), (midnight + 601 * MINUTE, 19));
        assert_eq!(number(&days[0], EXPIRES), expected(&days[0], 5).unwrap(), "by its own time");
        let minutes: Vec<Item> =
            minutes.into_iter().filter(|item| number(item, "nmicrotimestamp") < midnight + DAY).collect();
        // Three days ahead would be later than they expire anyhow.
        let own = |item: &&Item| number(item, EXPIRES) == expected(item, 5).unwrap();
        assert_eq!((minutes.len(), minutes.iter().filter(own).count()), (20, 19));
        seen.push((minutes, days));
    }
    assert_eq!(seen[0], seen[1], "another run changes nothing");
}

/// `ingestor estimate` says of the other storage what it would take.
#[tokio::test(flavor = "multi_thread")]
async fn an_estimate_is_what_the_store_consumes() {
    let bench = Bench::new(166, 1.0).await;
    let settings = settings(&bench, &[("channels", "live_orders_btcusd"), ("block_age", "1s"), ("keep", "90d")]);
    let daemon = bench.start(&settings).await;
    let status = daemon.status();
    until("subscribed", || bench.simulator.subscriptions() == 1).await;
    bench.simulator.resume();
    until("stored", || status.blocks.get() >= 8).await;
    bench.drain(&daemon).await;
    let listen = with(&settings, "listen", &daemon.address().to_string());
    let ran = run(&listen, &["status"]);
    let events = status.stored.get();
    let blocks = status.blocks.get();
    assert!(ran.out.contains(&format!("in {blocks} blocks; ")), "{}", ran.out);
    assert!(ran.out.contains("             live_orders_btcusd: "), "{}", ran.out);
    daemon.stop().await.unwrap();

    let written = async |name: &str, items: Vec<Item>| {
        ingestor::store::table::create(&bench.store, name).await.unwrap();
        let mut units = 0.0;
        for item in items {
            let put = bench.store.put_item().table_name(name).set_item(Some(item));
            let put = put.return_consumed_capacity(aws_sdk_dynamodb::types::ReturnConsumedCapacity::Total).send().await;
            units += put.unwrap().consumed_capacity.unwrap().capacity_units.unwrap();
        }
        units
    };
    let all = bench.blocks().await;
    let blocks = written("blocks", all.values().cloned().collect()).await / events as f64;
    let expires = AttributeValue::N("1790000000".to_owned());
    let single = |mut item: Item| {
        item.insert(EXPIRES.to_owned(), expires.clone());
        item
    };
    let singles = written("singles", bench.items().await.into_iter().map(single).collect()).await / events as f64;
    let ran = run(&settings, &["estimate"]);
    let cells = |begin: &str| -> Vec<f64> {
        let line = ran.out.lines().find(|line| line.starts_with(begin)).unwrap();
        line.split_whitespace().filter_map(|cell| cell.replace(',', "").trim_end_matches('d').parse().ok()).collect()
    };
    let (own, other) = (cells("live_orders_btcusd"), cells("  or"));
    eprintln!("{events} events; the engine: {blocks} and {singles} units an event; estimated: {own:?} and {other:?}");
    assert_eq!((own[0], other[0]), (events as f64 * 24.0, events as f64 * 24.0));
    // The last block is left out of the estimate, and the daemon's age begins when an event is read.
    assert!((own[2] - blocks).abs() < blocks * 0.3, "{} and {blocks}", own[2]);
    assert!((other[2] - singles).abs() < 0.005, "{} and {singles}", other[2]);
    let kept = ran.out.split("\n\n").nth(1).unwrap();
    let line = kept.lines().find(|line| line.starts_with("live_orders_btcusd")).unwrap();
    let cells: Vec<&str> = line.split_whitespace().collect();
    assert_eq!(cells[3], "90d");
    let sizes: usize = all.values().map(|block| 2 * (shared::item::size(block) + 100)).sum();
    let (estimated, stored): (f64, f64) = (cells[2].parse().unwrap(), sizes as f64 * 24.0 / 1e9);
    assert!((estimated - stored).abs() < stored * 0.2 + 0.0011, "{estimated} and {stored} GB a day");
}
