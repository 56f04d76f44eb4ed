//! The commands beside capturing: arguments, shared output helpers, exit codes.

use std::io::{BufWriter, ErrorKind, Write};

use clap::{ArgMatches, Command};
use indicatif::{ProgressBar, ProgressStyle};
use ingestor::config::{Config, Faults};
use ingestor::spool::{Spool, SpoolError};
use ingestor::store::table::TableError;
use rustix::process::geteuid;
use shared::time::Micros;
use std::os::unix::fs::MetadataExt as _;

mod check;
mod daemon;
mod estimate;
mod quarantine;
mod spool;
mod status;

/// Exit code if the daemon or the store does not answer (EX_UNAVAILABLE).
pub(crate) const EXIT_UNREACHABLE: u8 = 69;
/// Exit code if a part of the daemon ended that should run on (EX_SOFTWARE).
pub(crate) const EXIT_SOFTWARE: u8 = 70;
/// Exit code if the disk failed, or what it holds is damaged (EX_IOERR).
pub(crate) const EXIT_DISK: u8 = 74;
/// Exit code if the spool is in use; another attempt may succeed once the daemon is stopped (EX_TEMPFAIL).
pub(crate) const EXIT_IN_USE: u8 = 75;
/// Exit code if the configuration, or what it names, is wrong (EX_CONFIG).
pub(crate) const EXIT_CONFIG: u8 = 78;

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum CommandError {
    /// Another process has locked the spool.
    #[error(
        "the spool `{0}` is in use, as a rule by the running daemon; `ingestor status` shows what waits in it; to look \
         into it, stop the daemon first"
    )]
    InUse(String),
    /// There is no spool; opening would create one.
    #[error("there is no spool in `{0}`; name its folder with --spool-dir")]
    NoSpool(String),
    /// The spool belongs to another user: the daemon could not read what this one writes.
    #[error(
        "the spool `{folder}` belongs to user {owner}, and this is user {user}: the daemon could not read the files \
         written now; run it as user {owner} (docs/operations.md, \"Looking into the spool\")"
    )]
    Foreign {
        /// Folder of the spool.
        folder: String,
        /// User id of its owner.
        owner: u32,
        /// User id of the caller.
        user: u32,
    },
    /// No daemon answers at the address.
    #[error("no daemon at {address}: {reason}; start it, or say where it listens with --listen")]
    NoDaemon {
        /// The address that was asked.
        address: std::net::SocketAddr,
        /// What happened instead.
        reason: String,
    },
    /// The store does not answer or refuses.
    #[error("{0}")]
    Store(String),
}

/// Returns every command with its arguments.
pub(crate) fn all() -> [Command; 5] {
    [check::command(), status::command(), estimate::command(), spool::command(), quarantine::command()]
}

/// Runs a command; returns the exit code.
///
/// Nothing here catches signals: Ctrl-C ends a command at once. The spool survives that as it survives `kill -9`, and
/// what was written to the table may be written again.
pub(crate) async fn run(name: &str, matches: &ArgMatches, config: Result<Config, Faults>) -> anyhow::Result<u8> {
    let mut out = BufWriter::new(std::io::stdout().lock());
    let ran = match (name, matches.subcommand()) {
        ("check", _) => check::run(config, &mut out).await,
        ("status", _) => status::run(matches, &config?, &mut out).await,
        ("estimate", _) => estimate::run(matches, &config?, &mut out).await,
        ("spool", Some((what, matches))) => spool::run(what, matches, &config?, &mut out),
        ("quarantine", Some((what, matches))) => quarantine::run(what, matches, &config?, &mut out).await,
        (other, _) => unreachable!("clap lets no other command through: {other}"),
    };
    let ended = ran.and_then(|code| {
        out.flush()?;
        Ok(code)
    });
    match ended {
        // `ingestor spool export | head`: the reader has enough.
        Err(error) if is_broken_pipe(&error) => Ok(0),
        ended => ended,
    }
}

/// Returns the exit code of a command that failed.
pub(crate) fn exit_code(error: &anyhow::Error) -> Option<u8> {
    if let Some(error) = error.downcast_ref::<CommandError>() {
        return Some(match error {
            CommandError::InUse(_) => EXIT_IN_USE,
            CommandError::NoSpool(_) | CommandError::Foreign { .. } => EXIT_CONFIG,
            CommandError::NoDaemon { .. } | CommandError::Store(_) => EXIT_UNREACHABLE,
        });
    }
    if let Some(error) = error.downcast_ref::<TableError>() {
        return Some(match error {
            TableError::Unreachable { .. } => EXIT_UNREACHABLE,
            _ => EXIT_CONFIG,
        });
    }
    error.downcast_ref::<SpoolError>().map(|_| EXIT_DISK)
}

fn is_broken_pipe(error: &anyhow::Error) -> bool {
    error.downcast_ref::<std::io::Error>().is_some_and(|error| error.kind() == ErrorKind::BrokenPipe)
}

/// Opens the spool of a daemon that does not run.
fn open_spool(config: &Config) -> anyhow::Result<Spool> {
    let folder = &config.spool_dir;
    let shown = folder.display().to_string();
    match Spool::is_in(folder) {
        Ok(true) => {}
        Ok(false) => return Err(CommandError::NoSpool(shown).into()),
        Err(error) => return Err(anyhow::Error::from(error).context(format!("cannot look into `{shown}`"))),
    }
    let (owner, user) = (std::fs::metadata(folder)?.uid(), geteuid().as_raw());
    if owner != user {
        return Err(CommandError::Foreign { folder: shown, owner, user }.into());
    }
    Spool::open(folder, config.spool_max).map_err(|error| match error {
        SpoolError::InUse(folder) => CommandError::InUse(folder).into(),
        error => error.into(),
    })
}

/// Returns a progress bar for long work; silent without a terminal.
fn progress(doing: &'static str) -> ProgressBar {
    let style = ProgressStyle::with_template("{spinner} {prefix} {human_pos} in {elapsed}");
    ProgressBar::new_spinner().with_style(style.unwrap_or_else(|_| ProgressStyle::default_spinner())).with_prefix(doing)
}

/// Formats a count for people: `1,234,567`.
fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::new();
    for (place, digit) in digits.chars().enumerate() {
        if place > 0 && (digits.len() - place).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// Formats a size for people: `12.3 MiB`.
fn sized(bytes: u64) -> String {
    for (unit, factor) in [("GiB", 1_u64 << 30), ("MiB", 1 << 20), ("KiB", 1 << 10)] {
        if bytes >= factor {
            let tenths = u128::from(bytes) * 10 / u128::from(factor);
            return format!("{}.{} {unit}", tenths / 10, tenths % 10);
        }
    }
    format!("{bytes} B")
}

/// Formats a moment for people, by whichever clock gave it.
fn moment(time: Micros) -> String {
    time.to_rfc3339().unwrap_or_else(|| time.to_string())
}

/// Formats a count with its noun: `1 record`, `2 records`.
fn counted(number: u64, noun: &str) -> String {
    format!("{} {noun}{}", grouped(number), if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_for_people() {
        assert_eq!([0, 999, 1_000, 1_234_567].map(grouped), ["0", "999", "1,000", "1,234,567"]);
        assert_eq!([0, 1_023, 1_536, 2 << 30].map(sized), ["0 B", "1023 B", "1.5 KiB", "2.0 GiB"]);
        assert_eq!((counted(1, "record"), counted(1_000, "frame")), ("1 record".to_owned(), "1,000 frames".to_owned()));
    }
}
