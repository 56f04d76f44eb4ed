//! One record of the spool and its bytes.

use shared::time::Micros;

/// One record of the spool: a message as it was received, or a connection event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Record {
    /// When it was received, by the daemon's clock; strictly increasing within a daemon.
    pub received_at: Micros,
    /// Number of the connection, counted from one within a run of the daemon; zero for the daemon itself.
    pub connection: u32,
    /// Content of the record.
    pub payload: Payload,
}

/// Content of a record.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Payload {
    /// A text message as received.
    Text(Vec<u8>),
    /// A binary message as received; the exchange sends none.
    Binary(Vec<u8>),
    /// The reason why a message could not be received.
    Refused(String),
    /// A [`ConnectionEvent`] as JSON.
    ConnectionEvent(Vec<u8>),
    /// Bytes of the spool that this version cannot read as a record.
    Unreadable(Vec<u8>),
}

/// Why bytes are no record.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Fewer bytes than every record has.
    #[error("it has only {0} bytes")]
    Short(usize),
    /// A kind that this version does not know.
    #[error("its kind is {0}")]
    Kind(u8),
}

const HEAD: usize = 13;

impl Record {
    /// Encodes the record for the spool: kind (1 byte), connection (4, little endian), received time (8, little
    /// endian), payload.
    #[must_use]
    pub fn encode(&self) -> Vec<u8> {
        let (kind, payload) = match &self.payload {
            Payload::Text(bytes) => (1, bytes.as_slice()),
            Payload::Binary(bytes) => (2, bytes.as_slice()),
            Payload::Refused(reason) => (3, reason.as_bytes()),
            Payload::ConnectionEvent(event) => (4, event.as_slice()),
            Payload::Unreadable(bytes) => (5, bytes.as_slice()),
        };
        let mut bytes = Vec::with_capacity(HEAD + payload.len());
        bytes.push(kind);
        bytes.extend(self.connection.to_le_bytes());
        bytes.extend(self.received_at.0.to_le_bytes());
        bytes.extend(payload);
        bytes
    }

    /// Creates a record that carries unreadable bytes to the quarantine; its time and connection are unknown.
    #[must_use]
    pub fn unreadable(bytes: &[u8]) -> Record {
        Record { received_at: Micros(0), connection: 0, payload: Payload::Unreadable(bytes.to_vec()) }
    }

    /// Reads what [`Record::encode`] wrote.
    ///
    /// # Errors
    ///
    /// Returns a [`RecordError`] for other bytes.
    pub fn decode(bytes: &[u8]) -> Result<Record, RecordError> {
        let short = || RecordError::Short(bytes.len());
        let (kind, rest) = bytes.split_first().ok_or_else(short)?;
        let (connection, rest) = rest.split_first_chunk().ok_or_else(short)?;
        let (received_at, payload) = rest.split_first_chunk().ok_or_else(short)?;
        let payload = match kind {
            1 => Payload::Text(payload.to_vec()),
            2 => Payload::Binary(payload.to_vec()),
            3 => Payload::Refused(String::from_utf8_lossy(payload).into_owned()),
            4 => Payload::ConnectionEvent(payload.to_vec()),
            5 => Payload::Unreadable(payload.to_vec()),
            other => return Err(RecordError::Kind(*other)),
        };
        Ok(Record {
            received_at: Micros(u64::from_le_bytes(*received_at)),
            connection: u32::from_le_bytes(*connection),
            payload,
        })
    }
}

/// What happens to a connection, and to the intake as a whole.
#[derive(Clone, Debug, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
#[serde(tag = "story", rename_all = "snake_case")]
pub enum ConnectionEvent {
    /// The connection was opened; nothing is subscribed yet.
    Connected,
    /// The exchange confirmed a subscription.
    Subscribed {
        /// The channel.
        channel: String,
    },
    /// The exchange answered a heartbeat: whatever it sent until the heartbeat left has arrived and stands before this
    /// record.
    Proved {
        /// When the heartbeat left, microseconds since the Unix epoch by the daemon's clock.
        through: u64,
    },
    /// The connection ended, or could not be opened.
    Lost {
        /// The reason in words.
        reason: String,
    },
    /// The daemon started; connections of the run before are lost.
    Started,
    /// The machine's clock was set: times before this record and after it do not fit together.
    ClockSet {
        /// Size of the step in microseconds; negative if the clock was set back.
        by: i64,
    },
    /// The spool is full: frames are missed from here on.
    IntakeStopped,
    /// The spool has room again.
    IntakeResumed,
}

impl ConnectionEvent {
    /// Encodes the event as a record.
    #[must_use]
    pub fn record(&self, connection: u32, received_at: Micros) -> Record {
        let json = serde_json::to_vec(self).expect("a connection event is strings, which always become json");
        Record { received_at, connection, payload: Payload::ConnectionEvent(json) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn every_record_comes_back(bytes in prop::collection::vec(any::<u8>(), 0..200), kind in 0..5, connection: u32, at: u64) {
            let payload = match kind {
                0 => Payload::Text(bytes),
                1 => Payload::Binary(bytes),
                2 => Payload::Refused(String::from_utf8_lossy(&bytes).into_owned()),
                3 => Payload::ConnectionEvent(bytes),
                _ => Payload::Unreadable(bytes),
            };
            let record = Record { received_at: Micros(at), connection, payload };
            prop_assert_eq!(Record::decode(&record.encode()), Ok(record));
        }

        #[test]
        fn no_bytes_panic(bytes in prop::collection::vec(any::<u8>(), 0..30)) {
            let decoded = Record::decode(&bytes);
            prop_assert_eq!(decoded.is_ok(), bytes.len() >= HEAD && (1..=5).contains(&bytes[0]));
        }
    }
}
