//! An answer does not depend on how its events are stored: as items, in blocks, or both, with the copies of two daemons.

use aws_sdk_dynamodb::types::AttributeValue;
use exchange_sim::model::channel::Family;
use rand::{RngExt, SeedableRng, rngs::StdRng};
use shared::item::EXPIRES;
use std::{collections::BTreeMap, path::PathBuf};

use crate::{
    cutter::{cutter, cutter_of},
    flows::{self, Tables},
    support::{self, Service, client, serve, whole_engine},
};

/// Routers on tables with the same events.
struct Stores {
    urls: Vec<(&'static str, String)>,
    http: reqwest::Client,
}

/// More pages than any query of these tests has.
const MOST_PAGES: usize = 5_000;

impl Stores {
    /// The tables on an engine; behind the first one the pages of the engine end anywhere if `cut` has a seed.
    async fn of(tables: &Tables, cut: Option<u64>) -> Stores {
        let engine = whole_engine().await;
        let other = match cut {
            Some(seed) => cutter(engine.clone(), seed).await,
            None => engine.clone(),
        };
        Stores::behind(tables, engine, other).await
    }

    /// The tables on `engine`, all but the first one behind `other`.
    async fn behind(tables: &Tables, engine: String, other: String) -> Stores {
        let mut urls = Vec::new();
        // When an item expires is nothing that a reader sees.
        let mut expiring = tables.mixed.clone();
        for item in expiring.iter_mut().step_by(2) {
            item.insert(EXPIRES.to_owned(), AttributeValue::N("4102444800".to_owned()));
        }
        let all = [
            ("events", &tables.events, &engine),
            ("blocks", &tables.blocks, &other),
            ("mixed", &tables.mixed, &other),
            ("expiring", &expiring, &other),
        ];
        for (name, items, endpoint) in all {
            let service = Service::on(&engine).await;
            service.put(items.clone()).await;
            // With one key the same place has the same token.
            urls.push((
                name,
                serve(client(endpoint), support::config_with_keys(&service.table, vec![vec![7; 32]])).await,
            ));
        }
        Stores { urls, http: reqwest::Client::new() }
    }

    /// The same answer of all: status, headers that say something of the events, body.
    async fn get(&self, path: &str) -> String {
        let mut answers = Vec::new();
        for (name, url) in &self.urls {
            answers.push((name, answer(&self.http, &format!("{url}{path}")).await));
        }
        let [(_, expected), others @ ..] = answers.as_slice() else { panic!("no store") };
        for (name, found) in others {
            assert_same(expected, found, &format!("{name}: {path}"));
        }
        expected.clone()
    }

    /// The answers to a query with all its pages, each the same of all; the number of pages.
    async fn follow(&self, path: &str) -> usize {
        let (mut pages, mut next) = (0, path.to_owned());
        loop {
            let answer = self.get(&next).await;
            assert!(answer.starts_with("200 "), "{next}: {answer}");
            pages += 1;
            let Some((_, token)) = answer.split_once("last-evaluated-key: ") else { return pages };
            next = format!("{path}&ExclusiveStartKey={}", token.lines().next().unwrap());
        }
    }

    /// The lines of all pages of a query, which end where they like; those of an order may be empty.
    async fn lines(&self, path: &str) {
        let mut all = Vec::new();
        for (name, url) in &self.urls {
            let (mut lines, mut next) = (Vec::new(), path.to_owned());
            for page in 0.. {
                assert!(page < MOST_PAGES, "{name}: {next}: page {page}");
                let answer = answer(&self.http, &format!("{url}{next}")).await;
                let (head, body) = answer.split_once("\n\n").unwrap();
                assert!(head.starts_with("200 "), "{name}: {next}: {answer}");
                lines.extend(body.lines().map(str::to_owned));
                let Some((_, token)) = head.split_once("last-evaluated-key: ") else { break };
                assert!(
                    !body.is_empty() || path.starts_with("/orders/"),
                    "{name}: a token behind an empty page: {next}"
                );
                next = format!("{path}&ExclusiveStartKey={}", token.lines().next().unwrap());
            }
            all.push(lines);
        }
        for (lines, (name, _)) in all.iter().zip(&self.urls) {
            assert_same(&all[0].join("\n"), &lines.join("\n"), &format!("{name}: {path}"));
        }
    }
}

/// Shows where two answers part.
fn assert_same(expected: &str, found: &str, what: &str) {
    if expected != found {
        let same = expected.bytes().zip(found.bytes()).take_while(|(left, right)| left == right).count();
        let around = |text: &str| {
            let bytes = text.as_bytes();
            let shown = &bytes[same.saturating_sub(300).min(bytes.len())..(same + 300).min(bytes.len())];
            String::from_utf8_lossy(shown).into_owned()
        };
        panic!("{what}: at byte {same}\nexpected: {}\nfound: {}", around(expected), around(found));
    }
}

async fn answer(http: &reqwest::Client, url: &str) -> String {
    let response = http.get(url).send().await.unwrap();
    let header = |name: &str| {
        let value = response.headers().get(name)?.to_str().unwrap();
        Some(format!("{name}: {value}\n"))
    };
    let headers: String =
        ["content-type", "doubles", "skipped", "gaps", "last-evaluated-key"].into_iter().filter_map(header).collect();
    let status = response.status().as_u16();
    let body = response.text().await.unwrap();
    format!("{status} \n{headers}\n{}", if url.contains("end=record") { without_units(&body) } else { body })
}

/// A body whose last record does not say what it cost: less, where events are in blocks.
fn without_units(body: &str) -> String {
    let Some((before, units)) = body.rsplit_once("\"read_units\"") else { return body.to_owned() };
    let Some((_, after)) = units.split_once(",\"") else { return body.to_owned() };
    format!("{before}\"{after}")
}

fn seed(usual: u64) -> StdRng {
    let seed = std::env::var("BLOCKS_SEED").ok().and_then(|seed| seed.parse().ok()).unwrap_or(usual);
    eprintln!("BLOCKS_SEED={seed}");
    StdRng::seed_from_u64(seed)
}

fn simulated(count: usize, random: &mut StdRng) -> Tables {
    let of = |family: Family, count: usize, seed: u64| {
        let market = if family == Family::FundingRate { "btcusd-perp" } else { "btcusd" };
        flows::frames(market, family, count, seed)
    };
    let mut channels: Vec<_> = Family::ALL
        .into_iter()
        .map(|family| {
            let is_book = !matches!(family, Family::LiveOrders | Family::LiveTrades);
            of(family, if is_book { count / 10 } else { count }, random.random())
        })
        .collect();
    channels.push(flows::frames("ethusd", Family::LiveOrders, count / 2, random.random()));
    flows::tables(channels, 0.1, random)
}

/// A query's order, format and fields.
fn dressed(random: &mut StdRng) -> String {
    let order = ["asc", "desc"][random.random_range(0..2)];
    let format = ["json", "ndjson", "csv"][random.random_range(0..3)];
    let fields =
        ["", "", "&fields=id,event,time,nmicrotimestamp,price_str,received_at,origin"][random.random_range(0..3)];
    format!("&order={order}&format={format}{fields}")
}

fn limit(random: &mut StdRng) -> usize {
    [1, 2, 7, 50, 240, 1_000][random.random_range(0..6)]
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_answer_is_the_same() {
    let mut random = seed(1);
    let tables = simulated(600, &mut random);
    let stores = Stores::of(&tables, None).await;
    let mut pages = 0;
    for _ in 0..24 {
        let channel = match random.random_range(0..4) {
            0 => "live_orders_*".to_owned(),
            1 => "live_orders_btcusd,live_trades_btcusd,order_book_btcusd".to_owned(),
            _ => tables.channels[random.random_range(0..tables.channels.len())].clone(),
        };
        let (from, to) = flows::range(&tables.times, &mut random);
        let span = if random.random_bool(0.3) { String::new() } else { format!("&from={from}&to={to}") };
        let (dress, limit) = (dressed(&mut random), limit(&mut random));
        if limit > 2 {
            pages += stores.follow(&format!("/bitstamp?channel={channel}{span}{dress}&limit={limit}")).await;
        } else {
            stores.get(&format!("/bitstamp?channel={channel}{span}{dress}&limit={limit}")).await;
        }
        stores.get(&format!("/latest?channel={channel}&limit={limit}")).await;
        let order = ["asc", "desc"][random.random_range(0..2)];
        let format = ["ndjson&end=record", "csv", "ndjson"][random.random_range(0..3)];
        stores.get(&format!("/export?channel={channel}{span}&order={order}&format={format}")).await;
    }
    assert!(pages > 40, "{pages} pages");
    for interval in ["1s", "1m", "5m"] {
        let (from, to) = flows::range(&tables.times, &mut random);
        stores.get(&format!("/candles?channel=live_trades_btcusd&interval={interval}&from={from}&to={to}")).await;
        stores.follow(&format!("/candles?channel=live_trades_btcusd&interval={interval}&limit=3")).await;
    }
    for channel in &tables.channels {
        for _ in 0..4 {
            let (from, to) = flows::range(&tables.times, &mut random);
            let fields = "fields=channel,first,last,items&format=csv";
            stores.get(&format!("/count?channel={channel}&from={from}&to={to}&{fields}")).await;
        }
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn wherever_the_engine_ends_its_pages() {
    let mut random = seed(2);
    let tables = simulated(200, &mut random);
    let stores = Stores::of(&tables, Some(3)).await;
    for _ in 0..15 {
        let channel = match random.random_range(0..3) {
            0 => "live_orders_btcusd,live_trades_btcusd".to_owned(),
            _ => tables.channels[random.random_range(0..tables.channels.len())].clone(),
        };
        let (from, to) = flows::range(&tables.times, &mut random);
        let (order, limit) = (["asc", "desc"][random.random_range(0..2)], limit(&mut random).max(7));
        let limit = if random.random_bool(0.3) { String::new() } else { format!("&limit={limit}") };
        stores
            .lines(&format!("/bitstamp?channel={channel}&from={from}&to={to}&order={order}&format=ndjson{limit}"))
            .await;
        stores.get(&format!("/export?channel={channel}&from={from}&to={to}&order={order}")).await;
    }
}

/// Some orders of two markets, of which nobody says in which they are.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_found_in_blocks() {
    let mut random = seed(4);
    let of = |market, count, seed| flows::frames(market, Family::LiveOrders, count, seed);
    let tables =
        flows::tables(vec![of("btcusd", 700, random.random()), of("ethusd", 300, random.random())], 0.0, &mut random);
    let orders = tables.events.iter().filter(|item| item["channel"].as_s().unwrap().starts_with("live_orders_"));
    let ids: Vec<_> = orders.map(|item| item["id"].as_n().unwrap().clone()).collect();
    let (stores, cut) = (Stores::of(&tables, None).await, Stores::of(&tables, Some(5)).await);
    for place in 0..40 {
        let id = &ids[random.random_range(0..ids.len())];
        let (dress, limit) = (dressed(&mut random), [1, 2, 1_000][place % 3]);
        stores.follow(&format!("/orders/{id}?limit={limit}{dress}")).await;
        let order = ["asc", "desc"][place % 2];
        cut.lines(&format!("/orders/{id}?limit={limit}&order={order}&format=ndjson")).await;
    }
    for (_, url) in &stores.urls {
        let unknown = answer(&stores.http, &format!("{url}/orders/1")).await;
        assert!(unknown.starts_with("404 ") && unknown.contains("unknown-order"), "{unknown}");
    }
}

/// More blocks than a page of an order reads begin within the span of a block: each page goes on from where the last one came to.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn an_order_is_found_behind_many_blocks_of_one_time() {
    let mut random = seed(6);
    let frames = flows::frames("btcusd", Family::LiveOrders, 700, random.random());
    let tables = flows::tables(vec![frames], 0.0, &mut random);
    let orders = tables.events.iter().filter(|item| item["channel"].as_s().unwrap().starts_with("live_orders_"));
    let ids: Vec<_> = orders.map(|item| item["id"].as_n().unwrap().clone()).collect();
    let engine = whole_engine().await;
    let one_a_page = cutter_of(engine.clone(), 1, 1).await;
    let stores = Stores::behind(&tables, engine, one_a_page).await;
    for order in ["asc", "desc", "asc", "desc"] {
        let id = &ids[random.random_range(0..ids.len())];
        stores.lines(&format!("/orders/{id}?order={order}&format=ndjson")).await;
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn every_recorded_frame_is_answered() {
    let Some(folder) = std::env::var_os("FRAMES_DIR").map(PathBuf::from) else {
        eprintln!("SKIPPED: FRAMES_DIR is not set, recorded frames are not checked");
        return;
    };
    let mut channels: BTreeMap<String, Vec<(String, u64)>> = BTreeMap::new();
    for name in ["cryptofeed_2022-01-04_ws_with_recv_ts.jsonl", "single_frames.jsonl"] {
        for line in std::fs::read_to_string(folder.join(name)).unwrap().lines() {
            let value: serde_json::Value = serde_json::from_str(line).unwrap();
            let frame = value.get("raw").and_then(|raw| raw.as_str()).unwrap_or(line).to_owned();
            let Ok(shared::frame::Frame::Event(event)) = shared::frame::Frame::parse(frame.as_bytes()) else {
                continue;
            };
            let frames = channels.entry(event.channel.to_string()).or_default();
            frames.push((frame, frames.len() as u64 * 1_000));
        }
    }
    let mut random = seed(3);
    let names: Vec<_> = channels.keys().cloned().collect();
    let tables = flows::tables(channels.into_values().collect(), 0.1, &mut random);
    assert!(tables.events.len() > 700);
    let stores = Stores::of(&tables, None).await;
    for name in names {
        stores.follow(&format!("/bitstamp?channel={name}&limit=40")).await;
        stores.get(&format!("/export?channel={name}&order=desc")).await;
    }
}
