//! Names of the table, its index and its attributes.

use aws_sdk_dynamodb::types::{KeyType, ProjectionType, ScalarAttributeType, TableDescription};

/// The table's name where none is configured.
pub const DEFAULT_TABLE: &str = "bitstamp-live";
/// The index that serves a channel's time range.
pub const INDEX: &str = "channel-nmicrotimestamp-index";

/// N, partition key: the exchange's id, or what stands for it ([`crate::key::Key`]).
pub const ID: &str = "id";
/// S, sort key: the exchange's microtimestamp, then `#` and a discriminator for all but trades.
pub const MICROTIMESTAMP: &str = "microtimestamp";
/// S, the index's partition key.
pub const CHANNEL: &str = "channel";
/// N, the index's sort key: microseconds since the Unix epoch by the exchange's clock.
pub const NMICROTIMESTAMP: &str = "nmicrotimestamp";
/// S: `trade`, `order_created`, ...
pub const EVENT: &str = "event";
/// N: when the daemon received it, microseconds since the Unix epoch by the daemon's clock, strictly increasing within a
/// daemon.
pub const RECEIVED_AT: &str = "received_at";
/// L of S: which of `id` and `microtimestamp` the message did not carry.
pub const DERIVED: &str = "derived";

/// A key attribute: its name, its type, its role.
pub type KeyAttribute = (&'static str, ScalarAttributeType, KeyType);

/// The table's primary key.
#[must_use]
pub fn primary_key() -> [KeyAttribute; 2] {
    [(ID, ScalarAttributeType::N, KeyType::Hash), (MICROTIMESTAMP, ScalarAttributeType::S, KeyType::Range)]
}

/// The index's key; its projection is ALL.
#[must_use]
pub fn index_key() -> [KeyAttribute; 2] {
    [(CHANNEL, ScalarAttributeType::S, KeyType::Hash), (NMICROTIMESTAMP, ScalarAttributeType::N, KeyType::Range)]
}

/// How a table differs from the one that the programs need; the text says what was expected and what was found.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum Mismatch {
    /// The primary key.
    #[error("table `{table}` has the key {found}; expected {expected}")]
    Key {
        /// The table.
        table: String,
        /// Name, type and role of each attribute.
        found: String,
        /// As `found`.
        expected: String,
    },
    /// The index is not there.
    #[error("table `{table}` has no index `{INDEX}` (it has {found}); expected one with the key {expected}")]
    NoIndex {
        /// The table.
        table: String,
        /// The names of its indexes.
        found: String,
        /// The key it should have.
        expected: String,
    },
    /// The index has another key.
    #[error("index `{INDEX}` of table `{table}` has the key {found}; expected {expected}")]
    IndexKey {
        /// The table.
        table: String,
        /// Name, type and role of each attribute.
        found: String,
        /// As `found`.
        expected: String,
    },
    /// The index leaves attributes out.
    #[error("index `{INDEX}` of table `{table}` projects {found}; expected ALL, else queries return incomplete items")]
    Projection {
        /// The table.
        table: String,
        /// What it projects.
        found: String,
    },
}

/// Whether the described table has the keys and the index that the programs need.
///
/// # Errors
///
/// The first [`Mismatch`].
pub fn check(description: &TableDescription) -> Result<(), Mismatch> {
    let table = description.table_name().unwrap_or_default().to_owned();
    let expected = spell_expected(&primary_key());
    let found = spell_found(description, description.key_schema());
    if found != expected {
        return Err(Mismatch::Key { table, found, expected });
    }
    let expected = spell_expected(&index_key());
    let indexes = description.global_secondary_indexes();
    let Some(index) = indexes.iter().find(|index| index.index_name() == Some(INDEX)) else {
        let names: Vec<_> = indexes.iter().filter_map(|index| index.index_name()).collect();
        let found = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
        return Err(Mismatch::NoIndex { table, found, expected });
    };
    let found = spell_found(description, index.key_schema());
    if found != expected {
        return Err(Mismatch::IndexKey { table, found, expected });
    }
    match index.projection().and_then(|projection| projection.projection_type()) {
        Some(ProjectionType::All) => Ok(()),
        other => Err(Mismatch::Projection { table, found: other.map_or("nothing", ProjectionType::as_str).to_owned() }),
    }
}

fn spell_expected(key: &[KeyAttribute]) -> String {
    spell(key.iter().map(|(name, kind, role)| (*name, kind.as_str(), role.as_str())))
}

fn spell_found(description: &TableDescription, schema: &[aws_sdk_dynamodb::types::KeySchemaElement]) -> String {
    let kind = |name: &str| {
        description
            .attribute_definitions()
            .iter()
            .find(|definition| definition.attribute_name() == name)
            .map_or("?", |definition| definition.attribute_type().as_str())
    };
    spell(
        schema
            .iter()
            .map(|element| (element.attribute_name(), kind(element.attribute_name()), element.key_type().as_str())),
    )
}

fn spell<'a>(key: impl Iterator<Item = (&'a str, &'a str, &'a str)>) -> String {
    let parts: Vec<_> = key.map(|(name, kind, role)| format!("{name} ({kind}, {role})")).collect();
    if parts.is_empty() { "nothing".to_owned() } else { parts.join(" + ") }
}
