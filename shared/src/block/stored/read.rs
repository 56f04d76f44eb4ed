//! Reads an item as a block, and checks that all it says agrees with the block's own header.

use aws_sdk_dynamodb::types::AttributeValue;

use super::{
    BlockItem, CHECKSUM, CODEC, CODEC_NAME, COUNT, DAEMON, DATA, Fault, SEQUENCE, StoredError, THROUGH, channel_of,
    checksum,
};
use crate::block::Header;
use crate::item::Item;
use crate::table::{CHANNEL, ID, MICROTIMESTAMP, NMICROTIMESTAMP};
use crate::time::Micros;

impl BlockItem {
    /// Reads an item. The checksum is right then, and all that the item says agrees with the block's header.
    ///
    /// # Errors
    ///
    /// [`StoredError`] names the item.
    pub fn from_attributes(item: &Item) -> Result<BlockItem, StoredError> {
        read(item).map_err(|fault| {
            let said = |name| text(item, name).unwrap_or_default().to_owned();
            StoredError { name: said(MICROTIMESTAMP), channel: said(CHANNEL), fault }
        })
    }
}

fn read(item: &Item) -> Result<BlockItem, Fault> {
    let codec = text(item, CODEC_NAME)?;
    if codec != CODEC {
        return Err(Fault::Codec(codec.to_owned()));
    }
    let Some(AttributeValue::B(data)) = item.get(DATA) else { return Err(Fault::Attribute(DATA)) };
    let (data, expected) = (data.as_ref().to_vec(), text(item, CHECKSUM)?);
    let found = checksum(&data);
    if found != expected {
        return Err(Fault::Checksum { expected: expected.to_owned(), found });
    }
    let block = BlockItem {
        channel: channel_of(text(item, CHANNEL)?).ok_or(Fault::Attribute(CHANNEL))?.to_owned(),
        first: Micros(number(item, NMICROTIMESTAMP)?),
        through: Micros(number(item, THROUGH)?),
        count: u32::try_from(number(item, COUNT)?).map_err(|_| Fault::Attribute(COUNT))?,
        daemon: text(item, DAEMON)?.to_owned(),
        sequence: number(item, SEQUENCE)?,
        data,
    };
    let key = block.key();
    if number(item, ID)? != block.first.0 {
        return Err(Fault::Attribute(ID));
    }
    if text(item, MICROTIMESTAMP)? != key.microtimestamp {
        return Err(Fault::Attribute(MICROTIMESTAMP));
    }
    block.check_span()?;
    let header = Header::read(&block.data)?;
    match () {
        () if header.first != block.first => Err(Fault::Differs(NMICROTIMESTAMP)),
        () if header.last != block.through => Err(Fault::Differs(THROUGH)),
        () if header.count != block.count => Err(Fault::Differs(COUNT)),
        () => Ok(block),
    }
}

fn text<'item>(item: &'item Item, name: &'static str) -> Result<&'item str, Fault> {
    match item.get(name) {
        Some(AttributeValue::S(text)) => Ok(text),
        _ => Err(Fault::Attribute(name)),
    }
}

fn number(item: &Item, name: &'static str) -> Result<u64, Fault> {
    match item.get(name) {
        Some(AttributeValue::N(digits)) => digits.parse().map_err(|_| Fault::Attribute(name)),
        _ => Err(Fault::Attribute(name)),
    }
}
