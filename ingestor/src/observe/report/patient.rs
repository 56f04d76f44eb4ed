//! Accepts connections whose clients may leave an answer unread for a while, not for ever.

use std::net::SocketAddr;
use std::pin::Pin;
use std::time::Duration;

use axum::serve::Listener;
use tokio::net::{TcpListener, TcpStream};
use tokio_io_timeout::TimeoutStream;

/// Longest time for a client to take a part of its answer. A viewer that stops reading gives up its place then.
const WRITE_WITHIN: Duration = Duration::from_secs(10);

/// A listener that ends connections whose clients stop reading.
pub(super) struct Patient(pub(super) TcpListener);

impl Listener for Patient {
    type Io = Pin<Box<TimeoutStream<TcpStream>>>;
    type Addr = SocketAddr;

    async fn accept(&mut self) -> (Self::Io, Self::Addr) {
        // The listener's own waits and tries again where none can be accepted.
        let (stream, address) = <TcpListener as Listener>::accept(&mut self.0).await;
        let mut stream = TimeoutStream::new(stream);
        stream.set_write_timeout(Some(WRITE_WITHIN));
        (Box::pin(stream), address)
    }

    fn local_addr(&self) -> std::io::Result<SocketAddr> {
        self.0.local_addr()
    }
}
