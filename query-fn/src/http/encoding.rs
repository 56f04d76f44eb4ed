//! Compresses bodies with gzip or zstd, whole or piece by piece.

use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use std::io::{self, Write};

/// A content coding of HTTP.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// No compression.
    Identity,
    /// gzip (RFC 1952).
    Gzip,
    /// zstd (RFC 8878).
    Zstd,
}

/// The compression levels, both fast: a page of order events shrinks to a tenth with either, and the function pays for its time.
const GZIP_LEVEL: u32 = 1;
const ZSTD_LEVEL: i32 = 1;
/// The shortest body that is compressed, bytes: compression makes shorter ones no shorter.
const WORTHWHILE: usize = 1_000;

impl Encoding {
    /// Returns the name in `Content-Encoding`; `None` without compression.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        match self {
            Encoding::Identity => None,
            Encoding::Gzip => Some("gzip"),
            Encoding::Zstd => Some("zstd"),
        }
    }

    /// Encodes a whole body, unless it is short; returns it with the coding that was used.
    ///
    /// # Errors
    ///
    /// An [`io::Error`] if zstd cannot allocate its context.
    pub fn encode(self, body: Vec<u8>) -> io::Result<(Encoding, Bytes)> {
        if body.len() < WORTHWHILE {
            return Ok((Encoding::Identity, body.into()));
        }
        let mut encoder = Encoder::new(self)?;
        encoder.write(body)?;
        Ok((self, encoder.finish()?))
    }
}

/// Encodes a body piece by piece; each variant holds the bytes since the last [`Encoder::take`].
pub enum Encoder {
    /// No compression.
    Identity(Vec<u8>),
    /// gzip (RFC 1952).
    Gzip(GzEncoder<Vec<u8>>),
    /// zstd (RFC 8878).
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Encoder {
    /// Returns an encoder for a new body.
    ///
    /// # Errors
    ///
    /// An [`io::Error`] if zstd cannot allocate its context.
    pub fn new(encoding: Encoding) -> io::Result<Encoder> {
        Ok(match encoding {
            Encoding::Identity => Encoder::Identity(Vec::new()),
            Encoding::Gzip => Encoder::Gzip(GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL))),
            Encoding::Zstd => Encoder::Zstd(zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?),
        })
    }

    /// Encodes the next piece of the body.
    ///
    /// # Errors
    ///
    /// An [`io::Error`] of the library; writing into memory has none.
    pub fn write(&mut self, piece: Vec<u8>) -> io::Result<()> {
        match self {
            Encoder::Identity(written) if written.is_empty() => *written = piece,
            Encoder::Identity(written) => written.extend(piece),
            Encoder::Gzip(encoder) => encoder.write_all(&piece)?,
            Encoder::Zstd(encoder) => encoder.write_all(&piece)?,
        }
        Ok(())
    }

    /// Flushes the encoder and takes the bytes since the last call: the client can decode all pieces written so far.
    ///
    /// # Errors
    ///
    /// As [`Encoder::write`].
    pub fn take(&mut self) -> io::Result<Bytes> {
        let written = match self {
            Encoder::Identity(written) => written,
            Encoder::Gzip(encoder) => {
                encoder.flush()?;
                encoder.get_mut()
            }
            Encoder::Zstd(encoder) => {
                encoder.flush()?;
                encoder.get_mut()
            }
        };
        Ok(std::mem::take(written).into())
    }

    /// Ends the body and returns its last bytes.
    ///
    /// # Errors
    ///
    /// As [`Encoder::write`].
    pub fn finish(self) -> io::Result<Bytes> {
        Ok(match self {
            Encoder::Identity(written) => written,
            Encoder::Gzip(encoder) => encoder.finish()?,
            Encoder::Zstd(encoder) => encoder.finish()?,
        }
        .into())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::io::Read;

    #[test]
    fn pieces_can_be_read_as_they_come_and_together() {
        let text = "{\"id\":1}\n".repeat(500);
        for encoding in [Encoding::Identity, Encoding::Gzip, Encoding::Zstd] {
            let mut encoder = Encoder::new(encoding).unwrap();
            let mut sent = Vec::new();
            for piece in text.as_bytes().chunks(1000) {
                encoder.write(piece.to_vec()).unwrap();
                let taken = encoder.take().unwrap();
                assert!(!taken.is_empty());
                sent.extend(taken);
            }
            sent.extend(encoder.finish().unwrap());
            let decoded = match encoding {
                Encoding::Identity => sent,
                Encoding::Gzip => {
                    let mut decoded = Vec::new();
                    flate2::read::GzDecoder::new(&sent[..]).read_to_end(&mut decoded).unwrap();
                    decoded
                }
                Encoding::Zstd => zstd::stream::decode_all(&sent[..]).unwrap(),
            };
            assert_eq!(decoded, text.as_bytes());
        }
    }
}
