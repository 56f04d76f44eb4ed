//! Converts a response to what a function returns that does not stream, and counts the bytes that this takes.

use axum::http::{HeaderMap, StatusCode, header};
use base64::{Engine, engine::general_purpose::STANDARD};
use serde::Serialize;
use std::collections::BTreeMap;

use super::event::Form;

/// Returns the most bytes that a piece of a body takes in a buffered answer: as text in JSON, or as base64.
#[must_use]
pub fn size_as_sent(piece: &[u8]) -> usize {
    let escaped = |byte: &u8| match byte {
        b'"' | b'\\' | b'\n' | b'\r' | b'\t' => 1,
        0..b' ' => 5,
        _ => 0,
    };
    let text = piece.len() + piece.iter().map(escaped).sum::<usize>();
    text.max(piece.len() / 3 * 4 + 4)
}

/// The JSON that a function returns which does not stream.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
pub(super) struct Answer {
    status_code: u16,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    headers: BTreeMap<String, String>,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    multi_value_headers: BTreeMap<String, Vec<String>>,
    body: String,
    is_base64_encoded: bool,
}

impl Answer {
    pub(super) fn new(form: Form, sent: &HeaderMap, status: StatusCode, body: Vec<u8>) -> Answer {
        let mut multi_value_headers: BTreeMap<String, Vec<String>> = BTreeMap::new();
        for (name, value) in sent {
            let value = String::from_utf8_lossy(value.as_bytes()).into_owned();
            multi_value_headers.entry(name.to_string()).or_default().push(value);
        }
        let mut headers = BTreeMap::new();
        if form == Form::Http {
            let joined = std::mem::take(&mut multi_value_headers).into_iter();
            headers = joined.map(|(name, values)| (name, values.join(", "))).collect();
        }
        // A coded body is never text, whatever its bytes look like.
        let text = if sent.contains_key(header::CONTENT_ENCODING) {
            Err(body)
        } else {
            String::from_utf8(body).map_err(std::string::FromUtf8Error::into_bytes)
        };
        let (body, is_base64_encoded) = match text {
            Ok(text) => (text, false),
            Err(bytes) => (STANDARD.encode(bytes), true),
        };
        Answer { status_code: status.as_u16(), headers, multi_value_headers, body, is_base64_encoded }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn a_body_takes_no_more_than_it_was_counted_for(body in prop_oneof![
            any::<String>().prop_map(String::into_bytes),
            "[\"\\\\\u{0}-\u{20}]{0,40}".prop_map(String::into_bytes),
            any::<Vec<u8>>(),
        ]) {
            let counted = size_as_sent(&body);
            let answer = Answer::new(Form::Http, &HeaderMap::new(), StatusCode::OK, body);
            let sent = serde_json::to_string(&answer.body).unwrap();
            prop_assert!(sent.len() - 2 <= counted, "{} {counted}", sent.len());
        }
    }
}
