use std::path::Path;

use fjall::Keyspace;
use xxhash_rust::xxh3::xxh3_64;

use crate::clock::system_micros;
use crate::spool::{SpoolError, storage};

/// Two daemons never share it, not even those of one machine or of a copied disk image that began without a spool.
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

/// A number by its name.
pub(super) fn get_number(keyspace: &Keyspace, name: &str) -> Result<Option<u64>, SpoolError> {
    let value = keyspace.get(name).map_err(storage("reading"))?;
    Ok(value.and_then(|bytes| bytes.as_ref().try_into().ok().map(u64::from_be_bytes)))
}
