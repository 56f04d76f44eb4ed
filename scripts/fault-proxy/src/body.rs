//! Answer bodies, whole or cut off.

use std::{
    pin::Pin,
    task::{Context, Poll},
    time::Duration,
};

use bytes::Bytes;
use hyper::{
    Response,
    body::{Body, Frame, SizeHint},
    header::{CONTENT_LENGTH, HeaderName, HeaderValue},
};
use rand::RngExt;
use rand_chacha::ChaCha8Rng;
use tokio::time::{Sleep, sleep};

/// The connection is to be closed without (the rest of) an answer.
#[derive(Debug, thiserror::Error)]
#[error("the connection is closed on purpose")]
pub(crate) struct Cut;

pub(crate) fn whole(answered: Response<Bytes>) -> Response<Answer> {
    answered.map(|body| Answer { rest: Some(body), broken: None })
}

/// A part of the answer under the whole answer's length, then the end of the connection.
pub(crate) fn broken_off(answered: Response<Bytes>, dice: &mut ChaCha8Rng) -> Response<Answer> {
    let length = answered.body().len();
    let part = answered.body().slice(..dice.random_range(0..length.max(1)).min(length));
    let mut broken =
        answered.map(|_| Answer { rest: Some(part), broken: Some(Box::pin(sleep(Duration::from_millis(10)))) });
    broken.headers_mut().insert(CONTENT_LENGTH, HeaderValue::from(length));
    broken.headers_mut().remove(HeaderName::from_static("x-amz-crc32"));
    broken
}

/// The body of an answer, whole or broken off.
pub(crate) struct Answer {
    rest: Option<Bytes>,
    /// Where set, the body fails after this pause, which lets the part before it reach the client.
    broken: Option<Pin<Box<Sleep>>>,
}

impl Body for Answer {
    type Data = Bytes;
    type Error = Cut;

    fn poll_frame(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<Option<Result<Frame<Bytes>, Cut>>> {
        if let Some(rest) = self.rest.take() {
            return Poll::Ready(Some(Ok(Frame::data(rest))));
        }
        match &mut self.broken {
            Some(pause) => pause.as_mut().poll(context).map(|()| Some(Err(Cut))),
            None => Poll::Ready(None),
        }
    }

    fn size_hint(&self) -> SizeHint {
        match (&self.rest, &self.broken) {
            (Some(rest), None) => SizeHint::with_exact(rest.len() as u64),
            _ => SizeHint::default(),
        }
    }
}
