//! Turns the pages of an export into its body, and ends it cleanly or not at all.

use axum::{body::Bytes, http::HeaderMap};
use serde_json::Value;
use std::{io, sync::Arc, time::Duration};
use tokio::{sync::mpsc, time::timeout};

use crate::config::MOST_BYTES;
use crate::http::encoding::Encoder;
use crate::http::lambda::size_as_sent;
use crate::http::render::{self, Columns, Format};
use crate::http::request::{EVENTS_TOKEN, EventsRequest};
use crate::query::expiry::Ledgers;
use crate::query::gaps;
use crate::query::page::{Page, Row};
use crate::query::store::Store;
use crate::range::{Position, Range};
use crate::routes::app::App;

use super::summary::Summary;

/// The bytes of a piece before encoding, approximately; an answer may end between two pieces.
const PIECE: usize = 64 * 1024;
/// The bytes that are kept free for the last record.
const LAST: usize = 128 * 1024;
/// The most ledger entries that the last record reads, of all channels: 256 KB.
const ENTRIES: usize = 1_000;
/// The longest wait for pages that are still being read ahead.
const PATIENCE: Duration = Duration::from_secs(2);

/// The end of a body.
#[derive(Debug)]
pub(super) enum End {
    /// The body is complete, or its last record has the token to continue with; the trailers, if the client takes them.
    Said(Option<HeaderMap>),
    /// The range is longer than the largest answer.
    TooLarge,
    /// The store failed or the deadline passed.
    Unread,
}

/// How the server sends a body.
#[derive(Clone, Copy, Debug)]
pub(super) struct Sending {
    /// True if the answer is sent as a whole, inside JSON or to a client that cannot tell a cut body from a complete one.
    pub(super) is_buffered: bool,
    /// True if trailers follow the body.
    pub(super) has_trailers: bool,
}

/// Writes pages into the body.
pub(super) struct Writer {
    app: Arc<App>,
    store: Store,
    /// The pages behind the first one.
    pages: mpsc::Receiver<Page>,
    encoder: Encoder,
    format: Format,
    fields: Option<Vec<String>>,
    columns: Columns,
    range: Range,
    channels: Vec<String>,
    /// The largest answer, in bytes as sent.
    most: usize,
    sending: Sending,
    has_end_record: bool,
    /// The rows that are received and not written yet.
    rows: std::vec::IntoIter<Row>,
    /// The position behind which the page after the received ones begins; `None` at the end of the range.
    next_page: Option<Position>,
    /// The header line, until the first piece is written.
    header: Option<Vec<u8>>,
    written: Written,
}

/// The counts that the last record reports.
#[derive(Default)]
struct Written {
    rows: u64,
    /// The bytes written, before encoding.
    bytes: u64,
    /// The bytes as sent.
    sent: usize,
    first: Option<u64>,
    last: Option<Position>,
    is_full: bool,
}

impl Writer {
    pub(super) fn new(
        (app, store): (Arc<App>, Store),
        request: &EventsRequest,
        channels: Vec<String>,
        (first, pages): (Page, mpsc::Receiver<Page>),
        sending: Sending,
    ) -> io::Result<Writer> {
        let columns = render::columns_of(&channels);
        let presentation = &request.presentation;
        let mut header = Vec::new();
        render::first_line(&mut header, presentation.format, presentation.fields.as_deref(), columns);
        let most = usize::try_from(app.config.export_bytes).unwrap_or(usize::MAX);
        Ok(Writer {
            app,
            store,
            pages,
            encoder: Encoder::new(presentation.encoding)?,
            format: presentation.format,
            fields: presentation.fields.clone(),
            columns,
            range: request.range.clone(),
            channels,
            most: if sending.is_buffered { most.min(MOST_BYTES) } else { most },
            sending,
            has_end_record: request.has_end_record,
            rows: first.rows.into_iter(),
            next_page: first.next,
            header: Some(header),
            written: Written::default(),
        })
    }

    /// Writes the next piece of the body; returns `None` before the end of the body.
    pub(super) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        if self.rows.len() == 0 && self.header.is_none() {
            let Some(page) = self.pages.recv().await else { return Ok(None) };
            self.next_page = page.next;
            self.rows = page.rows.into_iter();
        }
        let mut piece = self.header.take().unwrap_or_default();
        let mut writer = render::Writer::new(self.format, self.fields.as_deref(), self.columns);
        // This piece counts as if it could not be made shorter.
        let left = self.most.saturating_sub(LAST.min(self.most / 4)).saturating_sub(self.written.sent);
        let mut taken = 0;
        while let Some(row) = self.rows.as_slice().first().filter(|_| piece.len() < PIECE) {
            let before = piece.len();
            writer.event(&mut piece, &row.item);
            taken += piece
                .get(before..)
                .map_or(0, |row| if self.sending.is_buffered { size_as_sent(row) } else { row.len() });
            if taken > left && self.written.rows > 0 {
                piece.truncate(before);
                self.written.is_full = true;
                break;
            }
            self.written.count(row);
            self.rows.next();
        }
        if self.written.is_full && piece.is_empty() {
            self.pages.close();
            return Ok(None);
        }
        self.written.bytes += piece.len() as u64;
        self.encoder.write(piece)?;
        let bytes = self.encoder.take()?;
        self.written.sent += match (self.sending.is_buffered, &self.encoder) {
            (false, _) => bytes.len(),
            (true, Encoder::Identity(_)) => size_as_sent(&bytes),
            (true, _) => bytes.len().div_ceil(3) * 4,
        };
        Ok(Some(bytes))
    }

    /// Returns about how many rows fit into the answer, by the size of those written so far.
    pub(super) fn capacity(&self) -> u64 {
        let Written { rows, sent, .. } = self.written;
        rows.saturating_mul(self.most as u64) / (sent as u64).max(1)
    }

    /// Returns the position behind which the range continues; `None` if all of it is written.
    fn rest(&self) -> Option<&Position> {
        if self.rows.len() > 0 { self.written.last.as_ref() } else { self.next_page.as_ref() }
    }

    /// Ends the body; returns its last bytes and the way in which it ends.
    pub(super) async fn finish(mut self) -> io::Result<(Bytes, End)> {
        match self.rest() {
            Some(_) if self.has_end_record => {}
            Some(_) if self.written.is_full => return Ok((Bytes::new(), End::TooLarge)),
            Some(_) => return Ok((Bytes::new(), End::Unread)),
            None => {}
        }
        let mut trailers = None;
        if self.has_end_record || self.sending.has_trailers {
            let summary = self.summary().await?;
            trailers = self.sending.has_trailers.then(|| summary.trailers());
            if self.has_end_record {
                self.encoder.write(summary.record(self.format))?;
            }
        }
        Ok((self.encoder.finish()?, End::Said(trailers)))
    }

    async fn summary(&mut self) -> io::Result<Summary> {
        let issue = |next: &Position| self.app.signer.issue_for(&self.range, &next.to_string(), EVENTS_TOKEN);
        let token = self.rest().map(issue).transpose().map_err(io::Error::other)?;
        let Written { rows, bytes, first, last, .. } = &self.written;
        let (first, last) = (*first, last.as_ref().map(|last| last.time));
        let (gaps, is_read_out) =
            tokio::join!(gaps(self.app.ledgers(&self.store), &self.channels, first, last), read_out(&mut self.pages));
        let read_units = self.store.read_units().filter(|_| is_read_out);
        Ok(Summary { rows: *rows, bytes: *bytes, first, last, gaps, read_units, token })
    }
}

/// Reads the gaps between the first and the last event.
async fn gaps(ledgers: Ledgers<'_>, channels: &[String], first: Option<u64>, last: Option<u64>) -> Vec<Value> {
    let Some((first, last)) = first.zip(last) else { return Vec::new() };
    let ends = (first.min(last), first.max(last));
    gaps::between(ledgers, channels, ends, ENTRIES, ledgers.long_deadline()).await.list
}

/// Waits until nothing is read ahead any more, so that what it cost is known; nothing of it is sent. Returns false if that takes too long.
async fn read_out(pages: &mut mpsc::Receiver<Page>) -> bool {
    pages.close();
    let all = async { while pages.recv().await.is_some() {} };
    timeout(PATIENCE, all).await.is_ok()
}

impl Written {
    fn count(&mut self, row: &Row) {
        self.rows += 1;
        self.first.get_or_insert(row.position.time);
        self.last = Some(row.position.clone());
    }
}
