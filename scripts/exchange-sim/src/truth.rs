//! The truth file: what was generated, what was sent to whom, and the story of every connection.
//!
//! NDJSON, one line for each happening, `at` in microseconds since the Unix epoch by the simulator's clock:
//!
//! ```text
//! {"seq":1,"at":1789459694223519,"kind":"event","connections":[1,2],"frame":"{\"data\":..."}
//! {"connection":1,"at":1789459694223000,"opened":"127.0.0.1:50412"}
//! {"connection":1,"at":1789459694223100,"subscribed":"live_trades_btcusd"}
//! {"connection":1,"at":1789459694223100,"unsubscribed":"live_trades_btcusd"}
//! {"connection":1,"at":1789459699223000,"closed":"cut","sent":1234}
//! ```
//!
//! - Every generated data frame has exactly one line of kind `event`, with the connections that got it in its turn:
//!   none where nobody was subscribed to it (then snapshots are not generated at all) or where it was dropped.
//! - What a fault adds are further lines: `duplicate` (sent again), `reordered` (an `event` from above that these
//!   connections get only now) and `garbage`.
//! - The frames of one connection are the lines that name it, and their order is the order on the wire. `sent` of its
//!   `closed` line counts those that were handed to its socket whole; lines beyond were still waiting and are lost with it.
//! - A frame that is not valid text stands in `frame` with its bad bytes replaced, and byte by byte in `hex`.

pub(crate) mod writer;

use std::fs::File;
use std::io::{self, BufRead, BufReader};
use std::path::{Path, PathBuf};

use serde::{Deserialize, Serialize};

/// What a frame in the truth file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Kind {
    /// Generated, once.
    Event,
    /// Sent once more by a fault.
    Duplicate,
    /// Generated above, sent only here by a fault.
    Reordered,
    /// Made up by a fault.
    Garbage,
}

/// A frame of a data channel.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Frame {
    /// Number of the line among the frames, from 1.
    pub seq: u64,
    /// When, microseconds since the Unix epoch by the simulator's clock.
    pub at: u64,
    /// What it is.
    pub kind: Kind,
    /// The connections it was sent to.
    pub connections: Vec<u64>,
    /// Its exact text.
    pub frame: String,
    /// Its bytes in hexadecimal where they are not valid text or were sent as a binary frame.
    pub hex: Option<String>,
}

/// What happened to a connection.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum What {
    /// The handshake is done; the peer's address.
    Opened(String),
    /// A channel was subscribed to; its frames go to the connection from here on.
    Subscribed(String),
    /// A channel was given up.
    Unsubscribed(String),
    /// The connection is gone, and why.
    Closed(String),
}

/// A line of the truth file.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
#[serde(try_from = "Raw")]
pub enum Line {
    /// A frame.
    Frame(Frame),
    /// Something that happened to a connection.
    Change {
        /// Number of the connection, from 1.
        connection: u64,
        /// When, microseconds since the Unix epoch by the simulator's clock.
        at: u64,
        /// What.
        what: What,
        /// Frames handed to the socket, in a `closed` line.
        sent: Option<u64>,
    },
}

/// Every field that a line may have. Told apart by hand: serde's own ways (`flatten`, `untagged`) do not go together
/// with serde_json's `arbitrary_precision`.
#[derive(Deserialize)]
struct Raw {
    at: u64,
    seq: Option<u64>,
    kind: Option<Kind>,
    #[serde(default)]
    connections: Vec<u64>,
    frame: Option<String>,
    hex: Option<String>,
    connection: Option<u64>,
    opened: Option<String>,
    subscribed: Option<String>,
    unsubscribed: Option<String>,
    closed: Option<String>,
    sent: Option<u64>,
}

impl TryFrom<Raw> for Line {
    type Error = &'static str;

    fn try_from(raw: Raw) -> Result<Self, Self::Error> {
        let Raw { at, connections, hex, sent, .. } = raw;
        if let (Some(seq), Some(kind), Some(frame)) = (raw.seq, raw.kind, raw.frame) {
            return Ok(Self::Frame(Frame { seq, at, kind, connections, frame, hex }));
        }
        let opened = raw.opened.map(What::Opened);
        let subscribed = raw.subscribed.map(What::Subscribed);
        let unsubscribed = raw.unsubscribed.map(What::Unsubscribed);
        let what = opened.or(subscribed).or(unsubscribed).or(raw.closed.map(What::Closed));
        let connection = raw.connection.ok_or("neither a frame nor a connection")?;
        Ok(Self::Change { connection, at, what: what.ok_or("nothing happened to the connection")?, sent })
    }
}

/// A truth file that cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum ReadError {
    /// The file cannot be opened or read.
    #[error("cannot read the truth file `{path}`")]
    Io {
        /// The file.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// A line is not one of a truth file; the last one is cut where the simulator was killed.
    #[error("line {line} of the truth file `{path}` is not understood")]
    Line {
        /// The file.
        path: PathBuf,
        /// Number of the line, from 1.
        line: usize,
        /// Why.
        source: serde_json::Error,
    },
}

/// Reads a whole truth file.
///
/// # Errors
/// Where the file cannot be read or holds anything else, see [`ReadError`].
pub fn read(path: &Path) -> Result<Vec<Line>, ReadError> {
    let io = |source| ReadError::Io { path: path.to_owned(), source };
    let file = BufReader::new(File::open(path).map_err(io)?);
    let mut lines = Vec::new();
    for (number, line) in file.lines().enumerate() {
        let line = serde_json::from_str(&line.map_err(io)?);
        let number = number + 1;
        lines.push(line.map_err(|source| ReadError::Line { path: path.to_owned(), line: number, source })?);
    }
    Ok(lines)
}

/// The generated frames in their order, each once.
pub fn events(lines: &[Line]) -> impl Iterator<Item = &Frame> {
    frames(lines).filter(|frame| frame.kind == Kind::Event)
}

/// The frames that a connection was sent, in their order on the wire.
pub fn sent_to(lines: &[Line], connection: u64) -> impl Iterator<Item = &Frame> {
    frames(lines).filter(move |frame| frame.connections.contains(&connection))
}

fn frames(lines: &[Line]) -> impl Iterator<Item = &Frame> {
    lines.iter().filter_map(|line| match line {
        Line::Frame(frame) => Some(frame),
        Line::Change { .. } => None,
    })
}
