//! Checks the spool's folder and its disk.

use std::io::Write as _;
use std::path::Path;

use ingestor::config::Config;
use rustix::fs::statvfs;

use super::Found;
use crate::commands::sized;

/// Largest size of the journal that the spool's engine keeps beside the records, in bytes (`Spool::open`).
const JOURNAL: u64 = 64 << 20;

pub(super) fn check(config: &Config) -> Found {
    let folder = &config.spool_dir;
    let shown = folder.display();
    let remedy = "; mend that or set --spool-dir";
    let there = nearest(folder).map_err(|error| format!("`{shown}`: {error}{remedy}"))?;
    probe(there).map_err(|error| format!("`{}` cannot be written to: {error}{remedy}", there.display()))?;
    let disk = statvfs(there).map_err(|error| format!("`{shown}`: {error}{remedy}"))?;
    let free = disk.f_bavail.saturating_mul(disk.f_frsize);
    let held = if folder.is_dir() { size_of(folder).unwrap_or(0) } else { 0 };
    let needed = (config.spool_max + JOURNAL).saturating_sub(held);
    let max = sized(config.spool_max);
    if free < needed {
        let (free, needed) = (sized(free), sized(needed));
        return Err(format!(
            "`{shown}`: the disk has {free} free, and {needed} more may be needed for --spool-max {max}; make room or lower it"
        ));
    }
    Ok(format!("`{shown}` can be written to; {} free, --spool-max is {max}", sized(free)))
}

/// Returns the folder, or the nearest one above it that exists: the daemon creates the rest.
fn nearest(folder: &Path) -> std::io::Result<&Path> {
    for path in folder.ancestors() {
        let path = if path.as_os_str().is_empty() { Path::new(".") } else { path };
        match std::fs::metadata(path) {
            Ok(found) if found.is_dir() => return Ok(path),
            Ok(_) => return Err(std::io::ErrorKind::NotADirectory.into()),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(Path::new("."))
}

/// Writes a file, makes it durable and removes it.
fn probe(folder: &Path) -> std::io::Result<()> {
    let path = folder.join(format!(".ingestor-check-{}", std::process::id()));
    let mut file = std::fs::File::create_new(&path)?;
    let written = file.write_all(b"written by `ingestor check`, may be deleted\n").and_then(|()| file.sync_all());
    let removed = std::fs::remove_file(&path);
    written.and(removed)
}

/// Returns the size of a folder's files, in bytes.
fn size_of(folder: &Path) -> std::io::Result<u64> {
    let mut bytes = 0;
    for entry in std::fs::read_dir(folder)? {
        let entry = entry?;
        let kind = entry.metadata()?;
        bytes += if kind.is_dir() { size_of(&entry.path())? } else { kind.len() };
    }
    Ok(bytes)
}
