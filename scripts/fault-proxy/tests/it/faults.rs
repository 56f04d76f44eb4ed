//! Each fault, as the SDK's client sees it.

use std::collections::BTreeSet;

use aws_sdk_dynamodb::{
    error::{ProvideErrorMetadata, SdkError},
    operation::{
        batch_execute_statement::BatchExecuteStatementOutput, batch_write_item::BatchWriteItemError,
        put_item::PutItemError,
    },
    types::{AttributeValue, BatchStatementRequest, ThrottlingReason, WriteRequest},
};
use fault_proxy::mix::{Fault, FaultProbabilities};

use crate::support::{INDEX, Setup, TABLE, id_of, item, puts, setup, stored};

fn only(change: impl FnOnce(&mut FaultProbabilities)) -> FaultProbabilities {
    let mut mix = FaultProbabilities::default();
    change(&mut mix);
    mix
}

async fn put(setup: &Setup, id: u32) -> Result<(), SdkError<PutItemError>> {
    setup.client.put_item().table_name(TABLE).set_item(Some(item(id))).send().await.map(drop)
}

#[tokio::test]
async fn without_a_mix_calls_pass_unchanged() {
    let setup = setup(1, |_| ()).await;
    let output = setup.client.batch_write_item().request_items(TABLE, puts(0..25)).send().await.unwrap();
    assert!(output.unprocessed_items().unwrap().is_empty());
    put(&setup, 25).await.unwrap();
    let found = setup.client.scan().table_name(TABLE).send().await.unwrap();
    assert_eq!(found.count(), 26);
    let counts = setup.proxy.counts();
    assert_eq!((counts.put_items_forwarded, counts.requested("Scan"), counts.faults.len()), (26, 1, 0));
    setup.proxy.shutdown().await;
}

#[tokio::test]
async fn unprocessed_items_are_exactly_those_not_stored() {
    let setup = setup(2, |config| config.mix = only(|mix| mix.unprocessed = 1.0)).await;
    let (mut left, mut sizes): (Vec<u32>, _) = (Vec::new(), BTreeSet::new());
    for round in 0..20 {
        let batch = puts(round * 25..round * 25 + 25);
        let output = setup.client.batch_write_item().request_items(TABLE, batch).send().await.unwrap();
        let unprocessed: &[WriteRequest] = &output.unprocessed_items().unwrap()[TABLE];
        sizes.insert(unprocessed.len());
        left.extend(unprocessed.iter().map(|request| id_of(request.put_request().unwrap().item())));
    }
    assert!(sizes.len() > 1 && !sizes.contains(&0), "{sizes:?}");
    let mut all = stored(&setup.direct).await;
    assert_eq!(all.len() as u64, setup.proxy.counts().put_items_forwarded);
    all.extend(left);
    all.sort_unstable();
    assert_eq!(all, (0..500).collect::<Vec<_>>());
    assert_eq!(setup.proxy.counts().fault(Fault::Unprocessed), 20);
}

/// The kind of exception and its reason, as a client reads them.
fn throttling(error: BatchWriteItemError) -> (&'static str, ThrottlingReason) {
    match error {
        BatchWriteItemError::ThrottlingException(error) => ("throttling", error.throttling_reasons()[0].clone()),
        BatchWriteItemError::ProvisionedThroughputExceededException(error) => {
            ("provisioned", error.throttling_reasons()[0].clone())
        }
        other => panic!("not throttled: {other:?}"),
    }
}

#[tokio::test]
async fn throttling_arrives_as_both_exceptions_and_names_table_or_index() {
    let setup = setup(3, |_| ()).await;
    let table = only(|mix| mix.throttled_table = 1.0);
    let index = only(|mix| mix.throttled_index = 1.0);
    for (mix, resource, prefix) in
        [(table, format!("table/{TABLE}"), "TableWrite"), (index, format!("index/{INDEX}"), "IndexWrite")]
    {
        setup.proxy.set_mix(mix);
        let mut kinds = BTreeSet::new();
        for _ in 0..20 {
            let refused = setup.client.batch_write_item().request_items(TABLE, puts(0..2)).send().await.unwrap_err();
            let (kind, reason) = throttling(refused.into_service_error());
            kinds.insert(kind);
            assert!(reason.resource().unwrap().ends_with(&resource), "{reason:?}");
            assert!(reason.reason().unwrap().starts_with(prefix), "{reason:?}");
        }
        assert_eq!(kinds, BTreeSet::from(["provisioned", "throttling"]));
    }
    let described = setup.client.describe_table().table_name(TABLE).send().await;
    assert!(described.is_ok(), "tables are described without capacity");
    assert!(stored(&setup.direct).await.is_empty());
}

#[tokio::test]
async fn a_read_of_an_index_is_throttled_as_a_read() {
    let setup = setup(4, |config| config.mix = only(|mix| mix.throttled_index = 1.0)).await;
    let query = setup.client.query().table_name(TABLE).index_name(INDEX).key_condition_expression("channel = :c");
    let refused = query.expression_attribute_values(":c", AttributeValue::S("x".into())).send().await.unwrap_err();
    let error = refused.into_service_error();
    let code = error.code().unwrap().to_owned();
    assert!(["ThrottlingException", "ProvisionedThroughputExceededException"].contains(&code.as_str()), "{code}");
    setup.client.scan().table_name(TABLE).send().await.expect("a scan of the table does not touch the index");
}

#[tokio::test]
async fn server_errors_are_500_and_503_and_may_hide_an_effect() {
    let setup = setup(5, |config| config.mix = only(|mix| mix.server_error = 1.0)).await;
    let mut seen = BTreeSet::new();
    for id in 0..40 {
        let error = put(&setup, id).await.unwrap_err();
        let status = error.raw_response().unwrap().status().as_u16();
        let modelled = matches!(error.into_service_error(), PutItemError::InternalServerError(_));
        seen.insert((status, modelled));
    }
    assert_eq!(seen, BTreeSet::from([(500, true), (503, false)]));
    assert!((1..40).contains(&stored(&setup.direct).await.len()));
}

#[tokio::test]
async fn a_swallowed_call_ends_in_the_clients_timeout() {
    let setup = setup(6, |config| config.mix = only(|mix| mix.timeout = 1.0)).await;
    let error = put(&setup, 1).await.unwrap_err();
    assert!(matches!(error, SdkError::TimeoutError(_)), "{error:?}");
    assert_eq!(setup.proxy.counts().fault(Fault::Timeout), 1);
    setup.proxy.shutdown().await;
}

#[tokio::test]
async fn a_closed_connection_is_a_dispatch_failure_and_may_hide_an_effect() {
    let setup = setup(7, |config| config.mix = only(|mix| mix.closed = 1.0)).await;
    for id in 0..20 {
        let error = put(&setup, id).await.unwrap_err();
        assert!(matches!(error, SdkError::DispatchFailure(_)), "{error:?}");
    }
    assert!((1..20).contains(&stored(&setup.direct).await.len()));
}

#[tokio::test]
async fn a_broken_off_answer_is_no_answer_but_took_effect() {
    let setup = setup(8, |config| config.mix = only(|mix| mix.half_written = 1.0)).await;
    for id in 0..10 {
        let write = setup.client.batch_write_item().request_items(TABLE, puts(id..id + 1)).send().await;
        let error = write.unwrap_err();
        assert!(matches!(error, SdkError::ResponseError(_) | SdkError::DispatchFailure(_)), "{error:?}");
    }
    assert_eq!(stored(&setup.direct).await, (0..10).collect::<Vec<_>>());
}

#[tokio::test]
async fn a_slow_answer_is_a_right_answer() {
    let setup = setup(9, |config| {
        config.mix = only(|mix| mix.slow = 1.0);
        config.slow_limit = std::time::Duration::from_millis(20);
    })
    .await;
    put(&setup, 1).await.unwrap();
    assert_eq!(setup.proxy.counts().fault(Fault::Slow), 1);
}

async fn update_all(setup: &Setup, ids: std::ops::Range<u32>) -> BatchExecuteStatementOutput {
    let statement = |id: u32| {
        BatchStatementRequest::builder()
            .statement(format!("UPDATE \"{TABLE}\" SET seen = 1 WHERE id = {id}"))
            .build()
            .unwrap()
    };
    setup.client.batch_execute_statement().set_statements(Some(ids.map(statement).collect())).send().await.unwrap()
}

#[tokio::test]
async fn statement_errors_stand_in_their_places() {
    let setup = setup(10, |_| ()).await;
    for round in 0..20 {
        setup.client.batch_write_item().request_items(TABLE, puts(round * 25..round * 25 + 25)).send().await.unwrap();
    }
    setup.proxy.set_mix(only(|mix| mix.statement_error = 1.0));
    let (mut codes, mut failed, mut fine) = (BTreeSet::new(), BTreeSet::new(), BTreeSet::new());
    for round in 0..20_u32 {
        let output = update_all(&setup, round * 25..round * 25 + 25).await;
        assert_eq!(output.responses().len(), 25);
        for (position, response) in (0_u32..).zip(output.responses()) {
            let id = round * 25 + position;
            match response.error() {
                Some(error) => {
                    codes.insert(error.code().unwrap().as_str().to_owned());
                    failed.insert((id, error.code().unwrap().as_str() == "InternalServerError"));
                }
                None => {
                    fine.insert(id);
                }
            }
        }
    }
    assert_eq!(codes.len(), 5, "{codes:?}");
    let items = setup.direct.scan().table_name(TABLE).send().await.unwrap();
    let updated: BTreeSet<u32> = items.items().iter().filter(|item| item.contains_key("seen")).map(id_of).collect();
    assert!(fine.is_subset(&updated), "what ran without error took effect");
    let hidden: Vec<_> = failed.iter().filter(|(id, _)| updated.contains(id)).collect();
    assert!(!hidden.is_empty() && hidden.iter().all(|(_, internal)| *internal), "only internal errors hide an effect");
}

#[tokio::test]
async fn an_action_off_the_list_is_denied_by_name() {
    let allow = |names: &[&str]| Some(names.iter().map(|name| (*name).to_owned()).collect());
    let setup = setup(11, |config| config.allow = allow(&["PutItem", "PartiQLUpdate"])).await;
    put(&setup, 1).await.unwrap();
    update_all(&setup, 1..2).await;
    let refused = setup.client.describe_table().table_name(TABLE).send().await.unwrap_err().into_service_error();
    assert_eq!(refused.code(), Some("AccessDeniedException"));
    let message = refused.message().unwrap();
    assert!(message.contains("dynamodb:DescribeTable") && message.contains(&format!("table/{TABLE}")), "{message}");
    assert_eq!(setup.proxy.counts().fault(Fault::Denied), 1);
}

#[tokio::test]
async fn hollow_answers_are_successes_without_content_and_may_hide_an_effect() {
    let setup = setup(13, |_| ()).await;
    for (mix, first) in [(only(|mix| mix.empty = 1.0), 0), (only(|mix| mix.bare = 1.0), 100)] {
        setup.proxy.set_mix(mix);
        for id in first..first + 20 {
            let output = setup.client.batch_write_item().request_items(TABLE, puts(id..id + 1)).send().await.unwrap();
            assert!(output.unprocessed_items().is_none(), "{output:?}");
        }
    }
    let stored = stored(&setup.direct).await;
    assert!((1..20).contains(&stored.iter().filter(|id| **id < 100).count()), "{stored:?}");
    assert!((1..20).contains(&stored.iter().filter(|id| **id >= 100).count()), "{stored:?}");
    assert_eq!(setup.proxy.counts().fault(Fault::Empty), 20);
    assert_eq!(setup.proxy.counts().fault(Fault::Bare), 20);
}

#[tokio::test]
async fn foreign_unprocessed_items_are_of_another_key_another_table_or_too_many() {
    let setup = setup(14, |config| config.mix = only(|mix| mix.foreign_unprocessed = 1.0)).await;
    let mut seen = BTreeSet::new();
    for round in 0..30 {
        let batch = puts(round * 2..round * 2 + 2);
        let output = setup.client.batch_write_item().request_items(TABLE, batch.clone()).send().await.unwrap();
        let unprocessed = output.unprocessed_items().unwrap();
        seen.insert(match unprocessed.get(TABLE) {
            None => "another table",
            Some(requests) if requests.len() > batch.len() => "too many",
            Some(requests) => {
                assert!(requests.iter().all(|request| !batch.contains(request)), "{requests:?}");
                "another key"
            }
        });
    }
    assert_eq!(seen, BTreeSet::from(["another key", "another table", "too many"]));
    assert!((2..60).contains(&stored(&setup.direct).await.len()));
}

#[tokio::test]
async fn the_rough_mix_brings_every_fault() {
    let setup = setup(12, |config| {
        config.mix = FaultProbabilities::rough();
        config.slow_limit = std::time::Duration::from_millis(5);
    })
    .await;
    let mut errors = 0;
    for round in 0..400_u32 {
        let batch = puts(round * 2..round * 2 + 2);
        errors += u32::from(setup.client.batch_write_item().request_items(TABLE, batch).send().await.is_err());
        if round % 4 == 0 {
            let statement =
                BatchStatementRequest::builder().statement(format!("UPDATE \"{TABLE}\" SET x = 1 WHERE id = 1"));
            let call = setup.client.batch_execute_statement().statements(statement.build().unwrap());
            errors += u32::from(call.send().await.is_err());
        }
    }
    assert!(errors > 0);
    let counts = setup.proxy.counts();
    assert_eq!(counts.faults.len(), 12, "{counts}");
}
