//! The WebSocket side: what a client's message means.

pub(crate) mod connection;

use serde_json::Value;

use crate::model::channel::{Verdict, judge};

/// The answer to a heartbeat; the exchange never sends one by itself.
pub(crate) const HEARTBEAT: &str = r#"{"event":"bts:heartbeat","channel":"","data":{"status":"success"}}"#;
const INCORRECT_JSON: &str =
    r#"{"event":"bts:error","channel":"","data":{"code":null,"message":"Incorrect JSON format."}}"#;
const BAD_SUBSCRIPTION: &str =
    r#"{"event":"bts:error","channel":"","data":{"code":null,"message":"Bad subscription string."}}"#;
const INVALID_CHANNEL: &str =
    r#"{"event":"bts:error","channel":"","data":{"code":null,"message":"Invalid channel provided."}}"#;
const UNAUTHORIZED: &str =
    r#"{"event":"bts:error","channel":"","data":{"code":4009,"message":"Connection is unauthorized."}}"#;

/// What a client asks for.
#[derive(Debug, PartialEq, Eq)]
pub(crate) enum Request {
    Subscribe(String),
    Unsubscribe(String),
    Heartbeat,
    /// Nothing that can be done: the error to answer with.
    Wrong(&'static str),
}

/// Understands a client's message. `offered` tells channels that exist although the rules would refuse them: those of
/// a recording.
pub(crate) fn understand(message: &[u8], offered: impl Fn(&str) -> bool) -> Request {
    let Ok(message) = serde_json::from_slice::<Value>(message) else {
        return Request::Wrong(INCORRECT_JSON);
    };
    let channel = message.pointer("/data/channel").and_then(Value::as_str);
    match (message.get("event").and_then(Value::as_str), channel) {
        (Some("bts:heartbeat"), _) => Request::Heartbeat,
        (Some("bts:subscribe"), Some(channel)) => match judge(channel) {
            _ if offered(channel) => Request::Subscribe(channel.to_owned()),
            Verdict::Public => Request::Subscribe(channel.to_owned()),
            Verdict::Private => Request::Wrong(UNAUTHORIZED),
            Verdict::Invalid => Request::Wrong(INVALID_CHANNEL),
        },
        (Some("bts:unsubscribe"), Some(channel)) => match judge(channel) {
            Verdict::Invalid if !offered(channel) => Request::Wrong(INVALID_CHANNEL),
            _ => Request::Unsubscribe(channel.to_owned()),
        },
        _ => Request::Wrong(BAD_SUBSCRIPTION),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_has_the_exchange_s_answer() {
        let request = |text: &str| understand(text.as_bytes(), |_| false);
        let subscribe =
            |channel: &str| request(&format!(r#"{{"event":"bts:subscribe","data":{{"channel":"{channel}"}}}}"#));
        assert_eq!(subscribe("live_trades_btcusd"), Request::Subscribe("live_trades_btcusd".into()));
        assert_eq!(subscribe("live_trades_nosuchusd"), Request::Subscribe("live_trades_nosuchusd".into()));
        assert_eq!(subscribe("live_trades_BTCUSD"), Request::Wrong(INVALID_CHANNEL));
        assert_eq!(subscribe("private-my_orders_btcusd-1"), Request::Wrong(UNAUTHORIZED));
        assert_eq!(request("{"), Request::Wrong(INCORRECT_JSON));
        assert_eq!(request("{}"), Request::Wrong(BAD_SUBSCRIPTION));
        assert_eq!(request(r#"{"event":"bts:subscribe","data":{}}"#), Request::Wrong(BAD_SUBSCRIPTION));
        assert_eq!(
            request(r#"{"event":"bts:hello","data":{"channel":"live_trades_btcusd"}}"#),
            Request::Wrong(BAD_SUBSCRIPTION)
        );
        assert_eq!(request(r#"{"event":"bts:heartbeat"}"#), Request::Heartbeat);
    }
}
