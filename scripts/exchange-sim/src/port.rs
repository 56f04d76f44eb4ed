//! The one port: looks at the head of each request and hands the connection to the WebSocket or to the REST side.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::serve::Listener;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::mpsc::{self, Receiver, Sender};
use tokio::time::{sleep, timeout};
use tokio_util::task::TaskTracker;

use crate::exchange::Exchange;
use crate::{rest, websocket};

/// How long a client may take to send the head of its request.
const HEAD: Duration = Duration::from_secs(5);
/// Largest head that is looked at.
const HEAD_BYTES: usize = 16_384;
/// REST connections that may wait to be served.
const WAITING: usize = 128;

/// Accepts connections until shutdown.
pub(crate) async fn serve(listener: TcpListener, exchange: Arc<Exchange>, tasks: TaskTracker) {
    let Ok(address) = listener.local_addr() else { return };
    let (streams, incoming) = mpsc::channel(WAITING);
    let router = rest::router(Arc::clone(&exchange));
    let server = axum::serve(Streams { incoming, address }, router);
    let stopped = exchange.shutdown.clone().cancelled_owned();
    tasks.spawn(async move {
        if let Err(error) = server.with_graceful_shutdown(stopped).await {
            tracing::error!(%error, "the rest side ended");
        }
    });
    loop {
        let accepted = tokio::select! {
            () = exchange.shutdown.cancelled() => return,
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, _)) if !exchange.lock().hub.is_down() => {
                tasks.spawn(route(stream, Arc::clone(&exchange), streams.clone()));
            }
            Ok(_) => {}
            Err(error) => {
                // Too many open files, mostly: pass once some are closed.
                tracing::warn!(%error, "cannot accept a connection");
                sleep(Duration::from_millis(50)).await;
            }
        }
    }
}

async fn route(stream: TcpStream, exchange: Arc<Exchange>, rest: Sender<TcpStream>) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%error, "no delay cannot be set");
    }
    match timeout(HEAD, is_websocket(&stream)).await {
        Ok(Ok(true)) => websocket::connection::serve(stream, exchange).await,
        Ok(Ok(false)) => {
            if rest.send(stream).await.is_err() {
                tracing::debug!("a request came after the shutdown");
            }
        }
        Ok(Err(_)) | Err(_) => tracing::debug!("a connection sent no request"),
    }
}

/// Looks at the head without taking it, so that whoever serves the connection sees it whole.
async fn is_websocket(stream: &TcpStream) -> io::Result<bool> {
    let mut head = vec![0; HEAD_BYTES];
    loop {
        let read = stream.peek(&mut head).await?;
        if read == 0 {
            return Err(io::ErrorKind::UnexpectedEof.into());
        }
        let text = String::from_utf8_lossy(head.get(..read).unwrap_or_default()).to_ascii_lowercase();
        if text.contains("\r\n\r\n") || read == HEAD_BYTES {
            return Ok(text.lines().any(|line| line.starts_with("upgrade:") && line.contains("websocket")));
        }
        // The rest of the head is still under way, and peek would return at once.
        sleep(Duration::from_millis(2)).await;
    }
}

/// Connections for the REST side, as its server wants to accept them.
struct Streams {
    incoming: Receiver<TcpStream>,
    address: SocketAddr,
}

impl Listener for Streams {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        match self.incoming.recv().await {
            Some(stream) => (stream, self.address),
            None => std::future::pending().await,
        }
    }

    fn local_addr(&self) -> io::Result<SocketAddr> {
        Ok(self.address)
    }
}
