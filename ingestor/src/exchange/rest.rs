//! Client for the exchange's REST API.

use std::time::Duration;

use aws_sdk_dynamodb::primitives::{DateTime, DateTimeFormat};
use reqwest::header::{HeaderMap, RETRY_AFTER};
use reqwest::{Client, RequestBuilder, Response, StatusCode};
use rustls::ClientConfig;
use serde::de::DeserializeOwned;
use serde_json::{Map, Value};
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

use crate::clock::system_micros;
use crate::exchange::network;

use crate::exchange::json_array::ArrayCutter;

/// Timeout of connecting: the exchange is far away at most.
const CONNECTED_WITHIN: Duration = Duration::from_secs(5);
/// Timeout of waiting for the next bytes. A history that takes so long to begin is still worth more than another attempt, which would take as long.
const BYTES_WITHIN: Duration = Duration::from_secs(30);
/// Delay between two requests. The exchange allows 10,000 in ten minutes (16 a second) to everything at one address.
const BETWEEN: Duration = Duration::from_millis(250);
/// Length of a refusal's body in messages, in characters.
const SAID: usize = 160;
/// Length of an error's body that is read, in bytes, approximately.
const READ: usize = 16 << 10;
/// Longest pause that an answer can ask for.
const LONGEST_PAUSE: Duration = Duration::from_secs(3_600);
/// Field names of which each of the exchange's own errors has at least one.
const ERROR_FIELDS: [&str; 5] = ["reason", "error", "errors", "code", "response_code"];
/// Codes of the exchange's own errors for too many requests, which have the status 400.
const LIMITED: [&str; 3] = ["400.002", "400.067", "400.068"];

/// Client for the exchange's REST API. Sends one request at a time, with a delay between them.
#[derive(Debug)]
pub struct Rest {
    client: Client,
    url: String,
    next: Mutex<Instant>,
}

/// Why a request to the REST API has no usable answer.
#[derive(Debug, thiserror::Error)]
pub enum RestError {
    /// The API could not be reached, or the answer broke off.
    #[error("the exchange's REST API cannot be reached: {0}")]
    Unreachable(#[from] reqwest::Error),
    /// The answer is not about the request: a page of an edge or a proxy, a server error, a rate limit.
    #[error("the exchange's REST API is not available: it answers {0}")]
    Unavailable(StatusCode),
    /// The request was not sent, because an earlier answer asked for a pause; this much of it is left.
    #[error("the exchange's REST API asked for a pause")]
    Paused(Duration),
    /// The exchange's own error about the request.
    #[error("the exchange answers {status}: {said}")]
    Refused {
        /// HTTP status.
        status: StatusCode,
        /// Beginning of the body.
        said: String,
    },
    /// The answer is not the JSON expected: another page, or a part of it.
    #[error("the exchange's answer cannot be read: {0}")]
    Unreadable(String),
}

impl Rest {
    /// Creates a client for the API at `url`, e.g. `https://www.bitstamp.net/api/v2`.
    ///
    /// # Errors
    ///
    /// Returns [`RestError::Unreachable`] if the client cannot be built.
    pub fn new(url: &str) -> Result<Rest, RestError> {
        let tls = ClientConfig::clone(&network::tls());
        let client = Client::builder()
            .tls_backend_preconfigured(tls)
            .connect_timeout(CONNECTED_WITHIN)
            .read_timeout(BYTES_WITHIN);
        // The client itself takes the proxy that the environment names.
        let client = if network::is_local(url) { client.no_proxy() } else { client };
        let client = client.build()?;
        Ok(Rest { client, url: url.to_owned(), next: Mutex::new(Instant::now()) })
    }

    /// Sends a `GET`; `path` begins with a slash.
    ///
    /// # Errors
    ///
    /// Returns a [`RestError`] unless the answer is a success.
    pub async fn get(&self, path: &str) -> Result<Response, RestError> {
        self.send(self.client.get(format!("{}{path}", self.url))).await
    }

    /// Sends a `POST` of a form; `path` begins with a slash.
    ///
    /// # Errors
    ///
    /// Returns a [`RestError`] unless the answer is a success.
    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Result<Response, RestError> {
        self.send(self.client.post(format!("{}{path}", self.url)).form(form)).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, RestError> {
        let mut next = self.next.lock().await;
        let pause = next.saturating_duration_since(Instant::now());
        if pause > BETWEEN {
            return Err(RestError::Paused(pause));
        }
        sleep_until(*next).await;
        *next = Instant::now() + BETWEEN;
        drop(next);
        let mut answer = request.send().await?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        if let Some(pause) = retry_after(answer.headers(), system_micros() / 1_000_000) {
            *self.next.lock().await = Instant::now() + pause.clamp(BETWEEN, LONGEST_PAUSE);
        }
        let mut body = Vec::new();
        while body.len() < READ
            && let Some(bytes) = answer.chunk().await?
        {
            body.extend_from_slice(&bytes);
        }
        Err(judged(status, &body))
    }
}

/// Tells the exchange's own error about a request from answers that are not about it.
fn judged(status: StatusCode, body: &[u8]) -> RestError {
    let passes = status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS;
    let fields: Map<String, Value> = serde_json::from_slice(body).unwrap_or_default();
    let is_own = ERROR_FIELDS.iter().any(|name| fields.contains_key(*name));
    let is_limited = fields.values().any(|value| value.as_str().is_some_and(|text| LIMITED.contains(&text)));
    if passes || is_limited || !is_own {
        return RestError::Unavailable(status);
    }
    RestError::Refused { status, said: String::from_utf8_lossy(body).chars().take(SAID).collect() }
}

/// Returns the pause that an answer asks for, in seconds or until a date; `now`: seconds since the Unix epoch.
fn retry_after(headers: &HeaderMap, now: u64) -> Option<Duration> {
    let text = headers.get(RETRY_AFTER)?.to_str().ok()?.trim();
    let seconds = text.parse().ok().or_else(|| {
        let until = DateTime::from_str(text, DateTimeFormat::HttpDate).ok()?.secs();
        Some(u64::try_from(until).ok()?.saturating_sub(now))
    })?;
    Some(Duration::from_secs(seconds))
}

/// The elements of an answer that is a JSON array, read as they arrive: an answer may be larger than memory should be.
#[derive(Debug)]
pub struct Rows {
    answer: Response,
    cutter: ArrayCutter,
}

impl Rows {
    /// Wraps an answer whose body was not read yet.
    #[must_use]
    pub fn of(answer: Response) -> Rows {
        Rows { answer, cutter: ArrayCutter::default() }
    }

    /// Returns the next element; `None` after the last.
    ///
    /// # Errors
    ///
    /// Returns [`RestError::Unreadable`] for an element of another form, [`RestError::Unreachable`] if the answer breaks off.
    pub async fn next<T: DeserializeOwned>(&mut self) -> Result<Option<T>, RestError> {
        let unreadable = |error: &dyn std::fmt::Display| RestError::Unreadable(error.to_string());
        loop {
            if let Some(element) = self.cutter.take() {
                return serde_json::from_slice(&element).map(Some).map_err(|error| unreadable(&error));
            }
            match self.answer.chunk().await? {
                Some(bytes) => self.cutter.feed(&bytes).map_err(|error| unreadable(&error))?,
                None if self.cutter.is_whole() => return Ok(None),
                None => return Err(unreadable(&"it is no array of objects, or ends too early")),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_the_exchanges_own_error_about_a_request_is_a_refusal() {
        let refused = |status: u16, body: &str| {
            matches!(judged(StatusCode::from_u16(status).unwrap(), body.as_bytes()), RestError::Refused { .. })
        };
        let own = r#"{"status":"error","reason":"Invalid market","code":"API0010"}"#;
        assert!(refused(400, own) && refused(403, own) && refused(404, r#"{"error":"Missing market"}"#));
        assert!(!refused(429, own) && !refused(500, own) && !refused(503, own));
        assert!(!refused(400, r#"{"response_code":"400.002","response_explanation":"Request rate limit exceeded"}"#));
        for body in ["", "<html>Forbidden</html>", r#"{"message":"Forbidden"}"#, "[]", r#"{"reason":"cut"#] {
            assert!(!refused(403, body) && !refused(404, body), "{body}");
        }
    }

    #[test]
    fn a_pause_is_understood_in_seconds_and_as_a_date() {
        let pause =
            |text: &str| retry_after(&HeaderMap::from_iter([(RETRY_AFTER, text.parse().unwrap())]), 784_111_777);
        assert_eq!(pause("120"), Some(Duration::from_secs(120)));
        assert_eq!(pause("Sun, 06 Nov 1994 08:50:37 GMT"), Some(Duration::from_secs(60)));
        assert_eq!(pause("Sun, 06 Nov 1994 08:49:36 GMT"), Some(Duration::ZERO));
        assert_eq!(pause("soon"), None);
    }
}
