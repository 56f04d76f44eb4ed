//! Frames that a client does not expect.

/// A kind of frame that is not what it should be.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Garbage {
    /// A text frame cut in the middle of its JSON.
    InvalidJson,
    /// Well-formed, with a number where a string stands and the other way round.
    WrongTypes,
    /// A trade without its ids and times.
    MissingIds,
    /// A binary frame.
    Binary,
    /// A text frame whose bytes are no UTF-8.
    InvalidUtf8,
    /// A text frame of a megabyte.
    Oversize,
}

impl Garbage {
    /// Every kind, in the order in which a mix of them is sent. Clients must drop the connection on invalid UTF-8
    /// (RFC 6455 section 8.1), so it comes last.
    pub const ALL: [Self; 6] =
        [Self::InvalidJson, Self::WrongTypes, Self::MissingIds, Self::Binary, Self::Oversize, Self::InvalidUtf8];

    /// Name in scripts.
    pub fn name(self) -> &'static str {
        match self {
            Self::InvalidJson => "invalid-json",
            Self::WrongTypes => "wrong-types",
            Self::MissingIds => "missing-ids",
            Self::Binary => "binary",
            Self::InvalidUtf8 => "invalid-utf8",
            Self::Oversize => "oversize",
        }
    }

    /// The payload for a channel; `number` makes each one different.
    pub(crate) fn payload(self, channel: &str, number: u64) -> Vec<u8> {
        match self {
            Self::InvalidJson => format!(r#"{{"data":{{"id":{number},"amount":0.1,"amount_str":"0.1"#).into_bytes(),
            Self::WrongTypes => format!(
                r#"{{"data":{{"id":"no number {number}","amount":{{}},"price":[],"microtimestamp":true}},"channel":"{channel}","event":"trade"}}"#
            )
            .into_bytes(),
            Self::MissingIds => {
                format!(r#"{{"data":{{"amount":0.1,"number":{number}}},"channel":"{channel}","event":"trade"}}"#).into_bytes()
            }
            Self::Binary => [b"\x00\x01\xfe\xff", number.to_be_bytes().as_slice()].concat(),
            Self::InvalidUtf8 => {
                [br#"{"data":{"id":"#, number.to_string().as_bytes(), b",\"note\":\"\xff\xfe\"}}"].concat()
            }
            Self::Oversize => {
                let filler = "x".repeat(1 << 20);
                format!(r#"{{"data":{{"id":{number},"filler":"{filler}"}},"channel":"{channel}","event":"trade"}}"#).into_bytes()
            }
        }
    }
}
