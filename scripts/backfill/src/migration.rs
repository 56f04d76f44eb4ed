//! Migrates all segments at once: reads, classifies and changes page by page.

use std::time::{Duration, Instant};

use futures_util::{StreamExt, TryStreamExt, future::try_join_all};
use tokio::time::interval;

use crate::apply::Writer;
use crate::channels::Channels;
use crate::checkpoint::{Book, Position};
use crate::checkpoint_store::CheckpointStore;
use crate::error::Error;
use crate::examine::{Reject, Verdict};
use crate::json::Item;
use crate::progress::{Progress, StatusSink, Totals};
use crate::scan::{Page, Reader, Source};

/// Pages of a segment on their way at the same time: the next is read while these are written.
const PAGES_AHEAD: usize = 3;

/// What a run is made of.
pub struct Migration {
    /// What is read.
    pub source: Source,
    /// Reads it.
    pub reader: Reader,
    /// Writes the changes.
    pub writer: Writer,
    /// Keeps count.
    pub book: Book,
    /// The channels of the items.
    pub channels: Channels,
}

impl Migration {
    /// All segments at once; the seconds it took.
    ///
    /// # Errors
    /// The first failure of any segment, or of the checkpoint.
    pub async fn drive(
        &self,
        segments: usize,
        checkpoints: &CheckpointStore<'_>,
        mut progress: Progress,
        status: StatusSink<'_>,
    ) -> Result<f64, Error> {
        let work = try_join_all((0..segments).map(|segment| self.segment(segment)));
        let ended = tokio::select! {
            ended = work => ended.map(drop),
            failed = self.watch(checkpoints, &mut progress, status) => Err(failed),
        };
        progress.end();
        ended.map(|()| progress.seconds())
    }

    /// Shows the progress and saves it, until that fails.
    async fn watch(&self, checkpoints: &CheckpointStore<'_>, progress: &mut Progress, status: StatusSink<'_>) -> Error {
        let mut tick = interval(Duration::from_millis(200));
        let mut saved = Instant::now();
        loop {
            tick.tick().await;
            if let Some(line) = progress.show(&self.book.totals()) {
                status(line);
            }
            if saved.elapsed() < checkpoints.every() {
                continue;
            }
            saved = Instant::now();
            match tokio::task::block_in_place(|| self.book.durable()) {
                Ok(state) => {
                    if let Err(error) = checkpoints.save(&state).await {
                        return error;
                    }
                }
                Err(error) => return error,
            }
        }
    }

    async fn segment(&self, segment: usize) -> Result<(), Error> {
        let after = match self.book.position(segment) {
            Position::Begin => None,
            Position::After(key) => Some(key),
            Position::End => return Ok(()),
        };
        let number = u32::try_from(segment).unwrap_or(u32::MAX);
        let pages = self.reader.pages(&self.source, number, after);
        let done = pages.map(|page| async { self.page(page?).await }).buffered(PAGES_AHEAD);
        done.try_for_each(
            |(next, totals, rejects)| async move { self.book.finish_page(segment, next, &totals, &rejects) },
        )
        .await
    }

    async fn page(&self, page: Page) -> Result<(Option<Item>, Totals, Vec<Reject>), Error> {
        let mut totals = Totals { read_units: page.units, ..Totals::default() };
        let (mut changes, mut rejects) = (Vec::new(), Vec::new());
        for item in &page.items {
            let verdict = self.writer.classifier.examine(item);
            match &verdict {
                Some(Verdict::Change(change)) => self.channels.note(item, Some(&change.new)).await,
                Some(Verdict::Right) => self.channels.note(item, item.get(&self.writer.classifier.to)).await,
                _ => {}
            }
            match verdict {
                Some(Verdict::Change(change)) => changes.push(change),
                Some(Verdict::Reject(reject)) => rejects.push(reject),
                Some(Verdict::Right) => totals.right += 1,
                Some(Verdict::Kept) => totals.kept += 1,
                Some(Verdict::Own) | None => continue,
            }
            totals.items += 1;
        }
        drop(page.items);
        let written = self.writer.apply(changes).await?;
        rejects.extend(written.rejects);
        totals.updated = written.updated;
        totals.right += written.right;
        totals.gone = written.gone;
        totals.write_units = written.units;
        totals.throttled = written.throttled;
        totals.rejects = rejects.len() as u64;
        Ok((page.next, totals, rejects))
    }
}
