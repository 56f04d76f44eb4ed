//! Iterates over the records of a spool that nothing writes to.

use std::path::Path;

use crate::spool::record::Record;
use crate::spool::{Spool, SpoolError, lock, storage};

/// File by which the engine marks a folder as its own.
const MARKER: &str = "version";

impl Spool {
    /// Returns true if there is a spool in `folder`; [`Spool::open`] would create one.
    ///
    /// # Errors
    ///
    /// Fails if the folder cannot be read.
    pub fn is_in(folder: &Path) -> std::io::Result<bool> {
        folder.join(MARKER).try_exists()
    }

    /// Returns every durable record that is not settled, oldest first, each read when it is asked for.
    ///
    /// A damaged record is an error in its place, and those after it follow; after an error of the disk nothing does.
    pub fn waiting(&self) -> impl Iterator<Item = Result<(u64, Record), SpoolError>> {
        let (position, durable) = (self.position(), *self.durable.borrow());
        let segments = lock(&self.segments).covering(position..durable);
        let mut failed = false;
        segments
            .into_iter()
            .flat_map(move |segment| segment.range(position.to_be_bytes()..durable.to_be_bytes()))
            .map(|entry| {
                let (key, value) = entry.into_inner().map_err(storage("reading"))?;
                let sequence = key.as_ref().try_into().map(u64::from_be_bytes).unwrap_or_default();
                let record = Record::decode(&value).map_err(|source| SpoolError::Damaged { sequence, source })?;
                Ok((sequence, record))
            })
            .take_while(move |read| {
                let goes_on = !failed;
                failed = matches!(read, Err(error) if !matches!(error, SpoolError::Damaged { .. }));
                goes_on
            })
    }
}
