//! What the fuzz targets do with bytes from elsewhere. `scripts/fuzz.sh` runs them.
//!
//! Each function takes any bytes and panics only where the code under test breaks a promise; a panic of that code is one too.

pub mod block;
pub mod event;
pub mod page;
pub mod request;
