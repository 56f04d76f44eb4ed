//! The keyspaces that hold the records.

use std::ops::Range;

use fjall::{Database, Keyspace};
use shared::time::Micros;

use crate::spool::meta::get_number;
use crate::spool::open::options;
use crate::spool::record::Record;
use crate::spool::{SpoolError, storage};

/// Number of records after which a segment is full.
const MAX_RECORDS: u64 = 200_000;
/// Size after which a segment is full, in bytes; in a small spool an eighth of the spool's limit.
const MAX_BYTES: u64 = 64 << 20;
/// Least number of segments in a full spool: the segment that is written to keeps its space until it is full.
const SEGMENTS_AT_LEAST: u64 = 8;

const PREFIX: &str = "segment-";

struct Segment {
    first: u64,
    bytes: u64,
    keyspace: Keyspace,
}

/// The segments, oldest first; the last one is written to.
pub(super) struct Segments {
    segments: Vec<Segment>,
    next: u64,
    segment_bytes: u64,
}

impl Segments {
    /// Finds the segments, deletes those wholly before `position`, and goes on where they end.
    pub(super) fn open(
        database: &Database,
        meta: &Keyspace,
        position: u64,
        max_bytes: u64,
    ) -> Result<Segments, SpoolError> {
        let mut segments = Vec::new();
        for name in database.list_keyspace_names() {
            let Some(first) = name.strip_prefix(PREFIX).and_then(|digits| digits.parse().ok()) else { continue };
            let keyspace = database.keyspace(&name, options).map_err(storage("opening"))?;
            let bytes = match get_number(meta, &bytes_key(first))? {
                Some(bytes) => bytes,
                None => measure(&keyspace)?,
            };
            segments.push(Segment { first, bytes, keyspace });
        }
        segments.sort_by_key(|segment| segment.first);
        let next = match segments.last() {
            Some(last) => last_sequence(&last.keyspace)?.map_or(last.first, |sequence| sequence + 1),
            None => position,
        };
        let mut all = Segments {
            segments,
            next: next.max(position),
            segment_bytes: MAX_BYTES.min(max_bytes / SEGMENTS_AT_LEAST),
        };
        all.release(database, meta, position)?;
        Ok(all)
    }

    pub(super) fn append(
        &mut self,
        database: &Database,
        meta: &Keyspace,
        records: &[Record],
    ) -> Result<Range<u64>, SpoolError> {
        let start = self.next;
        let segment = self.writable(database, meta)?;
        let keyspace = segment.keyspace.clone();
        let mut batch = database.batch();
        let (mut next, mut bytes) = (start, 0);
        for record in records {
            let value = record.encode();
            bytes += value.len() as u64;
            batch.insert(&keyspace, next.to_be_bytes(), value);
            next += 1;
        }
        segment.bytes += bytes;
        batch.commit().map_err(storage("appending"))?;
        self.next = next;
        Ok(start..next)
    }

    fn writable(&mut self, database: &Database, meta: &Keyspace) -> Result<&mut Segment, SpoolError> {
        let full = |segment: &Segment| self.next - segment.first >= MAX_RECORDS || segment.bytes >= self.segment_bytes;
        if self.segments.last().is_none_or(full) {
            if let Some(last) = self.segments.last() {
                meta.insert(bytes_key(last.first), last.bytes.to_be_bytes()).map_err(storage("appending"))?;
            }
            let name = format!("{PREFIX}{:020}", self.next);
            let keyspace = database.keyspace(&name, options).map_err(storage("creating a segment"))?;
            self.segments.push(Segment { first: self.next, bytes: 0, keyspace });
        }
        Ok(self.segments.last_mut().expect("a segment was pushed if there was none"))
    }

    /// Deletes every segment whose records are all before `position`, but for the one that is written to.
    pub(super) fn release(&mut self, database: &Database, meta: &Keyspace, position: u64) -> Result<(), SpoolError> {
        while self.segments.get(1).is_some_and(|second| second.first <= position) {
            let Segment { first, keyspace, .. } = self.segments.remove(0);
            database.delete_keyspace(keyspace).map_err(storage("deleting a segment"))?;
            meta.remove(bytes_key(first)).map_err(storage("deleting a segment"))?;
        }
        Ok(())
    }

    /// Returns the keyspaces that hold records of a range, oldest first.
    pub(super) fn covering(&self, range: Range<u64>) -> Vec<Keyspace> {
        let ends = self.segments.iter().skip(1).map(|segment| segment.first).chain([self.next]);
        self.segments
            .iter()
            .zip(ends)
            .filter(|(segment, end)| segment.first < range.end && *end > range.start)
            .map(|(segment, _)| segment.keyspace.clone())
            .collect()
    }

    /// Returns the sequence of the oldest record there can be.
    pub(super) fn first(&self) -> u64 {
        self.segments.first().map_or(self.next, |segment| segment.first)
    }

    /// Returns the sequence of the record that is appended next.
    pub(super) fn next(&self) -> u64 {
        self.next
    }

    pub(super) fn bytes(&self) -> u64 {
        self.segments.iter().map(|segment| segment.bytes).sum()
    }

    /// Returns when the newest readable record of the newest segment was received; zero without one.
    pub(super) fn last_received(&self) -> Result<Micros, SpoolError> {
        for entry in self.segments.last().into_iter().flat_map(|segment| segment.keyspace.iter().rev()) {
            let value = entry.value().map_err(storage("opening"))?;
            if let Ok(record) = Record::decode(&value) {
                return Ok(record.received_at);
            }
        }
        Ok(Micros(0))
    }
}

fn bytes_key(first: u64) -> String {
    format!("bytes-{first:020}")
}

/// Measures the segment that was being written when the process ended, by reading it: at most [`MAX_BYTES`].
fn measure(keyspace: &Keyspace) -> Result<u64, SpoolError> {
    let mut bytes = 0;
    for entry in keyspace.iter() {
        bytes += u64::from(entry.size().map_err(storage("opening"))?);
    }
    Ok(bytes)
}

fn last_sequence(keyspace: &Keyspace) -> Result<Option<u64>, SpoolError> {
    let Some(entry) = keyspace.last_key_value() else { return Ok(None) };
    let key = entry.key().map_err(storage("opening"))?;
    Ok(key.as_ref().try_into().ok().map(u64::from_be_bytes))
}
