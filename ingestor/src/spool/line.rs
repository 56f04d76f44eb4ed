//! Writes a record as one line of JSON.

use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use serde::Serialize;
use serde_json::Value;

use crate::spool::record::{Payload, Record};

/// A record as a line of JSON. Exactly one of the last four fields is present.
#[derive(Serialize)]
struct JsonLine<'record> {
    sequence: u64,
    /// Microseconds since the Unix epoch, by the daemon's clock.
    received_at: u64,
    connection: u32,
    /// Why the record is in the quarantine.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'record str>,
    /// The text message, byte for byte.
    #[serde(skip_serializing_if = "Option::is_none")]
    frame: Option<&'record str>,
    /// The bytes of a binary message, of a text that is not UTF-8, or of an unreadable record.
    #[serde(skip_serializing_if = "Option::is_none")]
    frame_base64: Option<String>,
    /// Why a message could not be received; its bytes are lost.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<&'record str>,
    /// The connection event.
    #[serde(skip_serializing_if = "Option::is_none")]
    story: Option<Value>,
}

/// Writes a record as one line.
///
/// # Errors
///
/// Returns the error of `out`.
pub fn write(out: &mut dyn Write, sequence: u64, record: &Record, reason: Option<&str>) -> std::io::Result<()> {
    let mut line = JsonLine {
        sequence,
        received_at: record.received_at.0,
        connection: record.connection,
        reason,
        frame: None,
        frame_base64: None,
        refused: None,
        story: None,
    };
    match &record.payload {
        Payload::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => line.frame = Some(text),
            Err(_) => line.frame_base64 = Some(STANDARD.encode(bytes)),
        },
        Payload::Binary(bytes) | Payload::Unreadable(bytes) => line.frame_base64 = Some(STANDARD.encode(bytes)),
        Payload::Refused(reason) => line.refused = Some(reason),
        Payload::ConnectionEvent(bytes) => {
            let text = || Value::String(String::from_utf8_lossy(bytes).into_owned());
            line.story = Some(serde_json::from_slice(bytes).unwrap_or_else(|_| text()));
        }
    }
    serde_json::to_writer(&mut *out, &line)?;
    out.write_all(b"\n")
}

/// Returns the beginning of a record on one line, for people.
#[must_use]
pub fn beginning(record: &Record, characters: usize) -> String {
    let bytes = match &record.payload {
        Payload::Text(bytes)
        | Payload::Binary(bytes)
        | Payload::ConnectionEvent(bytes)
        | Payload::Unreadable(bytes) => bytes.as_slice(),
        Payload::Refused(_) => b"",
    };
    // No character takes more than four bytes, so these are enough.
    let bytes = bytes.get(..bytes.len().min(characters * 4)).unwrap_or_default();
    let shown = |c: char| if c.is_control() { char::REPLACEMENT_CHARACTER } else { c };
    String::from_utf8_lossy(bytes).chars().take(characters).map(shown).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use shared::time::Micros;

    #[test]
    fn what_is_exported_is_what_was_received() {
        let text = "{\"a\": \"\u{e9}\\n\"}\r\n";
        for (payload, expected) in [
            (Payload::Text(text.into()), serde_json::json!({ "frame": text })),
            (Payload::Text(vec![0xff]), serde_json::json!({ "frame_base64": "/w==" })),
            (Payload::Binary(vec![0, 1]), serde_json::json!({ "frame_base64": "AAE=" })),
            (Payload::Refused("too large".into()), serde_json::json!({ "refused": "too large" })),
            (
                Payload::ConnectionEvent(br#"{"story":"started"}"#.into()),
                serde_json::json!({ "story": { "story": "started" } }),
            ),
        ] {
            let mut out = Vec::new();
            write(&mut out, 7, &Record { received_at: Micros(1), connection: 2, payload }, None).unwrap();
            let mut line: Value = serde_json::from_slice(&out).unwrap();
            let head: Vec<_> = ["sequence", "received_at", "connection"].map(|name| line[name].to_string()).into();
            assert_eq!(head, ["7", "1", "2"]);
            line.as_object_mut().unwrap().retain(|name, _| expected.get(name).is_some());
            assert_eq!(line, expected);
            assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1);
        }
    }

    #[test]
    fn a_beginning_stays_on_its_line() {
        let record =
            |bytes: &[u8]| Record { received_at: Micros(1), connection: 1, payload: Payload::Text(bytes.into()) };
        assert_eq!(beginning(&record("\u{e9}\u{e9}\n\tabc".as_bytes()), 5), "\u{e9}\u{e9}\u{fffd}\u{fffd}a");
        assert_eq!(beginning(&record(&[0xff]), 5), "\u{fffd}");
    }
}
