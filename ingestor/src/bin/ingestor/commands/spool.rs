//! `ingestor spool`: lists and exports what waits for the table.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufWriter, Write};
use std::path::{Path, PathBuf};

use anyhow::Context as _;
use clap::{Arg, ArgMatches, Command, value_parser};
use ingestor::config::Config;
use ingestor::spool::record::{Payload, Record};
use ingestor::spool::{Spool, SpoolError};
use shared::time::Micros;

use ingestor::spool::line;

use super::{EXIT_DISK, counted, grouped, moment, open_spool, progress, sized};

const EXAMPLES: &str = "\
Examples:
  ingestor spool status --spool-dir /var/lib/bitstamp-live/spool
  ingestor spool verify
  ingestor spool export --to waiting.ndjson
  ingestor spool export | jq -r 'select(.frame).frame'

The daemon must be stopped: it locks its spool. While it runs, `ingestor status` shows what waits.
Exit codes: 0 all is well, 74 something is damaged or the disk fails, 75 in use, 78 there is no such spool.";

pub(super) fn command() -> Command {
    let to = Arg::new("to").long("to").value_name("FILE").value_parser(value_parser!(PathBuf));
    Command::new("spool")
        .about("Looks into the spool of a stopped daemon: what was received and is not in the table yet")
        .subcommand_required(true)
        .arg_required_else_help(true)
        .after_help(EXAMPLES)
        .subcommand(
            Command::new("status").about("How much waits, since when, from which connections").after_help(EXAMPLES),
        )
        .subcommand(
            Command::new("verify").about("Reads every record and says what is damaged or missing").after_help(EXAMPLES),
        )
        .subcommand(
            Command::new("export")
                .about("Writes the waiting records as lines of JSON; leaves the spool as it is")
                .after_help(EXAMPLES)
                .arg(to.help("Into a file, which appears when it is complete [default: standard output]")),
        )
}

pub(super) fn run(what: &str, matches: &ArgMatches, config: &Config, out: &mut dyn Write) -> anyhow::Result<u8> {
    let spool = open_spool(config)?;
    match what {
        "status" => status(&spool, out),
        "verify" => verify(&spool, out),
        _ => match matches.get_one::<PathBuf>("to") {
            Some(path) => into_file(path, |file| export(&spool, file)),
            None => export(&spool, out),
        },
    }
}

/// Sum over records that have something in common.
#[derive(Default)]
struct Sum {
    frames: u64,
    /// Number of connection events.
    stories: u64,
    /// Time of the oldest record, by the daemon's clock.
    oldest: Option<Micros>,
    newest: Option<Micros>,
}

impl Sum {
    fn add(&mut self, record: &Record) {
        match record.payload {
            Payload::ConnectionEvent(_) => self.stories += 1,
            _ => self.frames += 1,
        }
        let time = record.received_at;
        self.oldest = Some(self.oldest.map_or(time, |oldest| oldest.min(time)));
        self.newest = Some(self.newest.map_or(time, |newest| newest.max(time)));
    }

    fn since_until(&self) -> (String, String) {
        let show = |time: Option<Micros>| time.map_or_else(|| "-".to_owned(), moment);
        (show(self.oldest), show(self.newest))
    }
}

fn status(spool: &Spool, out: &mut dyn Write) -> anyhow::Result<u8> {
    let (mut all, mut connections, mut damaged) = (Sum::default(), BTreeMap::<u32, Sum>::new(), 0);
    let bar = progress("records read:");
    for read in spool.waiting() {
        bar.inc(1);
        match read {
            Ok((_, record)) => {
                all.add(&record);
                connections.entry(record.connection).or_default().add(&record);
            }
            Err(SpoolError::Damaged { .. }) => damaged += 1,
            Err(error) => return Err(error.into()),
        }
    }
    bar.finish_and_clear();
    let (oldest, newest) = all.since_until();
    writeln!(out, "waiting      {}, {} of its own", counted(all.frames, "frame"), counted(all.stories, "note"))?;
    writeln!(out, "oldest       {oldest}")?;
    writeln!(out, "newest       {newest}")?;
    writeln!(out, "position     {} is the first that is not in the table", spool.position())?;
    writeln!(out, "bytes        {} of {}", sized(spool.bytes()), sized(spool.max_bytes()))?;
    let quarantine = spool.quarantine();
    writeln!(out, "quarantine   {}, {}", counted(quarantine.count(), "record"), sized(quarantine.bytes()))?;
    by_connection(&connections, out)?;
    if damaged > 0 {
        writeln!(out, "\n{} damaged: `ingestor spool verify` names them", counted(damaged, "record"))?;
        return Ok(EXIT_DISK);
    }
    Ok(0)
}

/// Prints one line for each connection that brought frames: an exchange that is down leaves an event for each attempt.
fn by_connection(connections: &BTreeMap<u32, Sum>, out: &mut dyn Write) -> std::io::Result<()> {
    let with_frames: Vec<_> = connections.iter().filter(|(_, sum)| sum.frames > 0).collect();
    if !with_frames.is_empty() {
        writeln!(out, "\n{:<12} {:>12} {:>8}  {:<28} newest", "connection", "frames", "notes", "oldest")?;
    }
    for (connection, sum) in with_frames {
        let (oldest, newest) = sum.since_until();
        writeln!(
            out,
            "{connection:<12} {:>12} {:>8}  {oldest:<28} {newest}",
            grouped(sum.frames),
            grouped(sum.stories)
        )?;
    }
    Ok(())
}

fn verify(spool: &Spool, out: &mut dyn Write) -> anyhow::Result<u8> {
    let (mut all, mut damaged, mut missing) = (Sum::default(), 0_u64, 0);
    let mut expected = spool.position();
    let bar = progress("records read:");
    for read in spool.waiting() {
        bar.inc(1);
        let sequence = match &read {
            Ok((sequence, record)) => {
                all.add(record);
                *sequence
            }
            Err(error) => {
                damaged += 1;
                writeln!(out, "{error}")?;
                let SpoolError::Damaged { sequence, .. } = error else { break };
                *sequence
            }
        };
        if sequence > expected {
            missing += sequence - expected;
            writeln!(out, "records {expected} to {} of the spool are missing", sequence - 1)?;
        }
        expected = sequence + 1;
    }
    let mut entries = 0;
    for read in spool.quarantine().entries() {
        match read {
            Ok(_) => entries += 1,
            Err(error) => {
                damaged += 1;
                writeln!(out, "in the quarantine: {error}")?;
                if !matches!(error, SpoolError::Damaged { .. }) {
                    break;
                }
            }
        }
    }
    bar.finish_and_clear();
    let (frames, stories) = (counted(all.frames, "frame"), counted(all.stories, "note"));
    writeln!(out, "{frames}, {stories}, {entries} in the quarantine; {damaged} damaged, {missing} missing")?;
    Ok(if damaged + missing == 0 { 0 } else { EXIT_DISK })
}

fn export(spool: &Spool, out: &mut dyn Write) -> anyhow::Result<u8> {
    let bar = progress("records written:");
    let mut damaged = 0_u64;
    for read in spool.waiting() {
        match read {
            Ok((sequence, record)) => line::write(out, sequence, &record, None)?,
            Err(SpoolError::Damaged { .. }) => damaged += 1,
            Err(error) => return Err(error.into()),
        }
        bar.inc(1);
    }
    bar.finish_and_clear();
    if damaged > 0 {
        tracing::error!(damaged, "damaged records were left out, `ingestor spool verify` names them");
        return Ok(EXIT_DISK);
    }
    Ok(0)
}

/// Writes a file beside its final name and renames it once it is complete and durable.
pub(super) fn into_file(path: &Path, write: impl FnOnce(&mut dyn Write) -> anyhow::Result<u8>) -> anyhow::Result<u8> {
    let shown = path.display();
    let mut beside = path.as_os_str().to_owned();
    beside.push(".part");
    if path.try_exists().with_context(|| format!("cannot look for `{shown}`"))? {
        anyhow::bail!("`{shown}` is there already; remove it or name another file");
    }
    let mut file = BufWriter::new(File::create(&beside).with_context(|| format!("cannot create `{shown}.part`"))?);
    let code = write(&mut file)?;
    file.flush().and_then(|()| file.get_ref().sync_all()).with_context(|| format!("cannot write `{shown}.part`"))?;
    std::fs::rename(&beside, path).with_context(|| format!("cannot rename `{shown}.part`"))?;
    Ok(code)
}
