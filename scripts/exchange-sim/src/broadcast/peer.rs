//! One connection as the broadcaster sees it: its queue, its subscriptions, and the faults it is due.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::Instant;
use tokio_tungstenite::tungstenite::{Bytes, Utf8Bytes};
use tokio_util::sync::CancellationToken;

/// Commands that may wait for a connection's task.
const COMMANDS: usize = 64;

/// Something to be sent.
#[derive(Debug, Clone)]
pub(crate) enum Out {
    /// A frame of a data channel.
    Data(Utf8Bytes),
    /// An acknowledgement, an error, a heartbeat's answer.
    Control(Utf8Bytes),
    /// A binary frame, which the exchange never sends.
    Binary(Bytes),
    /// A text frame whose bytes are no UTF-8.
    BadText(Bytes),
}

impl Out {
    pub(crate) fn len(&self) -> usize {
        match self {
            Self::Data(text) | Self::Control(text) => text.len(),
            Self::Binary(bytes) | Self::BadText(bytes) => bytes.len(),
        }
    }

    /// Whether the truth file has a line for it.
    pub(crate) fn is_data(&self) -> bool {
        !matches!(self, Self::Control(_))
    }
}

/// What a connection's task is told beside its queue.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Command {
    /// Neither read nor write until then; None is for ever.
    Mute(Option<Instant>),
    /// Wait before each frame.
    Slow { delay: Duration, until: Instant },
    /// Close with a close frame at that time.
    CloseAt(Instant),
}

/// The connection's own end: held by its task.
#[derive(Debug)]
pub(crate) struct Seat {
    pub(crate) id: u64,
    pub(crate) queue: Receiver<Out>,
    pub(crate) commands: Receiver<Command>,
    pub(crate) cut: CancellationToken,
    /// Bytes in the queue; the task takes off what it has taken out.
    pub(crate) waiting: Arc<AtomicUsize>,
}

/// Faults that are counted in frames.
#[derive(Debug, Default)]
pub(crate) struct Due {
    pub(crate) duplicate: u32,
    pub(crate) reorder: u32,
    pub(crate) drop: u32,
    pub(crate) withhold_acks: u32,
    pub(crate) lose_heartbeats: u32,
    /// A frame that waits for the next one of its channel to go first.
    pub(crate) held: Option<(String, Utf8Bytes)>,
}

/// A connection.
#[derive(Debug)]
pub(crate) struct Peer {
    pub(crate) channels: BTreeSet<String>,
    pub(crate) due: Due,
    /// Why the connection was ended from this side, once it was.
    pub(crate) ended: Option<&'static str>,
    queue: Sender<Out>,
    commands: Sender<Command>,
    cut: CancellationToken,
    waiting: Arc<AtomicUsize>,
    muted: Option<Option<Instant>>,
}

impl Peer {
    /// Both ends of a new connection.
    pub(crate) fn new(id: u64, frames: usize) -> (Self, Seat) {
        let (queue, queue_end) = mpsc::channel(frames);
        let (commands, commands_end) = mpsc::channel(COMMANDS);
        let (cut, waiting) = (CancellationToken::new(), Arc::new(AtomicUsize::new(0)));
        let seat =
            Seat { id, queue: queue_end, commands: commands_end, cut: cut.clone(), waiting: Arc::clone(&waiting) };
        let channels = BTreeSet::new();
        let peer = Self { channels, due: Due::default(), ended: None, queue, commands, cut, waiting, muted: None };
        (peer, seat)
    }

    /// Puts something into the queue; false where it is full, which ends the connection: a frame is never left out.
    pub(crate) fn push(&mut self, out: Out, most_bytes: usize) -> bool {
        if self.ended.is_some() {
            return false;
        }
        let bytes = out.len();
        let waiting = self.waiting.fetch_add(bytes, Ordering::Relaxed);
        // A single frame larger than the limit still goes through an empty queue.
        let fits = waiting == 0 || waiting + bytes <= most_bytes;
        if fits && self.queue.try_send(out).is_ok() {
            return true;
        }
        self.end("slow client");
        false
    }

    /// Whether the queue is less than half full, by number and by bytes.
    pub(crate) fn has_room(&self, most_bytes: usize) -> bool {
        self.ended.is_some()
            || (self.queue.capacity() > self.queue.max_capacity() / 2
                && self.waiting.load(Ordering::Relaxed) < most_bytes / 2)
    }

    pub(crate) fn queued(&self) -> usize {
        self.waiting.load(Ordering::Relaxed)
    }

    /// Ends the connection at once, without a close frame.
    pub(crate) fn end(&mut self, reason: &'static str) {
        self.ended.get_or_insert(reason);
        self.cut.cancel();
    }

    pub(crate) fn mute(&mut self, until: Option<Instant>) {
        self.muted = Some(until);
        self.command(Command::Mute(until));
    }

    /// Sends no data and answers nothing until then, while the task goes on answering pings.
    pub(crate) fn mute_application(&mut self, until: Option<Instant>) {
        self.muted = Some(until);
    }

    pub(crate) fn is_muted(&self) -> bool {
        self.muted.is_some_and(|until| until.is_none_or(|until| Instant::now() < until))
    }

    pub(crate) fn command(&self, command: Command) {
        if self.commands.try_send(command).is_err() {
            tracing::warn!(?command, "a connection is gone or has too many commands waiting");
        }
    }
}
