//! What stands before a block's columns.

use xxhash_rust::xxh3::Xxh3Default;

use super::bytes::{Reader, push_varint};
use super::error::BlockError;
use super::{MAX_EVENTS, MAX_LITERALS, VERSION};
use crate::time::Micros;

/// Literals are compressed.
const COMPRESSED: u8 = 1;
/// No event's time is before that of the event before it.
const ORDERED: u8 = 2;
/// Version, flags.
const PREFIX: usize = 2;
/// Where the checksum ends.
const CHECKED: usize = 10;

/// What a block says of itself without being decoded.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    /// The version of the format.
    pub version: u8,
    /// The number of events.
    pub count: u32,
    /// The earliest time, microseconds since the Unix epoch by the exchange's clock.
    pub first: Micros,
    /// The latest time, as `first`.
    pub last: Micros,
    /// Whether the events stand in the order of their times.
    pub ordered: bool,
    /// xxh3-64 of the channel and of all other bytes.
    pub checksum: u64,
    pub(super) compressed: bool,
    pub(super) literals: usize,
    pub(super) stored_literals: usize,
    /// Where the literals begin.
    pub(super) end: usize,
}

impl Header {
    /// Reads a header. It is not checked against the bytes behind it: [`super::Block::open`] does that.
    ///
    /// # Errors
    ///
    /// [`BlockError::Version`], [`BlockError::Header`].
    pub fn read(bytes: &[u8]) -> Result<Header, BlockError> {
        let mut reader = Reader(bytes);
        let short = BlockError::Header("too short");
        let version = reader.byte().ok_or(short.clone())?;
        if version != VERSION {
            return Err(BlockError::Version(version));
        }
        let flags = reader.byte().ok_or(short.clone())?;
        if flags & !(COMPRESSED | ORDERED) != 0 {
            return Err(BlockError::Header("flags that this version does not know"));
        }
        let checksum: [u8; 8] = reader.take(8).and_then(|bytes| bytes.try_into().ok()).ok_or(short.clone())?;
        let mut number = || reader.varint().ok_or(short.clone());
        let (count, first, span) = (number()?, number()?, number()?);
        let (literals, stored) = (number()?, number()?);
        let last = first.checked_add(span).ok_or(BlockError::Header("times beyond 64 bits"))?;
        let size = |number: u64, most: usize, what| {
            usize::try_from(number).ok().filter(|number| *number <= most).ok_or(BlockError::Header(what))
        };
        let left = reader.0.len();
        Ok(Header {
            version,
            count: u32::try_from(count)
                .ok()
                .filter(|count| *count <= MAX_EVENTS)
                .ok_or(BlockError::Header("too many events"))?,
            first: Micros(first),
            last: Micros(last),
            ordered: flags & ORDERED != 0,
            checksum: u64::from_le_bytes(checksum),
            compressed: flags & COMPRESSED != 0,
            literals: size(literals, MAX_LITERALS, "too many literals")?,
            stored_literals: size(stored, left, "literals beyond the end")?,
            end: bytes.len() - left,
        })
    }

    /// The header with a checksum of zero, before the rest of the block.
    pub(super) fn push(&self, bytes: &mut Vec<u8>) {
        let flag = |flag: u8, set: bool| if set { flag } else { 0 };
        bytes.extend([self.version, flag(COMPRESSED, self.compressed) | flag(ORDERED, self.ordered)]);
        bytes.extend([0; CHECKED - PREFIX]);
        let span = self.last.0 - self.first.0;
        let sizes = [self.literals as u64, self.stored_literals as u64];
        for number in [u64::from(self.count), self.first.0, span].into_iter().chain(sizes) {
            push_varint(bytes, number);
        }
    }
}

/// Writes the checksum of a complete block.
pub(super) fn seal(channel: &str, bytes: &mut [u8]) {
    let sum = checksum(channel, bytes);
    if let Some(place) = bytes.get_mut(PREFIX..CHECKED) {
        place.copy_from_slice(&sum.to_le_bytes());
    }
}

/// xxh3-64 of the channel's length as 8 bytes (little-endian), the channel, and the block without its checksum.
pub(super) fn checksum(channel: &str, bytes: &[u8]) -> u64 {
    let mut hash = Xxh3Default::new();
    hash.update(&(channel.len() as u64).to_le_bytes());
    hash.update(channel.as_bytes());
    hash.update(bytes.get(..PREFIX).unwrap_or_default());
    hash.update(bytes.get(CHECKED..).unwrap_or_default());
    hash.digest()
}
