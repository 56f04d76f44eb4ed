//! From items to DynamoDB, and back.
//!
//! Items come as [`batch`] entries from the shipper and the gap filler. The [`writer`] sends them until each is stored or refused:
//! [`answer`] says what an answer means, [`limit`] how many requests are in flight. [`reader`], [`blocks`] and [`request`] ask the table, [`twins`]
//! removes the second copy of a trade, [`lease`] says which daemon writes, [`keeping`] how long items are kept, [`mod@table`] connects, creates and checks.

pub mod answer;
pub mod batch;
pub mod blocks;
pub mod keeping;
pub mod lease;
pub mod limit;
pub mod reader;
pub mod request;
pub mod table;
pub mod twins;
pub mod writer;
