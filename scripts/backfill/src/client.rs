//! Creates the DynamoDB client.

use std::time::Duration;

use aws_config::{BehaviorVersion, Region};
use aws_sdk_dynamodb::{
    Client,
    config::{Credentials, retry::RetryConfig, timeout::TimeoutConfig},
};

use crate::args::JobArgs;

/// Longest wait for a connection.
const CONNECT: Duration = Duration::from_secs(3);
/// Longest wait for an answer; a scan of a page takes well under a second.
const ATTEMPT: Duration = Duration::from_secs(10);

/// A client without retries of its own: `retry` and `apply` are the one policy.
pub async fn connect(args: &JobArgs) -> Client {
    connect_to(args.endpoint_url.as_deref(), args.region.as_deref()).await
}

/// As [`connect`], for a program with arguments of its own: the endpoint and the region, where they are given.
pub async fn connect_to(endpoint: Option<&str>, region: Option<&str>) -> Client {
    let timeouts = TimeoutConfig::builder().connect_timeout(CONNECT).operation_attempt_timeout(ATTEMPT).build();
    let mut loader =
        aws_config::defaults(BehaviorVersion::latest()).retry_config(RetryConfig::disabled()).timeout_config(timeouts);
    if let Some(region) = region {
        loader = loader.region(Region::new(region.to_owned()));
    }
    if let Some(endpoint) = endpoint {
        loader = loader.endpoint_url(endpoint);
        if is_local(endpoint) && std::env::var_os("AWS_ACCESS_KEY_ID").is_none() {
            // Engines on this machine check no signature, but the SDK wants to sign.
            loader = loader.credentials_provider(Credentials::new("local", "local", None, None, "local"));
            loader = loader.region(Region::new(region.unwrap_or("us-east-1").to_owned()));
        }
    }
    Client::new(&loader.load().await)
}

fn is_local(endpoint: &str) -> bool {
    let host = endpoint.split("://").nth(1).unwrap_or(endpoint);
    ["127.", "localhost", "[::1]"].iter().any(|local| host.starts_with(local))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_this_machine_is_local() {
        assert!(
            is_local("http://127.0.0.1:8000") && is_local("http://localhost:8000") && is_local("http://[::1]:8000")
        );
        assert!(!is_local("https://dynamodb.eu-west-1.amazonaws.com") && !is_local("http://10.127.0.1"));
    }
}
