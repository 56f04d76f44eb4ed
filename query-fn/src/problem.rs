use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
    response::IntoResponse,
};
use serde_json::json;

use crate::token::{Forged, NoKey};

/// An error as the caller sees it: an RFC 9457 problem document.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Problem {
    /// What went wrong.
    pub kind: Kind,
    /// What happened this time and what to do about it.
    pub detail: String,
    /// Everything that is wrong with the parameters.
    pub errors: Vec<Fault>,
    /// Names that the caller may have meant.
    pub suggestions: Vec<String>,
}

/// What can go wrong.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Unknown, missing, repeated or unreadable parameters.
    WrongParameters,
    /// No such path.
    NoSuchPath,
    /// The channel was never subscribed.
    UnknownChannel,
    /// No event of the order is stored.
    UnknownOrder,
    /// Neither GET nor HEAD nor OPTIONS.
    MethodNotAllowed,
    /// None of the formats that the caller accepts.
    NotAcceptable,
    /// The store does not answer now; it may in a moment.
    StoreBusy,
    /// The function is set up wrongly; trying again does not help.
    WrongSetup,
}

impl Kind {
    /// `type`, `title` and `status` of the document. The type is stable: programs may compare it.
    fn spelled(self) -> (&'static str, &'static str, StatusCode) {
        match self {
            Kind::WrongParameters => ("wrong-parameters", "Wrong parameters", StatusCode::BAD_REQUEST),
            Kind::NoSuchPath => ("no-such-path", "No such path", StatusCode::NOT_FOUND),
            Kind::UnknownChannel => ("unknown-channel", "Unknown channel", StatusCode::NOT_FOUND),
            Kind::UnknownOrder => ("unknown-order", "Unknown order", StatusCode::NOT_FOUND),
            Kind::MethodNotAllowed => ("method-not-allowed", "Method not allowed", StatusCode::METHOD_NOT_ALLOWED),
            Kind::NotAcceptable => ("not-acceptable", "Not acceptable", StatusCode::NOT_ACCEPTABLE),
            Kind::StoreBusy => ("store-busy", "Store busy", StatusCode::SERVICE_UNAVAILABLE),
            Kind::WrongSetup => ("wrong-setup", "Wrong setup", StatusCode::BAD_GATEWAY),
        }
    }
}

/// When to try again, in seconds: throttling of one channel's partition passes within one.
const RETRY_AFTER: u64 = 1;

/// What is wrong with one parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Fault {
    /// The parameter's name.
    pub parameter: String,
    /// What is wrong and what would be right.
    pub reason: String,
}

impl Problem {
    /// Wrong parameters, all of them.
    #[must_use]
    pub fn parameters(errors: Vec<Fault>) -> Problem {
        let names: Vec<_> = errors.iter().map(|fault| format!("`{}`", fault.parameter)).collect();
        let detail = format!("wrong: {}; each is explained in `errors`", names.join(", "));
        Problem { errors, ..Problem::new(Kind::WrongParameters, detail) }
    }

    /// No such path.
    #[must_use]
    pub fn no_path(path: &str) -> Problem {
        let detail = format!("`{path}` is no path of this service; see /openapi.json");
        Problem::new(Kind::NoSuchPath, detail)
    }

    /// The channel was never subscribed.
    #[must_use]
    pub fn no_channel(name: &str, suggestions: Vec<String>) -> Problem {
        let detail = match suggestions.as_slice() {
            [] => format!("channel `{name}` was never captured here; /channels lists those that were"),
            [nearest, ..] => format!("channel `{name}` was never captured here; did you mean `{nearest}`?"),
        };
        Problem { suggestions, ..Problem::new(Kind::UnknownChannel, detail) }
    }

    /// The table holds no event of that order.
    #[must_use]
    pub fn no_order(id: &str) -> Problem {
        let detail = format!("no event of an order with the id {id} is stored here");
        Problem::new(Kind::UnknownOrder, detail)
    }

    /// The path takes other methods.
    #[must_use]
    pub fn method() -> Problem {
        let detail = "this service only reads: GET, HEAD and OPTIONS".to_owned();
        Problem::new(Kind::MethodNotAllowed, detail)
    }

    /// None of the formats that the caller accepts.
    #[must_use]
    pub fn format(accept: &str) -> Problem {
        let detail =
            format!("`{accept}` accepts none of application/json, application/x-ndjson, text/csv; or use `format=`");
        Problem::new(Kind::NotAcceptable, detail)
    }

    /// The store cannot answer now; it may in a moment.
    #[must_use]
    pub fn busy(detail: String) -> Problem {
        Problem::new(Kind::StoreBusy, detail)
    }

    /// The function is set up wrongly; trying again does not help.
    #[must_use]
    pub fn setup(detail: String) -> Problem {
        Problem::new(Kind::WrongSetup, detail)
    }

    fn new(kind: Kind, detail: String) -> Problem {
        Problem { kind, detail, errors: Vec::new(), suggestions: Vec::new() }
    }

    /// The document.
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
        }
        document.to_string().into_bytes()
    }
}

impl IntoResponse for Problem {
    /// The body follows in [`crate::invocation::around`], which knows the request's id.
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
        if self.kind == Kind::StoreBusy {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(RETRY_AFTER));
        }
        response.extensions_mut().insert(self);
        response
    }
}

impl From<NoKey> for Problem {
    fn from(error: NoKey) -> Problem {
        tracing::error!(%error, "cannot issue a token");
        Problem::setup(error.to_string())
    }
}

impl From<Forged> for Problem {
    fn from(error: Forged) -> Problem {
        let parameter = "ExclusiveStartKey".to_owned();
        Problem::parameters(vec![Fault { parameter, reason: error.to_string() }])
    }
}
