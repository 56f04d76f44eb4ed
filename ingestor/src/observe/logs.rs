//! Where the log goes: into the journal, with its fields, where systemd runs the program; as text to standard error elsewhere.

use std::fmt::{Debug, Write as _};
use std::io::{IsTerminal as _, Write as _};
use std::os::unix::fs::MetadataExt as _;
use std::os::unix::net::UnixDatagram;
use std::path::{Path, PathBuf};

use tracing::field::{Field, Visit};
use tracing::{Event, Level, Subscriber};
use tracing_subscriber::Layer;
use tracing_subscriber::filter::{LevelFilter, Targets};
use tracing_subscriber::layer::{Context, SubscriberExt as _};
use tracing_subscriber::util::SubscriberInitExt as _;

/// Returns the filter of a variable, `LEVEL` or `TARGET=LEVEL` separated by commas; `default` if there is none, or it cannot be read.
#[must_use]
pub fn filter(variable: &str, default: &str) -> Targets {
    let given = std::env::var(variable).ok().and_then(|given| given.parse().ok());
    given.unwrap_or_else(|| default.parse().expect("a filter in the code can be read"))
}

/// Starts logging what `filter` lets through.
pub fn start(filter: Targets) {
    match Journal::of_standard_error() {
        Some(journal) => tracing_subscriber::registry().with(filter).with(journal).init(),
        // Where standard error is full or gone the daemon goes on without a log: a complaint about it would end the process.
        None => tracing_subscriber::fmt()
            .with_max_level(LevelFilter::TRACE)
            .with_ansi(std::io::stderr().is_terminal())
            .log_internal_errors(false)
            .with_writer(std::io::stderr)
            .finish()
            .with(filter)
            .init(),
    }
}

/// Sends each event to the journal as one entry: a readable MESSAGE with the values in it, and each value once more as a field
/// `BITSTAMP_NAME` to select by (`journalctl BITSTAMP_CHANNEL=live_trades_btcusd`).
///
/// The format is the journal's own: <https://systemd.io/JOURNAL_NATIVE_PROTOCOL/>.
struct Journal {
    socket: UnixDatagram,
    path: PathBuf,
}

impl Journal {
    /// Returns the journal if standard error is connected to it. systemd names the file of that connection in
    /// `JOURNAL_STREAM`, so that a program can tell whether its output was redirected (systemd.exec(5)).
    fn of_standard_error() -> Option<Self> {
        let stream = std::env::var("JOURNAL_STREAM").ok()?;
        let file = std::fs::metadata("/proc/self/fd/2").ok()?;
        if !names(&stream, file.dev(), file.ino()) {
            return None;
        }
        Self::at(Path::new("/run/systemd/journal/socket")).ok()
    }

    fn at(path: &Path) -> std::io::Result<Self> {
        Ok(Self { socket: UnixDatagram::unbound()?, path: path.to_owned() })
    }
}

/// Returns true if `stream`, "device:inode" in decimal, names this file.
fn names(stream: &str, device: u64, inode: u64) -> bool {
    stream.split_once(':').is_some_and(|(left, right)| left.parse() == Ok(device) && right.parse() == Ok(inode))
}

impl<S: Subscriber> Layer<S> for Journal {
    fn on_event(&self, event: &Event<'_>, _context: Context<'_, S>) {
        let mut entry = JournalEntry::default();
        event.record(&mut entry);
        let metadata = event.metadata();
        put(&mut entry.fields, "PRIORITY", priority(*metadata.level()));
        put(&mut entry.fields, "SYSLOG_IDENTIFIER", "bitstamp-live");
        put(&mut entry.fields, "TARGET", metadata.target());
        let message = entry.message + &entry.values;
        put(&mut entry.fields, "MESSAGE", &message);
        if self.socket.send_to(&entry.fields, &self.path).is_err() {
            // Too large for a datagram, or nobody there: standard error leads to the journal too, without fields.
            let _lost = writeln!(std::io::stderr(), "{message}");
        }
    }
}

/// Returns the severity of syslog(3), which the journal uses.
fn priority(level: Level) -> &'static str {
    match level {
        Level::ERROR => "3",
        Level::WARN => "4",
        Level::INFO => "6",
        Level::DEBUG | Level::TRACE => "7",
    }
}

#[derive(Default)]
struct JournalEntry {
    message: String,
    /// ` name=value` for each value, for people.
    values: String,
    /// All fields in the journal's format.
    fields: Vec<u8>,
}

impl Visit for JournalEntry {
    fn record_str(&mut self, field: &Field, value: &str) {
        // The text of an event comes first; after it, "message" is the name of a value like any other.
        if field.name() == "message" && self.message.is_empty() {
            value.clone_into(&mut self.message);
            return;
        }
        let name = field.name().trim_start_matches("r#");
        let _infallible = write!(self.values, " {name}={value}");
        let name: String =
            name.chars().map(|c| if c.is_ascii_alphanumeric() { c.to_ascii_uppercase() } else { '_' }).collect();
        put(&mut self.fields, &format!("BITSTAMP_{name}"), value);
    }

    fn record_debug(&mut self, field: &Field, value: &dyn Debug) {
        self.record_str(field, &format!("{value:?}"));
    }
}

/// Appends a field. A value of several lines is preceded by its length; otherwise it would end at the first line.
fn put(fields: &mut Vec<u8>, name: &str, value: &str) {
    fields.extend_from_slice(name.as_bytes());
    if value.contains('\n') {
        fields.push(b'\n');
        fields.extend_from_slice(&(value.len() as u64).to_le_bytes());
    } else {
        fields.push(b'=');
    }
    fields.extend_from_slice(value.as_bytes());
    fields.push(b'\n');
}

#[cfg(test)]
mod tests {
    use super::*;

    /// What arrives at a journal's socket for the events of `log`.
    fn entries(log: impl FnOnce()) -> Vec<Vec<(String, String)>> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("socket");
        let journal = UnixDatagram::bind(&path).unwrap();
        journal.set_nonblocking(true).unwrap();
        tracing::subscriber::with_default(tracing_subscriber::registry().with(Journal::at(&path).unwrap()), log);
        let mut entries = Vec::new();
        let mut buffer = vec![0; 65_536];
        while let Ok(length) = journal.recv(&mut buffer) {
            entries.push(parse(&buffer[..length]));
        }
        entries
    }

    /// The journal's side of the format.
    fn parse(mut bytes: &[u8]) -> Vec<(String, String)> {
        let mut fields = Vec::new();
        while let Some(end) = bytes.iter().position(|byte| b"=\n".contains(byte)) {
            let name = String::from_utf8(bytes[..end].to_vec()).unwrap();
            let after = &bytes[end + 1..];
            let (value, rest) = if bytes[end] == b'=' {
                after.split_at(after.iter().position(|byte| *byte == b'\n').unwrap())
            } else {
                let length = usize::try_from(u64::from_le_bytes(after[..8].try_into().unwrap())).unwrap();
                after[8..].split_at(length)
            };
            fields.push((name, String::from_utf8(value.to_vec()).unwrap()));
            assert_eq!(rest[0], b'\n');
            bytes = &rest[1..];
        }
        fields
    }

    fn value<'a>(entry: &'a [(String, String)], name: &str) -> &'a str {
        &entry.iter().find(|(key, _)| key == name).unwrap_or_else(|| panic!("no {name} in {entry:?}")).1
    }

    #[test]
    fn an_entry_can_be_read_and_carries_each_value() {
        let entries = entries(|| {
            tracing::warn!(channel = "live_trades_btcusd", attempt = 3, error = %"reset\nby peer", "connection lost");
            tracing::info!(target: "fjall", "stopped");
            tracing::error!(message = "no such channel", "the exchange reports an error");
        });
        let [lost, stopped, reported] = entries.as_slice() else { panic!("{entries:?}") };
        assert_eq!(value(lost, "MESSAGE"), "connection lost channel=live_trades_btcusd attempt=3 error=reset\nby peer");
        assert_eq!(value(lost, "BITSTAMP_CHANNEL"), "live_trades_btcusd");
        assert_eq!(value(lost, "BITSTAMP_ATTEMPT"), "3");
        assert_eq!(value(lost, "BITSTAMP_ERROR"), "reset\nby peer");
        assert_eq!(value(lost, "PRIORITY"), "4");
        assert_eq!(value(stopped, "MESSAGE"), "stopped");
        assert_eq!((value(stopped, "PRIORITY"), value(stopped, "TARGET")), ("6", "fjall"));
        assert_eq!(value(reported, "MESSAGE"), "the exchange reports an error message=no such channel");
        assert_eq!((value(reported, "PRIORITY"), value(reported, "BITSTAMP_MESSAGE")), ("3", "no such channel"));
    }

    #[test]
    fn a_value_cannot_forge_a_field() {
        let entries = entries(|| tracing::info!(error = "x\nPRIORITY=0\nMESSAGE=all is well", "quarantined"));
        let names: Vec<&str> = entries[0].iter().map(|(name, _)| name.as_str()).collect();
        assert_eq!(names, ["BITSTAMP_ERROR", "PRIORITY", "SYSLOG_IDENTIFIER", "TARGET", "MESSAGE"]);
    }

    #[test]
    fn only_the_named_file_is_the_journal() {
        assert!(names("9:1234", 9, 1234));
        for other in ["9:1235", "8:1234", "", "9", "9:", ":1234", "9:1234:"] {
            assert!(!names(other, 9, 1234), "{other}");
        }
    }
}
