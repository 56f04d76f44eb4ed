use shared::time::Micros;

/// What came from a connection, or what happened to it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// When, by the daemon's clock; strictly increasing within a daemon.
    pub received_at: Micros,
    /// Which connection, counted from one within a run of the daemon; zero: the daemon itself.
    pub connection: u32,
    /// What.
    pub content: Content,
}

/// What a record holds.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Content {
    /// A text message, as it came.
    Text(Vec<u8>),
    /// A binary message, as it came; the exchange sends none.
    Binary(Vec<u8>),
    /// A message that could not be received, with the reason.
    Refused(String),
    /// What happened to the connection: [`Story`] as JSON.
    Story(Vec<u8>),
}

/// Why bytes are no record.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Shorter than the fields that every record has.
    #[error("it has only {0} bytes")]
    Short(usize),
    /// A kind that this version does not know.
    #[error("its kind is {0}")]
    Kind(u8),
}

const HEAD: usize = 13;

impl Record {
    /// Bytes of it in the spool: kind (1), connection (4, little endian), received time (8, little endian), content.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (kind, content) = match &self.content {
            Content::Text(bytes) => (1, bytes.as_slice()),
            Content::Binary(bytes) => (2, bytes.as_slice()),
            Content::Refused(reason) => (3, reason.as_bytes()),
            Content::Story(story) => (4, story.as_slice()),
        };
        let mut bytes = Vec::with_capacity(HEAD + content.len());
        bytes.push(kind);
        bytes.extend(self.connection.to_le_bytes());
        bytes.extend(self.received_at.0.to_le_bytes());
        bytes.extend(content);
        bytes
    }

    /// Reads what [`Record::encode`] wrote.
    ///
    /// # Errors
    ///
    /// [`RecordError`] for other bytes.
    pub fn decode(bytes: &[u8]) -> Result<Record, RecordError> {
        let short = || RecordError::Short(bytes.len());
        let (kind, rest) = bytes.split_first().ok_or_else(short)?;
        let (connection, rest) = rest.split_first_chunk().ok_or_else(short)?;
        let (received_at, content) = rest.split_first_chunk().ok_or_else(short)?;
        let content = match kind {
            1 => Content::Text(content.to_vec()),
            2 => Content::Binary(content.to_vec()),
            3 => Content::Refused(String::from_utf8_lossy(content).into_owned()),
            4 => Content::Story(content.to_vec()),
            other => return Err(RecordError::Kind(*other)),
        };
        Ok(Record {
            received_at: Micros(u64::from_le_bytes(*received_at)),
            connection: u32::from_le_bytes(*connection),
            content,
        })
    }
}

/// What happens to a connection, and to the intake as a whole.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "story", rename_all = "snake_case")]
pub enum Story {
    /// Open; nothing is subscribed yet.
    Connected,
    /// The exchange confirmed a subscription.
    Subscribed {
        /// The channel.
        channel: String,
    },
    /// The exchange answered a heartbeat: whatever it sent until then has arrived and stands before this record.
    Proved {
        /// When the heartbeat left, microseconds since the Unix epoch by the daemon's clock.
        through: u64,
    },
    /// Closed, by whom and why.
    Lost {
        /// In words.
        reason: String,
    },
    /// The daemon started; whatever was open before is lost.
    Started,
    /// The spool is full: frames are missed from here on.
    IntakeStopped,
    /// The spool has room again.
    IntakeResumed,
}

impl Story {
    /// The record of it.
    #[must_use]
    pub fn record(&self, connection: u32, received_at: Micros) -> Record {
        let json = serde_json::to_vec(self).expect("a story is strings, which always become json");
        Record { received_at, connection, content: Content::Story(json) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_record_comes_back(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0..4, connection: u32, at: u64) {
            let content = match kind {
                0 => Content::Text(bytes),
                1 => Content::Binary(bytes),
                2 => Content::Refused(String::from_utf8_lossy(&bytes).into_owned()),
                _ => Content::Story(bytes),
            };
            let record = Record { received_at: Micros(at), connection, content };
            prop_assert_eq!(Record::decode(&record.encode()), Ok(record));
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..30)) {
            let decoded = Record::decode(&bytes);
            prop_assert_eq!(decoded.is_ok(), bytes.len() >= HEAD && (1..=4).contains(&bytes[0]));
        }
    }
}
