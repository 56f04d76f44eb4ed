//! Errors as RFC 9457 problem documents. Their types are stable: programs may compare them.

use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
    response::IntoResponse,
};
use serde_json::{Map, Value, json};

mod conversions;
mod kind;

pub use kind::Kind;

/// An error as the client sees it: an RFC 9457 problem document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// The kind of error: `type`, `title` and `status`.
    pub kind: Kind,
    /// What happened in this request and what to do about it.
    pub detail: String,
    /// The faults of all parameters.
    pub errors: Vec<Fault>,
    /// Names that the client may have meant, nearest first.
    pub suggestions: Vec<String>,
    /// Further members of the document, beside the usual ones.
    pub members: Map<String, Value>,
}

/// `Retry-After` in seconds: throttling of one channel's partition passes within one.
const RETRY_AFTER: u64 = 1;
/// `Retry-After` in seconds for a viewer too many.
const RETRY_AFTER_VIEWER: u64 = 10;
/// `Retry-After` in seconds for an error that its operator has to repair.
const RETRY_AFTER_REPAIR: u64 = 60;

/// The fault of one parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The name of the parameter.
    pub parameter: String,
    /// What is wrong with its value and what would be right.
    pub reason: String,
}

impl Problem {
    /// Returns the problem of wrong parameters, with all faults.
    #[must_use]
    pub fn parameters(errors: Vec<Fault>) -> Problem {
        let names: Vec<_> = errors.iter().map(|fault| format!("`{}`", fault.parameter)).collect();
        let detail = format!("wrong: {}; each is explained in `errors`", names.join(", "));
        Problem { errors, ..Problem::new(Kind::WrongParameters, detail) }
    }

    /// Returns the problem of an event that is no HTTP request.
    #[must_use]
    pub fn event(detail: &str) -> Problem {
        Problem::new(Kind::WrongEvent, detail.to_owned())
    }

    /// Returns the problem of a range that does not fit into one answer; `counted` is how many events its ledger counts, and about how many
    /// fit.
    #[must_use]
    pub fn too_large(counted: Option<(u64, u64)>) -> Problem {
        let counted =
            counted.map(|(events, fit)| format!(" (its ledger counts at least {events} events, about {fit} fit)"));
        let detail = format!(
            "the range does not fit into one answer of this address{}: ask for a shorter one, add `end=record` (the last record \
             then holds the token to go on with), or follow the pages of /bitstamp",
            counted.unwrap_or_default()
        );
        Problem::new(Kind::RangeTooLarge, detail)
    }

    /// Returns the problem of an address that cannot stream.
    #[must_use]
    pub fn not_streamed() -> Problem {
        let detail = "this address sends answers only when they are complete, and /tail never is: use the address of /export of a REST \
                      API, a function URL that streams, or follow the pages of /bitstamp";
        Problem::new(Kind::NotStreamed, detail.to_owned())
    }

    /// Returns the problem of a viewer too many.
    #[must_use]
    pub fn too_many_viewers(most: usize) -> Problem {
        let detail = format!("{most} viewers follow events here, as many as may at once; try again in a while");
        Problem::new(Kind::TooManyViewers, detail)
    }

    /// Returns the problem of an unknown path.
    #[must_use]
    pub fn no_path(path: &str) -> Problem {
        let detail = format!("`{path}` is no path of this service; see /openapi.json");
        Problem::new(Kind::NoSuchPath, detail)
    }

    /// Returns the problem of a channel that was never subscribed.
    #[must_use]
    pub fn no_channel(name: &str, suggestions: Vec<String>) -> Problem {
        let detail = match suggestions.as_slice() {
            [] => format!("channel `{name}` was never captured here; /channels lists those that were"),
            [nearest, ..] => format!("channel `{name}` was never captured here; did you mean `{nearest}`?"),
        };
        Problem { suggestions, ..Problem::new(Kind::UnknownChannel, detail) }
    }

    /// Returns the problem of an order without events in the table.
    #[must_use]
    pub fn no_order(id: &str) -> Problem {
        let detail = format!("no event of an order with the id {id} is stored here");
        Problem::new(Kind::UnknownOrder, detail)
    }

    /// Returns the problem of another method than GET, HEAD and OPTIONS.
    #[must_use]
    pub fn method() -> Problem {
        let detail = "this service only reads: GET, HEAD and OPTIONS".to_owned();
        Problem::new(Kind::MethodNotAllowed, detail)
    }

    /// Returns the problem of a client that accepts none of the formats.
    #[must_use]
    pub fn format(accept: &str) -> Problem {
        let detail =
            format!("`{accept}` accepts none of application/json, application/x-ndjson, text/csv; or use `format=`");
        Problem::new(Kind::NotAcceptable, detail)
    }

    /// Returns the problem of an `If-Match` that names another answer.
    #[must_use]
    pub fn precondition() -> Problem {
        let detail = "`If-Match` names another answer than the one that is here now".to_owned();
        Problem::new(Kind::PreconditionFailed, detail)
    }

    /// Returns the problem of a service whose access to the store fails.
    #[must_use]
    pub fn access(kind: Kind, detail: &str) -> Problem {
        Problem::new(kind, format!("{detail}; who runs this service has to repair it"))
    }

    /// Returns the problem of a store that does not answer now.
    #[must_use]
    pub fn busy(detail: String) -> Problem {
        Problem::new(Kind::StoreBusy, detail)
    }

    /// Returns the problem of a service that is set up wrongly.
    #[must_use]
    pub fn setup(detail: String) -> Problem {
        Problem::new(Kind::WrongSetup, detail)
    }

    /// Returns the problem of a damaged block; `what` names it.
    #[must_use]
    pub fn damaged(what: &str) -> Problem {
        Problem::new(
            Kind::DamagedBlock,
            format!("{what}; events of its time cannot be read until it is repaired or removed"),
        )
    }

    /// Returns a problem without faults of single parameters.
    #[must_use]
    pub fn new(kind: Kind, detail: String) -> Problem {
        Problem { kind, detail, errors: Vec::new(), suggestions: Vec::new(), members: Map::new() }
    }

    /// Returns the document as JSON.
    #[must_use]
    pub fn document(&self, request_id: &str) -> Vec<u8> {
        let errors = self.errors.iter().map(|fault| json!({ "parameter": fault.parameter, "reason": fault.reason }));
        let (kind, title, status) = self.kind.spelled();
        let mut document = json!({
            "type": kind,
            "title": title,
            "status": status.as_u16(),
            "detail": self.detail,
            "request_id": request_id,
        });
        if let Some(fields) = document.as_object_mut() {
            if !self.errors.is_empty() {
                fields.insert("errors".to_owned(), errors.collect());
            }
            if !self.suggestions.is_empty() {
                fields.insert("suggestions".to_owned(), json!(self.suggestions));
            }
            fields.extend(self.members.clone());
        }
        document.to_string().into_bytes()
    }
}

impl IntoResponse for Problem {
    /// Returns a response with an empty body: [`crate::http::invocation::around`] writes the document, because it knows the request's id.
    fn into_response(self) -> Response<Body> {
        let mut response = Response::new(Body::empty());
        let (_, _, status) = self.kind.spelled();
        *response.status_mut() = status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if self.kind == Kind::MethodNotAllowed {
            headers.insert(header::ALLOW, HeaderValue::from_static("GET, HEAD, OPTIONS"));
        }
        let retry_after = match self.kind {
            Kind::StoreBusy => Some(RETRY_AFTER),
            Kind::TooManyViewers => Some(RETRY_AFTER_VIEWER),
            _ if status == StatusCode::BAD_GATEWAY => Some(RETRY_AFTER_REPAIR),
            _ => None,
        };
        if let Some(seconds) = retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response.extensions_mut().insert(self);
        response
    }
}
