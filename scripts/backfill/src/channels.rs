//! Enters the channels of a migrated table into its list of channels, `_channels`, as the daemon enters those that it subscribes:
//! the query API tells a channel that was never captured from one that is empty by it.

use std::{
    collections::BTreeSet,
    sync::{Mutex, PoisonError},
};

use aws_sdk_dynamodb::{Client, error::ProvideErrorMetadata, types::AttributeValue};
use shared::{
    coverage::channel_item,
    table::{CHANNEL, ID, MICROTIMESTAMP, NMICROTIMESTAMP},
};

use crate::examine::ItemClassifier;
use crate::json::Item;

/// More channels than an exchange has: of a table with more, the attribute is something else.
const MOST: usize = 10_000;

/// The channels met so far.
pub struct Channels {
    client: Client,
    /// None where the table's attributes are not this project's: then it has no such list.
    table: Option<String>,
    met: Mutex<Met>,
}

#[derive(Default)]
struct Met {
    names: BTreeSet<String>,
    entered: u64,
    problem: Option<String>,
}

impl Channels {
    /// None met yet.
    pub fn new(client: &Client, table: &str, classifier: &ItemClassifier) -> Self {
        let ours = classifier.keys == [ID, MICROTIMESTAMP]
            && classifier.channel == CHANNEL
            && classifier.to == NMICROTIMESTAMP;
        Self { client: client.clone(), table: ours.then(|| table.to_owned()), met: Mutex::default() }
    }

    /// Enters the channel of an item whose target is `time`, unless it is in the list. A failure is reported at the end: no
    /// migration fails because of it.
    pub async fn note(&self, item: &Item, time: Option<&AttributeValue>) {
        let Some(table) = &self.table else { return };
        let Some(AttributeValue::S(name)) =
            item.get(CHANNEL).filter(|name| name.as_s().is_ok_and(|name| !name.starts_with('_')))
        else {
            return;
        };
        let Some(time) = time.and_then(|time| time.as_n().ok()?.parse().ok()) else { return };
        {
            let mut met = self.lock();
            if met.names.len() >= MOST || !met.names.insert(name.clone()) {
                return;
            }
        }
        let call = self.client.put_item().table_name(table).set_item(Some(channel_item(name, time)));
        let outcome = call.condition_expression("attribute_not_exists(id)").send().await;
        let mut met = self.lock();
        match outcome.map_err(|error| error.code().unwrap_or("no answer").to_owned()) {
            Ok(_) => met.entered += 1,
            Err(code) if code == "ConditionalCheckFailedException" => {}
            Err(code) => met.problem = Some(format!("`{name}` was not entered: {code}")),
        }
    }

    /// How many were entered, and what went wrong.
    pub fn outcome(&self) -> (u64, Option<String>) {
        let met = self.lock();
        (met.entered, met.problem.clone())
    }

    fn lock(&self) -> std::sync::MutexGuard<'_, Met> {
        self.met.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
