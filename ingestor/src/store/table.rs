//! Connects to the table, creates it and checks it.

use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, Projection, ProjectionType, TableStatus,
};
use shared::table::{self, INDEX, KeyAttribute, Mismatch};

use crate::config::Config;
use crate::store::request::root_cause;

/// Timeout of the check: a store that does not answer must not keep the daemon from capturing.
const CHECK_WITHIN: Duration = Duration::from_secs(5);

/// Why the table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// There is no table of that name.
    #[error("table `{table}` does not exist in {place}; create it with infra/data.yaml, or name another with --table")]
    Missing {
        /// Name of the table.
        table: String,
        /// Region or endpoint.
        place: String,
    },
    /// The table has other keys or another index.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// The table is being deleted, or otherwise not usable.
    #[error("table `{table}` is {status}; it can be used when it is ACTIVE")]
    NotActive {
        /// Name of the table.
        table: String,
        /// Status as the store names it.
        status: String,
    },
    /// The store refuses to describe or create the table.
    #[error("table `{table}`: {reason}")]
    Refused {
        /// Name of the table.
        table: String,
        /// The store's message.
        reason: String,
    },
    /// The store cannot be reached (yet).
    #[error("the store at {place} cannot be reached: {reason}")]
    Unreachable {
        /// Region or endpoint.
        place: String,
        /// Reason in words.
        reason: String,
    },
}

/// Creates a client without retries of its own: the writer has the only retry policy. Credentials and region are found
/// where every AWS program looks for them.
pub async fn connect(config: &Config) -> Client {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(config.request_timeout.min(Duration::from_secs(3)))
        // The writer sets its own, shorter ones; this is for everything else.
        .operation_attempt_timeout(Duration::from_secs(60))
        .build();
    let mut loader =
        aws_config::defaults(BehaviorVersion::latest()).retry_config(RetryConfig::disabled()).timeout_config(timeouts);
    if let Some(region) = &config.region {
        loader = loader.region(Region::new(region.clone()));
    }
    if let Some(endpoint) = &config.endpoint_url {
        if is_loopback(endpoint) {
            // Engines on this machine check no signature, but the SDK sends nothing without credentials and a region.
            loader = loader
                .test_credentials()
                .region(Region::new(config.region.clone().unwrap_or_else(|| "local".to_owned())));
        }
        loader = loader.endpoint_url(endpoint);
    }
    Client::new(&loader.load().await)
}

fn is_loopback(endpoint: &str) -> bool {
    let host = endpoint.split_once("://").map_or(endpoint, |(_, host)| host);
    ["127.0.0.1", "localhost", "[::1]"].iter().any(|local| host.starts_with(local))
}

/// Checks that the table exists and has the keys and the index that events need.
///
/// # Errors
///
/// Returns a [`TableError`]; only [`TableError::Unreachable`] may pass by itself.
pub async fn check(client: &Client, table: &str) -> Result<(), TableError> {
    let place = place(client);
    let request = client.describe_table().table_name(table).send();
    let Ok(described) = tokio::time::timeout(CHECK_WITHIN, request).await else {
        return Err(TableError::Unreachable { place, reason: format!("no answer within {CHECK_WITHIN:?}") });
    };
    let described = described.map_err(|error| {
        let missing = error.as_service_error().is_some_and(|error| error.is_resource_not_found_exception());
        match error.as_service_error() {
            Some(_) if missing => TableError::Missing { table: table.to_owned(), place: place.clone() },
            Some(service) if service.code() == Some("AccessDeniedException") => TableError::Refused {
                table: table.to_owned(),
                reason: format!(
                    "permission dynamodb:DescribeTable is missing: {}",
                    service.message().unwrap_or_default()
                ),
            },
            Some(service) => TableError::Refused {
                table: table.to_owned(),
                reason: format!(
                    "the store answers {}: {}",
                    service.code().unwrap_or("unknown"),
                    service.message().unwrap_or_default()
                ),
            },
            None => TableError::Unreachable { place: place.clone(), reason: root_cause(&error).to_string() },
        }
    })?;
    let Some(description) = described.table() else {
        return Err(TableError::Unreachable { place, reason: "its answer is empty".to_owned() });
    };
    match description.table_status() {
        Some(TableStatus::Active | TableStatus::Updating) | None => {}
        Some(status) => {
            return Err(TableError::NotActive { table: table.to_owned(), status: status.as_str().to_owned() });
        }
    }
    Ok(table::check(description)?)
}

/// Creates the table, billed on demand. For local stores and tests; in an account `infra/data.yaml` creates it, with
/// backups.
///
/// # Errors
///
/// Returns [`TableError::Refused`] or [`TableError::Unreachable`].
pub async fn create(client: &Client, table: &str) -> Result<(), TableError> {
    let refused = |reason: String| TableError::Refused { table: table.to_owned(), reason };
    let mut names: Vec<KeyAttribute> = table::primary_key().into();
    names.extend(table::index_key());
    let mut request = client.create_table().table_name(table).billing_mode(BillingMode::PayPerRequest);
    for (name, kind, _) in &names {
        let definition = AttributeDefinition::builder().attribute_name(*name).attribute_type(kind.clone()).build();
        request = request.attribute_definitions(definition.map_err(|error| refused(error.to_string()))?);
    }
    let index = GlobalSecondaryIndex::builder()
        .index_name(INDEX)
        .set_key_schema(Some(schema(&table::index_key()).map_err(refused)?))
        .projection(Projection::builder().projection_type(ProjectionType::All).build())
        .build()
        .map_err(|error| refused(error.to_string()))?;
    request
        .set_key_schema(Some(schema(&table::primary_key()).map_err(refused)?))
        .global_secondary_indexes(index)
        .send()
        .await
        .map_err(|error| match error.as_service_error() {
            Some(service) => refused(service.to_string()),
            None => TableError::Unreachable { place: place(client), reason: root_cause(&error).to_string() },
        })?;
    Ok(())
}

fn schema(key: &[KeyAttribute]) -> Result<Vec<KeySchemaElement>, String> {
    key.iter()
        .map(|(name, _, role)| {
            let element = KeySchemaElement::builder().attribute_name(*name).key_type(role.clone()).build();
            element.map_err(|error| error.to_string())
        })
        .collect()
}

fn place(client: &Client) -> String {
    client.config().region().map_or_else(|| "no region (set --region)".to_owned(), |region| format!("region {region}"))
}
