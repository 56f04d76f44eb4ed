//! The whole system in one process: exchange or simulator, daemon, table, query API. What `cargo run` starts.

/// The table: an embedded engine in a file, or any DynamoDB.
pub mod store;

/// The query API and the status page under one address.
pub mod site;

/// Everything that runs, and how it stops. The only place that spawns.
pub mod system;

/// What a person sees while it runs.
pub mod screen;

/// Whether what comes back over HTTP is what the simulator sent.
pub mod verify;
