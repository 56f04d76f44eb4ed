//! What is no event never blocks what is one, and is kept with its reason.

use aws_sdk_dynamodb::types::{
    AttributeDefinition, CreateGlobalSecondaryIndexAction, GlobalSecondaryIndexUpdate, KeySchemaElement, KeyType,
    Projection, ProjectionType, ScalarAttributeType,
};
use exchange_sim::faults::{Fault, Garbage};
use ingestor::spool::record::{Payload, Record};
use shared::time::Micros;

use crate::support::{Bench, open_spool, until};

#[tokio::test(flavor = "multi_thread")]
async fn garbage_goes_to_the_quarantine_and_the_next_frame_to_the_table() {
    let bench = Bench::new(51, 1.0).await;
    let daemon = bench.start(&bench.settings()).await;
    let (status, spool) = (daemon.status(), daemon.spool());
    let mut refused = 0;
    for (kind, reason) in [
        (Garbage::InvalidJson, "not json"),
        (Garbage::WrongTypes, "without an id"),
        (Garbage::MissingIds, "without an id"),
        (Garbage::Binary, "binary message"),
        (Garbage::Oversize, "is larger than max_message"),
        (Garbage::InvalidUtf8, "not utf-8"),
    ] {
        until("subscribed", || bench.simulator.subscriptions() == 4).await;
        let ends_the_connection = matches!(kind, Garbage::Oversize | Garbage::InvalidUtf8);
        let expected = spool.quarantine().count() + if ends_the_connection { 1 } else { 3 };
        assert_eq!(bench.simulator.inject(Fault::Garbage { count: 3, kind: Some(kind) }), 1);
        bench.simulator.resume();
        let stored = status.stored.get();
        until("quarantined", || spool.quarantine().count() == expected).await;
        until("the next good frame", || status.stored.get() > stored).await;
        let entry = spool.quarantine().entries().last().unwrap().unwrap();
        eprintln!("{kind:?}: {}", entry.reason);
        assert!(entry.reason.contains(reason), "{kind:?}: {}", entry.reason);
        if ends_the_connection {
            refused += 1;
            assert_eq!(status.refused.get(), refused, "counted once for each connection that it ended");
        }
        bench.simulator.pause();
    }
    until("drained", || spool.depth() == 0).await;
    daemon.stop().await.unwrap();
}

/// Bytes in the spool that are no record, also as its last one, go to the quarantine as they are; the daemon starts and goes on.
#[tokio::test(flavor = "multi_thread")]
async fn bytes_that_are_no_record_go_to_the_quarantine_and_the_next_record_to_the_table() {
    let bench = Bench::new(53, 1.0).await;
    {
        let spool = open_spool(bench.folder.path());
        let records: Vec<Record> = (0..3_u64)
            .map(|id| {
                let data = format!(r#"{{"id":{id},"microtimestamp":"1700000000000000"}}"#);
                let text = format!(r#"{{"event":"trade","channel":"live_trades_btcusd","data":{data}}}"#);
                Record { received_at: Micros(id + 1), connection: 1, payload: Payload::Text(text.into_bytes()) }
            })
            .collect();
        spool.append(&records).unwrap();
        spool.sync().unwrap();
    }
    {
        let database = fjall::Database::builder(bench.folder.path().join("spool")).open().unwrap();
        let segment = database.keyspace("segment-00000000000000000000", Default::default).unwrap();
        segment.insert(0_u64.to_be_bytes(), [99; 20]).unwrap();
        segment.insert(2_u64.to_be_bytes(), [7; 3]).unwrap();
        database.persist(fjall::PersistMode::SyncAll).unwrap();
    }
    let daemon = bench.start(&bench.settings()).await;
    let (status, spool) = (daemon.status(), daemon.spool());
    until("drained", || spool.depth() == 0 && status.stored.get() == 1).await;
    let entries: Vec<_> = spool.quarantine().entries().map(Result::unwrap).collect();
    let kept: Vec<_> =
        entries.iter().map(|entry| (entry.sequence, entry.reason.as_str(), entry.record.payload.clone())).collect();
    let expected = [
        (0, "no record that this version can read: its kind is 99", Payload::Unreadable(vec![99; 20])),
        (2, "no record that this version can read: it has only 3 bytes", Payload::Unreadable(vec![7; 3])),
    ];
    assert_eq!(kept, expected);
    until("subscribed", || bench.simulator.subscriptions() == 4).await;
    bench.simulator.resume();
    until("captures on", || status.stored.get() > 50).await;
    daemon.stop().await.unwrap();
}

/// An item that the store refuses is found by halving; the others of its batch are stored. Here an index of the user's own
/// wants `note` to be a number, which no check of ours can know.
#[tokio::test(flavor = "multi_thread")]
async fn one_item_that_the_store_refuses_does_not_take_its_batch_along() {
    let bench = Bench::new(52, 1.0).await;
    add_index_on_note(&bench).await;
    {
        let spool = open_spool(bench.folder.path());
        let records: Vec<Record> = (0..100_u64)
            .map(|id| {
                let note = if id == 37 || id == 38 { "\"text\"" } else { "1" };
                let data = format!(r#"{{"id":{id},"microtimestamp":"1700000000000000","note":{note}}}"#);
                let text = format!(r#"{{"event":"trade","channel":"live_trades_btcusd","data":{data}}}"#);
                Record { received_at: Micros(id + 1), connection: 1, payload: Payload::Text(text.into_bytes()) }
            })
            .collect();
        spool.append(&records).unwrap();
        spool.sync().unwrap();
    }
    let daemon = bench.start(&bench.settings()).await;
    let spool = daemon.spool();
    until("drained", || spool.depth() == 0).await;
    let entries: Vec<_> = spool.quarantine().entries().map(Result::unwrap).collect();
    assert_eq!(entries.iter().map(|entry| entry.sequence).collect::<Vec<_>>(), [37, 38]);
    for entry in &entries {
        assert!(entry.reason.starts_with("the store refuses it: "), "{}", entry.reason);
    }
    assert_eq!(bench.items().await.len(), 98);
    daemon.stop().await.unwrap();
}

async fn add_index_on_note(bench: &Bench) {
    let attribute = AttributeDefinition::builder().attribute_name("note").attribute_type(ScalarAttributeType::N);
    let key = KeySchemaElement::builder().attribute_name("note").key_type(KeyType::Hash);
    let index = CreateGlobalSecondaryIndexAction::builder()
        .index_name("note-index")
        .key_schema(key.build().unwrap())
        .projection(Projection::builder().projection_type(ProjectionType::KeysOnly).build());
    bench
        .store
        .update_table()
        .table_name("bitstamp-live")
        .attribute_definitions(attribute.build().unwrap())
        .global_secondary_index_updates(GlobalSecondaryIndexUpdate::builder().create(index.build().unwrap()).build())
        .send()
        .await
        .unwrap();
}
