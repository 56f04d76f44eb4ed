//! Reads the table's description and checks that the arguments fit it.

use aws_sdk_dynamodb::{
    Client,
    types::{BillingMode, IndexStatus, KeySchemaElement, KeyType, ScalarAttributeType, TableDescription},
};
use tokio_util::sync::CancellationToken;

use crate::args::{JobArgs, ScanArgs};
use crate::error::Error;
use crate::retry::{Patience, until_answered};

mod recovery;

pub use recovery::{Recovery, recovery, require_recovery};

/// A key attribute.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct KeyAttribute {
    /// Its name.
    pub name: String,
    /// N, S or B.
    pub kind: ScalarAttributeType,
}

/// Capacity of the table and of the index, units a second.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Billing {
    /// Every unit is paid.
    OnDemand,
    /// So much is paid whether used or not.
    Provisioned {
        /// Read units of the table.
        read: f64,
        /// Write units of the table.
        write: f64,
        /// Write units of the index, where there is one.
        index_write: Option<f64>,
    },
}

/// The index as it is.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Index {
    /// Its partition key.
    pub partition: String,
    /// Its sort key.
    pub sort: Option<String>,
    /// `CREATING`, `ACTIVE`, ...
    pub status: IndexStatus,
    /// Items in it, as counted by the service every six hours.
    pub items: u64,
}

/// The table as the service describes it.
#[derive(Clone, Debug)]
pub struct TableInfo {
    /// Its name.
    pub table: String,
    /// What tells this table from an earlier one of the same name.
    pub identity: String,
    /// Partition key.
    pub hash: KeyAttribute,
    /// Sort key.
    pub range: Option<KeyAttribute>,
    /// Items, as counted by the service every six hours.
    pub items: u64,
    /// Bytes, as counted by the service every six hours.
    pub bytes: u64,
    /// Capacity.
    pub billing: Billing,
    /// The index of the arguments, where it is there.
    pub index: Option<Index>,
    /// Every attribute that a key of the table or of one of its indexes names.
    pub named: Vec<KeyAttribute>,
}

/// Asks the service, and checks that the arguments fit the table.
///
/// # Errors
/// When there is no such table, or the arguments cannot be meant for it.
pub async fn describe(
    client: &Client,
    args: &JobArgs,
    scan: &ScanArgs,
    stop: &CancellationToken,
) -> Result<TableInfo, Error> {
    let patience = Patience::new("DescribeTable", scan.patience());
    let output = until_answered(patience, stop, || client.describe_table().table_name(&args.table).send()).await?;
    let Some(table) = output.and_then(|output| output.table) else {
        return Err(Error::Guard(format!("the engine does not describe table `{}`", args.table)));
    };
    let info =
        TableInfo::read(&table, args).ok_or_else(|| Error::Guard(format!("table `{}` has no key", args.table)))?;
    info.check(args)?;
    Ok(info)
}

impl TableInfo {
    fn read(table: &TableDescription, args: &JobArgs) -> Option<Self> {
        let named: Vec<KeyAttribute> = table
            .attribute_definitions()
            .iter()
            .map(|known| KeyAttribute { name: known.attribute_name().to_owned(), kind: known.attribute_type().clone() })
            .collect();
        let key = |role| {
            let name = key_name(table.key_schema(), role)?;
            named.iter().find(|known| known.name == name).cloned()
        };
        let described = table.global_secondary_indexes().iter().find(|index| index.index_name() == args.index());
        let count = |number: Option<i64>| u64::try_from(number.unwrap_or(0)).unwrap_or(0);
        let index = described.map(|index| Index {
            partition: key_name(index.key_schema(), KeyType::Hash).unwrap_or_default(),
            sort: key_name(index.key_schema(), KeyType::Range),
            status: index.index_status().cloned().unwrap_or(IndexStatus::Active),
            items: count(index.item_count()),
        });
        Some(Self {
            table: args.table.clone(),
            identity: table.table_id().or(table.table_arn()).unwrap_or_default().to_owned(),
            hash: key(KeyType::Hash)?,
            range: key(KeyType::Range),
            items: count(table.item_count()),
            bytes: count(table.table_size_bytes()),
            billing: billing(table, args),
            index,
            named,
        })
    }

    /// The type that keys give an attribute, where one does.
    fn kind_of(&self, name: &str) -> Option<&ScalarAttributeType> {
        self.named.iter().find(|known| known.name == name).map(|known| &known.kind)
    }

    fn check(&self, args: &JobArgs) -> Result<(), Error> {
        let to = &args.to_attribute;
        if *to == args.from_attribute {
            return Err(Error::Guard("--from-attribute and --to-attribute are the same".to_owned()));
        }
        if self.key_names().any(|name| name == to) {
            return Err(Error::Guard(format!(
                "`{to}` is part of the key of table `{}`: it cannot be written",
                self.table
            )));
        }
        let written = format!("{:?}", args.to_type);
        if let Some(kind) = self.kind_of(to)
            && kind.as_str() != written
        {
            let kind = kind.as_str();
            return Err(Error::Guard(format!(
                "an index of table `{}` has `{to}` as {kind}, but {written} would be written; see --to-type",
                self.table
            )));
        }
        let Some(index) = &self.index else { return Ok(()) };
        if index.partition != args.index_partition || index.sort.as_deref() != Some(to) {
            return Err(Error::Guard(format!(
                "index `{}` of table `{}` has the key ({}, {}), expected ({}, {to}); see --index and --index-partition",
                args.index,
                self.table,
                index.partition,
                index.sort.as_deref().unwrap_or("none"),
                args.index_partition,
            )));
        }
        Ok(())
    }

    /// The names of the table's key attributes.
    pub fn key_names(&self) -> impl Iterator<Item = &String> {
        std::iter::once(&self.hash.name).chain(self.range.as_ref().map(|range| &range.name))
    }

    /// One scan for each 2 GiB: the service's own advice for parallel scans.
    /// Source: <https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Scan.html#Scan.ParallelScan>
    pub fn segments(&self, scan: &ScanArgs) -> u32 {
        let automatic = u32::try_from(self.bytes.div_ceil(2 << 30)).unwrap_or(u32::MAX).clamp(1, 256);
        scan.segments.unwrap_or(automatic)
    }

    /// Read units that a page of so many items will take, by the table's mean item.
    pub fn page_units(&self, items: u32) -> f64 {
        let mean = self.bytes.checked_div(self.items).unwrap_or(400);
        let bytes = (mean * u64::from(items)).min(1 << 20);
        f64::from(u32::try_from(bytes.div_ceil(8192)).unwrap_or(128)).max(1.0)
    }
}

fn key_name(schema: &[KeySchemaElement], role: KeyType) -> Option<String> {
    schema.iter().find(|element| *element.key_type() == role).map(|element| element.attribute_name().to_owned())
}

fn billing(table: &TableDescription, args: &JobArgs) -> Billing {
    let on_demand = table.billing_mode_summary().and_then(|summary| summary.billing_mode());
    let units = |number: Option<i64>| f64::from(i32::try_from(number.unwrap_or(0)).unwrap_or(i32::MAX));
    let Some(provisioned) = table.provisioned_throughput() else { return Billing::OnDemand };
    if on_demand == Some(&BillingMode::PayPerRequest) || provisioned.write_capacity_units() == Some(0) {
        return Billing::OnDemand;
    }
    let index = table.global_secondary_indexes().iter().find(|index| index.index_name() == args.index());
    let index_write = index.and_then(|index| index.provisioned_throughput()).map(|it| units(it.write_capacity_units()));
    Billing::Provisioned {
        read: units(provisioned.read_capacity_units()),
        write: units(provisioned.write_capacity_units()),
        index_write,
    }
}
