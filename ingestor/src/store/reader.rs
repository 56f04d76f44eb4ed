//! Reads events and ledger entries from the table.

use std::collections::{HashMap, HashSet};

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::operation::query::builders::QueryFluentBuilder;
use aws_sdk_dynamodb::types::AttributeValue;
use shared::coverage::days::days_channel;
use shared::coverage::{self, Interval, State};
use shared::item::{EXPIRES, Item};
use shared::table::{CHANNEL, ID, INDEX, MICROTIMESTAMP, NMICROTIMESTAMP};

use crate::clock::system_micros;
use crate::store::request::{required, send_with_timeout};

/// Reads events and ledger entries from the table.
#[derive(Clone, Debug)]
pub struct StoreReader {
    /// Client of the store.
    pub client: Client,
    /// Name of the table.
    pub table: String,
}

/// Direction from a moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Side {
    /// Earlier than the moment, the latest first.
    Before,
    /// Later than the moment, the earliest first.
    After,
}

impl StoreReader {
    /// Returns the ledger's intervals of a channel that end at `since` (microseconds since the Unix epoch) or later.
    ///
    /// # Errors
    ///
    /// Returns a one-sentence description if the query fails or times out.
    pub async fn ledger(&self, channel: &str, since: u64) -> Result<Vec<Interval>, String> {
        self.ledger_if(channel, since, |_| true).await
    }

    /// Returns the same intervals without those of one daemon.
    ///
    /// # Errors
    ///
    /// Returns a one-sentence description if the query fails or times out.
    pub async fn ledger_of_others(&self, channel: &str, since: u64, daemon: &str) -> Result<Vec<Interval>, String> {
        let is_another =
            |item: &Item| item.get("daemon").and_then(|name| name.as_s().ok()).is_some_and(|name| name != daemon);
        self.ledger_if(channel, since, is_another).await
    }

    async fn ledger_if(
        &self,
        channel: &str,
        since: u64,
        wanted: impl Fn(&Item) -> bool,
    ) -> Result<Vec<Interval>, String> {
        let items = self.ledger_items(channel, since).await?;
        Ok(items.iter().filter(|item| wanted(item)).filter_map(coverage::interval).collect())
    }

    /// Returns the ledger's items of a channel whose intervals end at `since` (microseconds since the Unix epoch) or
    /// later.
    ///
    /// # Errors
    ///
    /// Returns a one-sentence description if the query fails or times out.
    pub async fn ledger_items(&self, channel: &str, since: u64) -> Result<Vec<Item>, String> {
        let mut found = Vec::new();
        let name = coverage::ledger_channel(channel);
        self.for_each_page(self.side(&name, since.saturating_sub(1), Side::After), |items| found.extend(items)).await?;
        Ok(found)
    }

    /// Returns what one daemon captured of a channel, of intervals that end between two moments (microseconds since the Unix epoch, both
    /// included): the ledger's items of that time that have not expired, and the entries of its days that there are.
    ///
    /// # Errors
    ///
    /// Returns a one-sentence description if the query fails or times out.
    pub async fn captured_by(
        &self,
        daemon: &str,
        channel: &str,
        (from, through): (u64, u64),
    ) -> Result<Vec<Item>, String> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .key_condition_expression("#id = :id AND #end BETWEEN :from AND :through")
            .filter_expression(
                "(#channel = :channel OR #channel = :days) AND #state = :captured AND (attribute_not_exists(#expires) OR #expires > :now)",
            )
            .set_expression_attribute_names(names([("#id", ID), ("#channel", CHANNEL)]))
            .expression_attribute_names("#end", MICROTIMESTAMP)
            .expression_attribute_names("#state", "state")
            .expression_attribute_names("#expires", EXPIRES)
            .expression_attribute_values(":id", AttributeValue::N(coverage::record_id(daemon, channel)))
            .expression_attribute_values(":from", AttributeValue::S(from.to_string()))
            // A sort key is the end, a separator and more.
            .expression_attribute_values(":through", AttributeValue::S((through + 1).to_string()))
            .expression_attribute_values(":channel", AttributeValue::S(coverage::ledger_channel(channel)))
            .expression_attribute_values(":days", AttributeValue::S(days_channel(channel)))
            .expression_attribute_values(":now", AttributeValue::N((system_micros() / 1_000_000).to_string()))
            .expression_attribute_values(":captured", AttributeValue::S(State::Captured.name().to_owned()));
        let mut found = Vec::new();
        self.for_each_page(query, |items| found.extend(items)).await?;
        Ok(found)
    }

    /// Returns the ids of a channel's items between two moments (microseconds since the Unix epoch, both included).
    ///
    /// # Errors
    ///
    /// Returns a one-sentence description if the query fails or times out.
    pub async fn ids(&self, channel: &str, from: u64, through: u64) -> Result<HashSet<String>, String> {
        let mut found = HashSet::new();
        let query = self
            .on_index("#channel = :channel AND #time BETWEEN :moment AND :through", channel, from)
            .expression_attribute_values(":through", AttributeValue::N(through.to_string()))
            .expression_attribute_names("#id", ID)
            .projection_expression("#id");
        self.for_each_page(query, |items| {
            found.extend(items.into_iter().filter_map(|mut item| match item.remove(ID) {
                Some(AttributeValue::N(id)) => Some(id),
                _ => None,
            }));
        })
        .await?;
        Ok(found)
    }

    /// Reads all pages of a query.
    pub(super) async fn for_each_page(
        &self,
        query: QueryFluentBuilder,
        mut take: impl FnMut(Vec<Item>),
    ) -> Result<(), String> {
        let mut next = None;
        loop {
            let page =
                send_with_timeout("dynamodb:Query on the index", query.clone().set_exclusive_start_key(next).send())
                    .await?;
            next = page.last_evaluated_key;
            take(required(page.items)?);
            if next.is_none() {
                return Ok(());
            }
        }
    }

    /// Returns the items of a channel that are nearest to a moment (microseconds since the Unix epoch), at most
    /// `limit`.
    ///
    /// # Errors
    ///
    /// Returns a one-sentence description if the query fails or times out.
    pub async fn nearest(&self, channel: &str, moment: u64, side: Side, limit: i32) -> Result<Vec<Item>, String> {
        let query = self.side(channel, moment, side).limit(limit);
        required(send_with_timeout("dynamodb:Query on the index", query.send()).await?.items)
    }

    /// Returns true if the channel has an item under this id.
    ///
    /// # Errors
    ///
    /// Returns a one-sentence description if the query fails or times out.
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
        Ok(!required(send_with_timeout("dynamodb:Query", query.send()).await?.items)?.is_empty())
    }

    pub(super) fn side(&self, channel: &str, moment: u64, side: Side) -> QueryFluentBuilder {
        let condition = match side {
            Side::Before => "#channel = :channel AND #time < :moment",
            Side::After => "#channel = :channel AND #time > :moment",
        };
        self.on_index(condition, channel, moment).scan_index_forward(side == Side::After)
    }

    pub(super) fn on_index(&self, condition: &str, channel: &str, moment: u64) -> QueryFluentBuilder {
        self.client
            .query()
            .table_name(&self.table)
            .index_name(INDEX)
            .key_condition_expression(condition)
            .set_expression_attribute_names(names([("#channel", CHANNEL), ("#time", NMICROTIMESTAMP)]))
            .expression_attribute_values(":channel", AttributeValue::S(channel.to_owned()))
            .expression_attribute_values(":moment", AttributeValue::N(moment.to_string()))
    }
}

pub(crate) fn names(pairs: [(&str, &str); 2]) -> Option<HashMap<String, String>> {
    Some(pairs.map(|(placeholder, name)| (placeholder.to_owned(), name.to_owned())).into())
}
