use std::time::Duration;

use aws_config::timeout::TimeoutConfig;
use aws_config::{BehaviorVersion, Region};
use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::config::retry::RetryConfig;
use aws_sdk_dynamodb::error::{DisplayErrorContext, ProvideErrorMetadata};
use aws_sdk_dynamodb::types::{
    AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, Projection, ProjectionType, TableStatus,
};
use shared::table::{self, INDEX, KeyAttribute, Mismatch};

use crate::config::Config;

/// A store that does not answer must not keep the daemon from capturing.
const CHECK_WITHIN: Duration = Duration::from_secs(5);

/// Why the table cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum TableError {
    /// There is none of that name.
    #[error("table `{table}` does not exist in {place}; create it with infra/data.yaml, or name another with --table")]
    Missing {
        /// Its name.
        table: String,
        /// The region or endpoint.
        place: String,
    },
    /// It is not one of ours.
    #[error(transparent)]
    Mismatch(#[from] Mismatch),
    /// It is being deleted, or otherwise not usable.
    #[error("table `{table}` is {status}; it can be used when it is ACTIVE")]
    NotActive {
        /// Its name.
        table: String,
        /// As the store says.
        status: String,
    },
    /// The store refuses to describe or create it.
    #[error("table `{table}`: {reason}")]
    Refused {
        /// Its name.
        table: String,
        /// The store's words.
        reason: String,
    },
    /// The store cannot be reached (yet).
    #[error("the store at {place} cannot be reached: {reason}")]
    Unreachable {
        /// The region or endpoint.
        place: String,
        /// Why.
        reason: String,
    },
}

/// A client with one retry policy: ours. Credentials and region are found where every AWS program looks for them.
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

/// Checks that the table is there and has the keys and the index that events need.
///
/// # Errors
///
/// [`TableError`]; only [`TableError::Unreachable`] may pass by itself.
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
            _ => TableError::Unreachable { place: place.clone(), reason: DisplayErrorContext(&error).to_string() },
        }
    })?;
    let Some(description) = described.table() else {
        return Err(TableError::Missing { table: table.to_owned(), place });
    };
    match description.table_status() {
        Some(TableStatus::Active | TableStatus::Updating) | None => {}
        Some(status) => {
            return Err(TableError::NotActive { table: table.to_owned(), status: status.as_str().to_owned() });
        }
    }
    Ok(table::check(description)?)
}

/// Creates the table on demand. For local stores and tests; in an account `infra/data.yaml` creates it, with backups.
///
/// # Errors
///
/// [`TableError::Refused`] or [`TableError::Unreachable`].
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
            None => TableError::Unreachable { place: place(client), reason: DisplayErrorContext(&error).to_string() },
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
