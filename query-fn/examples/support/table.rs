//! The table of the engines that examples start.

use aws_sdk_dynamodb::{
    Client,
    config::{BehaviorVersion, Credentials, Region},
    types::{
        AttributeDefinition, AttributeValue, BillingMode, GlobalSecondaryIndex, KeySchemaElement, Projection,
        ProjectionType, PutRequest, WriteRequest,
    },
};
use dynoxide::{Database, server::serve_with_shutdown};
use shared::{
    item::Item,
    table::{self, KeyAttribute},
};
use tokio::{net::TcpListener, task::JoinHandle};

/// An engine in memory, on a socket of its own, with an empty table.
pub(crate) struct Engine {
    pub(crate) endpoint: String,
    pub(crate) client: Client,
    serving: JoinHandle<Result<(), String>>,
}

impl Engine {
    pub(crate) async fn start(port: u16) -> anyhow::Result<Engine> {
        let listener = TcpListener::bind(("127.0.0.1", port)).await?;
        let endpoint = format!("http://{}", listener.local_addr()?);
        let serving = tokio::spawn(serve_with_shutdown(listener, Database::memory()?, std::future::pending()));
        let client = client(&endpoint);
        create_table(&client).await?;
        Ok(Engine { endpoint, client, serving })
    }

    pub(crate) async fn serve(self) -> anyhow::Result<()> {
        self.serving.await?.map_err(|error| anyhow::anyhow!("the engine stopped: {error}"))
    }
}

fn client(endpoint: &str) -> Client {
    let config = aws_sdk_dynamodb::Config::builder()
        .behavior_version(BehaviorVersion::latest())
        .region(Region::new("eu-central-1"))
        .credentials_provider(Credentials::new("test", "test", None, None, "test"))
        .endpoint_url(endpoint)
        .build();
    Client::from_conf(config)
}

/// Stores at most 25 items.
pub(crate) async fn put(client: &Client, items: &[Item]) -> anyhow::Result<()> {
    let mut requests = Vec::new();
    for item in items {
        let put = PutRequest::builder().set_item(Some(item.clone())).build()?;
        requests.push(WriteRequest::builder().put_request(put).build());
    }
    client.batch_write_item().request_items(table::DEFAULT_TABLE, requests).send().await?;
    Ok(())
}

/// The entry of a channel in the list of channels, first subscribed at `time`, microseconds since the Unix epoch.
pub(crate) fn channel(name: &str, number: u64, time: u64) -> Item {
    Item::from([
        (table::ID.to_owned(), AttributeValue::N(number.to_string())),
        (table::MICROTIMESTAMP.to_owned(), AttributeValue::S(name.to_owned())),
        (table::CHANNEL.to_owned(), AttributeValue::S(query_fn::query::channels::CHANNELS.to_owned())),
        (table::NMICROTIMESTAMP.to_owned(), AttributeValue::N(time.to_string())),
    ])
}

async fn create_table(client: &Client) -> anyhow::Result<()> {
    let schema = |key: &[KeyAttribute]| {
        let element = |(name, _, role): &KeyAttribute| {
            KeySchemaElement::builder().attribute_name(*name).key_type(role.clone()).build()
        };
        key.iter().map(element).collect::<Result<Vec<_>, _>>()
    };
    let (primary, index) = (table::primary_key(), table::index_key());
    let define = |(name, kind, _): &KeyAttribute| {
        AttributeDefinition::builder().attribute_name(*name).attribute_type(kind.clone()).build()
    };
    let definitions = primary.iter().chain(&index).map(define).collect::<Result<Vec<_>, _>>()?;
    let projection = Projection::builder().projection_type(ProjectionType::All).build();
    let global = GlobalSecondaryIndex::builder()
        .index_name(table::INDEX)
        .set_key_schema(Some(schema(&index)?))
        .projection(projection)
        .build()?;
    client
        .create_table()
        .table_name(table::DEFAULT_TABLE)
        .billing_mode(BillingMode::PayPerRequest)
        .set_attribute_definitions(Some(definitions))
        .set_key_schema(Some(schema(&primary)?))
        .global_secondary_indexes(global)
        .send()
        .await?;
    Ok(())
}
