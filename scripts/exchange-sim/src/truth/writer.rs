//! Writes the truth file.

use std::fs::File;
use std::io::{self, BufWriter, Write};
use std::path::Path;

use serde::Serialize;

use crate::truth::{Kind, What};

/// Writes the truth file, or nothing where none is asked for.
#[derive(Debug, Default)]
pub(crate) struct Writer {
    file: Option<BufWriter<File>>,
    seq: u64,
}

impl Writer {
    pub(crate) fn create(path: Option<&Path>) -> io::Result<Self> {
        let file = path.map(File::create).transpose()?.map(|file| BufWriter::with_capacity(1 << 18, file));
        Ok(Self { file, seq: 0 })
    }

    /// Whether anything is written at all.
    pub(crate) fn is_on(&self) -> bool {
        self.file.is_some()
    }

    pub(crate) fn frame(&mut self, at: u64, kind: Kind, connections: &[u64], frame: &[u8], exact: bool) {
        self.seq += 1;
        let line = FrameLine {
            seq: self.seq,
            at,
            kind,
            connections,
            frame: &String::from_utf8_lossy(frame),
            hex: (!exact).then(|| frame.iter().map(|byte| format!("{byte:02x}")).collect()),
        };
        self.write(&line);
    }

    pub(crate) fn change(&mut self, connection: u64, at: u64, what: What, sent: Option<u64>) {
        self.write(&ChangeLine { connection, at, what, sent });
    }

    pub(crate) fn flush(&mut self) {
        let result = self.file.as_mut().map_or(Ok(()), Write::flush);
        self.check(result);
    }

    fn write(&mut self, line: &impl Serialize) {
        let Some(file) = &mut self.file else { return };
        let result =
            serde_json::to_writer(&mut *file, line).map_err(io::Error::from).and_then(|()| file.write_all(b"\n"));
        self.check(result);
    }

    /// A truth with a hole is none: after a failure nothing more is written, and the log says so.
    fn check(&mut self, result: io::Result<()>) {
        if let Err(error) = result {
            tracing::error!(%error, "the truth file cannot be written and ends here");
            self.file = None;
        }
    }
}

#[derive(Serialize)]
struct FrameLine<'a> {
    seq: u64,
    at: u64,
    kind: Kind,
    connections: &'a [u64],
    frame: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    hex: Option<String>,
}

#[derive(Serialize)]
struct ChangeLine {
    connection: u64,
    at: u64,
    #[serde(flatten)]
    what: What,
    #[serde(skip_serializing_if = "Option::is_none")]
    sent: Option<u64>,
}
