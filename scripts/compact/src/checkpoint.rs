//! How far a command is: durable before each step that the next one relies on.

use std::{
    collections::BTreeMap,
    fs::{File, OpenOptions},
    path::{Path, PathBuf},
    sync::{Mutex, PoisonError},
};

use backfill::{
    checkpoint::{read_file, remove_file, write_file},
    error::Error,
};
use serde::{Deserialize, Serialize};
use serde_json::Value;
use shared::key::Key;

use crate::pack::Singles;
use crate::store::Units;

/// Form of the checkpoint; another one is refused.
const VERSION: u64 = 1;

/// A block on its way.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct OnItsWay {
    /// Partition key.
    pub id: String,
    /// Sort key.
    pub sort: String,
    /// Other blocks hold what it has to hold, so it is to be deleted.
    pub replaced: bool,
}

impl OnItsWay {
    /// A block that is about to be written.
    #[must_use]
    pub fn new(key: &Key) -> OnItsWay {
        OnItsWay { id: key.id.clone(), sort: key.microtimestamp.clone(), replaced: false }
    }
}

/// How far a channel is.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Channel {
    /// Where it began.
    pub begin: u64,
    /// Everything before this time is in a block whose events may be deleted, or stays single; microseconds since the Unix epoch.
    pub position: u64,
    /// The number of the next block.
    pub next: u32,
    /// Blocks that may be in the table and whose events may not all be deleted yet.
    pub open: Vec<OnItsWay>,
    /// Nothing is left to do.
    pub done: bool,
}

/// What was done, over all processes of a command.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Events that are settled: moved, changed meanwhile, or staying as they are.
    pub events: u64,
    /// Events that are in blocks now, or single items again.
    pub moved: u64,
    /// Blocks written, or taken apart.
    pub blocks: u64,
    /// Bytes of these blocks as items.
    pub block_bytes: u64,
    /// Events that stay single.
    pub singles: Singles,
    /// Events that somebody changed or deleted between reading and deleting; they stay as they are.
    pub changed: u64,
    /// Events whose key has another item now; their blocks stay.
    pub conflicts: u64,
    /// Blocks of daemons, passed over.
    pub passed: u64,
    /// Blocks that cannot be read or stay for another reason: their names and why.
    pub left: Vec<String>,
    /// Consumed by earlier processes.
    pub units: Units,
}

/// How far a command is.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct State {
    version: u64,
    job: Value,
    /// A number drawn for the run, part of its blocks' keys.
    pub run: u32,
    /// Last time, inclusive.
    pub to: u64,
    /// By channel.
    pub channels: BTreeMap<String, Channel>,
    /// So far.
    pub totals: Totals,
}

impl State {
    /// Nothing done.
    #[must_use]
    pub fn new(job: Value, run: u32, to: u64, channels: Vec<(String, u64)>) -> State {
        let channel = |(name, begin)| (name, Channel { begin, position: begin, ..Channel::default() });
        let channels = channels.into_iter().map(channel).collect();
        State { version: VERSION, job, run, to, channels, totals: Totals::default() }
    }

    /// Reads a checkpoint, and refuses one of another job.
    ///
    /// # Errors
    /// A text that says what is wrong with it.
    pub fn from_json(text: &str, job: &Value) -> Result<State, String> {
        let state: State = serde_json::from_str(text).map_err(|error| format!("it cannot be read ({error})"))?;
        if state.version != VERSION {
            return Err("it is of another version".to_owned());
        }
        for (name, now) in job.as_object().into_iter().flatten() {
            let before = state.job.get(name).unwrap_or(&Value::Null);
            if before != now {
                return Err(format!("it belongs to a command with {name} = {before}, this one has {now}"));
            }
        }
        Ok(state)
    }
}

/// The state of this process, and the file that has it.
#[derive(Debug)]
pub struct Book {
    path: PathBuf,
    state: Mutex<State>,
    // Locked as long as the process lives.
    _lock: File,
}

impl Book {
    /// Locks the checkpoint against another process, and reads it.
    ///
    /// # Errors
    /// When another process has it, or it cannot be read, or is of another job.
    pub fn open(path: &Path, job: &Value, restart: bool) -> Result<(File, Option<State>), Error> {
        let beside = path.with_extension("lock");
        let failed = |source| Error::File { doing: "open", path: beside.clone(), source };
        let lock = OpenOptions::new().create(true).truncate(false).write(true).open(&beside).map_err(failed)?;
        if lock.try_lock().is_err() {
            let path = path.display();
            return Err(Error::Guard(format!(
                "another process has the checkpoint {path}; wait for it or name another file with --checkpoint"
            )));
        }
        let found = if restart { None } else { read_file(path)? };
        let problem = |problem| Error::Checkpoint { place: path.display().to_string(), problem };
        Ok((lock, found.map(|text| State::from_json(&text, job)).transpose().map_err(problem)?))
    }

    /// Begins with a state, which is durable then.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn begin(path: &Path, lock: File, state: State) -> Result<Book, Error> {
        let book = Book { path: path.to_owned(), state: Mutex::new(state), _lock: lock };
        book.change(|_| ())?;
        Ok(book)
    }

    /// Changes the state; it is durable when this returns.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn change<T>(&self, change: impl FnOnce(&mut State) -> T) -> Result<T, Error> {
        let mut state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        let result = change(&mut state);
        let json = serde_json::to_value(&*state).expect("a state has text keys only");
        tokio::task::block_in_place(|| write_file(&self.path, &json))?;
        Ok(result)
    }

    /// As [`Book::change`], for a channel.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn change_channel(&self, name: &str, change: impl FnOnce(&mut Channel, &mut Totals)) -> Result<(), Error> {
        self.change(|state| {
            let State { channels, totals, .. } = state;
            if let Some(channel) = channels.get_mut(name) {
                change(channel, totals);
            }
        })
    }

    /// The state.
    pub fn state(&self) -> State {
        self.state.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// A channel.
    pub fn channel(&self, name: &str) -> Channel {
        let state = self.state.lock().unwrap_or_else(PoisonError::into_inner);
        state.channels.get(name).cloned().unwrap_or_default()
    }

    /// Removes the file: everything is done.
    ///
    /// # Errors
    /// When it cannot be removed.
    pub fn remove(&self) -> Result<(), Error> {
        remove_file(&self.path)?;
        remove_file(&self.path.with_extension("lock"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn a_checkpoint_comes_back_and_belongs_to_its_job() {
        let job = json!({"table": "t", "to": null});
        let mut state = State::new(job.clone(), u32::MAX, u64::MAX, vec![("live_orders_btcusd".to_owned(), 1)]);
        state.totals.units.write = 1.5;
        let key = Key { id: "1".to_owned(), microtimestamp: "1#block/compact/2".to_owned() };
        state.channels.get_mut("live_orders_btcusd").unwrap().open.push(OnItsWay::new(&key));
        let text = serde_json::to_string(&state).unwrap();
        assert_eq!(State::from_json(&text, &job), Ok(state));
        let other = State::from_json(&text, &json!({"table": "t", "to": "-7d"})).unwrap_err();
        assert!(other.contains("to = null"), "{other}");
        assert!(State::from_json("{}", &job).is_err());
    }

    #[test]
    fn two_processes_do_not_share_a_checkpoint() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("c.json");
        let (_lock, found) = Book::open(&path, &json!({}), false).unwrap();
        assert_eq!(found, None);
        let error = Book::open(&path, &json!({}), false).unwrap_err();
        assert!(error.to_string().contains("another process"), "{error}");
    }
}
