//! Runs the jobs of the schedule: fills gaps, stores order books, audits trades, compacts days.

use std::time::Duration;

use shared::channel::Channel;
use tokio::time::Instant;

use crate::gap_fill::error::FillError;
use crate::gap_fill::filler::GapFiller;
use crate::gap_fill::schedule::{Job, Remaining, Task};
use crate::gap_fill::{audit, days, snapshot};

/// Delays and intervals of a gap filler.
#[derive(Clone, Copy, Debug)]
pub struct Timing {
    /// Delay between a gap's end and its filling: another daemon may be about to write what this one missed.
    pub after: Duration,
    /// Interval between two order books of a channel of order events; `None`: never.
    pub snapshot: Option<Duration>,
    /// Interval between two audits of a channel's trades; `None`: never.
    pub audit: Option<Duration>,
}

impl GapFiller {
    /// Runs a job that is due and schedules the next attempt.
    pub(super) async fn attempt(&mut self, job: Job) {
        let (task, channel) = job.clone();
        let done = match task {
            Task::Gaps => {
                let left = self.fill_ready_gaps(&channel).await;
                return self.schedule.again(job, left, Instant::now());
            }
            Task::Book(every) => snapshot::regular(&self.context, &channel, every).await,
            Task::Audit(every) => self.audit(&channel).await.map(|()| every),
            Task::Days => days::compact(&self.context, &mut self.compacted, &channel).await,
        };
        let left = match done {
            Ok(wait) => {
                self.schedule.again(job.clone(), Remaining::Nothing, Instant::now());
                return self.schedule.add(job, Instant::now() + wait);
            }
            Err(FillError::NotYet(_)) => Remaining::NotYet,
            // Nothing is missed meanwhile, and the trouble is the table's.
            Err(FillError::Later(reason)) if task == Task::Days => {
                tracing::warn!(%channel, reason, "the ledger's days cannot be put together now");
                Remaining::Trouble
            }
            Err(FillError::Later(reason)) => {
                self.troubled.insert(channel, reason);
                Remaining::Trouble
            }
            Err(FillError::Refused(reason)) => {
                tracing::warn!(%channel, ?task, reason, "the exchange's history or the table refuses");
                Remaining::Refused
            }
        };
        self.schedule.again(job, left, Instant::now());
    }

    /// Audits a channel's trades since the last audit and fills the gaps that it finds.
    async fn audit(&mut self, channel: &Channel) -> Result<(), FillError> {
        let since = self.audited.get(channel).copied().unwrap_or_else(|| audit::first(self.context.now()));
        let (until, gaps) = audit::audit(&self.context, channel, since).await?;
        for gap in gaps {
            if self.fill_gap(channel, gap).await != Remaining::Nothing {
                self.schedule.add((Task::Gaps, channel.clone()), Instant::now() + self.timing.after);
            }
        }
        self.audited.insert(channel.clone(), until);
        self.context.status.audited.raise(until);
        Ok(())
    }
}
