//! The table's record of how long items are kept ([`shared::keep`]): reads it, and enters what is configured.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::error::ProvideErrorMetadata as _;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};
use shared::channel::Channel;
use shared::coverage::CHANNELS;
use shared::item::Item;
use shared::keep::{self, CHANGES, Keeps, SETTLE};
use shared::key::Key;
use shared::table::{ID, MICROTIMESTAMP};
use tokio::sync::watch;

use crate::clock::system_micros;
use crate::config::keep::{Retention, spelled};
use crate::config::{Config, fits};
use crate::store::reader::{Side, StoreReader, names};
use crate::store::request::{required, send_with_timeout};

/// Interval between two looks at the record. With the lead that an event's time may have over its receipt it is far below [`SETTLE`].
const LOOK_EVERY: Duration = Duration::from_secs(60);
/// Number of attempts to change the record while others change it too.
const ATTEMPTS: u32 = 8;

/// The record as it was read last; `None` before the first reading.
pub type KnownKeeps = Option<Arc<Keeps>>;

/// Reads the record, and enters what is configured.
///
/// Every daemon of the table writes `expires` by the record, not by its own setting, so that it is a function of the record and of the time of
/// what is written. A daemon enters its setting when it starts, before it writes anything; where several daemons of a table are
/// configured differently, the last one that started counts.
#[derive(Clone, Debug)]
pub struct Keeping {
    reader: StoreReader,
    channels: Vec<Channel>,
    retention: Retention,
}

impl Keeping {
    /// Creates one for the configured table and channels.
    #[must_use]
    pub fn new(client: Client, config: &Config) -> Keeping {
        let reader = StoreReader { client, table: config.table.clone() };
        Keeping { reader, channels: config.channels.clone(), retention: config.keep.clone() }
    }

    /// Reads the record.
    ///
    /// # Errors
    ///
    /// Returns a one-sentence description if it cannot be read, or is damaged.
    pub async fn read(&self) -> Result<Keeps, String> {
        let Key { id, microtimestamp } = keep::key();
        let query = self
            .reader
            .client
            .query()
            .table_name(&self.reader.table)
            .consistent_read(true)
            .key_condition_expression("#id = :id AND #sort = :sort")
            .set_expression_attribute_names(names([("#id", ID), ("#sort", MICROTIMESTAMP)]))
            .expression_attribute_values(":id", AttributeValue::N(id))
            .expression_attribute_values(":sort", AttributeValue::S(microtimestamp));
        let items = required(send_with_timeout("dynamodb:Query", query.send()).await?.items)?;
        items
            .first()
            .map_or_else(|| Ok(Keeps::default()), |item| Keeps::from_item(item).map_err(|error| error.to_string()))
    }

    /// Reads the record and enters what is configured, if it says otherwise. Returns it as it is then.
    ///
    /// # Errors
    ///
    /// Returns a one-sentence description if it cannot be read or written, or is damaged.
    pub async fn agree(&self) -> Result<Keeps, String> {
        for _ in 0..ATTEMPTS {
            let known = self.read().await?;
            let now = system_micros();
            if self.changed(&known, now, &BTreeSet::new()).is_none() {
                return Ok(known);
            }
            let subscribed = self.subscribed().await?;
            let Some(changed) = self.changed(&known, now, &subscribed) else { return Ok(known) };
            let item = changed.to_item(now);
            if self.replace(&known, &item).await? {
                for name in self.names(&changed) {
                    let keep = spelled(changed.of(&name).last().and_then(|period| period.seconds));
                    tracing::info!(name, keep, "how long items are kept is recorded");
                }
                return Keeps::from_item(&item).map_err(|error| error.to_string());
            }
        }
        Err("the record of how long items are kept is changed by others again and again".to_owned())
    }

    /// Reads the record from time to time, for as long as it runs: another daemon may have changed it.
    pub async fn follow(self, known: &watch::Sender<KnownKeeps>) {
        let mut is_failing = false;
        loop {
            tokio::time::sleep(LOOK_EVERY).await;
            match self.read().await {
                Ok(keeps) => {
                    is_failing = false;
                    known.send_if_modified(|last| {
                        let is_new = last.as_deref() != Some(&keeps);
                        *last = Some(Arc::new(keeps));
                        is_new
                    });
                }
                Err(reason) if !is_failing => {
                    is_failing = true;
                    tracing::warn!(reason, "how long items are kept cannot be read; what was read last counts");
                }
                Err(_) => {}
            }
        }
    }

    /// Returns the names whose periods this daemon enters, families first: those configured, and those of the record that it captures.
    fn names(&self, known: &Keeps) -> Vec<String> {
        let recorded = known.names().filter(|name| Retention::concerns(name, &self.channels));
        let configured = self.channels.iter().map(Channel::as_str).chain(self.retention.names());
        let mut names: Vec<String> = recorded.chain(configured).map(str::to_owned).collect();
        names.sort_unstable_by_key(|name| (!name.ends_with("_*"), name.clone()));
        names.dedup();
        names
    }

    /// Returns the record with what is configured; `None` if it says so already. `subscribed`: the channels that may have items. Those of another
    /// one have none yet, so its period begins with it.
    fn changed(&self, known: &Keeps, now: u64, subscribed: &BTreeSet<String>) -> Option<Keeps> {
        let mut keeps = known.clone();
        let mut set = |name: &String| {
            let is_recorded = !known.of(name).is_empty() || known.names().any(|known| known == name);
            let has_items = is_recorded || subscribed.iter().any(|channel| fits(channel, name));
            let from = if has_items { now.saturating_add(SETTLE) } else { 0 };
            keeps.set(name, self.retention.of(name), from)
        };
        let names = self.names(known);
        let changed = names.iter().filter(|name| set(name)).count();
        (changed > 0).then_some(keeps)
    }

    /// Returns the channels that were ever subscribed.
    async fn subscribed(&self) -> Result<BTreeSet<String>, String> {
        let mut found = BTreeSet::new();
        let name = |item: &Item| item.get(MICROTIMESTAMP)?.as_s().ok().cloned();
        let query = self.reader.side(CHANNELS, 0, Side::After);
        self.reader.for_each_page(query, |items| found.extend(items.iter().filter_map(name))).await?;
        Ok(found)
    }

    /// Writes the record unless somebody has changed it since it was read; returns true if it is written.
    async fn replace(&self, known: &Keeps, item: &Item) -> Result<bool, String> {
        let put = self
            .reader
            .client
            .put_item()
            .table_name(&self.reader.table)
            .set_item(Some(item.clone()))
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        let put = match known.changes() {
            0 => put.condition_expression("attribute_not_exists(id)"),
            changes => put
                .condition_expression("#changes = :changes")
                .expression_attribute_names("#changes", CHANGES)
                .expression_attribute_values(":changes", AttributeValue::N(changes.to_string())),
        };
        let sent = async {
            match put.send().await {
                Err(error) if error.code() == Some("ConditionalCheckFailedException") => Ok(None),
                answer => answer.map(Some),
            }
        };
        match send_with_timeout("dynamodb:PutItem", sent).await? {
            // An empty body says nothing of the item.
            Some(answer) => required(answer.consumed_capacity).map(|_| true),
            None => Ok(false),
        }
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use super::*;

    const DAY: u64 = 86_400;
    const NOW: u64 = 1_790_000_000_000_000;

    async fn keeping(channels: &str, keep: &str) -> Keeping {
        let settings = [("channels", channels), ("keep", keep), ("endpoint_url", "http://127.0.0.1:9")];
        let settings: BTreeMap<_, _> =
            settings.map(|(key, value)| (key.to_owned(), value.to_owned())).into_iter().collect();
        let config = Config::read(&settings, &BTreeMap::new(), None).unwrap();
        Keeping::new(crate::store::table::connect(&config).await, &config)
    }

    /// The periods of a name, in days; the beginning in seconds from now.
    fn periods(keeps: &Keeps, name: &str) -> Vec<(u64, Option<u64>)> {
        let from = |from: u64| from.checked_sub(NOW).map_or(0, |after| after / 1_000_000);
        keeps.of(name).iter().map(|period| (from(period.from), period.seconds.map(|seconds| seconds / DAY))).collect()
    }

    #[tokio::test]
    async fn what_is_configured_is_entered_once_and_what_was_stays() {
        let none = BTreeSet::new();
        let all = BTreeSet::from(["live_orders_btcusd".to_owned(), "live_trades_btcusd".to_owned()]);
        let first = keeping("live_orders_*,live_trades_btcusd", "").await;
        assert_eq!(first.changed(&Keeps::default(), NOW, &none), None, "nothing is set, so nothing is entered");

        // A new table: from the beginning.
        let first = keeping("live_orders_*,live_trades_btcusd", "90d,live_orders_ethusd=forever").await;
        let keeps = first.changed(&Keeps::default(), NOW, &none).unwrap();
        assert_eq!(first.changed(&keeps, NOW, &all), None);
        assert_eq!(periods(&keeps, "live_orders_btcusd"), [(0, Some(90))]);
        assert_eq!(periods(&keeps, "live_trades_btcusd"), [(0, Some(90))]);
        assert_eq!(periods(&keeps, "live_trades_ethusd"), [], "of another daemon");

        // Another setting holds for what comes, also for the name that was an exception.
        let second = keeping("live_orders_*,live_trades_btcusd", "30d").await;
        let keeps = second.changed(&keeps, NOW, &all).unwrap();
        assert_eq!(periods(&keeps, "live_orders_btcusd"), [(0, Some(90)), (600, Some(30))]);
        assert_eq!(periods(&keeps, "live_orders_ethusd").last(), Some(&(600, Some(30))));

        // Changed back before it began: as if nothing had been.
        let keeps = first.changed(&keeps, NOW, &all).unwrap();
        assert_eq!(periods(&keeps, "live_orders_btcusd"), [(0, Some(90))]);

        // Without the setting, for ever from then on.
        let third = keeping("live_orders_*,live_trades_btcusd", "").await;
        let keeps = third.changed(&keeps, NOW, &all).unwrap();
        assert_eq!(periods(&keeps, "live_orders_btcusd"), [(0, Some(90)), (600, None)]);
        assert_eq!(third.changed(&keeps, NOW, &all), None);
    }

    #[tokio::test]
    async fn what_a_table_holds_already_is_kept_for_ever() {
        let subscribed = BTreeSet::from(["live_orders_btcusd".to_owned()]);
        let keeping = keeping("live_orders_*,live_trades_btcusd", "90d").await;
        let keeps = keeping.changed(&Keeps::default(), NOW, &subscribed).unwrap();
        assert_eq!(periods(&keeps, "live_orders_btcusd"), [(600, Some(90))]);
        assert_eq!(periods(&keeps, "live_trades_btcusd"), [(0, Some(90))]);
        assert_eq!(keeps.expires("live_orders_btcusd", NOW, NOW), None);
    }
}
