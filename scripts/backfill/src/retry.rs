//! Classifies failed calls and retries them with increasing pauses.

use std::{future::Future, time::Duration};

use aws_sdk_dynamodb::{
    config::http::HttpResponse,
    error::{ProvideErrorMetadata, SdkError},
};
use rand::RngExt;
use tokio::time::{Instant, sleep};
use tokio_util::sync::CancellationToken;

use crate::error::Error;

/// First pause, doubled with each attempt without progress.
const FIRST: Duration = Duration::from_millis(25);
/// Longest pause.
const LONGEST: Duration = Duration::from_secs(5);

/// What a failed call means.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Class {
    /// Refused for want of capacity; nothing happened.
    Throttled(String),
    /// Failed on the way or inside; it may have taken effect.
    Transient(String),
    /// The engine does not know the call.
    Unknown,
    /// Refused for good: code and message.
    Never(String, String),
}

/// Reads the class from the SDK's error.
pub fn class<E: ProvideErrorMetadata + std::fmt::Debug>(error: &SdkError<E, HttpResponse>) -> Class {
    let SdkError::ServiceError(failed) = error else {
        return match error {
            SdkError::ConstructionFailure(_) => Class::Never("BadRequest".to_owned(), format!("{error:?}")),
            SdkError::DispatchFailure(failure) if failure.is_user() => {
                Class::Never("BadRequest".to_owned(), format!("{failure:?}"))
            }
            SdkError::DispatchFailure(failure) => Class::Transient(spelled(failure.as_connector_error())),
            SdkError::TimeoutError(_) => Class::Transient("no answer in time".to_owned()),
            _ => Class::Transient("the answer broke off".to_owned()),
        };
    };
    let code = failed.err().code().unwrap_or("without a code").to_owned();
    let message = failed.err().message().unwrap_or_default().to_owned();
    match code.as_str() {
        "ThrottlingException" | "ProvisionedThroughputExceededException" | "RequestLimitExceeded" | "Throttling" => {
            Class::Throttled(code)
        }
        "UnknownOperationException" => Class::Unknown,
        _ if failed.raw().status().is_server_error() => Class::Transient(code),
        _ => Class::Never(code, message),
    }
}

fn spelled(error: Option<&(impl std::error::Error + 'static)>) -> String {
    let mut text = String::new();
    let mut next = error.map(|error| error as &dyn std::error::Error);
    while let Some(error) = next {
        text = error.to_string();
        next = error.source();
    }
    if text.is_empty() { "the connection failed".to_owned() } else { text }
}

/// Pauses between attempts, as long as none makes progress.
#[derive(Debug)]
pub struct Patience {
    operation: &'static str,
    limit: Duration,
    since: Instant,
    attempts: u32,
}

impl Patience {
    /// Begins now; ends after `limit` without progress.
    pub fn new(operation: &'static str, limit: Duration) -> Self {
        Self { operation, limit, since: Instant::now(), attempts: 0 }
    }

    /// An attempt got somewhere.
    pub fn progress(&mut self) {
        self.since = Instant::now();
        self.attempts = 0;
    }

    /// Waits before the next attempt: exponential with full jitter.
    ///
    /// # Errors
    /// When there was no progress for the whole limit, or the command was interrupted.
    pub async fn pause(&mut self, last: &str, stop: &CancellationToken) -> Result<(), Error> {
        if self.since.elapsed() >= self.limit {
            let seconds = self.limit.as_secs();
            return Err(Error::GaveUp { operation: self.operation, seconds, last: last.to_owned() });
        }
        let longest = FIRST.saturating_mul(1 << self.attempts.min(16)).min(LONGEST);
        self.attempts += 1;
        tokio::select! {
            () = sleep(longest.mul_f64(rand::rng().random())) => Ok(()),
            () = stop.cancelled() => Err(Error::Interrupted),
        }
    }
}

/// Calls until it succeeds, is refused for good, or patience ends. `None` where the engine does not know the call.
///
/// # Errors
/// As said.
pub async fn until_answered<T, E, F>(
    mut patience: Patience,
    stop: &CancellationToken,
    mut call: impl FnMut() -> F,
) -> Result<Option<T>, Error>
where
    E: ProvideErrorMetadata + std::fmt::Debug,
    F: Future<Output = Result<T, SdkError<E, HttpResponse>>>,
{
    loop {
        let error = tokio::select! {
            answered = call() => match answered {
                Ok(output) => return Ok(Some(output)),
                Err(error) => error,
            },
            () = stop.cancelled() => return Err(Error::Interrupted),
        };
        match class(&error) {
            Class::Throttled(last) | Class::Transient(last) => patience.pause(&last, stop).await?,
            Class::Unknown => return Ok(None),
            Class::Never(code, message) => return Err(refused(patience.operation, code, message)),
        }
    }
}

/// An error of the service with what to do about it.
pub fn refused(operation: &'static str, code: String, message: String) -> Error {
    let remedy = match code.as_str() {
        "ResourceNotFoundException" => "; check --table, --index and --region".to_owned(),
        "AccessDeniedException" => format!("; the role needs dynamodb:{operation} on the table and its index"),
        "ExpiredTokenException" | "UnrecognizedClientException" => "; renew the credentials and run again".to_owned(),
        _ => String::new(),
    };
    Error::Refused { operation, code, message, remedy }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test(start_paused = true)]
    async fn patience_ends_without_progress_and_not_with_it() {
        let stop = CancellationToken::new();
        let mut patience = Patience::new("Scan", Duration::from_secs(60));
        let begin = Instant::now();
        while begin.elapsed() < Duration::from_secs(300) {
            patience.pause("x", &stop).await.unwrap();
            patience.progress();
        }
        let error = loop {
            if let Err(error) = patience.pause("lost", &stop).await {
                break error;
            }
        };
        assert!(error.to_string().contains("no progress for 60 s, last: lost"), "{error}");
    }

    #[tokio::test(start_paused = true)]
    async fn an_interruption_ends_a_pause() {
        let stop = CancellationToken::new();
        stop.cancel();
        let mut patience = Patience::new("Scan", Duration::from_secs(60));
        while patience.pause("x", &stop).await.is_ok() {}
    }
}
