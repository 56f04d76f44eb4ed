use std::collections::HashMap;
use std::sync::Arc;
use std::time::Duration;

use aws_sdk_dynamodb::Client;
use aws_sdk_dynamodb::types::AttributeValue;
use shared::item::Item;
use shared::table::{CHANNEL, ID, MICROTIMESTAMP};
use tokio::sync::watch;
use tokio::time::Instant;
use xxhash_rust::xxh3::xxh3_64;

use crate::ask::ask;
use crate::status::{Part, Status};

/// The item's sort key, and its channel. Without an `nmicrotimestamp` it is not in the index.
const LEASE: &str = "_lease";

/// Which of several daemons of one table writes: the one that holds the lease, an item of the table.
///
/// The holder raises the item's `beat` four times within the lease's length. Whoever else wants it watches the beat; once it
/// stood still for the whole length, by the watcher's own clock from the moment it read it, the watcher takes the lease with the
/// next `number`, on the condition that number and beat are still the same. The holder counts the length from before it sent
/// its last successful beat, so its turn is over before another's begins, whatever the clocks say. Requests that are under way
/// then may still arrive: they write what another daemon would write under the same keys.
#[derive(Debug)]
pub struct Lease {
    client: Client,
    table: String,
    owner: String,
    length: Duration,
    status: Arc<Status>,
    /// What was read last of another's lease, and when.
    watched: Option<(Held, Instant)>,
}

/// Until when this daemon may write; none: another does.
pub type Turn = Option<Instant>;

/// The item.
#[derive(Clone, Debug, PartialEq, Eq)]
struct Held {
    /// Nobody: it was given back.
    owner: Option<String>,
    number: u64,
    beat: u64,
}

impl Lease {
    /// For a daemon of this name.
    #[must_use]
    pub fn new(client: Client, table: String, owner: String, length: Duration, status: Arc<Status>) -> Lease {
        Lease { client, table, owner, length, status, watched: None }
    }

    /// Holds the lease or watches it, until it is dropped.
    pub async fn run(mut self, turn: watch::Sender<Turn>) {
        loop {
            let asked = Instant::now();
            match self.step(asked).await {
                Ok(held) => {
                    self.status.set_trouble(Part::Lease, None);
                    let until = held.then(|| asked + self.length);
                    if turn.borrow().is_some() != until.is_some() {
                        tracing::info!(writes = held, "lease");
                    }
                    turn.send_replace(until);
                }
                // The turn ends by itself.
                Err(reason) => self.status.set_trouble(Part::Lease, Some(reason)),
            }
            self.status.writes.set(u64::from(turn.borrow().is_some_and(|until| until > Instant::now())));
            tokio::time::sleep(self.length / 4).await;
        }
    }

    /// Gives it back, so that another daemon need not wait; what the store says to that changes nothing.
    pub async fn give_back(client: Client, table: String, owner: String, status: Arc<Status>) {
        let lease = Lease::new(client, table, owner, Duration::ZERO, status);
        if let Ok(Some(held)) = lease.read().await
            && held.owner.as_ref() == Some(&lease.owner)
        {
            let _written = lease.write(&Held { owner: None, ..held.clone() }, Some(&held)).await;
        }
    }

    /// Whether it is ours now.
    async fn step(&mut self, asked: Instant) -> Result<bool, String> {
        let ours = |number, beat| Held { owner: Some(self.owner.clone()), number, beat };
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

    async fn read(&self) -> Result<Option<Held>, String> {
        let query = self
            .client
            .query()
            .table_name(&self.table)
            .consistent_read(true)
            .key_condition_expression("#id = :id AND #sort = :sort")
            .expression_attribute_names("#id", ID)
            .expression_attribute_names("#sort", MICROTIMESTAMP)
            .expression_attribute_values(":id", AttributeValue::N(id()))
            .expression_attribute_values(":sort", AttributeValue::S(LEASE.to_owned()));
        let found = ask("dynamodb:Query", query.send()).await?;
        Ok(found.items().first().and_then(Held::of))
    }

    /// Whether it was written: not where somebody else was faster.
    async fn write(&self, held: &Held, before: Option<&Held>) -> Result<bool, String> {
        let put = self.client.put_item().table_name(&self.table).set_item(Some(held.to_item()));
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
                Ok(_) => Ok(true),
                Err(error) => match error.as_service_error() {
                    Some(service) if service.is_conditional_check_failed_exception() => Ok(false),
                    _ => Err(error),
                },
            }
        };
        ask("dynamodb:PutItem", put).await
    }
}

impl Held {
    fn of(item: &HashMap<String, AttributeValue>) -> Option<Held> {
        let number = |name: &str| item.get(name)?.as_n().ok()?.parse().ok();
        let owner = item.get("owner").and_then(|owner| owner.as_s().ok()).cloned();
        Some(Held { owner, number: number("number")?, beat: number("beat")? })
    }

    fn to_item(&self) -> Item {
        let owner = self.owner.clone().map_or(AttributeValue::Null(true), AttributeValue::S);
        Item::from([
            (ID.to_owned(), AttributeValue::N(id())),
            (MICROTIMESTAMP.to_owned(), AttributeValue::S(LEASE.to_owned())),
            (CHANNEL.to_owned(), AttributeValue::S(LEASE.to_owned())),
            ("owner".to_owned(), owner),
            ("number".to_owned(), AttributeValue::N(self.number.to_string())),
            ("beat".to_owned(), AttributeValue::N(self.beat.to_string())),
        ])
    }
}

fn id() -> String {
    xxh3_64(LEASE.as_bytes()).to_string()
}
