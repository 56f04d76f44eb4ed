//! The lease that says which of several daemons of one table writes.

use std::collections::{BTreeSet, HashMap};
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};
use shared::channel::Channel;
use shared::item::Item;
use shared::table::{CHANNEL, ID, MICROTIMESTAMP};
use tokio::sync::watch;
use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

use crate::observe::status::{Component, Status};
use crate::store::request::{required, send_with_timeout};

/// Channel of the lease's item and beginning of its sort key. Without an `nmicrotimestamp` it is not in the index.
const LEASE: &str = "_lease";

/// Returns the name of the lease of the daemons with these channels configured, in whatever order.
///
/// One lease for daemons of different channels would let one of them write and leave the other's channels unwritten.
#[must_use]
pub fn name(channels: &[Channel]) -> String {
    let channels: BTreeSet<&str> = channels.iter().map(Channel::as_str).collect();
    let joined = channels.into_iter().collect::<Vec<_>>().join(",");
    format!("{LEASE}:{:016x}", xxh3_64(joined.as_bytes()))
}

/// The lease of one table and one set of channels: of several daemons the holder writes. It is an item of the table.
///
/// The holder raises the item's `beat` four times within the lease's length. A standby watches the beat. Once the beat has not
/// changed for the whole length, by the standby's own clock from the moment it read it, the standby takes the lease with the
/// next `number`, on the condition that number and beat are still the same. The holder counts the length from before it sent
/// its last successful beat, so its lease is over before another begins, whatever the clocks say. Requests in flight at that
/// moment may still arrive: they write what another daemon would write under the same keys.
#[derive(Clone, Debug)]
pub struct Lease {
    client: Client,
    table: String,
    /// Sort key of the item, see [`name`].
    name: String,
    owner: String,
    length: Duration,
    status: Arc<Status>,
    /// The other daemon's lease as it was read last, and when.
    watched: Option<(LeaseRecord, Instant)>,
}

/// Until when this daemon may write; `None` while another one holds the lease.
pub type Turn = Option<Instant>;

/// The lease as the table has it.
#[derive(Clone, Debug, PartialEq, Eq)]
struct LeaseRecord {
    /// The holder's name; `None` if it gave the lease back.
    owner: Option<String>,
    number: u64,
    beat: u64,
}

impl Lease {
    /// Creates the lease of a daemon, the `owner`, under `name`.
    #[must_use]
    pub fn new(
        client: Client,
        table: String,
        name: String,
        owner: String,
        length: Duration,
        status: Arc<Status>,
    ) -> Lease {
        Lease { client, table, name, owner, length, status, watched: None }
    }

    /// Holds the lease or watches it; runs until it is dropped.
    pub async fn run(mut self, turn: watch::Sender<Turn>) {
        loop {
            let asked = Instant::now();
            match self.step(asked).await {
                Ok(held) => {
                    self.status.set_trouble(Component::Lease, None);
                    let until = held.then(|| asked + self.length);
                    if turn.borrow().is_some() != until.is_some() {
                        tracing::info!(writes = held, "lease");
                    }
                    turn.send_replace(until);
                }
                // The turn ends by itself.
                Err(reason) => self.status.set_trouble(Component::Lease, Some(reason)),
            }
            self.status.writes.set(u64::from(turn.borrow().is_some_and(|until| until > Instant::now())));
            tokio::time::sleep(self.length / 4).await;
        }
    }

    /// Gives the lease back, so that another daemon need not wait. Ignores failures: the lease expires by itself.
    pub async fn give_back(self) {
        if let Ok(Some(held)) = self.read().await
            && held.owner.as_ref() == Some(&self.owner)
        {
            let _written = self.write(&LeaseRecord { owner: None, ..held.clone() }, Some(&held)).await;
        }
    }

    /// Raises the beat, watches it or takes the lease; returns true if the daemon holds it now. `asked`: when the step
    /// began.
    async fn step(&mut self, asked: Instant) -> Result<bool, String> {
        let ours = |number, beat| LeaseRecord { owner: Some(self.owner.clone()), number, beat };
        match self.read().await? {
            None => self.write(&ours(1, 0), None).await,
            Some(held) if held.owner.as_ref() == Some(&self.owner) => {
                self.write(&ours(held.number, held.beat + 1), Some(&held)).await
            }
            Some(held) => {
                let since = match self.watched.take() {
                    Some((seen, since)) if seen == held => since,
                    // Read after it was asked for: only from now on it is known to stand still.
                    _ => Instant::now(),
                };
                if held.owner.is_none() || asked.duration_since(since) >= self.length {
                    return self.write(&ours(held.number + 1, 0), Some(&held)).await;
                }
                self.watched = Some((held, since));
                Ok(false)
            }
        }
    }

    async fn read(&self) -> Result<Option<LeaseRecord>, String> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("#id = :id AND #sort = :sort")
            .expression_attribute_names("#id", ID)
            .expression_attribute_names("#sort", MICROTIMESTAMP)
            .expression_attribute_values(":id", AttributeValue::N(self.id()))
            .expression_attribute_values(":sort", AttributeValue::S(self.name.clone()));
        let found = send_with_timeout("dynamodb:Query", query.send()).await?;
        Ok(required(found.items)?.first().and_then(LeaseRecord::of))
    }

    /// Writes the lease if the table still has `before`; returns false if another daemon was faster.
    async fn write(&self, held: &LeaseRecord, before: Option<&LeaseRecord>) -> Result<bool, String> {
        let put = self
            .client
            .put_item()
            .table_name(&self.table)
            .set_item(Some(self.item(held)))
            // Without it a success is `{}`, which an empty body looks like.
            .return_consumed_capacity(ReturnConsumedCapacity::Total);
        let put = match before {
            None => put.condition_expression("attribute_not_exists(#id)").expression_attribute_names("#id", ID),
            Some(before) => put
                .condition_expression("#number = :number AND #beat = :beat")
                .expression_attribute_names("#number", "number")
                .expression_attribute_names("#beat", "beat")
                .expression_attribute_values(":number", AttributeValue::N(before.number.to_string()))
                .expression_attribute_values(":beat", AttributeValue::N(before.beat.to_string())),
        };
        let put = async {
            match put.send().await {
                Ok(output) => Ok(output.consumed_capacity.map(|_| true)),
                Err(error) => match error.as_service_error() {
                    Some(service) if service.is_conditional_check_failed_exception() => Ok(Some(false)),
                    _ => Err(error),
                },
            }
        };
        required(send_with_timeout("dynamodb:PutItem", put).await?)
    }

    fn item(&self, held: &LeaseRecord) -> Item {
        let owner = held.owner.clone().map_or(AttributeValue::Null(true), AttributeValue::S);
        Item::from([
            (ID.to_owned(), AttributeValue::N(self.id())),
            (MICROTIMESTAMP.to_owned(), AttributeValue::S(self.name.clone())),
            (CHANNEL.to_owned(), AttributeValue::S(LEASE.to_owned())),
            ("owner".to_owned(), owner),
            ("number".to_owned(), AttributeValue::N(held.number.to_string())),
            ("beat".to_owned(), AttributeValue::N(held.beat.to_string())),
        ])
    }

    fn id(&self) -> String {
        xxh3_64(self.name.as_bytes()).to_string()
    }
}

impl LeaseRecord {
    fn of(item: &HashMap<String, AttributeValue>) -> Option<LeaseRecord> {
        let number = |name: &str| item.get(name)?.as_n().ok()?.parse().ok();
        let owner = item.get("owner").and_then(|owner| owner.as_s().ok()).cloned();
        Some(LeaseRecord { owner, number: number("number")?, beat: number("beat")? })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_lease_is_that_of_a_set_of_channels() {
        let of = |names: [&str; 2]| name(&names.map(|name| name.parse().unwrap()));
        assert_eq!(of(["live_trades_btcusd", "live_orders_*"]), of(["live_orders_*", "live_trades_btcusd"]));
        assert_ne!(of(["live_trades_btcusd", "live_orders_*"]), of(["live_trades_btcusd", "live_orders_btcusd"]));
    }
}
