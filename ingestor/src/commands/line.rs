use std::io::Write;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use ingestor::spool::record::{Content, Record};
use serde::Serialize;
use serde_json::Value;

/// A record as a line of JSON. Exactly one of the last four says what it is.
#[derive(Serialize)]
struct Line<'record> {
    sequence: u64,
    /// Microseconds since the Unix epoch, by the daemon's clock.
    received_at: u64,
    connection: u32,
    /// Why it is in the quarantine.
    #[serde(skip_serializing_if = "Option::is_none")]
    reason: Option<&'record str>,
    /// The text message, to the letter.
    #[serde(skip_serializing_if = "Option::is_none")]
    frame: Option<&'record str>,
    /// The bytes of a binary message, or of a text that is none.
    #[serde(skip_serializing_if = "Option::is_none")]
    frame_base64: Option<String>,
    /// Why a message could not be received; there are no bytes of it.
    #[serde(skip_serializing_if = "Option::is_none")]
    refused: Option<&'record str>,
    /// What happened to the connection.
    #[serde(skip_serializing_if = "Option::is_none")]
    story: Option<Value>,
}

/// Writes one line.
///
/// # Errors
///
/// Whatever `out` says.
pub(super) fn write(out: &mut dyn Write, sequence: u64, record: &Record, reason: Option<&str>) -> std::io::Result<()> {
    let mut line = Line {
        sequence,
        received_at: record.received_at.0,
        connection: record.connection,
        reason,
        frame: None,
        frame_base64: None,
        refused: None,
        story: None,
    };
    match &record.content {
        Content::Text(bytes) => match std::str::from_utf8(bytes) {
            Ok(text) => line.frame = Some(text),
            Err(_) => line.frame_base64 = Some(STANDARD.encode(bytes)),
        },
        Content::Binary(bytes) => line.frame_base64 = Some(STANDARD.encode(bytes)),
        Content::Refused(reason) => line.refused = Some(reason),
        Content::Story(bytes) => {
            let text = || Value::String(String::from_utf8_lossy(bytes).into_owned());
            line.story = Some(serde_json::from_slice(bytes).unwrap_or_else(|_| text()));
        }
    }
    serde_json::to_writer(&mut *out, &line)?;
    out.write_all(b"\n")
}

/// The beginning of a record on one line, for people.
pub(super) fn beginning(record: &Record, characters: usize) -> String {
    let bytes = match &record.content {
        Content::Text(bytes) | Content::Binary(bytes) | Content::Story(bytes) => bytes.as_slice(),
        Content::Refused(_) => b"",
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
        for (content, expected) in [
            (Content::Text(text.into()), serde_json::json!({ "frame": text })),
            (Content::Text(vec![0xff]), serde_json::json!({ "frame_base64": "/w==" })),
            (Content::Binary(vec![0, 1]), serde_json::json!({ "frame_base64": "AAE=" })),
            (Content::Refused("too large".into()), serde_json::json!({ "refused": "too large" })),
            (Content::Story(br#"{"story":"started"}"#.into()), serde_json::json!({ "story": { "story": "started" } })),
        ] {
            let mut out = Vec::new();
            write(&mut out, 7, &Record { received_at: Micros(1), connection: 2, content }, None).unwrap();
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
            |bytes: &[u8]| Record { received_at: Micros(1), connection: 1, content: Content::Text(bytes.into()) };
        assert_eq!(beginning(&record("\u{e9}\u{e9}\n\tabc".as_bytes()), 5), "\u{e9}\u{e9}\u{fffd}\u{fffd}a");
        assert_eq!(beginning(&record(&[0xff]), 5), "\u{fffd}");
    }
}
