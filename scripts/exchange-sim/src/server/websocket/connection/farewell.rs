//! How a connection is closed in order: what is queued goes out first, and the close frame reaches the client.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::time::{Instant, timeout, timeout_at};
use tokio_tungstenite::tungstenite::protocol::CloseFrame;
use tokio_tungstenite::tungstenite::protocol::frame::coding::CloseCode;

use super::{BATCH, Connection, Reason};

/// How long the client has to answer a close frame.
const FAREWELL: Duration = Duration::from_secs(1);
/// How long the client has at shutdown to take what is still queued.
const DRAIN: Duration = Duration::from_secs(5);

impl Connection {
    /// At shutdown: what is queued still goes out, then the connection is closed in order.
    pub(super) async fn drain(&mut self) -> Reason {
        self.seat.queue.close();
        let deadline = Instant::now() + DRAIN;
        while self.seat.queue.recv_many(&mut self.batch, BATCH).await > 0 {
            match timeout_at(deadline, self.send_batch()).await {
                Ok(Ok(())) => {}
                Ok(Err(reason)) => return reason,
                Err(_) => return "shutdown with a slow client",
            }
        }
        self.close(CloseCode::Away, "shutdown", "shutdown").await
    }

    /// Sends a close frame, and reads on until the client has closed too: a socket dropped with unread data would
    /// take the close frame with it.
    pub(super) async fn close(&mut self, code: CloseCode, text: &'static str, reason: Reason) -> Reason {
        let frame = CloseFrame { code, reason: text.into() };
        let farewell = async {
            let closed = self.socket.close(Some(frame)).await;
            let stream = self.socket.get_mut();
            let mut rest = [0; 1_024];
            if closed.is_ok() && stream.shutdown().await.is_ok() {
                while stream.read(&mut rest).await.is_ok_and(|read| read > 0) {}
            }
        };
        if timeout(FAREWELL, farewell).await.is_err() {
            tracing::debug!(connection = self.seat.id, "the client did not close in time");
        }
        reason
    }
}
