//! The written form of faults: `10s:cut`, `20s:mute:5s`, `30s:duplicate:10@2`.

use std::str::FromStr;
use std::time::Duration;

use crate::faults::rest::{Extent, RestFault};
use crate::faults::{Aimed, Fault, Garbage, Step, Target};

/// How the faults are written, for help texts.
pub const FORMS: &str = "\
cut                       end the TCP connection without a close frame
  mute[:LASTING]            keep the socket open, but send, read and answer nothing
  app-mute[:LASTING]        answer WebSocket pings, but send no data and answer no message
  lose-heartbeats:N         do not answer the next N heartbeats
  odd-control:N             send N control messages without a channel or of unknown names
  odd-times:N               send N trades of the year 2100, beyond 63 bits, in nanoseconds, of 1970
  same-keys:N               send N pairs of different events with one id and one microsecond
  reconnect[:GRACE]         send bts:request_reconnect, close after GRACE (5s)
  withhold-acks:N           neither confirm nor carry out the next N subscriptions
  duplicate:N               send each of the next N data frames twice
  reorder:N                 N times, send a data frame after the next one of its channel
  drop:N                    do not send the next N data frames
  garbage:N[:KIND]          send N bad frames; KIND is invalid-json, wrong-types, missing-ids,
                            binary, oversize or invalid-utf8 (default: all in turn)
  slow:DELAY:LASTING        wait DELAY before each frame, for LASTING
  delist:MARKET             take MARKET out of REST and send nothing of it; its channels are still confirmed
  list:MARKET               bring a delisted MARKET back
  down:LASTING              cut every connection and refuse new ones
  rest:ANSWER:EXTENT[:PATH] answer the next EXTENT requests (a number), or all for EXTENT (a time), whose path
                            contains PATH with: page (HTML, 200), a status as 403 or 503 (HTML), 429=SECONDS
                            (Retry-After), slow=SECONDS (the true answer, later), refused or limited (JSON errors), cut
                            or short (half a body)";

/// A fault that is not written as one.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ScriptError {
    /// No `TIME:` in front.
    #[error("fault `{0}` has no time in front: write it as `10s:cut`")]
    NoTime(String),
    /// A time or duration is no number with a unit.
    #[error("`{0}` is not a duration: write it as `500ms`, `10s` or `2m`")]
    Duration(String),
    /// A count is no whole number.
    #[error("`{0}` is not a whole number")]
    Count(String),
    /// No such kind of garbage.
    #[error("`{0}` is not a kind of garbage: see --help")]
    Garbage(String),
    /// No such answer of the REST side.
    #[error("`{0}` is not an answer of the REST side: see --help")]
    Answer(String),
    /// What follows `@` is no position.
    #[error("`@{0}` does not name a connection: write `@1` for the first open one")]
    Target(String),
    /// No such fault, or with the wrong number of parts.
    #[error("fault `{0}` is not known, or has too many or too few parts: see --help")]
    Unknown(String),
}

impl FromStr for Step {
    type Err = ScriptError;

    fn from_str(text: &str) -> Result<Self, ScriptError> {
        let (at, rest) = text.split_once(':').ok_or_else(|| ScriptError::NoTime(text.to_owned()))?;
        Ok(Self { at: duration(at)?, aimed: rest.parse()? })
    }
}

impl FromStr for Aimed {
    type Err = ScriptError;

    fn from_str(text: &str) -> Result<Self, ScriptError> {
        let Some((fault, nth)) = text.split_once('@') else {
            return Ok(text.parse::<Fault>()?.into());
        };
        let position = nth.parse().ok().filter(|nth| *nth > 0);
        let nth = position.ok_or_else(|| ScriptError::Target(nth.to_owned()))?;
        Ok(Self { fault: fault.parse()?, target: Target::Nth(nth) })
    }
}

impl FromStr for Fault {
    type Err = ScriptError;

    fn from_str(text: &str) -> Result<Self, ScriptError> {
        let parts: Vec<&str> = text.split(':').collect();
        Ok(match parts.as_slice() {
            ["cut"] => Self::Cut,
            ["mute"] => Self::Mute { lasting: None },
            ["mute", lasting] => Self::Mute { lasting: Some(duration(lasting)?) },
            ["app-mute"] => Self::AppMute { lasting: None },
            ["app-mute", lasting] => Self::AppMute { lasting: Some(duration(lasting)?) },
            ["lose-heartbeats", n] => Self::LoseHeartbeats { count: count(n)? },
            ["odd-control", n] => Self::OddControl { count: count(n)? },
            ["odd-times", n] => Self::OddTimes { count: count(n)? },
            ["same-keys", n] => Self::SameKeys { count: count(n)? },
            ["reconnect"] => Self::Reconnect { grace: Duration::from_secs(5) },
            ["reconnect", grace] => Self::Reconnect { grace: duration(grace)? },
            ["withhold-acks", n] => Self::WithholdAcks { count: count(n)? },
            ["duplicate", n] => Self::Duplicate { count: count(n)? },
            ["reorder", n] => Self::Reorder { count: count(n)? },
            ["drop", n] => Self::Drop { count: count(n)? },
            ["garbage", n] => Self::Garbage { count: count(n)?, kind: None },
            ["garbage", n, kind] => Self::Garbage { count: count(n)?, kind: Some(garbage(kind)?) },
            ["slow", delay, lasting] => Self::Slow { delay: duration(delay)?, lasting: duration(lasting)? },
            ["delist", market] => Self::Delist { market: (*market).to_owned() },
            ["list", market] => Self::List { market: (*market).to_owned() },
            ["down", lasting] => Self::Down { lasting: duration(lasting)? },
            ["rest", answer, extent] => Self::Rest(rest(answer, extent, "")?),
            ["rest", answer, extent, path] => Self::Rest(rest(answer, extent, path)?),
            _ => return Err(ScriptError::Unknown(text.to_owned())),
        })
    }
}

fn garbage(text: &str) -> Result<Garbage, ScriptError> {
    let kind = Garbage::ALL.into_iter().find(|kind| kind.name() == text);
    kind.ok_or_else(|| ScriptError::Garbage(text.to_owned()))
}

fn rest(answer: &str, extent: &str, path: &str) -> Result<RestFault, ScriptError> {
    let answer = answer.parse().map_err(|()| ScriptError::Answer(answer.to_owned()))?;
    let extent = match extent.parse() {
        Ok(requests) => Extent::Requests(requests),
        Err(_) => Extent::Lasting(duration(extent)?),
    };
    Ok(RestFault { answer, extent, path: path.to_owned() })
}

fn count(text: &str) -> Result<u32, ScriptError> {
    text.parse().map_err(|_| ScriptError::Count(text.to_owned()))
}

fn duration(text: &str) -> Result<Duration, ScriptError> {
    let wrong = || ScriptError::Duration(text.to_owned());
    let digits = text.find(|c: char| !c.is_ascii_digit()).ok_or_else(wrong)?;
    let (number, unit) = text.split_at_checked(digits).ok_or_else(wrong)?;
    let number: u64 = number.parse().map_err(|_| wrong())?;
    match unit {
        "ms" => Ok(Duration::from_millis(number)),
        "s" => Ok(Duration::from_secs(number)),
        "m" => Ok(Duration::from_secs(number * 60)),
        _ => Err(wrong()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::faults::rest::Answer;

    #[test]
    fn every_written_form_is_understood() {
        let step = |text: &str| text.parse::<Step>().unwrap();
        assert_eq!(step("10s:cut"), Fault::Cut.at(Duration::from_secs(10)));
        let mute = Fault::Mute { lasting: Some(Duration::from_millis(500)) };
        assert_eq!(step("2m:mute:500ms"), mute.at(Duration::from_secs(120)));
        assert_eq!(step("0s:duplicate:10@2").aimed, Fault::Duplicate { count: 10 }.on(2));
        let binary = Fault::Garbage { count: 1, kind: Some(Garbage::Binary) };
        assert_eq!(step("1s:garbage:1:binary").aimed, binary.into());
        let page = RestFault {
            answer: Answer::Page { status: 503 },
            extent: Extent::Lasting(Duration::from_secs(30)),
            path: "/order_data/".to_owned(),
        };
        assert_eq!(step("1s:rest:503:30s:/order_data/").aimed, Fault::Rest(page).into());
        for text in ["page:1", "429=2:1m", "slow=2:1m", "refused:1", "limited:1", "cut:1", "short:1:/transactions/"] {
            step(&format!("1s:rest:{text}"));
        }
        let plain = ["mute", "app-mute", "app-mute:1s", "reconnect", "reconnect:1s"];
        let counted = [
            "lose-heartbeats:1",
            "odd-control:1",
            "odd-times:1",
            "same-keys:1",
            "withhold-acks:1",
            "reorder:1",
            "drop:1",
        ];
        for text in plain.into_iter().chain(counted).chain(["slow:1ms:1s", "down:1s", "delist:btcusd", "list:btcusd"]) {
            step(&format!("1s:{text}"));
        }
    }

    #[test]
    fn what_is_wrong_is_named() {
        let wrong = |text: &str| text.parse::<Step>().unwrap_err();
        assert_eq!(wrong("cut"), ScriptError::NoTime("cut".into()));
        assert_eq!(wrong("10:cut"), ScriptError::Duration("10".into()));
        assert_eq!(wrong("1s:explode"), ScriptError::Unknown("explode".into()));
        assert_eq!(wrong("1s:cut@0"), ScriptError::Target("0".into()));
        assert_eq!(wrong("1s:drop:some"), ScriptError::Count("some".into()));
        assert_eq!(wrong("1s:rest:200:1"), ScriptError::Answer("200".into()));
        assert_eq!(wrong("1s:rest:cut:often"), ScriptError::Duration("often".into()));
        assert_eq!(wrong("1s:garbage:1:nonsense"), ScriptError::Garbage("nonsense".into()));
    }
}
