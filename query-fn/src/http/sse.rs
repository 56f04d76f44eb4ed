//! Writes server-sent events (<https://html.spec.whatwg.org/multipage/server-sent-events.html>).
//!
//! A block without data is no message, but a client keeps its id all the same: so it goes on from there after a cut, although nothing came.

/// The type of the body.
pub const CONTENT_TYPE: &str = "text/event-stream";
/// The time after which a client connects again, milliseconds.
const RETRY_MS: u32 = 1_000;

/// Appends the first block: the time to connect again, and where to go on if nothing else comes.
pub fn opening(out: &mut Vec<u8>, id: &str) {
    out.extend(format!("retry: {RETRY_MS}\nid: {id}\n\n").into_bytes());
}

/// Appends a message, whose data `write` appends as one line with its end.
pub fn message(out: &mut Vec<u8>, id: &str, write: impl FnOnce(&mut Vec<u8>)) {
    out.extend_from_slice(b"id: ");
    out.extend_from_slice(id.as_bytes());
    out.extend_from_slice(b"\ndata: ");
    write(out);
    out.push(b'\n');
}

/// Appends a block that keeps the connection open where it is closed for silence.
pub fn keep_alive(out: &mut Vec<u8>, id: &str) {
    out.extend(format!(": keep-alive\nid: {id}\n\n").into_bytes());
}

/// Appends the last message of a body that is to be continued.
pub fn end(out: &mut Vec<u8>, id: &str) {
    out.extend(format!("event: end\nid: {id}\ndata: {{\"after\":\"{id}\"}}\n\n").into_bytes());
}
