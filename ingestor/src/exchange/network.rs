//! Certificates and proxies for every connection to the exchange, WebSocket and REST alike.

use std::net::IpAddr;
use std::sync::{Arc, LazyLock};

use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::client::legacy::connect::proxy::Tunnel;
use hyper_util::client::proxy::matcher::{Intercept, Matcher};
use hyper_util::rt::TokioIo;
use rustls::{ClientConfig, RootCertStore};
use tokio::net::TcpStream;
use tokio_tungstenite::tungstenite::error::Error as SocketError;
use tokio_tungstenite::tungstenite::http::Uri;
use tokio_tungstenite::tungstenite::protocol::WebSocketConfig;
use tokio_tungstenite::{
    Connector, MaybeTlsStream, WebSocketStream, client_async_tls_with_config, connect_async_tls_with_config,
};
use tower::ServiceExt as _;

/// An open WebSocket.
pub type Stream = WebSocketStream<MaybeTlsStream<TcpStream>>;

/// TLS settings of every connection to the exchange. Trusts the bundled roots and those of the machine, or in place of
/// the latter the ones that `SSL_CERT_FILE` and `SSL_CERT_DIR` name.
static TLS: LazyLock<Arc<ClientConfig>> = LazyLock::new(|| {
    let mut roots = RootCertStore { roots: webpki_roots::TLS_SERVER_ROOTS.to_vec() };
    let machine = rustls_native_certs::load_native_certs();
    for error in &machine.errors {
        tracing::warn!(%error, "certificates of this machine cannot be read");
    }
    // A machine's store may hold certificates that are no roots for TLS.
    let (_added, _ignored) = roots.add_parsable_certificates(machine.certs);
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("the provider supports the default versions")
        .with_root_certificates(roots)
        .with_no_client_auth();
    Arc::new(config)
});

/// Why a WebSocket could not be opened.
#[derive(Debug, thiserror::Error)]
pub enum ConnectError {
    /// The exchange or the network failed.
    #[error(transparent)]
    Socket(#[from] SocketError),
    /// The proxy that the environment names refused the connection.
    #[error("proxy {proxy}: {reason}")]
    Proxy {
        /// Address of the proxy, without a password.
        proxy: Uri,
        /// Its answer in words.
        reason: String,
    },
}

/// Returns the TLS settings. The TLS library is chosen here alone, so that it can be exchanged: one report speaks of
/// handshakes that failed with rustls in an environment where others worked.
#[must_use]
pub fn tls() -> Arc<ClientConfig> {
    TLS.clone()
}

/// Opens a WebSocket connection: through a proxy where the environment names one (`HTTPS_PROXY` for `wss://`, `HTTP_PROXY`
/// for `ws://`, `ALL_PROXY`, `NO_PROXY`), as the REST client does.
///
/// # Errors
///
/// Returns a [`ConnectError`] if the exchange, the network or the proxy refuses.
pub async fn connect(url: &str, limits: WebSocketConfig) -> Result<Stream, ConnectError> {
    let tls = Some(Connector::Rustls(tls()));
    let opened = match proxy(url, &Matcher::from_env()) {
        None => connect_async_tls_with_config(url, Some(limits), true, tls).await?,
        Some((proxy, target)) => {
            let tunnel = tunnel(&proxy, target).await?;
            client_async_tls_with_config(url, tunnel, Some(limits), tls).await?
        }
    };
    Ok(opened.0)
}

/// Returns true for an address of this machine, which is reached without a proxy.
#[must_use]
pub fn is_local(url: &str) -> bool {
    let Ok(url) = url.parse::<Uri>() else { return false };
    let host = url.host().unwrap_or_default().trim_matches(['[', ']']);
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| address.is_loopback())
}

/// Returns the proxy for a WebSocket's address, and the address as the proxy is told it.
fn proxy(url: &str, proxies: &Matcher) -> Option<(Intercept, Uri)> {
    if is_local(url) {
        return None;
    }
    let url: Uri = url.parse().ok()?;
    let (scheme, port) = if url.scheme_str() == Some("wss") { ("https", 443) } else { ("http", 80) };
    let authority = format!("{}:{}", url.host()?, url.port_u16().unwrap_or(port));
    let target = Uri::builder().scheme(scheme).authority(authority).path_and_query("/").build().ok()?;
    Some((proxies.intercept(&target)?, target))
}

async fn tunnel(proxy: &Intercept, target: Uri) -> Result<TcpStream, ConnectError> {
    let refused = |reason: String| ConnectError::Proxy { proxy: proxy.uri().clone(), reason };
    if proxy.uri().scheme_str() != Some("http") {
        return Err(refused("expected an address with http://".to_owned()));
    }
    let mut connector = HttpConnector::new();
    connector.set_nodelay(true);
    let mut tunnel = Tunnel::new(proxy.uri().clone(), connector);
    if let Some(authorization) = proxy.basic_auth() {
        tunnel = tunnel.with_auth(authorization.clone());
    }
    let opened = tunnel.oneshot(target).await;
    opened.map(TokioIo::into_inner).map_err(|error| refused(spelled(&error)))
}

/// Formats an error with its causes.
fn spelled(error: &dyn std::error::Error) -> String {
    let causes = std::iter::successors(error.source(), |cause| cause.source());
    causes.fold(error.to_string(), |said, cause| format!("{said}: {cause}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_proxy_is_told_the_host_and_the_port() {
        let proxies = Matcher::builder()
            .http("http://name:secret@plain.example:3128")
            .https("http://secure.example:3128")
            .no("near.example")
            .build();
        for (url, expected) in [
            ("wss://ws.example", Some(("http://secure.example:3128/", "https://ws.example:443/"))),
            ("wss://ws.example:8443/path", Some(("http://secure.example:3128/", "https://ws.example:8443/"))),
            ("ws://ws.example", Some(("http://plain.example:3128/", "http://ws.example:80/"))),
            ("wss://near.example", None),
            ("ws://127.0.0.1:8765", None),
            ("ws://[::1]:8765", None),
            ("wss://localhost", None),
        ] {
            let found = proxy(url, &proxies).map(|(proxy, target)| (proxy.uri().to_string(), target.to_string()));
            let expected = expected.map(|(proxy, target)| (proxy.to_owned(), target.to_owned()));
            assert_eq!(found, expected, "{url}; its address has no password");
        }
    }
}
