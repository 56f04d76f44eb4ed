use std::collections::HashMap;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use shared::coverage::{self, Stretch};
use shared::item::Item;
use shared::table::{CHANNEL, ID, INDEX, NMICROTIMESTAMP};

use crate::ask::ask;

/// What the table holds already.
#[derive(Clone, Debug)]
pub struct Stored {
    /// The store.
    pub client: Client,
    /// The table.
    pub table: String,
}

/// Which way of two.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Earlier than a moment, the latest first.
    Before,
    /// Later than it, the earliest first.
    Behind,
}

impl Stored {
    /// What the ledger says of a channel in the stretches that end at `since` or later.
    ///
    /// # Errors
    ///
    /// A sentence.
    pub async fn ledger(&self, channel: &str, since: u64) -> Result<Vec<Stretch>, String> {
        self.ledger_if(channel, since, |_| true).await
    }

    /// The same without the word of one daemon.
    ///
    /// # Errors
    ///
    /// A sentence.
    pub async fn ledger_of_others(&self, channel: &str, since: u64, daemon: &str) -> Result<Vec<Stretch>, String> {
        let is_another =
            |item: &Item| item.get("daemon").and_then(|name| name.as_s().ok()).is_some_and(|name| name != daemon);
        self.ledger_if(channel, since, is_another).await
    }

    async fn ledger_if(
        &self,
        channel: &str,
        since: u64,
        wanted: impl Fn(&Item) -> bool,
    ) -> Result<Vec<Stretch>, String> {
        let name = coverage::ledger_channel(channel);
        let (mut found, mut next) = (Vec::new(), None);
        loop {
            let query = self.side(&name, since.saturating_sub(1), Side::Behind).set_exclusive_start_key(next);
            let page = ask("dynamodb:Query on the index", query.send()).await?;
            found.extend(page.items().iter().filter(|item| wanted(item)).filter_map(coverage::stretch));
            next = page.last_evaluated_key;
            if next.is_none() {
                return Ok(found);
            }
        }
    }

    /// The items of a channel that are nearest to a moment, at most `limit`.
    ///
    /// # Errors
    ///
    /// A sentence.
    pub async fn nearest(&self, channel: &str, moment: u64, side: Side, limit: i32) -> Result<Vec<Item>, String> {
        let query = self.side(channel, moment, side).limit(limit);
        Ok(ask("dynamodb:Query on the index", query.send()).await?.items.unwrap_or_default())
    }

    /// Whether the channel holds anything under this id.
    ///
    /// # Errors
    ///
    /// A sentence.
    pub async fn has(&self, channel: &str, id: &str) -> Result<bool, String> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("#id = :id")
            .filter_expression("#channel = :channel")
            .set_expression_attribute_names(names([("#id", ID), ("#channel", CHANNEL)]))
            .expression_attribute_values(":id", AttributeValue::N(id.to_owned()))
            .expression_attribute_values(":channel", AttributeValue::S(channel.to_owned()));
        Ok(ask("dynamodb:Query", query.send()).await?.count > 0)
    }

    fn side(&self, channel: &str, moment: u64, side: Side) -> QueryFluentBuilder {
        let condition = match side {
            Side::Before => "#channel = :channel AND #time < :moment",
            Side::Behind => "#channel = :channel AND #time > :moment",
        };
        self.client
            .query()
            .table_name(&self.table)
            .index_name(INDEX)
            .key_condition_expression(condition)
            .set_expression_attribute_names(names([("#channel", CHANNEL), ("#time", NMICROTIMESTAMP)]))
            .expression_attribute_values(":channel", AttributeValue::S(channel.to_owned()))
            .expression_attribute_values(":moment", AttributeValue::N(moment.to_string()))
            .scan_index_forward(side == Side::Behind)
    }
}

fn names(pairs: [(&str, &str); 2]) -> Option<HashMap<String, String>> {
    Some(pairs.map(|(placeholder, name)| (placeholder.to_owned(), name.to_owned())).into())
}
