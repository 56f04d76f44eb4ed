//! Order events in blocks: what is decided stays decided, and whoever reads sees events.

use std::collections::BTreeMap;
use std::time::Duration;

use aws_sdk_dynamodb::types::ReturnConsumedCapacity;
use axum::Router;
use axum::body::{Body, Bytes, to_bytes};
use axum::extract::{Request, State};
use axum::http::{Response, StatusCode};
use fault_proxy::config::Outage;
use fault_proxy::mix::FaultProbabilities;
use ingestor::spool::blocks::KeptBlock;
use ingestor::store::reader::{Side, StoreReader};
use ingestor::store::table;
use shared::block::stored::partition;
use shared::item::{Item, SOURCE};
use tokio::net::TcpListener;

use crate::support::{Bench, Daemon, assert_prefixes, in_blocks, open_spool, until};

fn settings(bench: &Bench) -> BTreeMap<String, String> {
    let mut settings = bench.settings();
    in_blocks(&mut settings);
    settings
}

fn number(item: &Item, name: &str) -> u64 {
    item[name].as_n().unwrap().parse().unwrap()
}

fn channel(item: &Item) -> &str {
    item["channel"].as_s().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rough_store_gets_every_event_once() {
    let bench = Bench::new(31, 2.0).await;
    bench.proxy.set_mix(FaultProbabilities::rough());
    let mut settings = settings(&bench);
    settings.insert("request_timeout".to_owned(), "500ms".to_owned());
    settings.insert("origin".to_owned(), "a".to_owned());
    let daemon = bench.start(&settings).await;
    let status = daemon.status();
    until("subscribed", || bench.simulator.subscriptions() == 4).await;
    bench.simulator.resume();
    until("6,000 received", || status.received.get() >= 6_000).await;
    bench.drain(&daemon).await;
    let events = bench.assert_table_is_truth().await as u64;
    let (copies, blocks) = (bench.copies().await, bench.blocks().await);
    assert_eq!(copies.len() as u64, events, "an event is there twice");
    assert!(copies.iter().all(|event| event["origin"].as_s().unwrap() == "a/1"), "an event lost its origin");
    let orders = copies.iter().filter(|event| channel(event).starts_with("live_orders")).count() as u64;
    eprintln!("{events} events, {orders} of orders in {} blocks, {} bytes", blocks.len(), status.block_bytes.get());
    assert_eq!((status.blocks.get(), status.block_events.get()), (blocks.len() as u64, orders));
    assert_eq!(status.stored.get(), events);
    assert_eq!((status.blocks_refused.get(), daemon.spool().quarantine().count()), (0, 0));
    let units: usize = blocks.values().map(|block| 2 * shared::item::size(block).div_ceil(1024)).sum();
    assert_eq!(status.block_units.get(), units as u64);
    daemon.stop().await.unwrap();
}

/// Runs a daemon that stores blocks, and kills it when it has closed more that it could not store.
pub(crate) async fn leave_blocks_in_the_spool(bench: &Bench, settings: &BTreeMap<String, String>) {
    let daemon = Daemon::start(settings).await;
    until("subscribed", || bench.simulator.subscriptions() == 4).await;
    bench.simulator.resume();
    daemon.until_metric("bitstamp_blocks_total", |blocks| blocks > 2.0).await;
    bench.proxy.set_down(Some(Outage::Refuse));
    let received = daemon.metric("bitstamp_received_total").await;
    daemon.until_metric("bitstamp_received_total", |now| now > received + 1_000.0).await;
    daemon.kill();
    until("the simulator noticed", || bench.simulator.connections() == 0).await;
    bench.simulator.pause();
}

/// What the daemon had closed when it was killed is written as it was, although it now stores single events.
#[tokio::test(flavor = "multi_thread")]
async fn a_block_is_written_as_it_was_kept_whatever_the_settings_are_by_then() {
    let bench = Bench::new(32, 1.0).await;
    let settings = settings(&bench);
    leave_blocks_in_the_spool(&bench, &settings).await;
    let stored = bench.blocks().await;
    let spool = open_spool(bench.folder.path());
    let kept = spool.kept_blocks().unwrap();
    let name = spool.daemon().to_owned();
    drop(spool);
    let new = kept.iter().filter(|block| find(&stored, &name, block).is_none()).count();
    eprintln!("{} blocks were stored, {} kept, {new} of them not stored", stored.len(), kept.len());
    assert!(new > 2, "{new}");

    let mut settings = settings.clone();
    settings.remove("storage");
    bench.proxy.set_down(None);
    let daemon = Daemon::start(&settings).await;
    daemon.until_metric("bitstamp_spool_records", |records| records == 0.0).await;
    assert_eq!(daemon.terminate(Duration::from_secs(60)).await, 0);
    let blocks = bench.blocks().await;
    for block in &kept {
        let (_, item) = find(&blocks, &name, block).unwrap();
        assert_eq!(item["data"].as_b().unwrap().as_ref(), block.data);
    }
    assert_eq!(blocks.len(), stored.len() + new, "no other block");
    for (name, item) in stored {
        assert_eq!(blocks[&name], item, "a block has changed");
    }
    assert_eq!(bench.copies().await.len(), bench.items().await.len(), "an event is there twice");
    assert_prefixes(&bench.truth(), &bench.items().await);
}

/// The block of the table whose first record is that of a kept one.
fn find<'map>(
    blocks: &'map BTreeMap<String, Item>,
    daemon: &str,
    kept: &KeptBlock,
) -> Option<(&'map String, &'map Item)> {
    let end = format!("#block/{daemon}/{}", kept.sequences[0]);
    blocks.iter().find(|(name, _)| name.ends_with(&end))
}

/// Before the engine: refuses every request with a block in it, as it would an item that is not valid.
async fn refuse(State(engine): State<String>, request: Request) -> Response<Body> {
    let (parts, body) = request.into_parts();
    let body = to_bytes(body, usize::MAX).await.unwrap();
    let is_write = parts.headers["x-amz-target"].to_str().unwrap().ends_with("BatchWriteItem");
    let has_block = body.windows(8).any(|part| part == b"_blocks:");
    if is_write && has_block {
        let said = r#"{"__type":"com.amazonaws.dynamodb.v20120810#ValidationException","message":"no blocks here"}"#;
        return Response::builder().status(StatusCode::BAD_REQUEST).body(Body::from(said)).unwrap();
    }
    let sent =
        reqwest::Client::new().post(engine).headers(parts.headers).body(Bytes::clone(&body)).send().await.unwrap();
    let (status, headers) = (sent.status(), sent.headers().clone());
    let mut answer = Response::new(Body::from(sent.bytes().await.unwrap()));
    *answer.status_mut() = status;
    *answer.headers_mut() = headers;
    answer
}

#[tokio::test(flavor = "multi_thread")]
async fn events_of_a_block_that_the_table_refuses_are_written_one_by_one() {
    let bench = Bench::new(33, 0.5).await;
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let mut settings = settings(&bench);
    settings.insert("endpoint_url".to_owned(), format!("http://{}", listener.local_addr().unwrap()));
    let router = Router::new().fallback(refuse).with_state(bench.proxy.url());
    let serving = tokio::spawn(axum::serve(listener, router).into_future());
    let daemon = bench.start(&settings).await;
    let status = daemon.status();
    until("subscribed", || bench.simulator.subscriptions() == 4).await;
    bench.simulator.resume();
    until("blocks were refused", || status.blocks_refused.get() > 5).await;
    bench.drain(&daemon).await;
    bench.assert_table_is_truth().await;
    assert!(bench.blocks().await.is_empty());
    assert_eq!((status.blocks.get(), daemon.spool().quarantine().count()), (0, 0));
    daemon.stop().await.unwrap();
    serving.abort();
}

/// A stop does not wait for the age of a block, and loses none.
#[tokio::test(flavor = "multi_thread")]
async fn a_stop_closes_open_blocks() {
    let bench = Bench::new(34, 0.5).await;
    let mut settings = settings(&bench);
    settings.insert("block_age".to_owned(), "10s".to_owned());
    // Only the blocks' age would move the position then.
    settings.insert("channels".to_owned(), "live_orders_btcusd,live_orders_ethusd".to_owned());
    let daemon = bench.start(&settings).await;
    let status = daemon.status();
    until("subscribed", || bench.simulator.subscriptions() == 2).await;
    bench.simulator.resume();
    until("received", || status.received.get() > 200).await;
    bench.arrive(&daemon).await;
    let stopped = daemon.stop().await.unwrap();
    assert_eq!(stopped.left, 0);
    bench.assert_table_is_truth().await;
    assert_eq!(bench.copies().await.len(), bench.items().await.len());
    assert!(!bench.blocks().await.is_empty());
}

/// Events of blocks and single events, read together, on both sides of any moment.
#[tokio::test(flavor = "multi_thread")]
async fn the_nearest_events_are_found_in_blocks_and_beside_them() {
    let bench = Bench::new(35, 0.3).await;
    let mut settings = settings(&bench);
    let first = bench.start(&settings).await;
    until("subscribed", || bench.simulator.subscriptions() == 4).await;
    bench.simulator.resume();
    until("stored", || first.status().stored.get() > 400).await;
    bench.drain(&first).await;
    first.stop().await.unwrap();
    until("the simulator noticed", || bench.simulator.subscriptions() == 0).await;
    settings.remove("storage");
    let second = bench.start(&settings).await;
    until("subscribed again", || bench.simulator.subscriptions() == 4).await;
    bench.simulator.resume();
    until("stored", || second.status().stored.get() > 200).await;
    bench.simulator.pause();
    assert_eq!(second.stop().await.unwrap().left, 0);

    let reader = StoreReader { client: bench.store.clone(), table: "bitstamp-live".to_owned() };
    for name in ["live_orders_btcusd", "live_orders_ethusd", "live_trades_btcusd"] {
        let mut all: Vec<Item> = bench.items().await.into_iter().filter(|item| channel(item) == name).collect();
        all.sort_by_key(|item| (number(item, "nmicrotimestamp"), number(item, "received_at")));
        let times: Vec<u64> = all.iter().map(|item| number(item, "nmicrotimestamp")).collect();
        let (begin, end) = (times[0], times[times.len() - 1]);
        let moments = (0..=10).map(|part| begin - 1 + (end - begin + 2) * part / 10);
        for moment in moments.chain(times.iter().copied().step_by(131)) {
            for limit in [1, 20] {
                let before: Vec<u64> = times.iter().copied().filter(|time| *time < moment).rev().take(limit).collect();
                let after: Vec<u64> = times.iter().copied().filter(|time| *time > moment).take(limit).collect();
                for (side, expected) in [(Side::Before, before), (Side::After, after)] {
                    let found = reader.nearest_events(name, moment, side, limit).await.unwrap();
                    let found: Vec<u64> = found.iter().map(|item| number(item, "nmicrotimestamp")).collect();
                    assert_eq!(found, expected, "{name} {moment} {side:?} {limit}");
                }
            }
        }
        // Of the first run; how many events the second one stored meanwhile is left to the machine.
        let blocks = bench.blocks().await;
        let of_channel = blocks.values().filter(|block| channel(block) == partition(name));
        let last = of_channel.map(|block| number(block, "through")).max().unwrap_or(end);
        let first_run = times.iter().filter(|time| **time <= last).count();
        let (from, through) = (times[first_run / 5], times[first_run * 2 / 5]);
        let inside = reader.events_in_blocks(name, from, through).await.unwrap().len();
        let expected = times.iter().filter(|time| (from..=through).contains(time)).count();
        assert_eq!(inside, if name.starts_with("live_orders") { expected } else { 0 }, "{name}");
    }
}

/// `UNITS_SECONDS=30` is the figure in docs/cost.md: what the engine says of each block that the daemon wrote, when it is written to an empty
/// table.
#[tokio::test(flavor = "multi_thread")]
async fn a_block_costs_few_units_an_event() {
    let seconds = std::env::var("UNITS_SECONDS").map_or(6, |text| text.parse().unwrap());
    for (rate, age) in [(240.0, "1s"), (240.0, "10s"), (20.0, "1s")] {
        let bench = Bench::new(36, rate / 240.0).await;
        let mut settings = settings(&bench);
        settings.insert("channels".to_owned(), "live_orders_btcusd".to_owned());
        settings.insert("block_age".to_owned(), age.to_owned());
        let daemon = bench.start(&settings).await;
        let status = daemon.status();
        until("subscribed", || bench.simulator.subscriptions() == 1).await;
        bench.simulator.resume();
        tokio::time::sleep(Duration::from_secs(seconds)).await; // the length of the measurement
        bench.drain(&daemon).await;
        daemon.stop().await.unwrap();
        let (mut units, mut bytes, blocks) = (0.0, 0, bench.blocks().await);
        // An item that does not change costs nothing in the index.
        table::create(&bench.store, "measured").await.unwrap();
        for block in blocks.values() {
            let put = bench.store.put_item().table_name("measured").set_item(Some(block.clone()));
            let put = put.return_consumed_capacity(ReturnConsumedCapacity::Total).send().await.unwrap();
            units += put.consumed_capacity.unwrap().capacity_units.unwrap();
            let (size, count) = (shared::item::size(block), number(block, "count"));
            // However many events a starved simulator sends in a second: 11.5 bytes each, beside the block's own attributes.
            assert!(size as u64 <= 320 + count * 23 / 2, "{size} bytes for {count} events");
            bytes += size;
        }
        let events = blocks.values().map(|block| number(block, "count")).sum::<u64>() as f64;
        eprintln!(
            "{rate} events a second, age {age}: {events} events in {} blocks, {:.2} bytes and {:.4} units an event",
            blocks.len(),
            bytes as f64 / events,
            units / events
        );
        let counted = status.block_units.get() as f64;
        // They may differ where an item is a few bytes from a full kilobyte.
        assert!((units - counted).abs() <= 2.0 + counted / 10.0, "the daemon counts {counted}, the engine {units}");
    }
}

/// The gap filler joins a gap to events of blocks, and inserts none that a block has.
#[tokio::test(flavor = "multi_thread")]
async fn a_gap_between_blocks_is_filled() {
    let bench = Bench::new(37, 0.6).await;
    let mut settings = settings(&bench);
    for (key, value) in
        [("fill_after", "2s"), ("request_timeout", "10s"), ("ping_every", "500ms"), ("heartbeat_every", "500ms")]
    {
        settings.insert(key.to_owned(), value.to_owned());
    }
    let daemon = bench.start(&settings).await;
    crate::fill::miss(&bench, &daemon).await;
    let status = daemon.status();
    until("filled", || {
        assert_eq!(status.unfillable.get(), 0, "the history does not join");
        status.filled.get() >= 4
    })
    .await;
    bench.drain(&daemon).await;
    daemon.stop().await.unwrap();
    let comparison = bench.compare().await;
    assert_eq!((comparison.missing.as_slice(), comparison.extra), (&[][..], 0));
    let (copies, items) = (bench.copies().await, bench.items().await);
    let fetched = items.iter().filter(|item| item.contains_key(SOURCE)).count();
    eprintln!("{} events, {fetched} fetched, {} copies", items.len(), copies.len());
    assert!(fetched > 100, "{fetched}");
    assert_eq!(copies.len(), items.len(), "an event of a block was fetched again");
}
