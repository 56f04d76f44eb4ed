//! Facts about the spool as a whole: format, position, clock, identity.

use std::fs::File;
use std::io::Write as _;
use std::path::Path;

use fjall::Keyspace;
use xxhash_rust::xxh3::xxh3_64;

use crate::clock::system_micros;
use crate::spool::{SpoolError, storage};

/// Number of bytes that [`probe`] writes.
const ROOM: usize = 1 << 20;

/// Returns the spool's identity; draws one for a new spool. No two daemons share it, not even those of one machine or
/// of a copied disk image that began without a spool.
pub(super) fn identity(meta: &Keyspace, folder: &Path) -> Result<String, SpoolError> {
    if let Some(name) = meta.get("daemon").map_err(storage("reading"))? {
        return Ok(String::from_utf8_lossy(&name).into_owned());
    }
    let host = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let host = if host.trim().is_empty() { "unnamed" } else { host.trim() };
    let seed = format!("{host} {} {} {}", folder.display(), std::process::id(), system_micros());
    let name = format!("{host}-{:016x}", xxh3_64(seed.as_bytes()));
    meta.insert("daemon", name.as_bytes()).map_err(storage("creating"))?;
    Ok(name)
}

/// Checks for room by writing a file and removing it: a disk without room for what a few seconds bring counts as full.
pub(super) fn probe(folder: &Path) -> Result<(), SpoolError> {
    let path = folder.join("room");
    let written = File::create(&path).and_then(|mut file| {
        file.write_all(&[0; ROOM])?;
        file.sync_all()
    });
    let removed = std::fs::remove_file(&path);
    written.and(removed).map_err(|error| storage("looking for room")(error.into()))
}

/// Returns true if the engine has created its database in a folder, or begun to.
pub(super) fn is_there(folder: &Path) -> bool {
    // What cannot be looked at is left alone.
    folder.join("version").try_exists().unwrap_or(true)
}

/// Removes what the engine has created in a folder, and nothing else. If that fails, the next attempt to open says why.
pub(super) fn take_away(folder: &Path) {
    for entry in std::fs::read_dir(folder).into_iter().flatten().flatten() {
        let path = entry.path();
        let name = entry.file_name();
        let is_journal = path.extension().is_some_and(|extension| extension == "jnl");
        let _removed = match name.to_str() {
            Some("keyspaces") => std::fs::remove_dir_all(path),
            Some("version" | "lock") => std::fs::remove_file(path),
            _ if is_journal => std::fs::remove_file(path),
            _ => Ok(()),
        };
    }
}

/// Reads a number by its name.
pub(super) fn get_number(keyspace: &Keyspace, name: &str) -> Result<Option<u64>, SpoolError> {
    let value = keyspace.get(name).map_err(storage("reading"))?;
    Ok(value.and_then(|bytes| bytes.as_ref().try_into().ok().map(u64::from_be_bytes)))
}
