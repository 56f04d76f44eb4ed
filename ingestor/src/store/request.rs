//! Sends one request to the table outside of the writer, and describes its failure in one sentence.

use std::time::Duration;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

/// Timeout of one request.
const WITHIN: Duration = Duration::from_secs(10);

/// Why a request failed, in one sentence.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum RequestError {
    /// A permission is missing.
    #[error("{0}")]
    Denied(String),
    /// The store cannot be reached, has trouble of its own or refuses the request.
    #[error("{0}")]
    Failed(String),
}

/// Sends one request and describes a failure in one sentence. `permission`: what the request needs, as IAM names it.
///
/// # Errors
///
/// Returns a one-sentence description if the request fails or takes longer than 10 s.
pub async fn send_with_timeout<T, E>(
    permission: &str,
    request: impl Future<Output = Result<T, SdkError<E>>>,
) -> Result<T, String>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    try_send_with_timeout(permission, request).await.map_err(|error| error.to_string())
}

/// Sends one request as [`send_with_timeout`] does, and tells a missing permission from other failures.
///
/// # Errors
///
/// Returns a [`RequestError`] if the request fails or takes longer than 10 s.
pub async fn try_send_with_timeout<T, E>(
    permission: &str,
    request: impl Future<Output = Result<T, SdkError<E>>>,
) -> Result<T, RequestError>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match tokio::time::timeout(WITHIN, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(explain(permission, &error)),
        Err(_) => Err(RequestError::Failed(format!("the store did not answer within {} s", WITHIN.as_secs()))),
    }
}

/// Takes the part of a success without which it answers nothing: an empty body reads like one that lacks every field.
///
/// # Errors
///
/// Returns a sentence if the part is missing.
pub fn required<T>(part: Option<T>) -> Result<T, String> {
    part.ok_or_else(|| "the store's answer is empty".to_owned())
}

fn explain<E>(permission: &str, error: &SdkError<E>) -> RequestError
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match error.as_service_error() {
        None => RequestError::Failed(format!("the store cannot be reached: {}", root_cause(error))),
        Some(service) => match (service.code().unwrap_or("unknown"), service.message().unwrap_or_default()) {
            ("AccessDeniedException", message) => RequestError::Denied(format!(
                "permission {permission} is missing: {message}; attach the ingestor's policy (infra/roles.yaml)"
            )),
            (code, message) => RequestError::Failed(format!("the store answers {code}: {message}")),
        },
    }
}

/// Returns the cause at the bottom; around it lie the layers of libraries.
#[must_use]
pub fn root_cause<'error>(
    error: &'error (dyn std::error::Error + 'static),
) -> &'error (dyn std::error::Error + 'static) {
    error.source().map_or(error, root_cause)
}
