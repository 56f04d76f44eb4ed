//! Items name the daemon and the connection that brought them, where the daemon has a name for them.

use shared::item::ORIGIN;

use crate::support::{Bench, until};

#[tokio::test(flavor = "multi_thread")]
async fn items_name_their_daemon_and_connection() {
    let bench = Bench::new(48, 0.5).await;
    let mut settings = bench.settings();
    settings.insert("origin".to_owned(), "vm-a".to_owned());
    let daemon = bench.start(&settings).await;
    until("subscribed", || bench.simulator.subscriptions() == 4).await;
    bench.simulator.resume();
    let status = daemon.status();
    until("stored", || status.stored.get() > 100).await;
    bench.drain(&daemon).await;
    daemon.stop().await.unwrap();
    bench.assert_table_is_truth().await;
    for item in bench.items().await {
        assert_eq!(item[ORIGIN].as_s().unwrap(), "vm-a/1", "{item:?}");
    }
}
