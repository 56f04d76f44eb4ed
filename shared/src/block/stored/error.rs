//! What can be wrong with a block of the table.

use super::{CODEC, SPAN};
use crate::block::BlockError;

/// What is wrong with a block of the table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("block `{name}` of `{channel}`: {fault}")]
pub struct StoredError {
    /// The item's sort key; empty if it has none.
    pub name: String,
    /// The item's `channel`; empty if it has none.
    pub channel: String,
    /// What is wrong.
    pub fault: Fault,
}

/// The kinds of what is wrong with a block of the table.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// An attribute is missing, of another type or not as the others have it.
    #[error("attribute `{0}` is missing or wrong")]
    Attribute(&'static str),
    /// A program later than this one wrote it.
    #[error("codec `{0}`; this program reads `{CODEC}`")]
    Codec(String),
    /// `data` is not what was written.
    #[error("wrong checksum: {expected} expected, {found} found")]
    Checksum {
        /// As the item says.
        expected: String,
        /// Of its bytes.
        found: String,
    },
    /// The bytes are no block.
    #[error(transparent)]
    Block(#[from] BlockError),
    /// The block's header has another time or count than the item, or an event another channel or a time that is not the block's.
    #[error("`{0}` is not as the item has it")]
    Differs(&'static str),
    /// It has no event, or events further apart than [`SPAN`].
    #[error("no events, or events more than {SPAN} microseconds apart")]
    Span,
    /// Larger than an item may be, bytes.
    #[error("{0} bytes, more than an item may have")]
    Size(usize),
}
