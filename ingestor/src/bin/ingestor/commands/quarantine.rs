//! `ingestor quarantine`: lists, exports and retries what could not be stored.

use std::io::Write;
use std::path::PathBuf;

use clap::{Arg, ArgMatches, Command, value_parser};
use ingestor::config::Config;
use ingestor::spool::quarantine::{Quarantine, QuarantineEntry};
use ingestor::spool::{SpoolError, line};

use super::spool::into_file;
use super::{EXIT_DISK, moment, open_spool};

mod retry;

use retry::retry;

/// Length of a record in the list, in characters.
const SHOWN: usize = 80;

const EXAMPLES: &str = "\
Examples:
  ingestor quarantine list
  ingestor quarantine export --to quarantine.ndjson
  ingestor quarantine retry --region eu-central-1      after an upgrade that can store what was refused

The daemon must be stopped: it locks its spool. While it runs, `ingestor status` shows how many there are.
Exit codes: 0 done, and after a retry nothing is left; 1 some stay; 69 the store cannot be reached; 74 the disk fails or an
entry is damaged; 75 in use; 78 there is no such spool, or the table is wrong.";

pub(super) fn command() -> Command {
    let to = Arg::new("to").long("to").value_name("FILE").value_parser(value_parser!(PathBuf));
    Command::new("quarantine")
        .about("What could not be stored: lists it, exports it, puts it into the table after a fix")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .after_help(EXAMPLES)
        .subcommand(
            Command::new("list")
                .about("One line each: sequence, received, reason, beginning; parted by tabs")
                .after_help(EXAMPLES),
        )
        .subcommand(
            Command::new("export")
                .about("Writes the entries with their reasons as lines of JSON; leaves them where they are")
                .after_help(EXAMPLES)
                .arg(to.help("Into a file, which appears when it is complete [default: standard output]")),
        )
        .subcommand(
            Command::new("retry")
                .about("Writes each entry to the table as the daemon would now; what is stored leaves the quarantine")
                .after_help(EXAMPLES),
        )
}

pub(super) async fn run(what: &str, matches: &ArgMatches, config: &Config, out: &mut dyn Write) -> anyhow::Result<u8> {
    let spool = open_spool(config)?;
    match what {
        "list" => list(spool.quarantine(), out),
        "retry" => retry(&spool, config, out).await,
        _ => match matches.get_one::<PathBuf>("to") {
            Some(path) => into_file(path, |file| export(spool.quarantine(), file)),
            None => export(spool.quarantine(), out),
        },
    }
}

fn list(quarantine: &Quarantine, out: &mut dyn Write) -> anyhow::Result<u8> {
    each(quarantine, |QuarantineEntry { sequence, reason, record }| {
        let reason = reason.replace(char::is_control, " ");
        let (received, beginning) = (moment(record.received_at), line::beginning(&record, SHOWN));
        writeln!(out, "{sequence}\t{received}\t{reason}\t{beginning}")
    })
}

fn export(quarantine: &Quarantine, out: &mut dyn Write) -> anyhow::Result<u8> {
    each(quarantine, |entry| line::write(out, entry.sequence, &entry.record, Some(&entry.reason)))
}

/// Passes every readable entry to `write` and logs those that are damaged.
fn each(quarantine: &Quarantine, mut write: impl FnMut(QuarantineEntry) -> std::io::Result<()>) -> anyhow::Result<u8> {
    let mut code = 0;
    for read in quarantine.entries() {
        match read {
            Ok(entry) => write(entry)?,
            Err(error @ SpoolError::Damaged { .. }) => {
                tracing::error!(%error, "an entry of the quarantine is left out");
                code = EXIT_DISK;
            }
            Err(error) => return Err(error.into()),
        }
    }
    Ok(code)
}
