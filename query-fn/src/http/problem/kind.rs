//! The kinds of errors, and how the document spells each.

use axum::http::StatusCode;

/// The kinds of errors.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Parameters are unknown, missing, repeated or invalid.
    WrongParameters,
    /// The event of the function is no HTTP request.
    WrongEvent,
    /// The range does not fit into one answer.
    RangeTooLarge,
    /// The answer never ends, and this address sends only answers that are complete.
    NotStreamed,
    /// As many clients follow events as may at once.
    TooManyViewers,
    /// The service has no such path.
    NoSuchPath,
    /// The channel was never subscribed.
    UnknownChannel,
    /// No event of the order is stored.
    UnknownOrder,
    /// The method is none of GET, HEAD and OPTIONS.
    MethodNotAllowed,
    /// The client accepts none of the formats.
    NotAcceptable,
    /// `If-Match` names another answer.
    PreconditionFailed,
    /// The request has to be signed, and nobody says by whom it was.
    NoCaller,
    /// What the request is about is in another state than the request expects.
    Conflict,
    /// The service has no credentials for the store, or wrong ones.
    NoCredentials,
    /// The service's credentials have expired.
    ExpiredCredentials,
    /// The service's clock is too far from the store's clock.
    WrongClock,
    /// The store does not answer; a request a moment later may succeed.
    StoreBusy,
    /// The service is set up wrongly; a later request fails too.
    WrongSetup,
    /// A block of events in the store is damaged.
    DamagedBlock,
}

impl Kind {
    /// Returns `type`, `title` and `status` of the document. The type is stable: programs may compare it.
    pub(super) fn spelled(self) -> (&'static str, &'static str, StatusCode) {
        match self {
            Kind::WrongParameters => ("wrong-parameters", "Wrong parameters", StatusCode::BAD_REQUEST),
            Kind::WrongEvent => ("wrong-event", "Wrong event", StatusCode::BAD_REQUEST),
            Kind::RangeTooLarge => ("range-too-large", "Range too large", StatusCode::BAD_REQUEST),
            Kind::NotStreamed => ("not-streamed", "Not streamed", StatusCode::NOT_IMPLEMENTED),
            Kind::TooManyViewers => ("too-many-viewers", "Too many viewers", StatusCode::SERVICE_UNAVAILABLE),
            Kind::NoSuchPath => ("no-such-path", "No such path", StatusCode::NOT_FOUND),
            Kind::UnknownChannel => ("unknown-channel", "Unknown channel", StatusCode::NOT_FOUND),
            Kind::UnknownOrder => ("unknown-order", "Unknown order", StatusCode::NOT_FOUND),
            Kind::MethodNotAllowed => ("method-not-allowed", "Method not allowed", StatusCode::METHOD_NOT_ALLOWED),
            Kind::NotAcceptable => ("not-acceptable", "Not acceptable", StatusCode::NOT_ACCEPTABLE),
            Kind::PreconditionFailed => ("precondition-failed", "Precondition failed", StatusCode::PRECONDITION_FAILED),
            Kind::NoCaller => ("no-caller", "No caller", StatusCode::FORBIDDEN),
            Kind::Conflict => ("conflict", "Conflict", StatusCode::CONFLICT),
            Kind::NoCredentials => ("no-credentials", "No credentials", StatusCode::BAD_GATEWAY),
            Kind::ExpiredCredentials => ("expired-credentials", "Expired credentials", StatusCode::BAD_GATEWAY),
            Kind::WrongClock => ("wrong-clock", "Wrong clock", StatusCode::BAD_GATEWAY),
            Kind::StoreBusy => ("store-busy", "Store busy", StatusCode::SERVICE_UNAVAILABLE),
            Kind::WrongSetup => ("wrong-setup", "Wrong setup", StatusCode::BAD_GATEWAY),
            Kind::DamagedBlock => ("damaged-block", "Damaged block", StatusCode::BAD_GATEWAY),
        }
    }
}
