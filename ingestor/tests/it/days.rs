//! The ledger's minutes of closed days become one entry each.

use std::time::{SystemTime, UNIX_EPOCH};

use aws_sdk_dynamodb::types::AttributeValue;
use shared::coverage::days::{DAY, days_channel, runs};
use shared::coverage::{Interval, Record, State, interval, ledger_channel, merge};
use shared::item::{EXPIRES, Item};

use crate::support::{Bench, until, until_async};

const CHANNEL: &str = "live_trades_btcusd";
const MINUTE: u64 = 60_000_000;

fn of(items: &[Item], channel: &str) -> Vec<Item> {
    let is_of = |item: &&Item| item["channel"].as_s().unwrap() == channel;
    items.iter().filter(is_of).cloned().collect()
}

fn intervals(items: &[Item]) -> Vec<Interval> {
    items.iter().map(|item| interval(item).unwrap()).collect()
}

/// Minutes of this daemon of three days ago, with a gap, and of another daemon, are in the table.
#[tokio::test(flavor = "multi_thread")]
async fn the_minutes_of_a_closed_day_become_one_entry_and_expire() {
    let bench = Bench::new(51, 1.0).await;
    let mut settings = bench.settings();
    for (key, value) in [("channels", CHANNEL), ("fill_after", "1s"), ("request_timeout", "10s")] {
        settings.insert(key.to_owned(), value.to_owned());
    }
    // A first run to have a name.
    let daemon = bench.start(&settings).await;
    let name = daemon.spool().daemon().to_owned();
    daemon.stop().await.unwrap();

    let now = u64::try_from(SystemTime::now().duration_since(UNIX_EPOCH).unwrap().as_micros()).unwrap();
    let midnight = (now / DAY - 4) * DAY;
    let record = |daemon: &str, minute: u64, state| {
        let from = midnight + DAY - 30 * MINUTE + minute * MINUTE;
        let reason = (state == State::Gap).then(|| "connection lost".to_owned());
        let interval = Interval { from, through: from + MINUTE - 1, state, reason };
        Record { daemon: daemon.to_owned(), channel: CHANNEL.to_owned(), interval, frames: 2 }
    };
    // Over midnight; the twelfth minute is a gap; yesterday is not closed long enough.
    let state = |minute| if minute == 12 { State::Gap } else { State::Captured };
    let own: Vec<_> = (0..60).map(|minute| record(&name, minute, state(minute))).collect();
    let recent: Vec<_> = (0..5).map(|minute| record(&name, minute + 3 * 1_440, State::Captured)).collect();
    let others: Vec<_> = (0..10).map(|minute| record("another", minute, State::Captured)).collect();
    for record in own.iter().chain(&recent).chain(&others) {
        bench.store.put_item().table_name("bitstamp-live").set_item(Some(record.to_item())).send().await.unwrap();
    }

    let daemon = bench.start(&settings).await;
    let expiring = async || bench.all_items().await.iter().filter(|item| item.contains_key(EXPIRES)).count();
    until_async("minutes that expire", async || expiring().await == 59).await;
    daemon.stop().await.unwrap();

    let items = bench.all_items().await;
    let (minutes, days) = (of(&items, &ledger_channel(CHANNEL)), of(&items, &days_channel(CHANNEL)));
    // What they say can be verified for as long as the minutes are there.
    let mut expected: Vec<_> = runs(&own).iter().map(|run| run.to_item()).collect();
    let end = |item: &Item| item["nmicrotimestamp"].as_n().unwrap().clone();
    let mut found = days.clone();
    found.sort_by_key(end);
    expected.sort_by_key(end);
    assert_eq!((found.len(), &found), (3, &expected));
    let counts: Vec<_> = found.iter().map(|item| item["entries"].as_n().unwrap().as_str()).collect();
    assert_eq!(counts, ["12", "17", "30"]);
    let (expire, stay): (Vec<_>, Vec<_>) = minutes.iter().cloned().partition(|item| item.contains_key(EXPIRES));
    let days_left = |item: &Item| (item[EXPIRES].as_n().unwrap().parse::<u64>().unwrap() - now / 1_000_000) / 86_400;
    assert!(expire.iter().all(|item| (2..=3).contains(&days_left(item))));
    // Neither the gap, nor another daemon's, nor what is too young.
    let keys = |records: &[Record]| records.iter().map(|record| record.key().microtimestamp).collect::<Vec<_>>();
    for record in own.iter().filter(|record| record.interval.state == State::Gap).chain(&recent).chain(&others) {
        assert!(
            stay.iter().any(|item| item["id"] == AttributeValue::N(record.key().id)
                && item["microtimestamp"].as_s().unwrap() == &record.key().microtimestamp),
            "{record:?}"
        );
    }
    assert!(keys(&own).len() > stay.len());
    // Without the expired ones nothing else is known than before.
    let (from, to) = (midnight, midnight + 2 * DAY);
    let after: Vec<_> = intervals(&stay).into_iter().chain(intervals(&days)).collect();
    assert_eq!(merge(&after, from, to), merge(&intervals(&minutes), from, to));

    // Another run changes nothing. It asks for one day after the other, and for the channel's gaps.
    let asked = bench.proxy.counts().requested("Query");
    let daemon = bench.start(&settings).await;
    until("asked", || bench.proxy.counts().requested("Query") >= asked + 32).await;
    daemon.stop().await.unwrap();
    let items = bench.all_items().await;
    assert_eq!(of(&items, &days_channel(CHANNEL)).len(), 3);
}
