//! The spool's properties, and one model of all of it.

use ingestor::observe::status::Status;
use ingestor::spool::Spool;
use ingestor::spool::quarantine::QuarantineEntry;
use ingestor::spool::record::{Payload, Record};
use proptest::prelude::*;
use shared::time::Micros;

use crate::support::{Bench, Folder, until, until_drained};

const BOUND: u64 = 16 << 20;

fn record(at: u64, bytes: usize) -> Record {
    Record { received_at: Micros(at), connection: 1, payload: Payload::Text(vec![b'x'; bytes]) }
}

#[derive(Clone, Debug)]
enum Step {
    Append { records: u64, bytes: usize },
    Sync,
    Read { skip: u64, records: usize },
    Acknowledge { part: u64 },
    Reopen,
}

fn step() -> impl Strategy<Value = Step> {
    prop_oneof![
        4 => (1_u64..40, 0_usize..60_000).prop_map(|(records, bytes)| Step::Append { records, bytes }),
        4 => Just(Step::Sync),
        3 => (0_u64..30, 1_usize..100).prop_map(|(skip, records)| Step::Read { skip, records }),
        3 => (0_u64..=10).prop_map(|part| Step::Acknowledge { part }),
        2 => Just(Step::Reopen),
    ]
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 24, ..ProptestConfig::default() })]

    /// Whatever is done in whatever order, it does what a list with three marks does. Small segments (an eighth of the
    /// bound) make many of them.
    #[test]
    fn it_behaves_like_a_list(steps in prop::collection::vec(step(), 1..60)) {
        let folder = Folder::new();
        let mut spool = Spool::open(folder.path(), BOUND).unwrap();
        let mut list: Vec<Record> = Vec::new();
        let (mut durable, mut position) = (0_u64, 0_u64);
        for step in steps {
            match step {
                Step::Append { records, bytes } => {
                    let new: Vec<_> = (0..records).map(|i| record(list.len() as u64 + i + 1, bytes)).collect();
                    let range = spool.append(&new).unwrap();
                    prop_assert_eq!(range, list.len() as u64..list.len() as u64 + records);
                    list.extend(new);
                }
                Step::Sync => {
                    spool.sync().unwrap();
                    durable = list.len() as u64;
                }
                Step::Read { skip, records } => {
                    let from = position + skip;
                    let read = spool.read(from, records, usize::MAX).unwrap();
                    let expected: Vec<_> = (0_u64..)
                        .zip(&list)
                        .filter(|(n, _)| (from..durable).contains(n))
                        .take(records)
                        .map(|(n, record)| (n, record.clone()))
                        .collect();
                    prop_assert_eq!(read, expected);
                }
                Step::Acknowledge { part } => {
                    position += (durable - position) * part / 10;
                    spool.acknowledge(position, None).unwrap();
                    prop_assert_eq!(spool.position(), position);
                }
                Step::Reopen => {
                    // Closing in order writes everything; what a crash loses is shown with real kills.
                    drop(spool);
                    spool = Spool::open(folder.path(), BOUND).unwrap();
                    durable = list.len() as u64;
                    prop_assert_eq!(*spool.durable().borrow(), durable);
                    prop_assert_eq!(spool.position(), position);
                    prop_assert_eq!(spool.clock(), Micros(durable));
                }
            }
            prop_assert_eq!(spool.depth(), list.len() as u64 - position);
        }
    }
}

#[test]
fn settled_segments_give_their_space_back() {
    let folder = Folder::new();
    let spool = Spool::open(folder.path(), BOUND).unwrap();
    let mut sequence = 0;
    for _ in 0..40 {
        let records: Vec<_> = (0..100).map(|i| record(sequence + i + 1, 5_000)).collect();
        sequence = spool.append(&records).unwrap().end;
        spool.sync().unwrap();
    }
    assert!(spool.is_full(), "{} bytes", spool.bytes());
    assert!(!spool.has_room());
    spool.acknowledge(sequence, None).unwrap();
    assert!(spool.has_room() && spool.bytes() <= BOUND / 8 + 500_000, "{} bytes", spool.bytes());
}

#[test]
fn the_quarantine_outlives_the_process_and_counts_once() {
    let folder = Folder::new();
    let entry = QuarantineEntry { sequence: 7, reason: "not json: …".to_owned(), record: record(1, 10) };
    {
        let spool = Spool::open(folder.path(), BOUND).unwrap();
        spool.quarantine().put(std::slice::from_ref(&entry)).unwrap();
        spool.quarantine().put(std::slice::from_ref(&entry)).unwrap();
        assert_eq!(spool.quarantine().count(), 1);
    }
    let spool = Spool::open(folder.path(), BOUND).unwrap();
    assert_eq!(spool.quarantine().count(), 1);
    assert!(spool.quarantine().bytes() > 10);
    assert_eq!(spool.quarantine().entries().map(Result::unwrap).collect::<Vec<_>>(), [entry]);
}

#[test]
fn a_later_format_is_not_touched() {
    let folder = Folder::new();
    drop(Spool::open(folder.path(), BOUND).unwrap());
    {
        let database = fjall::Database::builder(folder.path()).open().unwrap();
        let meta = database.keyspace("meta", fjall::KeyspaceCreateOptions::default).unwrap();
        meta.insert("format", 2_u64.to_be_bytes()).unwrap();
        database.persist(fjall::PersistMode::SyncAll).unwrap();
    }
    let Err(error) = Spool::open(folder.path(), BOUND) else { panic!("opened") };
    assert!(error.to_string().contains("format 2"), "{error}");
}

/// The store is away, the spool is small: intake stops and says so, and resumes by itself.
#[tokio::test(flavor = "multi_thread")]
async fn a_full_spool_stops_intake_and_resumes() {
    let bench = Bench::new(91, 40.0).await;
    bench.proxy.set_down(Some(fault_proxy::config::Outage::Unavailable));
    let mut settings = bench.settings();
    settings.insert("spool_max".to_owned(), "16MiB".to_owned());
    let daemon = bench.start(&settings).await;
    let (status, spool): (std::sync::Arc<Status>, _) = (daemon.status(), daemon.spool());
    let stopped = || status.intake_stopped.load(std::sync::atomic::Ordering::Relaxed);
    until("subscribed", || bench.simulator.subscriptions() == 4).await;
    bench.simulator.resume();
    until("full", stopped).await;
    until("closed", || bench.simulator.connections() == 0).await;
    assert!(spool.bytes() < (16 << 20) + (8 << 20), "{} bytes", spool.bytes());
    bench.simulator.pause();
    bench.proxy.set_down(None);
    until("intake goes on", || !stopped() && status.subscriptions.get() == 4).await;
    bench.simulator.resume();
    let received = status.received.get();
    until("received again", || status.received.get() > received + 100).await;
    let last = bench.sent();
    until("durable", || status.durable.get() > received).await;
    until_drained(&spool).await;
    // What was on its way when intake stopped is missed, as the spool's own story says; nothing before it and nothing after.
    let prefixes = crate::support::assert_prefixes(&bench.truth(), &bench.items().await);
    eprintln!("{last} sent, stored of each connection: {prefixes:?}");
    let (stored, sent) = prefixes[prefixes.len() - 1];
    assert_eq!(stored, sent);
    daemon.stop().await.unwrap();
}
