//! Checks the table and the permissions to read and write it.

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::ProvideErrorMetadata;
use aws_sdk_dynamodb::types::{AttributeValue, DeleteRequest, Select, WriteRequest};
use ingestor::config::Config;
use ingestor::store::request::send_with_timeout;
use ingestor::store::table::{self, TableError};
use shared::table::{CHANNEL, ID, INDEX, MICROTIMESTAMP};

use super::Found;

/// Sort key of the item that the write check names. The sort key of every event begins with a digit, so there is no
/// such item.
const NO_EVENT: &str = "_check";

pub(super) async fn described(client: &Client, config: &Config) -> Found {
    match table::check(client, &config.table).await {
        Ok(()) => Ok(format!("`{}` has the keys and the index that events need", config.table)),
        Err(error @ TableError::Unreachable { .. }) => {
            Err(format!("{error}; look at --region or --endpoint-url, the credentials and the network"))
        }
        Err(error) => Err(error.to_string()),
    }
}

pub(super) async fn can_read(client: &Client, config: &Config) -> Found {
    let channel = config.channels.first().map_or("_", |channel| channel.as_str());
    let request = client
        .query()
        .table_name(&config.table)
        .index_name(INDEX)
        .key_condition_expression("#channel = :channel")
        .expression_attribute_names("#channel", CHANNEL)
        .expression_attribute_values(":channel", AttributeValue::S(channel.to_owned()))
        .select(Select::Count)
        .limit(1)
        .send();
    send_with_timeout("dynamodb:Query on the index", request).await?;
    Ok("dynamodb:Query on the index is allowed".to_owned())
}

/// Checks the permissions to write; nothing changes. A batch deletes an item that cannot exist (IAM asks for the same
/// permission whether it puts or deletes), and a put has a condition that does not hold.
pub(super) async fn can_write(client: &Client, config: &Config) -> Found {
    let delete = DeleteRequest::builder()
        .key(ID, AttributeValue::N("0".to_owned()))
        .key(MICROTIMESTAMP, AttributeValue::S(NO_EVENT.to_owned()))
        .build()
        .map_err(|error| error.to_string())?;
    let request = WriteRequest::builder().delete_request(delete).build();
    let sent = client.batch_write_item().request_items(&config.table, vec![request]).send();
    let answer = send_with_timeout("dynamodb:BatchWriteItem", sent).await?;
    let throttled = answer.unprocessed_items().is_some_and(|tables| !tables.is_empty());
    let put = client
        .put_item()
        .table_name(&config.table)
        .item(ID, AttributeValue::N("0".to_owned()))
        .item(MICROTIMESTAMP, AttributeValue::S(NO_EVENT.to_owned()))
        .condition_expression("attribute_exists(#id)")
        .expression_attribute_names("#id", ID);
    let put = async {
        match put.send().await {
            Err(error) if is_unmet(&error) => Ok(()),
            answer => answer.map(drop),
        }
    };
    send_with_timeout("dynamodb:PutItem", put).await?;
    can_delete(client, config).await?;
    let now = if throttled { ", but the table is throttled now" } else { "" };
    Ok(format!("dynamodb:BatchWriteItem, PutItem and DeleteItem are allowed{now}"))
}

/// Checks the permission to delete, which the daemon needs for fetched copies of captured trades. The condition does
/// not hold.
async fn can_delete(client: &Client, config: &Config) -> Result<(), String> {
    let delete = client
        .delete_item()
        .table_name(&config.table)
        .key(ID, AttributeValue::N("0".to_owned()))
        .key(MICROTIMESTAMP, AttributeValue::S(NO_EVENT.to_owned()))
        .condition_expression("attribute_exists(#id)")
        .expression_attribute_names("#id", ID);
    let delete = async {
        match delete.send().await {
            Err(error) if is_unmet(&error) => Ok(()),
            answer => answer.map(drop),
        }
    };
    send_with_timeout("dynamodb:DeleteItem", delete).await
}

/// Returns true if the request failed because its condition does not hold: the permission was checked before it.
fn is_unmet(error: &impl ProvideErrorMetadata) -> bool {
    error.code() == Some("ConditionalCheckFailedException")
}
