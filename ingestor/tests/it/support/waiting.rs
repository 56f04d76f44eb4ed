//! Waits for what another task, process or store does.

use std::time::Duration;

use super::DEADLINE;

/// Waits until something is so.
pub(crate) async fn until(what: &str, mut is_so: impl FnMut() -> bool) {
    until_async(what, async || is_so()).await;
}

pub(crate) async fn until_async(what: &str, is_so: impl AsyncFnMut() -> bool) {
    until_within(DEADLINE, what, is_so).await;
}

/// Waits until nothing is left, however long that takes; fails once nothing has been taken away for a while, so that a busy machine
/// fails nothing.
pub(crate) async fn until_gone<T: PartialOrd + Default + Copy>(what: &str, mut left: impl AsyncFnMut() -> T) {
    let mut least = left().await;
    while least > T::default() {
        let before = least;
        until_async(what, async || {
            least = left().await;
            least < before
        })
        .await;
    }
}

pub(crate) async fn until_drained(spool: &ingestor::spool::Spool) {
    until_gone("drained", async || spool.depth()).await;
}

pub(crate) async fn until_within(deadline: Duration, what: &str, mut is_so: impl AsyncFnMut() -> bool) {
    let end = tokio::time::Instant::now() + deadline;
    loop {
        let looked = tokio::time::Instant::now();
        if is_so().await {
            return;
        }
        crate::process::assert_all_run();
        assert!(tokio::time::Instant::now() < end, "not within {deadline:?}: {what}");
        // Nothing signals what another process or the store does: looked at again and again, with a tenth of a core.
        tokio::time::sleep((looked.elapsed() * 9).clamp(Duration::from_millis(20), Duration::from_secs(5))).await;
    }
}
