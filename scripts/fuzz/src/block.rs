//! Blocks, as the table may return them.

use codec::block::events;
use shared::block::stored::BlockItem;
use shared::block::{self, Block, Header};
use shared::item::Item;
use shared::time::Micros;
use xxhash_rust::xxh3::Xxh3Default;

/// The channel of all blocks here.
pub const CHANNEL: &str = "live_orders_btcusd";
/// The most events read of a forged block: its count promises nothing, and more of them show no more.
const MOST_EVENTS: u32 = 16;
/// Version and flags; behind them the checksum, and behind that what both are about.
const PREFIX: usize = 2;
const CHECKED: usize = 10;

/// Gives the bytes the checksum of what they are, by the words of the format: else nothing behind the header would be read.
fn sealed(bytes: &[u8]) -> Option<Vec<u8>> {
    let mut sealed = bytes.to_vec();
    let mut hash = Xxh3Default::new();
    hash.update(&(CHANNEL.len() as u64).to_le_bytes());
    hash.update(CHANNEL.as_bytes());
    hash.update(sealed.get(..PREFIX)?);
    hash.update(sealed.get(CHECKED..)?);
    sealed.get_mut(PREFIX..CHECKED)?.copy_from_slice(&hash.digest().to_le_bytes());
    Some(sealed)
}

/// Decodes a forged block, by rows and by columns.
pub fn decode(data: &[u8]) {
    let Some(bytes) = sealed(data) else { return };
    let Ok(block) = Block::open(CHANNEL, &bytes) else { return };
    let (mut rows, mut count) = (block.rows(), 0);
    while let Ok(Some(row)) = rows.next() {
        assert!(!row.to_item().is_empty(), "an event without attributes");
        count += 1;
        if count == MOST_EVENTS {
            return;
        }
    }
    // Columns leave out the texts, in which rows may find more damage.
    match block.columns() {
        Ok(columns) => assert_eq!(columns.time.len(), block.header().count as usize),
        Err(_) => assert!(count < block.header().count),
    }
}

/// Decodes a forged block, and encodes its events again; carries it through the item of the table, and decodes it for a page.
pub fn again(data: &[u8]) {
    let Some(bytes) = sealed(data) else { return };
    if !Header::read(&bytes).is_ok_and(|header| header.count <= MOST_EVENTS) {
        return;
    }
    let Ok(items) = block::decode(CHANNEL, &bytes) else { return };
    // A forged number may be spelled as DynamoDB never does; the encoder keeps its value, and from then on every letter.
    if let Some(once) = round(&items) {
        assert_eq!(once.len(), items.len());
        assert_eq!(round(&once), Some(once));
    }
    let Ok(stored) = BlockItem::new(CHANNEL, "a", 1, bytes) else { return };
    let returned = BlockItem::from_attributes(&stored.to_attributes()).expect("what was stored can be read");
    assert_eq!(returned, stored);
    let Ok(expected) = stored.events() else { return };
    if let Ok(found) = events(&stored, &(Micros(0)..=Micros(u64::MAX)), None) {
        let found: Vec<_> = found.items.iter().map(codec::item::Item::attributes).collect();
        assert_eq!(found, expected);
    }
}

/// Encodes and decodes items; `None` for those that no block takes.
fn round(items: &[Item]) -> Option<Vec<Item>> {
    let encoded = block::encode(CHANNEL, items).ok()?;
    Some(block::decode(CHANNEL, &encoded).expect("what was encoded can be decoded"))
}
