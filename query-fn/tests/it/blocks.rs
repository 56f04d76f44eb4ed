//! Blocks in the table: what is damaged is a problem, and what they cost.

use aws_sdk_dynamodb::types::AttributeValue;
use exchange_sim::model::channel::Family;
use query_fn::query::{reader::Reader, store::Store};
use query_fn::range::{END_OF_TIME, Order, Range, Subject};
use serde_json::Value;
use shared::{block::stored::OpenBlock, item::Item};

use crate::{
    flows,
    meter::Meter,
    support::{self, Service, client, serve, stored, whole_engine},
    viewer::Viewer,
};

const ORDERS: &str = "live_orders_btcusd";

/// Blocks of so many order events each.
fn blocks(count: usize, each: usize) -> (Vec<Item>, Vec<u64>) {
    let frames = flows::frames("btcusd", Family::LiveOrders, count, 5);
    let items: Vec<_> = frames.iter().map(|(frame, sent)| stored(frame, flows::ORIGIN + sent + 3_000)).collect();
    let times = items.iter().map(|item| item["nmicrotimestamp"].as_n().unwrap().parse().unwrap()).collect();
    let block = |(sequence, items): (usize, &[Item])| {
        let mut block = OpenBlock::new(ORDERS, "vm-a-1", (sequence * each) as u64);
        items.iter().for_each(|item| block.add(item).unwrap());
        block.finish().unwrap().to_attributes()
    };
    (items.chunks(each).enumerate().map(block).collect(), times)
}

#[tokio::test]
async fn a_damaged_block_is_named_and_nothing_before_it_is_lost() {
    let service = Service::on(&whole_engine().await).await;
    let (mut blocks, times) = blocks(300, 50);
    let AttributeValue::B(data) = &blocks[3]["data"] else { panic!("no data") };
    let mut bytes = data.as_ref().to_vec();
    *bytes.last_mut().unwrap() ^= 1;
    blocks[3].insert("data".to_owned(), AttributeValue::B(bytes.into()));
    let name = blocks[3]["microtimestamp"].as_s().unwrap().clone();
    service.put(blocks).await;
    let (status, page) = service.json(&format!("/bitstamp?channel={ORDERS}")).await;
    assert_eq!(status, 200, "{page:?}");
    let found = page["Items"].as_array().unwrap().len();
    // Events of the last times of the third block may also be in the fourth.
    assert!((100..=150).contains(&found), "{found}");
    let token = page["LastEvaluatedKey"].as_str().unwrap();
    let (status, problem) = service.json(&format!("/bitstamp?channel={ORDERS}&ExclusiveStartKey={token}")).await;
    assert_eq!((status, problem["type"].as_str()), (502, Some("damaged-block")), "{problem:?}");
    assert!(problem["detail"].as_str().unwrap().contains(&name), "{problem:?}");
    // Ranges that it has no part in are answered.
    for range in [format!("to={}", times[90]), format!("from={}&order=desc", times[290])] {
        let (status, page) = service.json(&format!("/bitstamp?channel={ORDERS}&{range}")).await;
        assert_eq!(status, 200, "{range}: {page:?}");
    }
    let export = service.get(&format!("/export?channel={ORDERS}")).await;
    assert!(export.text().await.is_err(), "an export that cannot be complete is cut off");
}

#[tokio::test]
async fn a_block_of_a_later_program_is_no_wrong_event() {
    let service = Service::on(&whole_engine().await).await;
    let (mut blocks, _) = blocks(20, 20);
    blocks[0].insert("codec".to_owned(), AttributeValue::S("predict/2".to_owned()));
    service.put(blocks).await;
    let (status, problem) = service.json(&format!("/bitstamp?channel={ORDERS}")).await;
    assert_eq!((status, problem["type"].as_str()), (502, Some("damaged-block")));
    assert!(problem["detail"].as_str().unwrap().contains("predict/2"), "{problem:?}");
}

/// Blocks that lie behind one another: no row that was read shows that there are more, and yet a page does not hold them all.
#[tokio::test]
async fn pages_end_although_nothing_shows_that_more_follows() {
    let service = Service::on(&whole_engine().await).await;
    let event = |number: u64| {
        let time = (flows::ORIGIN + number * 1_000).to_string();
        let attributes = [
            ("id", AttributeValue::N(number.to_string())),
            ("microtimestamp", AttributeValue::S(format!("{time}#a"))),
            ("channel", AttributeValue::S(ORDERS.to_owned())),
            ("nmicrotimestamp", AttributeValue::N(time)),
        ];
        attributes.map(|(name, value)| (name.to_owned(), value)).into()
    };
    let block = |sequence: u64| {
        let mut block = OpenBlock::new(ORDERS, "vm-a-1", sequence * 10);
        (sequence * 10..sequence * 10 + 10).for_each(|number| block.add(&event(number)).unwrap());
        block.finish().unwrap().to_attributes()
    };
    service.put((0..60).map(block).collect()).await;
    let range = Range {
        subject: Subject::Channel(ORDERS.to_owned()),
        from: 0,
        to: END_OF_TIME,
        order: Order::Ascending,
        said: None,
    };
    let mut reader = Reader::new(&range, &[ORDERS.to_owned()], None).with_pages_of(2_000);
    let store = Store::new(service.store.clone(), service.table.clone());
    let (mut times, mut pages) = (Vec::new(), 0);
    loop {
        let deadline = tokio::time::Instant::now() + std::time::Duration::from_secs(60);
        let page = reader.page(&store, None, deadline).await.unwrap();
        // An event has about 130 bytes, and a block is taken whole.
        assert!(page.rows.len() <= 2 * 2_000 / 100 + 10, "{}", page.rows.len());
        times.extend(page.rows.iter().map(|row| row.position.time));
        pages += 1;
        if page.next.is_none() {
            break;
        }
    }
    assert!((10..=60).contains(&pages), "{pages}");
    assert_eq!(times, (0..600).map(|number| flows::ORIGIN + number * 1_000).collect::<Vec<_>>());
}

/// What a page costs: of blocks those that reach into its time, of a channel without blocks one more Query that finds nothing.
#[tokio::test]
async fn a_page_reads_few_blocks() {
    let engine = whole_engine().await;
    let service = Service::on(&engine).await;
    let (blocks, times) = blocks(4_000, 100);
    service.put(blocks).await;
    let trades = (0..100).map(|n| stored(&crate::support::trade(n, flows::ORIGIN + n * 1_000), flows::ORIGIN + n));
    service.put(trades.collect()).await;
    let meter = Meter::start(&engine, |_| false).await;
    let url = serve(client(&meter.url), support::config(&service.table)).await;
    let get = async |path: String| {
        let body = service.http.get(format!("{url}{path}")).send().await.unwrap().text().await.unwrap();
        let page: Value = serde_json::from_str(&body).unwrap();
        (page["Items"].as_array().unwrap().len(), meter.take_queries(), meter.take_half_units())
    };
    let middle = times[2_000];
    for path in [
        format!("/bitstamp?channel={ORDERS}&from={middle}&limit=100"),
        format!("/bitstamp?channel={ORDERS}&to={middle}&order=desc&limit=100"),
        format!("/latest?channel={ORDERS}&limit=100"),
        format!("/bitstamp?channel={ORDERS}&from={middle}"),
        "/bitstamp?channel=live_trades_btcusd&limit=50".to_owned(),
    ] {
        meter.take_queries();
        meter.take_half_units();
        let (events, queries, half_units) = get(path.clone()).await;
        eprintln!("{path}: {events} events, {queries} queries, {half_units} half units");
        // The ledger is read in two or three.
        assert!(events >= 50 && queries <= 8 && half_units < 60, "{path}: {queries}, {half_units}");
    }
}

#[tokio::test]
async fn a_tail_shows_the_events_of_blocks_once() {
    let service = Service::on(&whole_engine().await).await;
    let (blocks, _) = blocks(400, 40);
    let (first, then) = blocks.split_at(5);
    service.put(vec![shared::coverage::channel_item(ORDERS, 1)]).await;
    service.put(first.to_vec()).await;
    let url = format!("{}/tail?channel={ORDERS}&from=0&fields=event_id", service.url);
    let mut viewer = Viewer::new(&service.http, url);
    viewer.connect().await;
    let mut seen = Vec::new();
    while seen.len() < 400 {
        // The second half is readable while the first is followed.
        if seen.len() == 100 {
            service.put(then.to_vec()).await;
        }
        let message = viewer.next().await.unwrap();
        if message.event != "end" {
            seen.push(message.data["event_id"].as_str().unwrap().to_owned());
        }
    }
    let unique: std::collections::BTreeSet<_> = seen.iter().collect();
    assert_eq!(unique.len(), 400);
}
