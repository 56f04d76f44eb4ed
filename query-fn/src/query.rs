//! Reads events of a range from the table, and what may be missing there from its ledger.
//!
//! [`store`] sends DynamoDB's Query. [`page`] makes of its answers a page in a total order, [`reader`] merges the pages of several
//! channels, [`candles`] and [`count`] sum them up. [`coverage`] reads the ledger, [`expiry`] how long items are kept; [`gaps`] derives from it what a page may lack,
//! [`recorded`] how many events a range has at least. [`tail`] follows what is written.
//! Nothing here knows HTTP: errors are the query's own.

pub mod connect;
pub mod store;

pub mod page;
pub mod reader;
pub mod tail;

pub mod candles;
pub mod channels;
pub mod count;

pub mod expiry;

pub mod coverage;
pub mod gaps;
pub mod recorded;
