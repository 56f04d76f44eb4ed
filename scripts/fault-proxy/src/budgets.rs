//! Write capacity by partition as token buckets.

use std::{collections::HashMap, time::Duration};

use serde_json::{Map, Value};
use tokio::time::Instant;

use crate::answer::Resource;
use crate::batch::WriteBatch;
use crate::call::Call;
use crate::size::write_units;

/// Above this many partitions, those whose bucket is full again are forgotten.
const REMEMBERED: usize = 50_000;

/// Write capacity as the service grants it: each partition of the table and of its index has its own units a second.
///
/// `BatchWriteItem` and `PutItem` are charged by the size of each item, in the table and (where the item has the
/// index's key) in the index. `UpdateItem`, `DeleteItem` and PartiQL statements do not carry the whole item, so for them only
/// [`Budgets::provisioned`] counts.
#[derive(Clone, Debug, PartialEq)]
pub struct Budgets {
    /// Units a second for each partition key value of the table. The service: 1,000.
    pub table_units: f64,
    /// Units a second for each partition key value of the index. The service: 1,000.
    pub index_units: f64,
    /// Depth of each bucket, in seconds of its rate: how much unused capacity a burst may take.
    pub burst: Duration,
    /// Units a second of the whole table, charged with what the endpoint reports in `ConsumedCapacity` (else one unit
    /// for each write); calls are refused while the bucket is overdrawn.
    pub provisioned: Option<f64>,
    /// Partition key of the table.
    pub table_key: String,
    /// Partition key of the index.
    pub index_key: String,
}

impl Default for Budgets {
    /// The service's limits for this project's table.
    fn default() -> Self {
        Self {
            table_units: 1000.0,
            index_units: 1000.0,
            burst: Duration::from_secs(1),
            provisioned: None,
            table_key: "id".to_owned(),
            index_key: "channel".to_owned(),
        }
    }
}

/// The levels of all buckets.
#[derive(Debug)]
pub(crate) struct TokenBuckets {
    budgets: Budgets,
    table: Buckets,
    index: Buckets,
    whole: Buckets,
}

impl TokenBuckets {
    pub(crate) fn new(budgets: Budgets) -> Self {
        let burst = budgets.burst.as_secs_f64();
        let buckets = |rate: f64| Buckets { rate, depth: rate * burst, levels: HashMap::new() };
        let whole = budgets.provisioned.unwrap_or(f64::INFINITY);
        Self {
            table: buckets(budgets.table_units),
            index: buckets(budgets.index_units),
            whole: buckets(whole),
            budgets,
        }
    }

    /// What each write request of a batch is short of; charges those that are not.
    pub(crate) fn admit_batch(&mut self, batch: &WriteBatch, now: Instant) -> Vec<Option<Resource>> {
        batch.requests.iter().map(|(table, request)| self.admit_request(table, request, now)).collect()
    }

    /// What a call other than a batch is short of, if anything; charges it.
    pub(crate) fn admit_put(&mut self, call: &Call, now: Instant) -> Option<Resource> {
        let body = call.json();
        let item = body.get("Item").and_then(Value::as_object)?;
        self.admit_item(&call.table(), item, now)
    }

    fn admit_request(&mut self, table: &str, request: &Value, now: Instant) -> Option<Resource> {
        let put = request.get("PutRequest").and_then(|put| put.get("Item"));
        let delete = request.get("DeleteRequest").and_then(|delete| delete.get("Key"));
        self.admit_item(table, put.or(delete)?.as_object()?, now)
    }

    fn admit_item(&mut self, table: &str, item: &Map<String, Value>, now: Instant) -> Option<Resource> {
        let units = f64::from(write_units(item));
        let partition = |key: &str| item.get(key).map(|value| format!("{table}/{value}"));
        let of_table = partition(&self.budgets.table_key);
        let of_index = partition(&self.budgets.index_key);
        if of_table.as_deref().is_some_and(|partition| !self.table.holds(partition, units, now)) {
            return Some(Resource::Table);
        }
        if of_index.as_deref().is_some_and(|partition| !self.index.holds(partition, units, now)) {
            return Some(Resource::Index);
        }
        if let Some(partition) = of_table {
            self.table.take(partition, units, now);
        }
        if let Some(partition) = of_index {
            self.index.take(partition, units, now);
        }
        None
    }

    /// Whether the whole table's provisioned capacity is used up.
    pub(crate) fn overdrawn(&self, table: &str, now: Instant) -> bool {
        self.budgets.provisioned.is_some() && self.whole.level(table, now) <= 0.0
    }

    /// Charges the whole table with what a call consumed.
    pub(crate) fn charge(&mut self, table: &str, units: f64, now: Instant) {
        if self.budgets.provisioned.is_some() {
            self.whole.take(table.to_owned(), units, now);
        }
    }
}

/// Token buckets by partition; one that was never used is full.
#[derive(Debug)]
struct Buckets {
    rate: f64,
    depth: f64,
    levels: HashMap<String, (f64, Instant)>,
}

impl Buckets {
    fn level(&self, partition: &str, now: Instant) -> f64 {
        let Some((level, since)) = self.levels.get(partition) else { return self.depth };
        (level + self.rate * now.duration_since(*since).as_secs_f64()).min(self.depth)
    }

    /// An item larger than the bucket is admitted by a full one, else it could never be written.
    fn holds(&self, partition: &str, units: f64, now: Instant) -> bool {
        self.level(partition, now) >= units.min(self.depth)
    }

    fn take(&mut self, partition: String, units: f64, now: Instant) {
        let level = self.level(&partition, now) - units;
        self.levels.insert(partition, (level, now));
        if self.levels.len() > REMEMBERED {
            let (rate, depth) = (self.rate, self.depth);
            self.levels.retain(|_, (level, since)| *level + rate * now.duration_since(*since).as_secs_f64() < depth);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn batch(ids: std::ops::Range<u32>, bytes: usize) -> WriteBatch {
        let put = |id: u32| json!({"PutRequest": {"Item": {"id": {"N": id.to_string()}, "channel": {"S": "c"}, "x": {"S": "x".repeat(bytes)}}}});
        WriteBatch::read(json!({"RequestItems": {"t": ids.map(put).collect::<Vec<_>>()}})).unwrap()
    }

    fn buckets(index_units: f64) -> TokenBuckets {
        TokenBuckets::new(Budgets { index_units, ..Budgets::default() })
    }

    #[test]
    fn a_hot_index_partition_takes_its_rate_and_no_more() {
        let (mut buckets, start) = (buckets(100.0), Instant::now());
        let mut admitted = 0;
        for step in 0..1_000_u32 {
            let now = start + Duration::from_millis(10) * step;
            let short = buckets.admit_batch(&batch(step * 10..step * 10 + 10, 10), now);
            admitted += short.iter().filter(|short| short.is_none()).count();
            assert!(short.iter().flatten().all(|short| *short == Resource::Index));
        }
        // The full bucket at the start plus 9.99 s of the rate.
        assert!((1_098..=1_100).contains(&admitted), "{admitted}");
    }

    #[test]
    fn larger_items_cost_more() {
        let (mut buckets, now) = (buckets(100.0), Instant::now());
        let admitted = buckets.admit_batch(&batch(0..25, 10_000), now).iter().filter(|short| short.is_none()).count();
        assert_eq!(admitted, 10);
    }

    #[test]
    fn the_same_table_key_over_and_over_names_the_table() {
        let mut buckets = TokenBuckets::new(Budgets { table_units: 2.0, ..Budgets::default() });
        let now = Instant::now();
        let short: Vec<_> = (0..3).flat_map(|_| buckets.admit_batch(&batch(7..8, 1), now)).collect();
        assert_eq!(short, [None, None, Some(Resource::Table)]);
    }

    #[test]
    fn provisioned_capacity_is_overdrawn_then_recovers() {
        let mut buckets = TokenBuckets::new(Budgets { provisioned: Some(10.0), ..Budgets::default() });
        let now = Instant::now();
        buckets.charge("t", 30.0, now);
        assert!(buckets.overdrawn("t", now + Duration::from_millis(1_900)));
        assert!(!buckets.overdrawn("t", now + Duration::from_millis(2_100)));
        assert!(!buckets.overdrawn("u", now));
    }
}
