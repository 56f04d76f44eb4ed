//! The progress of a run: positions of all segments, totals, length of the rejects file.

use std::{
    fs::{File, OpenOptions},
    io::{ErrorKind, Seek, SeekFrom, Write},
    path::{Path, PathBuf},
    sync::{Mutex, MutexGuard, PoisonError},
};

use serde_json::{Value, json};

use crate::error::Error;
use crate::examine::Reject;
use crate::json::{Item, key_from_json, to_json};
use crate::progress::Totals;

/// Form of the checkpoint; another one is refused.
const VERSION: u64 = 1;

/// How far one segment is.
#[derive(Clone, Debug, PartialEq)]
pub enum Position {
    /// Not begun.
    Begin,
    /// Everything up to and with this key is done.
    After(Item),
    /// Done.
    End,
}

/// How far a run is: positions, totals, and how long the rejects file was, all of one moment.
///
/// A page counts as a whole: its rejects, its totals and the new position become visible together. A process that dies
/// repeats the pages after the last checkpoint, which changes nothing, and cuts their rejects off before that.
#[derive(Clone, Debug, PartialEq)]
pub struct State {
    /// What the run is about; a run with other arguments may not go on with this.
    pub job: Value,
    /// By segment.
    pub positions: Vec<Position>,
    /// So far.
    pub totals: Totals,
    /// Length of the rejects file in bytes.
    pub rejects_bytes: u64,
}

impl State {
    /// Nothing done.
    pub fn new(job: Value, segments: u32) -> Self {
        let positions = (0..segments).map(|_| Position::Begin).collect();
        Self { job, positions, totals: Totals::default(), rejects_bytes: 0 }
    }

    /// Whether every segment is done.
    pub fn is_complete(&self) -> bool {
        self.positions.iter().all(|position| *position == Position::End)
    }

    /// For the file or item.
    pub fn to_json(&self) -> Value {
        let positions = self.positions.iter().map(|position| match position {
            Position::Begin => Value::Null,
            Position::After(key) => to_json(key),
            Position::End => json!("done"),
        });
        json!({
            "version": VERSION, "job": self.job, "segments": positions.collect::<Vec<_>>(),
            "totals": self.totals, "rejects_bytes": self.rejects_bytes,
        })
    }

    /// Reads a checkpoint, and refuses one of another run.
    ///
    /// # Errors
    /// A text that says what is wrong with it.
    pub fn from_json(text: &str, job: &Value) -> Result<Self, String> {
        let read: Value = serde_json::from_str(text).map_err(|error| format!("it is no JSON ({error})"))?;
        if read.get("version").and_then(Value::as_u64) != Some(VERSION) {
            return Err("it is of another version".to_owned());
        }
        let damaged = || "it is incomplete".to_owned();
        let was = read.get("job").and_then(Value::as_object).ok_or_else(damaged)?;
        for (name, now) in job.as_object().into_iter().flatten() {
            let before = was.get(name).unwrap_or(&Value::Null);
            if before != now {
                return Err(format!("it belongs to a run with {name} = {before}, this one has {now}"));
            }
        }
        let segments = read.get("segments").and_then(Value::as_array).ok_or_else(damaged)?;
        let position = |segment: &Value| match segment {
            Value::Null => Some(Position::Begin),
            Value::String(_) => Some(Position::End),
            key => key_from_json(key).map(Position::After),
        };
        Ok(Self {
            job: job.clone(),
            positions: segments.iter().map(position).collect::<Option<_>>().ok_or_else(damaged)?,
            totals: read
                .get("totals")
                .and_then(|totals| serde_json::from_str(&totals.to_string()).ok())
                .ok_or_else(damaged)?,
            rejects_bytes: read.get("rejects_bytes").and_then(Value::as_u64).ok_or_else(damaged)?,
        })
    }
}

/// The state of this process and its rejects file, changed together.
#[derive(Debug)]
pub struct Book {
    inner: Mutex<Inner>,
    path: PathBuf,
}

#[derive(Debug)]
struct Inner {
    state: State,
    rejects: File,
}

impl Book {
    /// Opens the rejects file, locks it against a second run, and cuts off what the checkpoint does not know.
    ///
    /// # Errors
    /// When the file cannot be used, or lacks lines that the checkpoint knows.
    pub fn open(state: State, path: &Path) -> Result<Self, Error> {
        let failed = |doing| move |source| Error::File { doing, path: path.to_owned(), source };
        let opened = OpenOptions::new().create(true).truncate(false).write(true).open(path);
        let mut rejects = opened.map_err(failed("open"))?;
        if rejects.try_lock().is_err() {
            let problem =
                format!("another run is writing {}; wait for it or name another file with --rejects", path.display());
            return Err(Error::Guard(problem));
        }
        let length = rejects.metadata().map_err(failed("read"))?.len();
        if length < state.rejects_bytes {
            let problem = format!("the rejects file {} lacks lines that were written", path.display());
            return Err(Error::Checkpoint { place: "of this run".to_owned(), problem });
        }
        rejects.set_len(state.rejects_bytes).map_err(failed("cut"))?;
        rejects.seek(SeekFrom::End(0)).map_err(failed("read"))?;
        Ok(Self { inner: Mutex::new(Inner { state, rejects }), path: path.to_owned() })
    }

    /// Adds a finished page of a segment; pages of one segment come in order.
    ///
    /// # Errors
    /// When the rejects cannot be written.
    pub fn finish_page(
        &self,
        segment: usize,
        next: Option<Item>,
        totals: &Totals,
        rejects: &[Reject],
    ) -> Result<(), Error> {
        let text: String = rejects.iter().map(|reject| format!("{}\n", reject.line)).collect();
        let mut inner = self.lock();
        inner.rejects.write_all(text.as_bytes()).map_err(|source| self.failed("write", source))?;
        inner.state.rejects_bytes += text.len() as u64;
        inner.state.totals.add(totals);
        if let Some(position) = inner.state.positions.get_mut(segment) {
            *position = next.map_or(Position::End, Position::After);
        }
        Ok(())
    }

    /// The state with every reject of it on disk.
    ///
    /// # Errors
    /// When the rejects cannot be brought to disk.
    pub fn durable(&self) -> Result<State, Error> {
        let inner = self.lock();
        inner.rejects.sync_data().map_err(|source| self.failed("sync", source))?;
        Ok(inner.state.clone())
    }

    /// The totals so far.
    pub fn totals(&self) -> Totals {
        self.lock().state.totals
    }

    /// How far a segment is.
    pub fn position(&self, segment: usize) -> Position {
        self.lock().state.positions.get(segment).cloned().unwrap_or(Position::End)
    }

    fn lock(&self) -> MutexGuard<'_, Inner> {
        self.inner.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn failed(&self, doing: &'static str, source: std::io::Error) -> Error {
        Error::File { doing, path: self.path.clone(), source }
    }
}

/// Reads a checkpoint's file; `None` where there is none.
///
/// # Errors
/// When it is there and cannot be read.
pub fn read_file(path: &Path) -> Result<Option<String>, Error> {
    match std::fs::read_to_string(path) {
        Ok(text) => Ok(Some(text)),
        Err(error) if error.kind() == ErrorKind::NotFound => Ok(None),
        Err(source) => Err(Error::File { doing: "read", path: path.to_owned(), source }),
    }
}

/// Replaces a checkpoint's file at once: another file, brought to disk, then renamed.
///
/// # Errors
/// When it cannot be written.
pub fn write_file(path: &Path, state: &Value) -> Result<(), Error> {
    let failed = |source| Error::File { doing: "write", path: path.to_owned(), source };
    let beside = path.with_extension("new");
    let mut file = File::create(&beside).map_err(failed)?;
    file.write_all(state.to_string().as_bytes()).map_err(failed)?;
    file.sync_all().map_err(failed)?;
    std::fs::rename(&beside, path).map_err(failed)?;
    let folder = path.parent().filter(|folder| !folder.as_os_str().is_empty()).unwrap_or(Path::new("."));
    File::open(folder).and_then(|folder| folder.sync_all()).map_err(failed)
}

/// Removes a checkpoint's file.
///
/// # Errors
/// When it is there and cannot be removed.
pub fn remove_file(path: &Path) -> Result<(), Error> {
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != ErrorKind::NotFound => {
            Err(Error::File { doing: "remove", path: path.to_owned(), source })
        }
        _ => Ok(()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use aws_sdk_dynamodb::types::AttributeValue;

    fn job() -> Value {
        json!({"table": "t", "accept": ["ms"]})
    }

    fn key(id: u32) -> Item {
        Item::from([("id".to_owned(), AttributeValue::N(id.to_string()))])
    }

    fn rejects(count: usize) -> Vec<Reject> {
        (0..count).map(|number| Reject { line: format!("{{\"n\":{number}}}") }).collect()
    }

    #[test]
    fn a_checkpoint_comes_back() {
        let mut state = State::new(job(), 3);
        state.positions = vec![Position::Begin, Position::After(key(7)), Position::End];
        state.totals = Totals { items: 5, write_units: 2.5, ..Totals::default() };
        state.rejects_bytes = 77;
        assert_eq!(State::from_json(&state.to_json().to_string(), &job()), Ok(state));
    }

    #[test]
    fn a_checkpoint_of_another_run_is_refused_by_name() {
        let text = State::new(job(), 1).to_json().to_string();
        let other = json!({"table": "t", "accept": []});
        let problem = State::from_json(&text, &other).unwrap_err();
        assert!(problem.contains("accept = [\"ms\"]"), "{problem}");
        for damaged in ["", "{}", "{\"version\":1}", "{\"version\":1,\"job\":{\"table\":\"t\",\"accept\":[\"ms\"]}}"] {
            assert!(State::from_json(damaged, &job()).is_err(), "{damaged}");
        }
    }

    #[test]
    fn rejects_after_the_checkpoint_are_cut_off_and_written_again() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rejects.jsonl");
        let book = Book::open(State::new(job(), 1), &path).unwrap();
        book.finish_page(0, Some(key(1)), &Totals::default(), &rejects(2)).unwrap();
        let saved = book.durable().unwrap();
        book.finish_page(0, Some(key(2)), &Totals::default(), &rejects(3)).unwrap();
        drop(book);
        let book = Book::open(saved, &path).unwrap();
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 2);
        book.finish_page(0, None, &Totals::default(), &rejects(3)).unwrap();
        assert!(book.durable().unwrap().is_complete());
        assert_eq!(std::fs::read_to_string(&path).unwrap().lines().count(), 5);
    }

    #[test]
    fn two_runs_do_not_share_a_rejects_file() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rejects.jsonl");
        let _first = Book::open(State::new(job(), 1), &path).unwrap();
        let second = Book::open(State::new(job(), 1), &path).unwrap_err();
        assert!(second.to_string().contains("another run"), "{second}");
    }

    #[test]
    fn a_lost_rejects_file_is_noticed() {
        let folder = tempfile::tempdir().unwrap();
        let state = State { rejects_bytes: 9, ..State::new(job(), 1) };
        let error = Book::open(state, &folder.path().join("rejects.jsonl")).unwrap_err();
        assert!(error.to_string().contains("lacks lines") && error.to_string().contains("--restart"), "{error}");
    }

    #[test]
    fn the_file_is_replaced_whole() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("checkpoint.json");
        assert_eq!(read_file(&path).unwrap(), None);
        write_file(&path, &State::new(job(), 1).to_json()).unwrap();
        write_file(&path, &State::new(job(), 2).to_json()).unwrap();
        let read = State::from_json(&read_file(&path).unwrap().unwrap(), &job()).unwrap();
        assert_eq!(read.positions.len(), 2);
        remove_file(&path).unwrap();
        remove_file(&path).unwrap();
    }
}
