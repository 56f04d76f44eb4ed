//! The page for browsers.

use flate2::read::GzDecoder;
use reqwest::{Response, StatusCode};
use std::io::Read;

use crate::support::Service;

const BROWSER: &str = "text/html,application/xhtml+xml,application/xml;q=0.9,*/*;q=0.8";

async fn get(service: &Service, path: &str, headers: &[(&str, &str)]) -> Response {
    let request = service.http.get(format!("{}{path}", service.url));
    headers.iter().fold(request, |request, (name, value)| request.header(*name, *value)).send().await.unwrap()
}

fn header<'answer>(response: &'answer Response, name: &str) -> &'answer str {
    response.headers().get(name).map(|value| value.to_str().unwrap()).unwrap_or_default()
}

/// The files that the page loads, relative to it.
fn loaded(page: &str) -> Vec<String> {
    let links = page.split("src=\"").chain(page.split("href=\"")).filter_map(|rest| rest.split('"').next());
    links.filter_map(|link| link.strip_prefix("./assets/")).map(|name| format!("assets/{name}")).collect()
}

#[tokio::test]
async fn a_browser_gets_the_page_and_a_program_the_contract() {
    let service = Service::start().await;
    for root in ["/", "/prod/"] {
        let page = get(&service, root, &[("accept", BROWSER)]).await;
        assert_eq!(
            (page.status(), header(&page, "content-type")),
            (StatusCode::OK, "text/html; charset=utf-8"),
            "{root}"
        );
        assert_eq!(header(&page, "cache-control"), "no-cache");
        assert_eq!(header(&page, "vary"), "accept, accept-encoding");
        let policy = header(&page, "content-security-policy");
        assert!(policy.starts_with("default-src 'none'") && !policy.contains("unsafe"), "{policy}");
        assert_eq!(header(&page, "x-content-type-options"), "nosniff");
        let tag = header(&page, "etag").to_owned();
        let again = get(&service, root, &[("accept", BROWSER), ("if-none-match", &tag)]).await;
        assert_eq!((again.status(), header(&again, "cache-control")), (StatusCode::NOT_MODIFIED, "no-cache"));

        let contract = get(&service, root, &[("accept", "*/*")]).await;
        assert_eq!((header(&contract, "content-type"), header(&contract, "vary")), ("application/json", "accept"));
        let expected = service.get("/openapi.json").await.text().await.unwrap();
        assert_eq!(contract.text().await.unwrap(), expected);
    }
}

#[tokio::test]
async fn everything_that_the_page_loads_is_here_and_small() {
    let service = Service::start().await;
    let page = get(&service, "/prod/", &[("accept", BROWSER)]).await.text().await.unwrap();
    let files = loaded(&page);
    assert_eq!(files.len(), 3, "{page}");
    let mut weight = page.len();
    for file in files {
        let plain = get(&service, &format!("/prod/{file}"), &[]).await;
        assert_eq!((plain.status(), header(&plain, "content-encoding")), (StatusCode::OK, ""), "{file}");
        assert_eq!(header(&plain, "cache-control"), "max-age=31536000, immutable");
        assert_eq!(header(&plain, "x-content-type-options"), "nosniff");
        let tag = header(&plain, "etag").to_owned();
        let plain = plain.bytes().await.unwrap();

        let packed = get(&service, &format!("/{file}"), &[("accept-encoding", "gzip, deflate, br, zstd")]).await;
        assert_eq!(header(&packed, "content-encoding"), "gzip");
        assert_ne!(header(&packed, "etag"), tag, "{file}: one tag for two forms");
        let packed = packed.bytes().await.unwrap();
        weight += packed.len();
        let mut unpacked = Vec::new();
        GzDecoder::new(&packed[..]).read_to_end(&mut unpacked).unwrap();
        assert!(unpacked == plain, "{file}");

        let known = get(&service, &format!("/{file}"), &[("if-none-match", &tag)]).await;
        assert_eq!(known.status(), StatusCode::NOT_MODIFIED);
    }
    assert!(weight <= 150_000, "the page weighs {weight} bytes");
    let (status, problem) = service.json("/assets/other.js").await;
    assert_eq!((status, &problem["type"]), (404, &"no-such-path".into()));
}
