//! The parameters that each path takes; `infra/openapi.yaml` lists the same ones.

/// The parameters of `/bitstamp`.
pub const EVENTS: &[&str] =
    &["channel", "from", "to", "before", "limit", "order", "ExclusiveStartKey", "format", "fields"];
/// The parameters of `/orders/{id}`.
pub const ORDERS: &[&str] = &["from", "to", "before", "limit", "order", "ExclusiveStartKey", "format", "fields"];
/// The parameters of `/candles`.
pub const CANDLES: &[&str] =
    &["channel", "interval", "from", "to", "before", "limit", "ExclusiveStartKey", "format", "fields"];
/// The parameters of `/coverage`.
pub const COVERAGE: &[&str] = &["channel", "from", "to", "before", "limit", "ExclusiveStartKey", "format", "fields"];
/// The parameters of `/count`.
pub const COUNT: &[&str] = &["channel", "from", "to", "before", "ExclusiveStartKey", "format", "fields"];
/// The parameters of `/channels`.
pub const CHANNELS: &[&str] = &["format", "fields"];
/// The parameters of `/export`.
pub const EXPORT: &[&str] =
    &["channel", "from", "to", "before", "order", "ExclusiveStartKey", "format", "fields", "end"];
/// The parameters of `/latest`.
pub const LATEST: &[&str] = &["channel", "limit", "format", "fields"];
/// The parameters of `/tail`.
pub const TAIL: &[&str] = &["channel", "event", "from", "after", "fields"];
