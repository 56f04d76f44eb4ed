//! Keeps pages of the internet out: a browser may reach this address by a name that somebody else chose, or for a page of somebody else's.

use std::net::IpAddr;

use axum::extract::Request;
use axum::http::{HeaderMap, StatusCode, header};
use axum::middleware::Next;
use axum::response::{IntoResponse as _, Response};

/// Refuses requests that name the server by anything but an IP address or `localhost`. A name of the internet may lead here (DNS
/// rebinding), and the page that it belongs to could read the answer. Requests without a name do not come from a browser.
pub(in crate::observe) async fn own_names_only(request: Request, next: Next) -> Response {
    let host = request.headers().get(header::HOST).map(|host| host.to_str().unwrap_or("?"));
    let authority = request.uri().authority().map(|authority| authority.as_str());
    if [host, authority].into_iter().flatten().all(is_own) {
        return next.run(request).await;
    }
    let said = "this server answers to its IP address and to localhost, not to other names\n";
    (StatusCode::MISDIRECTED_REQUEST, said).into_response()
}

/// Refuses what a browser asks for on behalf of another page, except to show it to its user. Such a page could read nothing, but take the
/// viewers' places.
pub(super) async fn own_pages_only(request: Request, next: Next) -> Response {
    if is_foreign(request.headers()) {
        return (StatusCode::FORBIDDEN, "this page is not to be used by others\n").into_response();
    }
    next.run(request).await
}

/// Returns true if a host, with or without a port, is an IP address or `localhost`.
fn is_own(host: &str) -> bool {
    let name = match host.strip_prefix('[') {
        Some(rest) => rest.split_once(']').map_or("", |(name, _)| name),
        None => host.split_once(':').map_or(host, |(name, _)| name),
    };
    name.eq_ignore_ascii_case("localhost") || name.parse::<IpAddr>().is_ok()
}

/// Returns true if a browser says that another site's page asks (<https://www.w3.org/TR/fetch-metadata/>).
fn is_foreign(headers: &HeaderMap) -> bool {
    let of = |name: &str| headers.get(name).and_then(|value| value.to_str().ok()).unwrap_or_default();
    let is_shown = of("sec-fetch-mode") == "navigate" && of("sec-fetch-dest") == "document";
    matches!(of("sec-fetch-site"), "cross-site" | "same-site") && !is_shown
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_addresses_and_localhost_are_own_names() {
        for host in ["127.0.0.1", "127.0.0.1:9464", "[::1]:9464", "[::1]", "localhost", "LocalHost:80", "10.0.0.5:9464"]
        {
            assert!(is_own(host), "{host}");
        }
        for host in
            ["", "?", "evil.example", "evil.example:9464", "127.0.0.1.evil.example", "localhost.evil.example", "[evil]"]
        {
            assert!(!is_own(host), "{host}");
        }
    }

    #[test]
    fn other_sites_may_link_here_and_no_more() {
        let of = |pairs: &[(&'static str, &'static str)]| {
            let headers = pairs.iter().map(|(name, value)| (name.parse().unwrap(), value.parse().unwrap()));
            is_foreign(&headers.collect::<HeaderMap>())
        };
        assert!(!of(&[]));
        assert!(!of(&[("sec-fetch-site", "same-origin")]) && !of(&[("sec-fetch-site", "none")]));
        assert!(of(&[("sec-fetch-site", "cross-site"), ("sec-fetch-mode", "no-cors")]));
        assert!(of(&[("sec-fetch-site", "same-site"), ("sec-fetch-mode", "cors")]));
        let navigated = ("sec-fetch-mode", "navigate");
        assert!(!of(&[("sec-fetch-site", "cross-site"), navigated, ("sec-fetch-dest", "document")]));
        assert!(of(&[("sec-fetch-site", "cross-site"), navigated, ("sec-fetch-dest", "iframe")]));
    }
}
