use bytes::Bytes;
use flate2::{Compression, write::GzEncoder};
use std::io::{self, Write};

/// A content coding.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    /// As it is.
    Identity,
    /// RFC 1952.
    Gzip,
    /// RFC 8878.
    Zstd,
}

/// Fast levels: a page of order events shrinks to a tenth with either, and the function pays for its time.
const GZIP_LEVEL: u32 = 1;
const ZSTD_LEVEL: i32 = 1;
/// Shorter bodies are sent as they are: the coding would not make them shorter.
const WORTHWHILE: usize = 1_000;

impl Encoding {
    /// As in `Content-Encoding`.
    #[must_use]
    pub fn name(self) -> Option<&'static str> {
        match self {
            Encoding::Identity => None,
            Encoding::Gzip => Some("gzip"),
            Encoding::Zstd => Some("zstd"),
        }
    }

    /// Encodes a whole body, if it is worth it; tells how.
    ///
    /// # Errors
    ///
    /// Only when zstd cannot allocate its context.
    pub fn encode(self, body: Vec<u8>) -> io::Result<(Encoding, Bytes)> {
        if body.len() < WORTHWHILE {
            return Ok((Encoding::Identity, body.into()));
        }
        let mut encoder = Encoder::new(self)?;
        encoder.write(body)?;
        Ok((self, encoder.finish()?))
    }
}

/// Encodes a body piece by piece.
pub enum Encoder {
    /// What was written since the last [`Encoder::take`].
    Identity(Vec<u8>),
    /// gzip.
    Gzip(GzEncoder<Vec<u8>>),
    /// zstd.
    Zstd(zstd::stream::write::Encoder<'static, Vec<u8>>),
}

impl Encoder {
    /// An encoder that has seen nothing.
    ///
    /// # Errors
    ///
    /// Only when zstd cannot allocate its context.
    pub fn new(encoding: Encoding) -> io::Result<Encoder> {
        Ok(match encoding {
            Encoding::Identity => Encoder::Identity(Vec::new()),
            Encoding::Gzip => Encoder::Gzip(GzEncoder::new(Vec::new(), Compression::new(GZIP_LEVEL))),
            Encoding::Zstd => Encoder::Zstd(zstd::stream::write::Encoder::new(Vec::new(), ZSTD_LEVEL)?),
        })
    }

    /// Takes the next piece of the body.
    ///
    /// # Errors
    ///
    /// What the library reports; none in memory.
    pub fn write(&mut self, piece: Vec<u8>) -> io::Result<()> {
        match self {
            Encoder::Identity(written) if written.is_empty() => *written = piece,
            Encoder::Identity(written) => written.extend(piece),
            Encoder::Gzip(encoder) => encoder.write_all(&piece)?,
            Encoder::Zstd(encoder) => encoder.write_all(&piece)?,
        }
        Ok(())
    }

    /// Everything written so far in a form that the reader can decode now.
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

    /// The rest.
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
