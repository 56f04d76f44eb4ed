//! What the exchange is made of: its markets and channels, the events that happen in them, and the frames that tell of them.

pub mod channel;
pub mod event;
pub mod frame;
pub mod market;
pub mod number;
