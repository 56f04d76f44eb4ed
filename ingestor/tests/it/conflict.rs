//! Different events under one key.

use exchange_sim::faults::Fault;
use ingestor::ship::conflict::REASON;

use crate::commands::run;
use crate::support::{Bench, open_spool, until};

/// Of two events under one key the first is stored and the second kept and counted; order events whose `event_id` may be
/// repeated have keys of their own.
#[tokio::test(flavor = "multi_thread")]
async fn of_two_events_under_one_key_none_is_lost_without_a_word() {
    let bench = Bench::new(120, 0.2).await;
    let settings = bench.settings();
    let daemon = bench.start(&settings).await;
    let status = daemon.status();
    until("subscribed", || bench.simulator.subscriptions() == 4).await;
    bench.simulator.resume();
    until("stored", || status.stored.get() > 100).await;
    bench.simulator.inject(Fault::SameKeys { count: 6 });
    until("counted", || status.key_conflicts.get() == 4).await;
    let after = status.stored.get() + 100;
    until("it goes on", || status.stored.get() > after).await;
    bench.drain(&daemon).await;
    daemon.stop().await.unwrap();

    let comparison = bench.compare().await;
    assert_eq!((comparison.missing.len(), comparison.extra), (4, 0), "{:?}", comparison.missing);
    let kept = |bench: &Bench| -> Vec<_> {
        open_spool(bench.folder.path()).quarantine().entries().map(|entry| entry.unwrap().reason).collect()
    };
    assert_eq!(kept(&bench), [REASON; 4]);
    // Another attempt must not overwrite the first ones.
    let ran = run(&settings, &["quarantine", "retry"]);
    assert_eq!(ran.code, Some(1));
    assert!(ran.out.contains("0 stored, 0 with nothing to store, 4 stay"), "{}", ran.out);
    assert_eq!(bench.compare().await.missing.len(), 4);
    assert_eq!(kept(&bench), [REASON; 4]);
}
