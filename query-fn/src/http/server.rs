//! The HTTP server outside Lambda. It limits the size of a request's head, the time for it to arrive, the number of connections, and the
//! time that a client may read nothing of an answer. It never reads the body of a request.
//!
//! hyper itself refuses a head that is too large, before the service sees a request: with 414 if the path and query have more than 65,534
//! bytes, with 431 if the head has more than its limit or than 100 fields, both without a body. The contract names both.

use axum::{Router, body::Body};
use hyper::{body::Incoming, server::conn::http1, service::service_fn};
use hyper_util::rt::{TokioIo, TokioTimer};
use std::{sync::Arc, time::Duration};
use tokio::{
    io::{AsyncRead, copy, sink},
    net::{TcpListener, TcpStream},
    sync::{OwnedSemaphorePermit, Semaphore, watch},
    task::JoinSet,
    time::{sleep, timeout},
};
use tokio_io_timeout::TimeoutStream;
use tower::ServiceExt;

/// The limits of the server.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// The most open connections; further ones wait to be accepted.
    pub connections: usize,
    /// The longest time for the head of a request to arrive, and of an idle connection.
    pub head: Duration,
    /// The largest head of a request, bytes.
    pub head_bytes: usize,
    /// The longest time that a client may read nothing of an answer.
    pub write: Duration,
    /// The longest time for answers under way after the server is stopped.
    pub drain: Duration,
}

impl Default for Limits {
    fn default() -> Limits {
        let seconds = Duration::from_secs;
        Limits { connections: 256, head: seconds(30), head_bytes: 128 * 1024, write: seconds(60), drain: seconds(10) }
    }
}

/// Tells the answer to a request that the server stops. In the request's extensions.
#[derive(Clone, Debug)]
pub struct Stopping(watch::Receiver<bool>);

impl Stopping {
    /// Waits until the server stops: an answer without an end of its own ends then.
    ///
    /// # Cancel safety
    ///
    /// Nothing is lost if it is dropped.
    pub async fn wait(&mut self) {
        // An error says that the server is gone.
        let _is_over = self.0.wait_for(|stopping| *stopping).await;
    }
}

/// The pause after a failed accept, which as a rule is a lack of file descriptors.
const AGAIN: Duration = Duration::from_millis(100);
/// The longest time for a client to finish sending a refused head and to read the refusal.
const LINGER: Duration = Duration::from_secs(2);

/// Serves until `stop` completes, then waits for answers under way.
pub async fn serve(listener: TcpListener, router: Router, limits: Limits, stop: impl Future<Output = ()>) {
    let places = Arc::new(Semaphore::new(limits.connections));
    let (ending, ended) = watch::channel(false);
    let mut connections = JoinSet::new();
    tokio::pin!(stop);
    loop {
        let accepted = tokio::select! {
            () = &mut stop => break,
            Some(_) = connections.join_next() => continue,
            accepted = accept(&listener, &places) => accepted,
        };
        match accepted {
            Ok((stream, place)) => {
                connections.spawn(connection(stream, place, router.clone(), limits, ended.clone()));
            }
            Err(error) => {
                tracing::warn!(%error, "connection not accepted");
                sleep(AGAIN).await;
            }
        }
    }
    let _nobody_left = ending.send(true);
    let drained = async { while connections.join_next().await.is_some() {} };
    if timeout(limits.drain, drained).await.is_err() {
        tracing::warn!(connections = connections.len(), "answers were cut off");
    }
}

/// Waits for a place among the connections and accepts one.
async fn accept(listener: &TcpListener, places: &Arc<Semaphore>) -> std::io::Result<(TcpStream, OwnedSemaphorePermit)> {
    let place = Arc::clone(places).acquire_owned().await.map_err(std::io::Error::other)?;
    Ok((listener.accept().await?.0, place))
}

/// Serves one connection until it ends, or until `ended` changes and its answer is sent.
async fn connection(
    stream: TcpStream,
    place: OwnedSemaphorePermit,
    router: Router,
    limits: Limits,
    mut ended: watch::Receiver<bool>,
) {
    let mut stream = TimeoutStream::new(stream);
    stream.set_write_timeout(Some(limits.write));
    let stopping = Stopping(ended.clone());
    let service = service_fn(move |request: hyper::Request<Incoming>| {
        let mut request = request.map(Body::new);
        request.extensions_mut().insert(stopping.clone());
        router.clone().oneshot(request)
    });
    let mut serving = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(limits.head)
        .max_buf_size(limits.head_bytes)
        .max_header_size(limits.head_bytes)
        .serve_connection(TokioIo::new(Box::pin(stream)), service);
    let outcome = tokio::select! {
        outcome = &mut serving => outcome,
        _ = ended.changed() => {
            std::pin::Pin::new(&mut serving).graceful_shutdown();
            (&mut serving).await
        }
    };
    if let Err(error) = outcome {
        tracing::debug!(%error, "connection ended");
        if error.is_parse() {
            linger(serving.into_parts().io.into_inner()).await;
        }
    }
    drop(place);
}

/// Reads and drops what a refused client still sends. A socket that is closed with unread bytes resets the connection, and a client that is
/// still sending then reports the reset instead of the answer (RFC 9112, section 9.6).
async fn linger(mut stream: impl AsyncRead + Unpin) {
    let _read_or_late = timeout(LINGER, copy(&mut stream, &mut sink())).await;
}
