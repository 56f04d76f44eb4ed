use axum::{
    body::Body,
    http::{HeaderValue, Response, StatusCode, header},
    response::IntoResponse,
};
use serde::Serialize;

/// An error as the caller sees it: an RFC 9457 problem document.
#[derive(Debug, Serialize)]
pub struct Problem {
    /// Names the kind of problem; stable, so that programs may compare it.
    pub r#type: &'static str,
    /// The kind in words.
    pub title: &'static str,
    /// The HTTP status.
    #[serde(serialize_with = "as_number")]
    pub status: StatusCode,
    /// What happened this time and what to do about it.
    pub detail: String,
    /// Everything that is wrong with the parameters.
    #[serde(skip_serializing_if = "Vec::is_empty")]
    pub errors: Vec<Fault>,
    /// When to try again, in whole seconds.
    #[serde(skip)]
    pub retry_after: Option<u64>,
}

/// What is wrong with one parameter.
#[derive(Debug, PartialEq, Eq, Serialize)]
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
        Problem::new("wrong-parameters", "Wrong parameters", StatusCode::BAD_REQUEST, detail).with(errors)
    }

    /// No such path.
    #[must_use]
    pub fn no_route(path: &str) -> Problem {
        let detail = format!("`{path}` is no path of this service; see /openapi.json");
        Problem::new("no-such-path", "No such path", StatusCode::NOT_FOUND, detail)
    }

    /// The path takes other methods.
    #[must_use]
    pub fn method() -> Problem {
        let detail = "this service only reads: GET, HEAD and OPTIONS".to_owned();
        Problem::new("method-not-allowed", "Method not allowed", StatusCode::METHOD_NOT_ALLOWED, detail)
    }

    /// The store cannot answer now; it may in a moment.
    #[must_use]
    pub fn busy(detail: String) -> Problem {
        let problem = Problem::new("store-busy", "Store busy", StatusCode::SERVICE_UNAVAILABLE, detail);
        Problem { retry_after: Some(1), ..problem }
    }

    /// The function is set up wrongly; trying again does not help.
    #[must_use]
    pub fn setup(detail: String) -> Problem {
        Problem::new("wrong-setup", "Wrong setup", StatusCode::BAD_GATEWAY, detail)
    }

    fn new(kind: &'static str, title: &'static str, status: StatusCode, detail: String) -> Problem {
        Problem { r#type: kind, title, status, detail, errors: Vec::new(), retry_after: None }
    }

    fn with(self, errors: Vec<Fault>) -> Problem {
        Problem { errors, ..self }
    }
}

fn as_number<S: serde::Serializer>(status: &StatusCode, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.serialize_u16(status.as_u16())
}

impl IntoResponse for Problem {
    fn into_response(self) -> Response<Body> {
        let body = serde_json::to_vec(&self).expect("a problem has only string keys");
        let mut response = Response::new(Body::from(body));
        *response.status_mut() = self.status;
        let headers = response.headers_mut();
        headers.insert(header::CONTENT_TYPE, HeaderValue::from_static("application/problem+json"));
        headers.insert(header::CACHE_CONTROL, HeaderValue::from_static("no-store"));
        if let Some(seconds) = self.retry_after {
            headers.insert(header::RETRY_AFTER, HeaderValue::from(seconds));
        }
        response
    }
}
