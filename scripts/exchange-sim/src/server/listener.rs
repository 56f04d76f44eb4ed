//! Listens on the one port: each request of a connection is answered by the REST side, or turns its connection into a WebSocket.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use axum::body::Body;
use axum::extract::connect_info::{ConnectInfo, Connected};
use axum::extract::{Request, State};
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::{self, Next};
use axum::response::{IntoResponse, Response};
use axum::serve::{IncomingStream, Listener};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::sleep;
use tokio_tungstenite::tungstenite::handshake::server::create_response_with_body;
use tokio_util::task::TaskTracker;

use crate::server::{rest, websocket};
use crate::state::Exchange;

/// Accepts connections until shutdown.
pub(crate) async fn serve(listener: TcpListener, exchange: Arc<Exchange>, tasks: TaskTracker) {
    let stopped = exchange.shutdown.clone().cancelled_owned();
    let door = Door { exchange: Arc::clone(&exchange), tasks };
    let router = rest::router(Arc::clone(&exchange)).layer(middleware::from_fn_with_state(door, route));
    let service = router.into_make_service_with_connect_info::<Client>();
    if let Err(error) = axum::serve(Port { listener, exchange }, service).with_graceful_shutdown(stopped).await {
        tracing::error!(%error, "the port is closed");
    }
}

/// What the routing of one request needs.
#[derive(Clone)]
struct Door {
    exchange: Arc<Exchange>,
    tasks: TaskTracker,
}

/// Decides for each request, not for each connection: clients ask for the upgrade on a connection that has served REST.
async fn route(
    State(Door { exchange, tasks }): State<Door>,
    ConnectInfo(Client(address)): ConnectInfo<Client>,
    mut request: Request,
    next: Next,
) -> Response {
    if !is_websocket(request.headers()) {
        return next.run(request).await;
    }
    if exchange.lock().broadcaster.is_down() {
        return StatusCode::SERVICE_UNAVAILABLE.into_response();
    }
    match create_response_with_body(&request, Body::empty) {
        Ok(response) => {
            let upgrade = hyper::upgrade::on(&mut request);
            tasks.spawn(websocket::connection::serve(upgrade, address, exchange));
            response
        }
        Err(error) => {
            tracing::debug!(%address, %error, "websocket handshake failed");
            StatusCode::BAD_REQUEST.into_response()
        }
    }
}

fn is_websocket(headers: &HeaderMap) -> bool {
    headers.get(header::UPGRADE).is_some_and(|protocol| protocol.as_bytes().eq_ignore_ascii_case(b"websocket"))
}

/// The listening socket; while the exchange is down, it closes what it accepts.
struct Port {
    listener: TcpListener,
    exchange: Arc<Exchange>,
}

impl Listener for Port {
    type Io = TcpStream;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (TcpStream, SocketAddr) {
        loop {
            match self.listener.accept().await {
                Ok(accepted) if !self.exchange.lock().broadcaster.is_down() => {
                    if let Err(error) = accepted.0.set_nodelay(true) {
                        tracing::debug!(%error, "no delay cannot be set");
                    }
                    return accepted;
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

    fn local_addr(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }
}

/// Address of a connection's other end.
#[derive(Clone, Copy)]
struct Client(SocketAddr);

impl Connected<IncomingStream<'_, Port>> for Client {
    fn connect_info(stream: IncomingStream<'_, Port>) -> Self {
        Self(*stream.remote_addr())
    }
}
