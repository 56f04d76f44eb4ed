//! What can be wrong with a block, and with an item that is to go into one.

/// Why bytes are no block that this version reads.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum BlockError {
    /// A later version wrote it.
    #[error("block of version {0}; this program reads up to version {max}", max = super::VERSION)]
    Version(u8),
    /// The bytes end within the header, or a part of it is beyond its bounds.
    #[error("block with a damaged header: {0}")]
    Header(&'static str),
    /// The bytes, or the channel that they are read for, are not those that were written.
    #[error("block with a wrong checksum: {expected:016x} expected, {found:016x} found")]
    Checksum {
        /// As the block says.
        expected: u64,
        /// Of its bytes and its channel.
        found: u64,
    },
    /// The checksum is right, but no writer makes such bytes: a forgery or a fault of the writer.
    #[error("block with damaged contents: {0}")]
    Damaged(&'static str),
}

/// Why an item does not go into a block.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum AddError {
    /// Not into this one: finish it, and add the item to the next.
    #[error("block is full")]
    Full,
    /// An item of another channel.
    #[error("item of channel `{0}` in a block of another one")]
    Channel(String),
    /// Events of this channel are always stored by themselves.
    #[error("the channel's events are not stored in blocks")]
    NoBlocks,
    /// `nmicrotimestamp` is missing or is not a whole number of up to 63 bits.
    #[error("item without a time in `nmicrotimestamp`")]
    NoTime,
    /// A binary value or a set, which no message becomes: store the item by itself.
    #[error("attribute `{0}` is of a type that no event has")]
    Type(String),
    /// Larger than the store takes, or with more than a thousand attributes: store the item by itself.
    #[error("item is too large for a block")]
    TooLarge,
}
