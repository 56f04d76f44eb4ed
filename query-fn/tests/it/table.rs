//! An empty table on an engine, for the tests of every program that reads one.

use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Credentials, Region, retry::RetryConfig},
    types::{AttributeDefinition, BillingMode, GlobalSecondaryIndex, KeySchemaElement, Projection, ProjectionType},
};
use dynoxide::{Database, server::serve_with_shutdown};
use shared::table::{self, KeyAttribute};
use tokio::net::TcpListener;

pub(crate) async fn whole_engine() -> String {
    if let Ok(endpoint) = std::env::var("DYNAMODB_ENDPOINT") {
        return endpoint;
    }
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap());
    tokio::spawn(serve_with_shutdown(listener, Database::memory().unwrap(), std::future::pending()));
    endpoint
}

pub(crate) fn client(endpoint: &str) -> Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("us-east-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .retry_config(RetryConfig::disabled())
        .endpoint_url(endpoint)
        .build();
    Client::from_conf(config)
}

pub(crate) async fn create_table(client: &Client, name: &str) {
    let schema = |key: &[KeyAttribute]| {
        let element =
            |(name, _, role): &KeyAttribute| KeySchemaElement::builder().attribute_name(*name).key_type(role.clone());
        key.iter().map(|attribute| element(attribute).build().unwrap()).collect::<Vec<_>>()
    };
    let (primary, index) = (table::primary_key(), table::index_key());
    let definitions = primary.iter().chain(&index).map(|(name, kind, _)| {
        AttributeDefinition::builder().attribute_name(*name).attribute_type(kind.clone()).build().unwrap()
    });
    let global = GlobalSecondaryIndex::builder()
        .index_name(table::INDEX)
        .set_key_schema(Some(schema(&index)))
        .projection(Projection::builder().projection_type(ProjectionType::All).build())
        .build()
        .unwrap();
    let call = client.create_table().table_name(name).billing_mode(BillingMode::PayPerRequest);
    call.set_attribute_definitions(Some(definitions.collect()))
        .set_key_schema(Some(schema(&primary)))
        .global_secondary_indexes(global)
        .send()
        .await
        .unwrap();
}
