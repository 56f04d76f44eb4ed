//! Parses WebSocket messages into frames.

use serde_json::{Map, Value};

use crate::channel::Channel;
use crate::event::Event;

/// One text message of the exchange. Parsed by name: any order of fields, any spacing, unknown fields kept.
#[derive(Clone, Debug, PartialEq)]
pub enum Frame {
    /// About the connection: `bts:...`.
    Control(Control),
    /// Something that happened on a channel; every name without `bts:` is taken to be one.
    Event(Event),
}

/// What the exchange says about the connection itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Control {
    /// `bts:subscription_succeeded`; also sent for a market that does not exist.
    Subscribed(Channel),
    /// `bts:unsubscription_succeeded`.
    Unsubscribed(Channel),
    /// The reply to `bts:heartbeat`; the exchange never sends one by itself.
    Heartbeat,
    /// `bts:request_reconnect`: "a few seconds" to move to another connection.
    ReconnectRequested,
    /// `bts:error`; it names no channel, so it cannot be attributed to a subscription.
    Error {
        /// `null`, an integer or whatever comes, as JSON text.
        code: String,
        /// The exchange's words.
        message: String,
    },
    /// A control message that is not known (yet).
    Other(String),
}

/// Why a message is not a frame.
#[derive(Debug, thiserror::Error)]
pub enum FrameError {
    /// Not UTF-8, not JSON, or nested deeper than 128 levels.
    #[error("not json: {0}")]
    Json(#[from] serde_json::Error),
    /// JSON, but not an object.
    #[error("not a json object")]
    NotAnObject,
    /// `event` or `channel` is missing or not a string.
    #[error("field `{0}` is missing or not a string")]
    Field(&'static str),
}

impl Frame {
    /// Takes a message apart.
    ///
    /// # Errors
    ///
    /// [`FrameError`] for anything but a JSON object with the strings `event` and, unless the event's name begins with `bts:`,
    /// `channel`.
    pub fn parse(message: &[u8]) -> Result<Frame, FrameError> {
        let Value::Object(mut fields) = serde_json::from_slice(message)? else {
            return Err(FrameError::NotAnObject);
        };
        let name = take_string(&mut fields, "event")?;
        let channel = take_string(&mut fields, "channel").map(Channel::from_frame);
        let data = fields.remove("data").unwrap_or(Value::Null);
        // About the connection in any form: with a channel, with null, without one.
        if name.starts_with("bts:") {
            return Ok(Frame::Control(Control::new(name, channel.ok(), &data)));
        }
        Ok(Frame::Event(Event { channel: channel?, name, data, extra: fields }))
    }
}

impl Control {
    fn new(name: String, channel: Option<Channel>, data: &Value) -> Control {
        match (name.as_str(), channel) {
            ("bts:subscription_succeeded", Some(channel)) => Control::Subscribed(channel),
            ("bts:unsubscription_succeeded", Some(channel)) => Control::Unsubscribed(channel),
            ("bts:heartbeat", _) => Control::Heartbeat,
            ("bts:request_reconnect", _) => Control::ReconnectRequested,
            ("bts:error", _) => Control::Error {
                code: data.get("code").map(Value::to_string).unwrap_or_default(),
                message: data.get("message").and_then(Value::as_str).unwrap_or_default().to_owned(),
            },
            _ => Control::Other(name),
        }
    }
}

fn take_string(fields: &mut Map<String, Value>, name: &'static str) -> Result<String, FrameError> {
    match fields.remove(name) {
        Some(Value::String(text)) => Ok(text),
        _ => Err(FrameError::Field(name)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn control(text: &str) -> Control {
        match Frame::parse(text.as_bytes()).unwrap() {
            Frame::Control(control) => control,
            Frame::Event(event) => panic!("an event: {event:?}"),
        }
    }

    #[test]
    fn control_messages() {
        let channel = Channel::from_frame("live_orders_btcusd".to_owned());
        assert_eq!(
            control(r#"{"event":"bts:subscription_succeeded","channel":"live_orders_btcusd","data":{}}"#),
            Control::Subscribed(channel.clone())
        );
        assert_eq!(
            control(r#"{ "data": {}, "channel": "live_orders_btcusd", "event": "bts:unsubscription_succeeded"}"#),
            Control::Unsubscribed(channel)
        );
        assert_eq!(
            control(r#"{"event":"bts:heartbeat","channel":"","data":{"status":"success"}}"#),
            Control::Heartbeat
        );
        for data in ["\"\"", "null", "{}"] {
            for channel in ["", r#","channel":"""#, r#","channel":null"#, r#","channel":7"#] {
                let text = format!(r#"{{"event":"bts:request_reconnect"{channel},"data":{data}}}"#);
                assert_eq!(control(&text), Control::ReconnectRequested);
            }
        }
        assert_eq!(control(r#"{"event":"bts:heartbeat"}"#), Control::Heartbeat);
        let nothing = Control::Error { code: String::new(), message: String::new() };
        assert_eq!(control(r#"{"event":"bts:error","data":null}"#), nothing);
        let unnamed = Control::Other("bts:subscription_succeeded".to_owned());
        assert_eq!(control(r#"{"event":"bts:subscription_succeeded","channel":null}"#), unnamed);
        assert_eq!(
            control(
                r#"{"event":"bts:error","channel":"","data":{"code":4009,"message":"Connection is unauthorized."}}"#
            ),
            Control::Error { code: "4009".to_owned(), message: "Connection is unauthorized.".to_owned() }
        );
        assert_eq!(
            control(r#"{"event":"bts:tomorrow","channel":"","data":1}"#),
            Control::Other("bts:tomorrow".to_owned())
        );
    }

    #[test]
    fn an_event_keeps_every_field() {
        let text = r#"{"data":{"id":1,"new":[]},"event_id":"e","channel":"live_orders_btcusd","event":"order_created","x":1e-8}"#;
        let Frame::Event(event) = Frame::parse(text.as_bytes()).unwrap() else { panic!("a control message") };
        assert_eq!(event.name, "order_created");
        assert_eq!(event.data.to_string(), r#"{"id":1,"new":[]}"#);
        assert_eq!(event.extra.get("x").unwrap().to_string(), "1e-8");
        assert_eq!(event.extra.get("event_id").unwrap(), "e");
    }

    #[test]
    fn what_is_no_frame_is_refused_with_a_reason() {
        for (bytes, reason) in [
            (&b"{\"event\":"[..], "not json"),
            (b"\xff\xfe", "not json"),
            (b"[]", "not a json object"),
            (b"{\"channel\":\"a\"}", "field `event`"),
            (b"{\"event\":1,\"channel\":\"a\"}", "field `event`"),
            (b"{\"event\":\"trade\",\"data\":{}}", "field `channel`"),
        ] {
            let error = Frame::parse(bytes).unwrap_err().to_string();
            assert!(error.contains(reason), "{error}");
        }
    }
}
