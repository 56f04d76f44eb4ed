//! The two ways to the items: the deployed function with signed requests, and the same service in this process on a local store.

use anyhow::{Context, bail};
use aws_config::{BehaviorVersion, Region};
use aws_credential_types::provider::ProvideCredentials;
use aws_sigv4::{
    http_request::{SignableBody, SignableRequest, SigningSettings, sign},
    sign::v4,
};
use axum::{
    Router,
    body::Body,
    http::{Method, Request},
};
use query_fn::{
    config::Config,
    http::{invocation::Origin, token::random_key},
    query::connect::connect,
};
use serde_json::Value;
use std::time::{Duration, SystemTime};
use tower::ServiceExt;

use crate::args::Place;

/// The longest time of a request; API Gateway gives up after 30 s.
const PATIENCE: Duration = Duration::from_secs(35);
/// The name of API Gateway's data plane in signatures.
const SERVICE: &str = "execute-api";

/// Where requests go.
pub(crate) enum Endpoint {
    /// The deployed function.
    Deployed(Box<Deployed>),
    /// The service itself, on a local store; requests need no signature.
    Local {
        /// The service.
        router: Router,
        /// Who the audit items name.
        who: String,
        /// The one table.
        table: String,
    },
}

/// The function behind API Gateway, and what its requests are signed with.
pub(crate) struct Deployed {
    url: String,
    region: Region,
    config: aws_config::SdkConfig,
    client: reqwest::Client,
}

impl Endpoint {
    /// Connects to the place that the arguments name.
    pub(crate) async fn of(place: &Place) -> anyhow::Result<Endpoint> {
        if let Some(endpoint) = &place.endpoint_url {
            // A local engine needs a region in the signature and does not check it.
            let region = place.region.clone().unwrap_or_else(|| "us-east-1".to_owned());
            let client = connect(Some(endpoint.clone()), Some(region)).await;
            let config = Config::new(&place.table, vec![random_key()]);
            let user =
                std::env::var("USER").or_else(|_| std::env::var("LOGNAME")).unwrap_or_else(|_| "unknown".to_owned());
            let (router, table) = (items_fn::routes::router(client, config), place.table.clone());
            return Ok(Endpoint::Local { router, who: format!("local:{user}"), table });
        }
        let Some(url) = &place.url else {
            bail!(
                "where are the items? --url (the output ItemsUrl of the stack N-app), or --endpoint-url for a local store"
            );
        };
        let loaded = aws_config::defaults(BehaviorVersion::latest()).load().await;
        let named = place.region.clone().or_else(|| region_of(url)).map(Region::new);
        let region = named.or_else(|| loaded.region().cloned()).context("no region: --region")?;
        let client = reqwest::Client::builder().timeout(PATIENCE).build().context("cannot make a client")?;
        let url = url.trim_end_matches('/').to_owned();
        Ok(Endpoint::Deployed(Box::new(Deployed { url, region, config: loaded, client })))
    }

    /// Returns the table that requests are read for, where it is known here.
    pub(crate) fn table(&self) -> &str {
        match self {
            Endpoint::Deployed(_) => "",
            Endpoint::Local { table, .. } => table,
        }
    }

    /// Sends one request; returns status and body.
    pub(crate) async fn send(&self, method: Method, path: &str, body: String) -> anyhow::Result<(u16, Value)> {
        let (status, bytes) = match self {
            Endpoint::Deployed(deployed) => deployed.send(method, path, body).await?,
            Endpoint::Local { router, who, .. } => local(router, who, method, path, body).await?,
        };
        let body = serde_json::from_slice(&bytes).with_context(|| {
            format!(
                "status {status} and no JSON: {}",
                String::from_utf8_lossy(&bytes).chars().take(200).collect::<String>()
            )
        })?;
        Ok((status, body))
    }
}

impl Deployed {
    async fn send(&self, method: Method, path: &str, body: String) -> anyhow::Result<(u16, Vec<u8>)> {
        let provider = self.config.credentials_provider().context("no AWS credentials")?;
        let credentials = provider.provide_credentials().await.context("no AWS credentials")?;
        let identity = credentials.into();
        let parameters = v4::SigningParams::builder()
            .identity(&identity)
            .region(self.region.as_ref())
            .name(SERVICE)
            .time(SystemTime::now())
            .settings(SigningSettings::default())
            .build()
            .context("cannot sign")?
            .into();
        let url = format!("{}{path}", self.url);
        let headers = [("content-type", "application/json")];
        let mut request = Request::builder().method(&method).uri(&url);
        for (name, value) in headers {
            request = request.header(name, value);
        }
        let signable =
            SignableRequest::new(method.as_str(), &url, headers.into_iter(), SignableBody::Bytes(body.as_bytes()))
                .with_context(|| format!("`{url}` cannot be signed"))?;
        let (instructions, _) = sign(signable, &parameters).context("cannot sign")?.into_parts();
        let mut request = request.body(body).with_context(|| format!("`{url}` is no address"))?;
        instructions.apply_to_request_http1x(&mut request);
        let request = reqwest::Request::try_from(request).with_context(|| format!("`{url}` is no address"))?;
        let response = self.client.execute(request).await.with_context(|| format!("no answer from {}", self.url))?;
        let status = response.status().as_u16();
        let body = response.bytes().await.with_context(|| format!("no whole answer from {}", self.url))?;
        Ok((status, body.to_vec()))
    }
}

/// Returns the region in an address of API Gateway.
fn region_of(url: &str) -> Option<String> {
    let (_, rest) = url.split_once(".execute-api.")?;
    rest.split('.').next().map(str::to_owned)
}

async fn local(router: &Router, who: &str, method: Method, path: &str, body: String) -> anyhow::Result<(u16, Vec<u8>)> {
    let mut request = Request::builder().method(method).uri(path).body(Body::from(body))?;
    let id = format!("{:032x}", rand::random::<u128>());
    request.extensions_mut().insert(Origin { id, ends: SystemTime::now() + PATIENCE, caller: Some(who.to_owned()) });
    let Ok(response) = router.clone().oneshot(request).await;
    let status = response.status().as_u16();
    let body = axum::body::to_bytes(response.into_body(), usize::MAX).await.context("no whole answer")?;
    Ok((status, body.to_vec()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_region_is_that_of_the_address() {
        let url = "https://abc123.execute-api.eu-central-1.amazonaws.com/prod";
        assert_eq!(region_of(url).as_deref(), Some("eu-central-1"));
        assert_eq!(region_of("https://items.example.com"), None);
    }
}
