//! One viewer of `/tail`: writes the events that are released, keeps the connection open, and ends it before anything else does.

use axum::body::Bytes;
use codec::item::Item;
use shared::table::EVENT;
use std::{io, sync::Arc, time::Duration};
use tokio::{sync::OwnedSemaphorePermit, time::Instant};

use crate::http::render::{self, Format};
use crate::http::request::TailRequest;
use crate::http::server::Stopping;
use crate::http::sse;
use crate::query::store::{Store, StoreError};
use crate::query::tail::Tail;
use crate::routes::app::App;

/// The bytes of a piece, approximately.
const PIECE: usize = 64 * 1024;
/// The longest silence, less the time that a busy store may take to answer: proxies close a connection after 30 s or more.
const KEEP_ALIVE: Duration = Duration::from_secs(10);

/// A viewer and how far it got.
pub(super) struct Viewer {
    app: Arc<App>,
    store: Store,
    tail: Tail,
    events: Vec<String>,
    fields: Option<Vec<String>>,
    binding: String,
    state: State,
    /// The moment of the last piece.
    heard: Instant,
    ends: Instant,
    /// The bytes that the answer may still have.
    left: u64,
    stopping: Option<Stopping>,
    _seat: OwnedSemaphorePermit,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum State {
    /// Nothing is sent yet.
    New,
    Following,
    /// The answer is to end, for its time, its size, or for an error.
    Ending,
    Over,
}

impl Viewer {
    pub(super) fn new(
        (app, store): (Arc<App>, Store),
        request: TailRequest,
        channels: Vec<String>,
        ends: Instant,
        (seat, stopping): (OwnedSemaphorePermit, Option<Stopping>),
    ) -> Viewer {
        let binding = request.binding();
        let TailRequest { events, fields, place, .. } = request;
        let tail = Tail::new(channels, place, app.config.tail_window);
        let (state, heard, left) = (State::New, Instant::now(), app.config.export_bytes);
        Viewer { app, store, tail, events, fields, binding, state, heard, ends, left, stopping, _seat: seat }
    }

    /// Writes the next piece of the body; returns `None` at its end.
    pub(super) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let mut piece = Vec::new();
        while piece.is_empty() {
            if self.state != State::Over && (Instant::now() >= self.ends || self.left == 0) {
                self.state = State::Ending;
            }
            match self.state {
                State::Over => return Ok(None),
                State::Ending => {
                    sse::end(&mut piece, &self.id()?);
                    self.state = State::Over;
                }
                State::New => {
                    let looked = self.tail.look(&self.store).await;
                    sse::opening(&mut piece, &self.id()?);
                    self.state = self.after(looked);
                }
                State::Following => self.follow(&mut piece).await?,
            }
        }
        self.heard = Instant::now();
        self.left = self.left.saturating_sub(piece.len() as u64);
        Ok(Some(piece.into()))
    }

    /// Writes the events that are released, or waits for some and writes nothing yet.
    async fn follow(&mut self, piece: &mut Vec<u8>) -> io::Result<()> {
        self.write(piece)?;
        let quiet_until = self.heard + KEEP_ALIVE;
        if !piece.is_empty() {
            return Ok(());
        }
        if Instant::now() >= quiet_until {
            sse::keep_alive(piece, &self.id()?);
            return Ok(());
        }
        let stopping = async {
            match &mut self.stopping {
                Some(stopping) => stopping.wait().await,
                None => std::future::pending().await,
            }
        };
        tokio::select! {
            () = stopping => self.state = State::Ending,
            waited = self.tail.wait(&self.store, quiet_until.min(self.ends)) => self.state = self.after(waited),
        }
        Ok(())
    }

    /// Returns the state after a read of the store.
    fn after<T>(&self, read: Result<T, StoreError>) -> State {
        match read {
            Ok(_) => State::Following,
            Err(error) => {
                // Who connects again is told as a problem what it is.
                tracing::error!(%error, "tail ends early");
                State::Ending
            }
        }
    }

    /// Writes released events until the piece is full.
    fn write(&mut self, piece: &mut Vec<u8>) -> io::Result<()> {
        let mut writer = render::Writer::new(Format::Ndjson, self.fields.as_deref(), render::OTHER);
        while piece.len() < PIECE {
            let Some(row) = self.tail.take() else { break };
            if is_wanted(&self.events, &row.item) {
                let id = issue(&self.app, &self.tail, &self.binding)?;
                sse::message(piece, &id, |out| writer.event(out, &row.item));
            }
        }
        Ok(())
    }

    /// Returns the id of the last event that was sent or passed over.
    fn id(&self) -> io::Result<String> {
        issue(&self.app, &self.tail, &self.binding)
    }
}

fn issue(app: &App, tail: &Tail, binding: &str) -> io::Result<String> {
    app.signer.issue(&tail.place().to_string(), binding).map_err(io::Error::other)
}

fn is_wanted(events: &[String], item: &Item) -> bool {
    events.is_empty() || item.text(EVENT).is_some_and(|name| events.iter().any(|event| event == name))
}
