//! Recorded frames as a source.
//!
//! A line is either a bare frame or `{"recv_ts":"<seconds>","raw":"<frame>"}`. Blank lines and control frames (`bts:`
//! events) are passed over. Lines with `recv_ts` keep the recorded distances; bare ones follow a millisecond after
//! the line before.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufRead, BufReader, Lines};
use std::path::Path;
use std::time::Duration;

use rust_decimal::Decimal;
use rust_decimal::prelude::ToPrimitive;
use serde::Deserialize;
use serde_json::Value;

/// Distance between two frames without recorded times.
const APART: Duration = Duration::from_millis(1);

/// The channels that a recording has frames of, sorted: what a client subscribes to so that the replay begins.
///
/// # Errors
/// Where the file cannot be read, or a line is neither a frame nor a recorded line.
pub fn channels(path: &Path) -> io::Result<Vec<String>> {
    let mut recording = Recording::open(path, f64::INFINITY)?;
    let mut channels = BTreeSet::new();
    while let Some(entry) = recording.next_entry()? {
        channels.insert(entry.channel);
    }
    Ok(channels.into_iter().collect())
}

/// One frame to send.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// When, after the start of the replay.
    pub after: Duration,
    /// Its channel.
    pub channel: String,
    /// Its exact text.
    pub frame: String,
}

/// A recording that is read line by line, so that its size does not matter.
#[derive(Debug)]
pub struct Recording {
    lines: Lines<BufReader<File>>,
    number: usize,
    speed: f64,
    /// `recv_ts` of the first timed line.
    first: Option<Decimal>,
    /// Recorded time of the last frame.
    last: Duration,
}

#[derive(Deserialize)]
struct Timed {
    recv_ts: Value,
    raw: String,
}

#[derive(Deserialize)]
struct Head {
    channel: Option<String>,
    event: Option<String>,
}

impl Recording {
    /// Opens a recording to be sent at a multiple of its speed.
    ///
    /// # Errors
    /// Where the file cannot be opened.
    pub fn open(path: &Path, speed: f64) -> io::Result<Self> {
        let lines = BufReader::new(File::open(path)?).lines();
        Ok(Self { lines, number: 0, speed, first: None, last: Duration::ZERO })
    }

    /// The next data frame; None at the end.
    ///
    /// # Errors
    /// Where the file cannot be read, or a line is neither a frame nor a recorded line.
    pub fn next_entry(&mut self) -> io::Result<Option<Entry>> {
        for line in self.lines.by_ref() {
            self.number += 1;
            let line = line?;
            if line.trim().is_empty() {
                continue;
            }
            let number = self.number;
            let wrong = |error| io::Error::new(io::ErrorKind::InvalidData, format!("line {number}: {error}"));
            let timed: Option<Timed> = serde_json::from_str(&line).ok();
            let (at, frame) = match timed {
                Some(timed) => (recorded_time(&timed.recv_ts), timed.raw),
                None => (None, line),
            };
            let head: Head = serde_json::from_str(&frame).map_err(wrong)?;
            let Some(channel) = head.channel.filter(|channel| !channel.is_empty()) else { continue };
            if head.event.is_some_and(|event| event.starts_with("bts:")) {
                continue;
            }
            self.last = match at {
                Some(at) => since(*self.first.get_or_insert(at), at).max(self.last),
                None => self.last + APART,
            };
            let after = if self.speed.is_finite() { self.last.div_f64(self.speed) } else { Duration::ZERO };
            return Ok(Some(Entry { after, channel, frame }));
        }
        Ok(None)
    }
}

fn recorded_time(value: &Value) -> Option<Decimal> {
    match value {
        Value::String(text) => text.parse().ok(),
        Value::Number(number) => number.to_string().parse().ok(),
        _ => None,
    }
}

fn since(first: Decimal, at: Decimal) -> Duration {
    let micros = ((at - first) * Decimal::from(1_000_000)).to_u64();
    Duration::from_micros(micros.unwrap_or(0))
}
