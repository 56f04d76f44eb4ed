use std::time::Duration;

use reqwest::{Client, RequestBuilder, Response, StatusCode};
use serde::de::DeserializeOwned;
use tokio::sync::Mutex;
use tokio::time::{Instant, sleep_until};

use crate::socket;

/// A JSON array, cut into its elements while it arrives.
pub mod rows;

use crate::rest::rows::Cutter;

/// The exchange is far away at most, not slow.
const WITHIN: Duration = Duration::from_secs(5);
/// Between two requests. The exchange allows 10,000 in ten minutes (16 a second) to everything at one address.
const BETWEEN: Duration = Duration::from_millis(250);
/// What of a refusal is repeated in messages, in characters.
const SAID: usize = 160;

/// The exchange's REST API: one request at a time, and not many of them.
#[derive(Debug)]
pub struct Rest {
    client: Client,
    url: String,
    next: Mutex<Instant>,
}

/// Why there is no answer of the exchange's REST API.
#[derive(Debug, thiserror::Error)]
pub enum RestError {
    /// Not asked, or no answer.
    #[error("the exchange's REST API cannot be reached: {0}")]
    Unreachable(#[from] reqwest::Error),
    /// It does not want to answer.
    #[error("the exchange answers {status}: {said}")]
    Refused {
        /// The status.
        status: StatusCode,
        /// How the body begins.
        said: String,
    },
    /// Not the JSON that was expected.
    #[error("the exchange's answer cannot be read: {0}")]
    Unreadable(String),
}

impl Rest {
    /// A client for the API at `url`, e.g. `https://www.bitstamp.net/api/v2`.
    ///
    /// # Errors
    ///
    /// [`RestError::Unreachable`] where the client cannot be built.
    pub fn new(url: &str) -> Result<Rest, RestError> {
        let tls = socket::tls();
        let client =
            Client::builder().tls_backend_preconfigured(tls).connect_timeout(WITHIN).read_timeout(WITHIN).build()?;
        Ok(Rest { client, url: url.to_owned(), next: Mutex::new(Instant::now()) })
    }

    /// `GET`; `path` begins with a slash.
    ///
    /// # Errors
    ///
    /// [`RestError`].
    pub async fn get(&self, path: &str) -> Result<Response, RestError> {
        self.send(self.client.get(format!("{}{path}", self.url))).await
    }

    /// `POST` of a form; `path` begins with a slash.
    ///
    /// # Errors
    ///
    /// [`RestError`].
    pub async fn post(&self, path: &str, form: &[(&str, &str)]) -> Result<Response, RestError> {
        self.send(self.client.post(format!("{}{path}", self.url)).form(form)).await
    }

    async fn send(&self, request: RequestBuilder) -> Result<Response, RestError> {
        let mut next = self.next.lock().await;
        sleep_until(*next).await;
        *next = Instant::now() + BETWEEN;
        drop(next);
        let answer = request.send().await?;
        let status = answer.status();
        if status.is_success() {
            return Ok(answer);
        }
        // Both pass by themselves.
        if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS {
            return Err(RestError::Unreachable(answer.error_for_status().expect_err("it is an error's status")));
        }
        let said = answer.text().await?.chars().take(SAID).collect();
        Err(RestError::Refused { status, said })
    }
}

/// The elements of an answer that is a JSON array, as they arrive: an answer may be larger than memory should be.
#[derive(Debug)]
pub struct Rows {
    answer: Response,
    cutter: Cutter,
}

impl Rows {
    /// Of an answer that nothing was read of.
    #[must_use]
    pub fn of(answer: Response) -> Rows {
        Rows { answer, cutter: Cutter::default() }
    }

    /// The next element; nothing after the last.
    ///
    /// # Errors
    ///
    /// [`RestError::Unreadable`] for an element of another form, [`RestError::Unreachable`] where the answer breaks off.
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
