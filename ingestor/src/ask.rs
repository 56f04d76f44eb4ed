use std::time::Duration;

use aws_sdk_dynamodb::error::{ProvideErrorMetadata, SdkError};

/// What one question to the store may take.
const WITHIN: Duration = Duration::from_secs(10);

/// Asks the store once and says in one sentence what went wrong. `permission`: what the request needs, as IAM names it.
///
/// # Errors
///
/// The sentence.
pub async fn ask<T, E>(permission: &str, request: impl Future<Output = Result<T, SdkError<E>>>) -> Result<T, String>
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match tokio::time::timeout(WITHIN, request).await {
        Ok(Ok(answer)) => Ok(answer),
        Ok(Err(error)) => Err(sentence(permission, &error)),
        Err(_) => Err(format!("the store did not answer within {} s", WITHIN.as_secs())),
    }
}

fn sentence<E>(permission: &str, error: &SdkError<E>) -> String
where
    E: ProvideErrorMetadata + std::error::Error + 'static,
{
    match error.as_service_error() {
        None => format!("the store cannot be reached: {}", innermost(error)),
        Some(service) => match (service.code().unwrap_or("unknown"), service.message().unwrap_or_default()) {
            ("AccessDeniedException", message) => format!(
                "permission {permission} is missing: {message}; attach the ingestor's policy (infra/roles.yaml)"
            ),
            (code, message) => format!("the store answers {code}: {message}"),
        },
    }
}

/// The cause at the bottom: what lies around it are the layers of libraries.
#[must_use]
pub fn innermost<'error>(
    error: &'error (dyn std::error::Error + 'static),
) -> &'error (dyn std::error::Error + 'static) {
    error.source().map_or(error, innermost)
}
