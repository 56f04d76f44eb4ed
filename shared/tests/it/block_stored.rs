//! Blocks as items of the table: what was written is read, and nothing else is.

use aws_sdk_dynamodb::types::AttributeValue;
use exchange_sim::model::channel::Family;
use proptest::prelude::*;
use proptest::sample::Index;

use shared::block::stored::{self, BlockItem, Fault, OpenBlock, SPAN, StoredError};
use shared::block::{AddError, Builder};
use shared::item::{self, Item};
use shared::time::Micros;

use crate::flow::{self, Random};
use crate::same::returned;

const ORDERS: &str = "live_orders_btcusd";

/// Packs items as a daemon does: a new block where one is full, and by itself what fits none.
fn pack(channel: &str, items: &[Item]) -> (Vec<BlockItem>, Vec<Item>) {
    let (mut blocks, mut single, mut open) = (Vec::new(), Vec::new(), OpenBlock::new(channel, "vm-a-1", 0));
    for (sequence, item) in (0_u64..).zip(items) {
        let mut added = open.add(item);
        if added == Err(AddError::Full) {
            blocks.push(std::mem::replace(&mut open, OpenBlock::new(channel, "vm-a-1", sequence)).finish().unwrap());
            added = open.add(item);
        }
        if added.is_err() {
            single.push(item.clone());
        }
    }
    if open.builder().count() > 0 {
        blocks.push(open.finish().unwrap());
    }
    (blocks, single)
}

fn orders(count: usize, seed: u64) -> Vec<Item> {
    flow::captured("btcusd", Family::LiveOrders, count, seed).into_iter().map(|event| event.item).collect()
}

fn block(count: usize) -> BlockItem {
    let (mut blocks, _) = pack(ORDERS, &orders(count, 4));
    blocks.remove(0)
}

fn text(text: &str) -> AttributeValue {
    AttributeValue::S(text.to_owned())
}

fn number(number: impl ToString) -> AttributeValue {
    AttributeValue::N(number.to_string())
}

#[test]
fn an_item_says_what_its_block_is() {
    let events = orders(50, 4);
    let block = block(50);
    let item = block.to_attributes();
    let time = |item: &Item| item["nmicrotimestamp"].as_n().unwrap().parse::<u64>().unwrap();
    let times: Vec<_> = events.iter().map(time).collect();
    let (first, through) = (times.iter().min().unwrap(), times.iter().max().unwrap());
    assert_eq!(item["channel"], text("_blocks:live_orders_btcusd"));
    assert_eq!((&item["nmicrotimestamp"], &item["id"]), (&number(first), &number(first)));
    assert_eq!(item["microtimestamp"], text(&format!("{first}#block/vm-a-1/0")));
    assert_eq!((&item["through"], &item["count"]), (&number(through), &number(50)));
    assert_eq!((&item["daemon"], &item["sequence"], &item["codec"]), (&text("vm-a-1"), &number(0), &text("predict/1")));
    assert_eq!(item.len(), 11);
    assert_eq!((block.channel(), block.times(), block.count()), (ORDERS, (Micros(*first), Micros(*through)), 50));
    assert_eq!((block.writer(), block.size()), (("vm-a-1", 0), item::size(&item)));
    assert_eq!(block.events().unwrap(), events.iter().map(returned).collect::<Vec<_>>());
}

#[test]
fn a_partition_is_named_by_its_channel() {
    for channel in [ORDERS, "announcements", "_blocks:x", "_coverage:a"] {
        assert_eq!(stored::channel_of(&stored::partition(channel)), Some(channel));
    }
    for other in ["", ORDERS, "_blocks:", "_coverage:live_orders_btcusd", "blocks:x"] {
        assert_eq!(stored::channel_of(other), None, "{other}");
    }
}

#[test]
fn an_attribute_that_is_missing_or_changed_is_noticed() {
    let good = block(30).to_attributes();
    let name = good["microtimestamp"].as_s().unwrap().clone();
    for attribute in good.keys() {
        let mut item = good.clone();
        item.remove(attribute);
        assert!(BlockItem::from_attributes(&item).is_err(), "without {attribute}");
        for value in [text("7"), number(7), AttributeValue::B(vec![7].into())] {
            let changed = Item::from_iter(good.clone().into_iter().chain([(attribute.clone(), value)]));
            let error = BlockItem::from_attributes(&changed).expect_err(attribute);
            assert!(error.name == name || attribute == "microtimestamp", "{attribute}: {error}");
        }
    }
    // What later programs add is passed over.
    let with = Item::from_iter(good.clone().into_iter().chain([("expires".to_owned(), number(1))]));
    assert_eq!(BlockItem::from_attributes(&with), BlockItem::from_attributes(&good));
}

#[test]
fn a_later_codec_is_told_from_damage() {
    let mut item = block(3).to_attributes();
    item.insert("codec".to_owned(), text("predict/2"));
    item.insert("data".to_owned(), AttributeValue::B(vec![2, 0].into()));
    let StoredError { name, channel, fault } = BlockItem::from_attributes(&item).unwrap_err();
    assert_eq!(
        (name.as_str(), channel.as_str()),
        (item["microtimestamp"].as_s().unwrap().as_str(), "_blocks:live_orders_btcusd")
    );
    assert_eq!(fault, Fault::Codec("predict/2".to_owned()));
}

#[test]
fn events_of_another_block_are_refused() {
    let events = orders(3, 4);
    // A block under the name of another channel.
    let block = block(3);
    let other = BlockItem::new("live_orders_ethusd", "vm-a-1", 0, block.data().to_vec()).unwrap();
    assert!(matches!(other.events().unwrap_err().fault, Fault::Block(_)));
    assert_eq!(BlockItem::from_attributes(&other.to_attributes()), Ok(other));
    // An empty one, one that is none, and one whose events are too far apart.
    let fault = |data: Vec<u8>| BlockItem::new(ORDERS, "a", 0, data).unwrap_err().fault;
    assert_eq!(fault(Builder::new(ORDERS).finish()), Fault::Span);
    assert!(matches!(fault(vec![9]), Fault::Block(_)));
    let mut late = events[0].clone();
    let time: u64 = late["nmicrotimestamp"].as_n().unwrap().parse().unwrap();
    for (later, fits) in [(SPAN, true), (SPAN + 1, false)] {
        late.insert("nmicrotimestamp".to_owned(), number(time + later));
        let mut builder = Builder::new(ORDERS);
        builder.add(&events[0]).unwrap();
        builder.add(&late).unwrap();
        assert_eq!(BlockItem::new(ORDERS, "a", 0, builder.finish()).is_ok(), fits);
        late.insert("microtimestamp".to_owned(), text(&format!("{}#late", time + later)));
        let mut open = OpenBlock::new(ORDERS, "a", 0);
        open.add(&events[0]).unwrap();
        assert_eq!(open.add(&late), if fits { Ok(()) } else { Err(AddError::Full) });
        assert_eq!(open.builder().count(), if fits { 2 } else { 1 });
    }
}

/// Two daemons receive it at different times, and readers find copies of an event at one time only.
#[test]
fn an_event_without_a_time_of_its_own_is_stored_by_itself() {
    let frame = r#"{"channel":"announcements","event":"data","data":{"text":"maintenance"}}"#;
    let item = flow::item(frame, 1_789_459_700_000_000);
    assert_eq!(OpenBlock::new("announcements", "a", 0).add(&item), Err(AddError::NoTime));
    let frame = r#"{"channel":"announcements","event":"data","data":{"microtimestamp":"1789459700000000"}}"#;
    assert_eq!(OpenBlock::new("announcements", "a", 0).add(&flow::item(frame, 7)), Ok(()));
}

/// Readers do not ask for blocks of them.
#[test]
fn a_trade_is_stored_by_itself() {
    let trade = flow::captured("btcusd", Family::LiveTrades, 1, 4).remove(0).item;
    assert_eq!(OpenBlock::new("live_trades_btcusd", "a", 0).add(&trade), Err(AddError::NoBlocks));
    assert!(stored::has_blocks("order_book_btcusd") && stored::has_blocks("new_family"));
    assert!(!stored::has_blocks("_channels"));
}

#[test]
fn a_part_of_a_block_is_read() {
    let block = block(100);
    let events = block.events().unwrap();
    let time = |item: &Item| Micros(item["nmicrotimestamp"].as_n().unwrap().parse().unwrap());
    for (from, to) in [(20, 60), (0, 99), (50, 50), (99, 20)] {
        let times = time(&events[from])..=time(&events[to]);
        let (opened, mut found) = (block.open().unwrap(), Vec::new());
        let mut rows = opened.rows();
        while let Some(row) = rows.next_within(&times).unwrap() {
            found.push(row.to_item());
        }
        let expected: Vec<_> = events.iter().filter(|item| times.contains(&time(item))).cloned().collect();
        assert_eq!(found, expected);
    }
}

/// Books of noise, which no compressor makes shorter, behind books that shrink to almost nothing.
#[test]
fn a_block_fits_an_item_whatever_is_in_it() {
    let seed = 5;
    let mut random = Random(seed);
    let mut item = orders(1, 1).remove(0);
    let items: Vec<_> = (0..400_u64)
        .map(|place| {
            let noise: String =
                (0..4_000).map(|_| char::from(b'!' + u8::try_from(random.below(90)).unwrap())).collect();
            let value = if place < 200 { "a".repeat(20_000) + &place.to_string() } else { noise };
            item.insert("note".to_owned(), text(&value));
            item.clone()
        })
        .collect();
    let (blocks, single) = pack(ORDERS, &items);
    assert_eq!(blocks.iter().map(|block| block.count() as usize).sum::<usize>(), 400, "seed {seed}");
    assert!(single.is_empty() && blocks.len() < 12, "{} blocks", blocks.len());
    for block in &blocks {
        assert!(block.size() <= item::MAX_SIZE);
        assert_eq!(block.size(), item::size(&block.to_attributes()));
    }
    // Numbers that are spelled out are long.
    item.insert("note".to_owned(), AttributeValue::L(vec![number("1e100"); 1_000]));
    let (blocks, single) = pack(ORDERS, &[item.clone()]);
    assert_eq!((blocks.len(), single.len()), (0, 1));
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 40, ..ProptestConfig::default() })]

    #[test]
    fn what_was_written_is_read(
        count in 1..400_usize, seed in 0..20_u64, daemon in "[a-z0-9/#-]{0,12}", sequence: u64,
    ) {
        let items = orders(count, seed);
        let mut open = OpenBlock::new(ORDERS, &daemon, sequence);
        for item in &items {
            if open.add(item).is_err() {
                break;
            }
        }
        let count = open.builder().count() as usize;
        let block = open.finish().unwrap();
        prop_assert_eq!(block.count() as usize, count);
        let read = BlockItem::from_attributes(&block.to_attributes()).unwrap();
        prop_assert_eq!(&read, &block);
        prop_assert_eq!(read.events().unwrap(), items.iter().take(count).map(returned).collect::<Vec<_>>());
    }

    #[test]
    fn a_changed_byte_is_noticed(place: Index, bit in 0..8_u8) {
        let block = block(20);
        let mut data = block.data().to_vec();
        let place = place.index(data.len());
        data[place] ^= 1 << bit;
        let mut item = block.to_attributes();
        item.insert("data".to_owned(), AttributeValue::B(data.clone().into()));
        let noticed = matches!(BlockItem::from_attributes(&item).unwrap_err().fault, Fault::Checksum { .. });
        prop_assert!(noticed);
        // With the item's own checksum made right, the block has another.
        let forged = BlockItem::new(ORDERS, "vm-a-1", 0, data);
        prop_assert!(forged.is_err() || forged.unwrap().events().is_err());
    }
}
