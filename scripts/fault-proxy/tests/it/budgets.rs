//! Write capacity by partition, as clients see it.

use aws_sdk_dynamodb::operation::batch_write_item::BatchWriteItemError;
use aws_sdk_dynamodb::types::{AttributeValue, ReturnConsumedCapacity};
use fault_proxy::budgets::Budgets;
use fault_proxy::mix::Fault;

use crate::support::{INDEX, TABLE, item, puts, setup, stored};

/// So little that nothing flows back into a bucket while a test runs.
const TRICKLE: f64 = 0.000_1;

fn index_of(units: f64) -> Budgets {
    Budgets {
        index_units: TRICKLE,
        burst: std::time::Duration::from_secs_f64(units / TRICKLE),
        table_units: TRICKLE,
        ..Budgets::default()
    }
}

#[tokio::test]
async fn a_hot_channel_gets_part_of_a_batch_then_nothing() {
    let setup = setup(21, |config| config.budgets = Some(index_of(10.0))).await;
    let output = setup.client.batch_write_item().request_items(TABLE, puts(0..25)).send().await.unwrap();
    assert_eq!(output.unprocessed_items().unwrap()[TABLE].len(), 15);
    assert_eq!(stored(&setup.direct).await.len(), 10);
    let refused = setup.client.batch_write_item().request_items(TABLE, puts(25..30)).send().await.unwrap_err();
    let BatchWriteItemError::ThrottlingException(error) = refused.into_service_error() else { panic!("not throttled") };
    let reason = &error.throttling_reasons()[0];
    assert_eq!(reason.reason(), Some("IndexWriteKeyRangeThroughputExceeded"));
    assert!(reason.resource().unwrap().ends_with(INDEX));
    assert_eq!(setup.proxy.counts().fault(Fault::IndexBudget), 20);
}

#[tokio::test]
async fn other_channels_are_not_held_up_by_a_hot_one() {
    let setup = setup(22, |config| config.budgets = Some(index_of(1.0))).await;
    let put = |id: u32, channel: &str| {
        let call = setup.client.put_item().table_name(TABLE).set_item(Some(item(id)));
        call.item("channel", AttributeValue::S(channel.to_owned())).send()
    };
    put(1, "hot").await.unwrap();
    put(2, "hot").await.unwrap_err();
    put(3, "cold").await.unwrap();
    assert_eq!(stored(&setup.direct).await, [1, 3]);
}

#[tokio::test]
async fn provisioned_capacity_is_charged_with_what_the_engine_reports() {
    let provisioned = Budgets {
        provisioned: Some(TRICKLE),
        burst: std::time::Duration::from_secs_f64(3.0 / TRICKLE),
        table_units: f64::INFINITY,
        index_units: f64::INFINITY,
        ..Budgets::default()
    };
    let setup = setup(23, |config| config.budgets = Some(provisioned)).await;
    let write = |id: u32| {
        let call = setup.client.batch_write_item().request_items(TABLE, puts(id..id + 1));
        call.return_consumed_capacity(ReturnConsumedCapacity::Total).send()
    };
    // Two units each: one for the table, one for the index.
    write(1).await.unwrap();
    write(2).await.unwrap();
    let refused = write(3).await.unwrap_err().into_service_error();
    let BatchWriteItemError::ProvisionedThroughputExceededException(error) = refused else { panic!("{refused:?}") };
    assert_eq!(error.throttling_reasons()[0].reason(), Some("TableWriteProvisionedThroughputExceeded"));
    assert!((setup.proxy.counts().write_units - 4.0).abs() < 1e-9);
    setup.client.scan().table_name(TABLE).send().await.expect("reads go on");
}
