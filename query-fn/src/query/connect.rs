//! Connects to the store, with the timeouts and retries that the time of a page allows.

use aws_config::{BehaviorVersion, Region, retry::RetryConfig, timeout::TimeoutConfig};
use aws_sdk_dynamodb::Client;
use std::time::Duration;

/// Returns a client with the region and credentials that the AWS SDK finds; `endpoint_url` names another DynamoDB than AWS's.
///
/// Attempts are few (3) and short (5 s): the caller can repeat a request, and one slow attempt must not use up the time of a page.
pub async fn connect(endpoint_url: Option<String>, region: Option<String>) -> Client {
    let timeouts = TimeoutConfig::builder()
        .connect_timeout(Duration::from_secs(1))
        .operation_attempt_timeout(Duration::from_secs(5))
        .operation_timeout(Duration::from_secs(12))
        .build();
    let mut loader = aws_config::defaults(BehaviorVersion::latest())
        .retry_config(RetryConfig::standard().with_max_attempts(3).with_max_backoff(Duration::from_secs(1)))
        .timeout_config(timeouts);
    if let Some(region) = region {
        loader = loader.region(Region::new(region));
    }
    if let Some(url) = endpoint_url {
        // Engines on this machine check no signature, but the SDK does not send a request without credentials.
        let local = ["//127.0.0.1", "//localhost", "//[::1]"].iter().any(|host| url.contains(host));
        if local && std::env::var_os("AWS_ACCESS_KEY_ID").is_none() {
            loader = loader.test_credentials();
        }
        loader = loader.endpoint_url(url);
    }
    Client::new(&loader.load().await)
}
