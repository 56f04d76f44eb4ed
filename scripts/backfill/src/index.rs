//! Creates the index and waits until it is active.

use std::time::{Duration, Instant};

use aws_sdk_dynamodb::{
    Client,
    error::ProvideErrorMetadata,
    types::{
        AttributeDefinition, CreateGlobalSecondaryIndexAction, GlobalSecondaryIndexUpdate, IndexStatus,
        KeySchemaElement, KeyType, Projection, ProjectionType, ProvisionedThroughput, ScalarAttributeType,
    },
};
use tokio::time::sleep;
use tokio_util::sync::CancellationToken;

use crate::args::{JobArgs, ScanArgs};
use crate::convert::ToType;
use crate::error::Error;
use crate::progress::{StatusSink, spell_seconds};
use crate::retry::{Class, Patience, class, refused};
use crate::table_info::{Billing, TableInfo, describe};

/// Longest pause between two looks at a new index.
const LOOK: Duration = Duration::from_secs(5);

/// Sees to it that the index is there and active; creates it where that was asked for.
///
/// # Errors
/// When it is missing and was not asked for, or cannot be created.
pub async fn ensure(
    client: &Client,
    info: TableInfo,
    args: &JobArgs,
    scan: &ScanArgs,
    create: bool,
    stop: &CancellationToken,
    status: StatusSink<'_>,
) -> Result<TableInfo, Error> {
    let Some(name) = args.index() else { return Ok(info) };
    if info.index.is_none() && !create {
        return Err(Error::Guard(format!(
            "table `{}` has no index `{name}`; --create-index creates it first, --no-index goes on without one",
            info.table
        )));
    }
    if info.index.is_none() {
        status(format!("creating index `{name}` ({}, {})", args.index_partition, args.to_attribute));
        request(client, &info, args, scan, stop).await?;
    }
    wait(client, args, scan, stop, status).await
}

async fn request(
    client: &Client,
    info: &TableInfo,
    args: &JobArgs,
    scan: &ScanArgs,
    stop: &CancellationToken,
) -> Result<(), Error> {
    let mut patience = Patience::new("UpdateTable", scan.patience());
    loop {
        let call = client
            .update_table()
            .table_name(&args.table)
            .set_attribute_definitions(Some(definitions(info, args)))
            .global_secondary_index_updates(GlobalSecondaryIndexUpdate::builder().create(action(info, args)).build());
        let Err(error) = call.send().await else { return Ok(()) };
        // An attempt whose answer was lost may have taken effect.
        if describe(client, args, scan, stop).await?.index.is_some() {
            return Ok(());
        }
        match class(&error) {
            Class::Throttled(why) | Class::Transient(why) => patience.pause(&why, stop).await?,
            Class::Unknown => return Err(Error::Guard("the engine cannot create an index".to_owned())),
            Class::Never(code, message) => {
                tracing::debug!(code = error.code(), "index refused");
                return Err(refused("UpdateTable", code, message));
            }
        }
    }
}

async fn wait(
    client: &Client,
    args: &JobArgs,
    scan: &ScanArgs,
    stop: &CancellationToken,
    status: StatusSink<'_>,
) -> Result<TableInfo, Error> {
    let (begin, mut pause, mut told) = (Instant::now(), Duration::from_millis(50), Instant::now());
    loop {
        let info = describe(client, args, scan, stop).await?;
        let Some(index) = &info.index else {
            return Err(Error::Guard(format!("index `{}` was deleted while it was awaited", args.index)));
        };
        if index.status == IndexStatus::Active {
            return Ok(info);
        }
        if told.elapsed() >= LOOK {
            told = Instant::now();
            status(format!(
                "index `{}` is {} since {}; it holds {} of about {} items at the service's last count",
                args.index,
                index.status,
                spell_seconds(begin.elapsed().as_secs_f64()),
                index.items,
                info.items
            ));
        }
        tokio::select! {
            () = sleep(pause) => pause = (pause * 2).min(LOOK),
            () = stop.cancelled() => return Err(Error::Interrupted),
        }
    }
}

fn action(info: &TableInfo, args: &JobArgs) -> CreateGlobalSecondaryIndexAction {
    let key = |name: &str, role| KeySchemaElement::builder().attribute_name(name).key_type(role).build();
    let throughput = match info.billing {
        Billing::OnDemand => None,
        Billing::Provisioned { read, write, .. } => ProvisionedThroughput::builder()
            .read_capacity_units(whole(read))
            .write_capacity_units(whole(write))
            .build()
            .ok(),
    };
    CreateGlobalSecondaryIndexAction::builder()
        .index_name(&args.index)
        .key_schema(key(&args.index_partition, KeyType::Hash).expect("name and role are given"))
        .key_schema(key(&args.to_attribute, KeyType::Range).expect("name and role are given"))
        .projection(Projection::builder().projection_type(ProjectionType::All).build())
        .set_provisioned_throughput(throughput)
        .build()
        .expect("name and keys are given")
}

/// Those of the new index, and those that keys name already: not every engine keeps what is left out.
fn definitions(info: &TableInfo, args: &JobArgs) -> Vec<AttributeDefinition> {
    let new =
        [(args.index_partition.as_str(), ScalarAttributeType::S), (args.to_attribute.as_str(), kind(args.to_type))];
    let is_new = |name: &str| new.iter().any(|(known, _)| *known == name);
    let kept =
        info.named.iter().filter(|known| !is_new(&known.name)).map(|known| (known.name.as_str(), known.kind.clone()));
    let define = |(name, kind)| {
        let definition = AttributeDefinition::builder().attribute_name(name).attribute_type(kind).build();
        definition.expect("name and type are given")
    };
    kept.chain(new.clone()).map(define).collect()
}

fn kind(to: ToType) -> ScalarAttributeType {
    match to {
        ToType::N => ScalarAttributeType::N,
        ToType::S => ScalarAttributeType::S,
    }
}

fn whole(units: f64) -> i64 {
    #[expect(clippy::cast_possible_truncation, reason = "it was a whole number of the service's own")]
    let units = units as i64;
    units
}
