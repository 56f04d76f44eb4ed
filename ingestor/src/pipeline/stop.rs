//! Runs a daemon until its end and stops it in order.

use std::time::Duration;

use tokio::time::Instant;
use tokio_util::task::AbortOnDropHandle;

use crate::pipeline::{Leasing, Pipeline, PipelineError, Stopped, error, parts};

/// Time for the intake at a stop, after everything else had its time.
const DURABLE_WITHIN: Duration = Duration::from_secs(2);

/// Time for the shipper to end once it is aborted: it looks up between two of its waits.
const GONE_WITHIN: Duration = Duration::from_secs(2);

/// Timeout of giving the lease back: a store that does not answer does not keep the daemon from ending.
const GIVE_BACK_WITHIN: Duration = Duration::from_secs(2);

impl Pipeline {
    /// Waits until `until` is done, then stops. Ends earlier if a room fails, or if any task ends that should run on: a
    /// daemon of which a part is gone only looks alive.
    ///
    /// # Errors
    ///
    /// Returns the [`PipelineError`] of the room that failed.
    pub async fn run(mut self, until: impl Future<Output = ()>) -> Result<Stopped, PipelineError> {
        let gone = |name| Err(PipelineError::Ended(name));
        tokio::select! {
            () = until => {}
            ended = &mut self.intake => return Err(error::intake(ended)),
            ended = &mut self.shipper => return Err(error::shipper(ended)),
            Some(_) = self.sockets.join_next() => return gone("socket"),
            _ = &mut self.listing => return gone("market list"),
            _ = &mut self.server => return gone("server of metrics and health"),
            () = parts::ended(self.filler.as_mut()) => return gone("gap filler"),
            () = parts::ended(self.lease.as_mut().map(|lease| &mut lease.task)) => return gone("lease"),
        }
        self.stop().await
    }

    /// Ends a task as a panic in it would; for tests. Returns false if there is no task of that name.
    #[doc(hidden)]
    pub fn end(&mut self, task: &str) -> bool {
        match task {
            "socket" => self.sockets.abort_all(),
            "market list" => self.listing.abort(),
            "server of metrics and health" => self.server.abort(),
            "shipper" => self.shipper.abort(),
            "gap filler" => self.filler.iter().for_each(AbortOnDropHandle::abort),
            "lease" => self.lease.iter().for_each(|lease| lease.task.abort()),
            _ => return false,
        }
        true
    }

    /// Stops in order, within the configured time.
    ///
    /// # Errors
    ///
    /// Returns a [`PipelineError`] if a room failed meanwhile.
    pub async fn stop(mut self) -> Result<Stopped, PipelineError> {
        let deadline = Instant::now() + self.stop_within;
        self.stop.cancel();
        self.filler = None;
        // The sockets' end closes the intake's queue, and that ends the intake once everything is durable.
        let closed = async { while self.sockets.join_next().await.is_some() {} };
        if tokio::time::timeout_at(deadline, closed).await.is_err() {
            tracing::warn!("connections were not closed in time");
            self.sockets.abort_all();
        }
        // A disk that hangs does not keep the daemon for ever; what it took is there at the next start.
        match tokio::time::timeout_at(deadline + DURABLE_WITHIN, &mut self.intake).await {
            Ok(Ok(Ok(()))) => {}
            Ok(ended) => return Err(error::intake(ended)),
            Err(_) => return Err(PipelineError::Hangs("intake")),
        }
        self.finish.cancel();
        match tokio::time::timeout_at(deadline, &mut self.shipper).await {
            Ok(Ok(Ok(()))) => {}
            Ok(ended) => return Err(error::shipper(ended)),
            Err(_) => {
                self.shipper.abort();
                // Until it is gone: a task that runs on while its runtime ends panics at its next timer.
                let _gone = tokio::time::timeout(GONE_WITHIN, &mut self.shipper).await;
                tracing::warn!(left = self.spool.depth(), "stopped before the spool was drained");
            }
        }
        self.server.abort();
        if let Some(Leasing { task, give_back }) = self.lease {
            drop(task);
            // Another daemon would only have to wait for the lease's end.
            let _given_back = tokio::time::timeout(GIVE_BACK_WITHIN, give_back).await;
        }
        Ok(Stopped { left: self.spool.depth() })
    }
}
