//! Blocks: many events of one channel in one value, each in a few bytes.
//!
//! A block holds what events mode keeps of each event: every attribute of its item ([`crate::item::from_event`], `origin` and `source`
//! included), strings to the letter and numbers by value, in the spelling in which DynamoDB returns them. The item that comes out is
//! the item that a table returns. Blocks are made with [`Builder`] (or [`encode`]) and read with [`Block`] (or [`decode`]); a
//! [`Header`] is readable by itself.
//!
//! The files of `shared/src/block` that are named below have the details at their heads.
//!
//! How a block lies in the table: [`stored`].
//!
//! Nothing in this module does I/O, reads a clock or uses a float. Bytes from elsewhere never make it panic, and it allocates nothing
//! by a number that it read before the number is within its bounds.
//!
//! # Version rule
//!
//! The first byte is the version. This document is that of version 1. Whatever changes what bytes mean (also a probability, a rule or
//! the order of words) is a new version, and a program reads every version before its own: `tests/golden` has blocks of each.
//!
//! # Bytes
//!
//! | bytes | what |
//! |---|---|
//! | 0 | version: 1 |
//! | 1 | flags: 1, the literals are compressed; 2, no event's time is before that of the event before it; no others |
//! | 2 to 9 | checksum, little-endian: xxh3-64 of the length of the channel's name (8 bytes, little-endian), the name, bytes 0 and 1, and all bytes from 10 on |
//! | varint | count of events, at most 65,536 |
//! | varint | earliest `nmicrotimestamp`, microseconds since the Unix epoch |
//! | varint | latest `nmicrotimestamp` minus the earliest |
//! | varint | length of the literals, at most 16 MiB |
//! | varint | length of the literals as stored, `n` |
//! | `n` | literals, as a zstd frame if the flag is set |
//! | rest | decisions |
//!
//! A *varint* is a number in groups of seven bits, the lowest first; all bytes but the last have the high bit. A *text* is a varint, its
//! length in bytes, and UTF-8. The block does not name its channel, which the item around it does; the checksum covers it.
//!
//! # Decisions
//!
//! Everything else is a sequence of binary decisions in an adaptive arithmetic code (`coder`). Two bounds of 32 bits, `low` = 0 and
//! `high` = 2^32 - 1 at first, enclose a number whose first four bytes are the first four of the decisions. For a decision that is true
//! with probability `p` (in 65,536ths) `middle = low + ((high - low) * p >> 16)`; it is true if the number is at most `middle`, which
//! becomes `high`; else `low` becomes `middle + 1`. While `low` and `high` have the same first byte, both and the number shift left by a
//! byte; `low` takes in zeros, `high` ones, the number the next byte, and zeros behind the last one.
//!
//! A *learned* decision has a model: `q`, the probability of true in 2^-22, and a count. `p` is `q >> 6`, but at least 24 and at most
//! 65,512. Afterwards `q` moves by `step * distance >> 16` towards 2^22 - 1 if it was true, to 0 if not; `step` is `131,072 / (2 * count
//! + 3)`, and the count rises by one up to 160. *Even* models begin with `q` = 2^21 and a count of 0, *rare* ones with `q` = 174,762
//! (one in 24) and a count of 6. A *raw* decision has `p` = 32,768 and learns nothing.
//!
//! - A *symbol* of `2^k`: `k` decisions, the highest bit first, each with an even model by the bits before it.
//! - A *number*: its length in bits as a symbol of 64 (63 stands for 63 and 64, which a raw decision tells apart: true is 64); then the
//!   bits behind the leading one, highest first: up to three with even models by the length's symbol and the bits before them, the others raw.
//! - A *signed number*: whether it is negative (even), then as a number itself, or, where it is negative, its bits inverted.
//!
//! # Literals
//!
//! Values without a better form, behind one another: a tag, and for 3 and 4 a text, for 5 a varint and as many values, for 6 a varint
//! and as many fields: text and value, sorted by name. Tags: 0 null, 1 false, 2 true, 3 S, 4 N, 5 L, 6 M. They count from 0; the first
//! four are null, false, true and the channel's name, then come the `words::TEXTS`, and then those of the section, in the order in
//! which the columns first name them. Shapes stand between them.
//!
//! # An event
//!
//! First its *shape*, the set of its attributes, by number: a symbol of 16, where 15 means that a number follows. The number behind the
//! last known shape is a new one, which stands in the section: a varint with a bit for each of `words::NAMES`, a varint `m`, and `m`
//! names as texts, which count on from there. Then the columns of the shape by the numbers of their names, as `words::Role` says:
//!
//! | role | code |
//! |---|---|
//! | `Event` | *plain* (below), in the context of the symbol of the event before |
//! | `Time` | rare: no whole millisecond; if so, the signed distance in microseconds from the time before; else rare: is before it, and the distance in milliseconds as a number (`times`) |
//! | `Id` | a symbol of 4 by the symbol of `event`: 0, an order that the block knows, by its rank among them, the latest first; 1, a snowflake: its age in milliseconds and the 12 bits below; 2, the signed distance from the id before; 3, plain (`ids`, `orders`) |
//! | `OrderId` | even: as in the event before; else as `Id`, without orders |
//! | `Side`, `Subtype`, `Price`, `Amount`, `AmountAtCreate`, `AmountTraded` | where something is expected, rare: it is not so. Expected is what the order had at its last appearance in the block; for `AmountAtCreate` of an unknown order its amount; for `AmountTraded` what the order's amount is less than then, or 0. Otherwise `Price` and `Amount` have models of their own (`amounts`), the rest is plain |
//! | `ReceivedAt` | rare: no whole number, and plain; else less than 256 microseconds after the one before as a symbol of 256, or the latency as its signed deviation from a running mean (`times`) |
//! | `Bound` | once for the event, rare: some bound column is not as its rule predicts (`predict`); if so, for each column that is predicted, rare: it is missed; what is missed or not predicted is plain |
//!
//! Decisions on what is expected of an order are learned by role, by the symbol of `event`, and by whether the order is known; the context of
//! plain values is the symbol of `event`, of bound columns 0. *Plain* is a symbol of 16 by column and context: 0 to 10, the first values of the column that came to this; 11 and 12, a decimal number as S or
//! as N; 13, a literal; 14, an event id; 15, the event's time with `#` and either its event id or 16 hex digits (`column`).

mod amounts;
mod builder;
mod bytes;
mod coder;
mod column;
mod columns;
mod error;
mod forms;
mod header;
mod ids;
mod literal;
mod literals;
mod model;
mod number;
mod orders;
mod predict;
mod rows;
mod shape;
pub mod stored;
mod times;
mod value;
mod words;

pub use builder::Builder;
pub use columns::Columns;
pub use error::{AddError, BlockError};
pub use header::Header;
pub use literal::{Cell, Cells, Fields};
pub use rows::{Row, Rows};
pub use value::Fixed;

use std::io::Read as _;

use crate::item::Item;
use literals::Literals;
use model::Model;

/// The version of the format that this program writes, and the latest that it reads.
pub const VERSION: u8 = 1;
/// The most events of a block.
pub const MAX_EVENTS: u32 = 65_536;
/// The most bytes of literals in a block, before compression.
pub const MAX_LITERALS: usize = 16 << 20;

/// A block whose checksum is right.
#[derive(Clone, Debug)]
pub struct Block<'bytes> {
    header: Header,
    channel: &'bytes str,
    literals: Vec<u8>,
    coded: &'bytes [u8],
}

impl<'bytes> Block<'bytes> {
    /// Checks the bytes of a block of `channel`.
    ///
    /// # Errors
    ///
    /// [`BlockError`].
    pub fn open(channel: &'bytes str, bytes: &'bytes [u8]) -> Result<Block<'bytes>, BlockError> {
        let header = Header::read(bytes)?;
        let found = header::checksum(channel, bytes);
        if found != header.checksum {
            return Err(BlockError::Checksum { expected: header.checksum, found });
        }
        let body = bytes.get(header.end..).unwrap_or_default();
        let (stored, coded) =
            body.split_at_checked(header.stored_literals).ok_or(BlockError::Header("literals beyond the end"))?;
        let literals = if header.compressed { decompress(stored, header.literals)? } else { stored.to_vec() };
        if literals.len() != header.literals {
            return Err(BlockError::Header("literals of another length"));
        }
        Ok(Block { header, channel, literals, coded })
    }

    /// What the block says of itself.
    #[must_use]
    pub fn header(&self) -> &Header {
        &self.header
    }

    /// The events, from the first one on.
    #[must_use]
    pub fn rows(&self) -> Rows<'_> {
        Rows::new(Model::new(Literals::new(self.channel, &self.literals)), self.coded, self.header.count)
    }
}

/// Grows with what is there, not by the length that the block claims.
fn decompress(stored: &[u8], length: usize) -> Result<Vec<u8>, BlockError> {
    let damaged = |_| BlockError::Damaged("literals that cannot be decompressed");
    let mut literals = Vec::new();
    let reader = zstd::stream::read::Decoder::with_buffer(stored).map_err(damaged)?;
    reader.take(length as u64 + 1).read_to_end(&mut literals).map_err(damaged)?;
    Ok(literals)
}

/// Makes a block of the items of a channel's events, in their order.
///
/// # Errors
///
/// [`AddError`].
pub fn encode<'item>(channel: &str, items: impl IntoIterator<Item = &'item Item>) -> Result<Vec<u8>, AddError> {
    let mut builder = Builder::new(channel);
    for item in items {
        builder.add(item)?;
    }
    Ok(builder.finish())
}

/// Reads all items of a block of `channel`.
///
/// # Errors
///
/// [`BlockError`].
pub fn decode(channel: &str, bytes: &[u8]) -> Result<Vec<Item>, BlockError> {
    let block = Block::open(channel, bytes)?;
    let mut rows = block.rows();
    let mut items = Vec::new();
    while let Some(row) = rows.next()? {
        items.push(row.to_item());
    }
    Ok(items)
}
