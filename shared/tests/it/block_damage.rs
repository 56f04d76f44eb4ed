//! Damaged and forged blocks: an error or other events, never a panic, a hang or a mountain of memory.

#![expect(clippy::cast_possible_truncation, reason = "any byte of a random number will do")]

use exchange_sim::model::channel::Family;
use xxhash_rust::xxh3::Xxh3Default;

use shared::block::{self, Block, BlockError, Header};

use crate::flow::{self, Random};

const CHANNEL: &str = "live_orders_btcusd";

/// Blocks of all kinds with their channels.
fn blocks() -> Vec<(String, Vec<u8>)> {
    Family::ALL
        .into_iter()
        .map(|family| {
            let market = if family == Family::FundingRate { "btcusd-perp" } else { "btcusd" };
            let events = flow::captured(market, family, 40, 9);
            let channel = events[0].item["channel"].as_s().unwrap().clone();
            let bytes = block::encode(&channel, events.iter().map(|event| &event.item)).unwrap();
            (channel, bytes)
        })
        .collect()
}

/// The checksum by the words of the format.
fn seal(channel: &str, bytes: &mut [u8]) {
    let mut hash = Xxh3Default::new();
    hash.update(&(channel.len() as u64).to_le_bytes());
    hash.update(channel.as_bytes());
    hash.update(&bytes[..2]);
    hash.update(&bytes[10..]);
    bytes[2..10].copy_from_slice(&hash.digest().to_le_bytes());
}

#[test]
fn a_changed_byte_is_noticed() {
    for (channel, bytes) in blocks() {
        for place in 0..bytes.len() {
            let mut changed = bytes.clone();
            changed[place] ^= 1 << (place % 8);
            assert!(Block::open(&channel, &changed).is_err(), "byte {place} of {}", bytes.len());
        }
        for length in 0..bytes.len() {
            assert!(Block::open(&channel, &bytes[..length]).is_err());
        }
        let other = Block::open("another", &bytes).unwrap_err();
        assert!(matches!(other, BlockError::Checksum { .. }), "{other}");
    }
}

#[test]
fn a_later_version_is_named() {
    let (_, mut bytes) = blocks().remove(0);
    bytes[0] = 2;
    assert_eq!(Header::read(&bytes), Err(BlockError::Version(2)));
    let said = BlockError::Version(2).to_string();
    assert_eq!(said, "block of version 2; this program reads up to version 1");
}

/// Changes some bytes of a block and gives it the checksum of what it is then.
fn forge(random: &mut Random, channel: &str, bytes: &[u8]) -> Vec<u8> {
    let mut forged = bytes.to_vec();
    for _ in 0..=random.below(6) {
        let bytes = forged.len() as u64;
        let place = 1 + random.below(bytes - 1) as usize;
        match random.below(6) {
            0 => forged.truncate(place.max(11)),
            1 => forged.extend((0..random.below(20)).map(|_| random.next() as u8)),
            // The header decides most.
            2 => forged[10 + random.below(12.min(bytes - 10)) as usize] = random.next() as u8,
            3 => drop(forged.splice(place..place, (0..random.below(8)).map(|_| random.next() as u8))),
            _ => forged[place] = random.next() as u8,
        }
        if forged.len() < 12 {
            forged.resize(12, 0);
        }
    }
    seal(channel, &mut forged);
    forged
}

/// Reads a block in all ways; the number of events that it gave.
fn read(channel: &str, bytes: &[u8]) -> u32 {
    let Ok(block) = Block::open(channel, bytes) else { return 0 };
    let (mut rows, mut count) = (block.rows(), 0);
    while let Ok(Some(row)) = rows.next() {
        count += u32::from(!row.to_item().is_empty());
        // A forged count is a bound and no promise; a few thousand events show enough.
        if count > 3_000 {
            break;
        }
    }
    if block.header().count < 3_000 {
        let columns = block.columns();
        assert!(columns.is_err() || columns.unwrap().time.len() == block.header().count as usize);
    }
    count
}

/// In a process of its own, whose memory nothing else takes. `FORGED_BLOCKS=1000000` reads as many.
#[test]
fn forged_blocks_are_harmless() {
    if std::env::var_os("FORGED_ALONE").is_none() {
        let test = std::process::Command::new(std::env::current_exe().unwrap())
            .args(["forged_blocks_are_harmless", "--nocapture", "--test-threads", "1"])
            .env("FORGED_ALONE", "1")
            .status()
            .unwrap();
        assert!(test.success());
        return;
    }
    let rounds = std::env::var("FORGED_BLOCKS").ok().and_then(|count| count.parse().ok()).unwrap_or(3_000);
    let blocks = blocks();
    let (mut random, mut events) = (Random(1), 0_u64);
    let before = peak_kib();
    for round in 0..rounds {
        let (channel, bytes) = &blocks[round % blocks.len()];
        let mut forged = forge(&mut random, channel, bytes);
        if random.below(4) == 0 {
            forged = forge(&mut random, channel, &forged);
        }
        events += u64::from(read(channel, &forged));
    }
    let grown = peak_kib().saturating_sub(before);
    println!("{rounds} forged blocks (seed 1), {events} events read from them, {grown} KiB more memory");
    assert!(grown < 64 << 10, "{grown} KiB");
}

/// The most memory that this process has had, where the system says it.
fn peak_kib() -> u64 {
    let status = std::fs::read_to_string("/proc/self/status").unwrap_or_default();
    let line = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
    line.and_then(|line| line.split_whitespace().next()?.parse().ok()).unwrap_or_default()
}

#[test]
fn lengths_that_a_block_claims_take_no_memory() {
    let varint = |mut number: u64| {
        let mut bytes = Vec::new();
        while number >= 0x80 {
            bytes.push(number as u8 | 0x80);
            number >>= 7;
        }
        bytes.push(number as u8);
        bytes
    };
    let claim = |count: u64, literals: u64, stored: u64, rest: &[u8]| {
        let mut bytes = vec![1, 1, 0, 0, 0, 0, 0, 0, 0, 0];
        for number in [count, 1_000, 0, literals, stored] {
            bytes.extend(varint(number));
        }
        bytes.extend(rest);
        seal(CHANNEL, &mut bytes);
        Block::open(CHANNEL, &bytes).map(|block| block.rows().skip(u32::MAX)).err()
    };
    assert_eq!(claim(u64::MAX, 0, 0, &[]), Some(BlockError::Header("too many events")));
    assert_eq!(claim(1, u64::MAX, 0, &[]), Some(BlockError::Header("too many literals")));
    assert_eq!(claim(1, 10, u64::MAX, &[]), Some(BlockError::Header("literals beyond the end")));
    // Many zeros in a few kilobytes are read as far as the block says and no further.
    let bomb = zstd::bulk::compress(&vec![0; 64 << 20], 1).unwrap();
    assert_eq!(claim(1, 100, bomb.len() as u64, &bomb), Some(BlockError::Header("literals of another length")));
}
