//! What stands between the daemon and the exchange: a proxy, a private certificate authority.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::Path;
use std::process::{Child, Command};
use std::sync::Arc;
use std::sync::atomic::{AtomicUsize, Ordering};

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio_rustls::TlsAcceptor;

use crate::support::{Bench, command, until, until_async};

/// A daemon whose ways to the exchange are set by its environment; killed at the test's end.
struct Running(Child);

impl Running {
    fn start(command: &mut Command) -> Running {
        for variable in ["HTTP_PROXY", "HTTPS_PROXY", "ALL_PROXY", "NO_PROXY", "SSL_CERT_FILE", "SSL_CERT_DIR"] {
            if !command.get_envs().any(|(set, _)| set == variable) {
                command.env_remove(variable);
            }
            command.env_remove(variable.to_lowercase());
        }
        Running(command.spawn().unwrap())
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.kill().unwrap();
        self.0.wait().unwrap();
    }
}

/// Starts a daemon with these addresses and waits until it has subscribed and stored events.
async fn captures(bench: &Bench, ws_url: &str, rest_url: &str, environment: &[(&str, &str)]) {
    let mut settings: BTreeMap<_, _> = bench.settings();
    settings.insert("url".to_owned(), ws_url.to_owned());
    settings.insert("rest_url".to_owned(), rest_url.to_owned());
    // Only REST can tell what a wildcard is.
    settings.insert("channels".to_owned(), "live_orders_*".to_owned());
    let _running = Running::start(command(&settings).envs(environment.iter().copied()));
    until("subscribed", || bench.simulator.subscriptions() > 1).await;
    bench.simulator.resume();
    until_async("stored", async || !bench.items().await.is_empty()).await;
    bench.simulator.pause();
}

fn exchange(bench: &Bench) -> SocketAddr {
    bench.simulator.ws_url().trim_start_matches("ws://").parse().unwrap()
}

/// Passes a connection on to the exchange, behind what was read of it already.
async fn pass(
    mut client: impl tokio::io::AsyncRead + tokio::io::AsyncWrite + Unpin,
    exchange: SocketAddr,
    head: &[u8],
) {
    let mut exchange = TcpStream::connect(exchange).await.unwrap();
    exchange.write_all(head).await.unwrap();
    // Either side may end it in any way.
    let _ended = copy_bidirectional(&mut client, &mut exchange).await;
}

/// What a proxy was asked for that wants a password and knows one host, the exchange.
#[derive(Default)]
struct Asked {
    tunnels: AtomicUsize,
    plain: AtomicUsize,
}

async fn through_proxy(mut client: TcpStream, exchange: SocketAddr, asked: &Asked) {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        let Ok(byte) = client.read_u8().await else { return };
        head.push(byte);
    }
    let said = String::from_utf8(head.clone()).unwrap().to_lowercase();
    // name:secret
    if !said.contains("proxy-authorization: basic bmftztpzzwnyzxq=") {
        client.write_all(b"HTTP/1.1 407 Proxy Authentication Required\r\ncontent-length: 0\r\n\r\n").await.unwrap();
        return;
    }
    if said.starts_with(&format!("connect exchange.test:{} http/1.1\r\n", exchange.port())) {
        asked.tunnels.fetch_add(1, Ordering::Relaxed);
        client.write_all(b"HTTP/1.1 200 Connection established\r\n\r\n").await.unwrap();
        pass(client, exchange, b"").await;
    } else {
        assert!(said.contains(&format!(" http://exchange.test:{}/", exchange.port())), "{said}");
        asked.plain.fetch_add(1, Ordering::Relaxed);
        pass(client, exchange, &head).await;
    }
}

/// Where only a proxy knows the way, WebSocket and REST both take it, with its password.
#[tokio::test(flavor = "multi_thread")]
async fn a_proxy_of_the_environment_is_used_by_websocket_and_rest() {
    let bench = Bench::new(91, 1.0).await;
    let exchange = exchange(&bench);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let proxy = format!("http://name:secret@{}", listener.local_addr().unwrap());
    let asked = Arc::new(Asked::default());
    let counts = asked.clone();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let counts = counts.clone();
            tokio::spawn(async move { through_proxy(client, exchange, &counts).await });
        }
    });
    let (ws_url, rest_url) =
        (format!("ws://exchange.test:{}", exchange.port()), format!("http://exchange.test:{}/api/v2", exchange.port()));
    captures(&bench, &ws_url, &rest_url, &[("HTTP_PROXY", &proxy), ("NO_PROXY", "127.0.0.1")]).await;
    assert!(asked.tunnels.load(Ordering::Relaxed) >= 1, "the WebSocket goes through the proxy");
    assert!(asked.plain.load(Ordering::Relaxed) >= 1, "REST goes through the proxy");
}

/// Writes a certificate authority into a folder and returns what speaks TLS under it, as `localhost`.
fn private_authority(file: &Path) -> TlsAcceptor {
    let mut params = CertificateParams::default();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority_key = KeyPair::generate().unwrap();
    let authority = params.self_signed(&authority_key).unwrap();
    std::fs::write(file, authority.pem()).unwrap();
    let issuer = Issuer::from_params(&params, &authority_key);
    let key = KeyPair::generate().unwrap();
    let certificate = CertificateParams::new(["localhost".to_owned()]).unwrap().signed_by(&key, &issuer).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_no_client_auth()
        .with_single_cert(vec![certificate.der().clone()], PrivatePkcs8KeyDer::from(key.serialize_der()).into());
    TlsAcceptor::from(Arc::new(config.unwrap()))
}

/// A company's network ends TLS at a gateway with certificates of its own authority.
#[tokio::test(flavor = "multi_thread")]
async fn a_private_authority_is_trusted_by_websocket_and_rest() {
    let bench = Bench::new(92, 1.0).await;
    let exchange = exchange(&bench);
    let file = bench.folder.path().join("authority.pem");
    let acceptor = private_authority(&file);
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let port = listener.local_addr().unwrap().port();
    tokio::spawn(async move {
        while let Ok((client, _)) = listener.accept().await {
            let acceptor = acceptor.clone();
            tokio::spawn(async move {
                if let Ok(client) = acceptor.accept(client).await {
                    pass(client, exchange, b"").await;
                }
            });
        }
    });
    let (ws_url, rest_url) = (format!("wss://localhost:{port}"), format!("https://localhost:{port}/api/v2"));
    captures(&bench, &ws_url, &rest_url, &[("SSL_CERT_FILE", file.to_str().unwrap())]).await;
}
