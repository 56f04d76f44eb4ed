//! The server's limits, on real sockets.

use query_fn::config::{STREAM, named};
use query_fn::http::server::{self, Limits};
use query_fn::routes::router;
use std::time::Duration;
use tokio::{
    io::{AsyncReadExt, AsyncWriteExt},
    net::{TcpListener, TcpStream},
    sync::oneshot,
    task::JoinHandle,
    time::timeout,
};

use crate::contract::contract;
use crate::support::{self, Service, stored};

const LONG: Duration = Duration::from_secs(60);
const HEALTH: &[u8] = b"GET /health HTTP/1.1\r\nhost: x\r\n\r\n";

async fn serve(service: &Service, limits: Limits) -> (String, oneshot::Sender<()>, JoinHandle<()>) {
    let listener = TcpListener::bind("127.0.0.1:0").await.unwrap();
    let address = listener.local_addr().unwrap().to_string();
    let (stop, stopped) = oneshot::channel::<()>();
    let router = router(service.store.clone(), support::config(&service.table));
    let stopped = async move {
        let _gone = stopped.await;
    };
    (address, stop, tokio::spawn(server::serve(listener, router, limits, stopped)))
}

async fn answer(stream: &mut TcpStream) -> String {
    let mut answer = vec![0; 4096];
    let length = timeout(LONG, stream.read(&mut answer)).await.expect("an answer or the end").unwrap_or(0);
    String::from_utf8_lossy(&answer[..length]).into_owned()
}

#[tokio::test]
async fn heads_have_a_size_and_a_time() {
    let service = Service::start().await;
    let limits = Limits { head: Duration::from_millis(300), head_bytes: 16 * 1024, ..Limits::default() };
    let (address, _stop, _server) = serve(&service, limits).await;
    let mut large = TcpStream::connect(&address).await.unwrap();
    let head = format!("GET /health HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "x".repeat(40_000));
    // The server may hang up before all of it is written.
    let _written = large.write_all(head.as_bytes()).await;
    let said = answer(&mut large).await;
    assert!(said.is_empty() || said.starts_with("HTTP/1.1 431"), "{said}");
    let mut slow = TcpStream::connect(&address).await.unwrap();
    slow.write_all(b"GET /health HTTP/1.1\r\nhost:").await.unwrap();
    let said = answer(&mut slow).await;
    assert!(!said.starts_with("HTTP/1.1 200"), "{said}");
    // A body is not waited for.
    let mut post = TcpStream::connect(&address).await.unwrap();
    post.write_all(b"POST /bitstamp HTTP/1.1\r\nhost: x\r\ncontent-length: 1000000000\r\n\r\n").await.unwrap();
    assert!(answer(&mut post).await.starts_with("HTTP/1.1 405"));
}

/// hyper refuses these without the service: the statuses are those of the contract, and a client that sends all of it first reads the answer.
#[tokio::test]
async fn who_sends_too_large_a_head_reads_why_it_is_refused() {
    let service = Service::start().await;
    let (address, _stop, _server) = serve(&service, Limits::default()).await;
    let line = |bytes: usize| format!("GET /bitstamp?channel={} HTTP/1.1\r\nhost: x\r\n\r\n", "x".repeat(bytes));
    let field = |bytes: usize| format!("GET /health HTTP/1.1\r\nhost: x\r\nx: {}\r\n\r\n", "x".repeat(bytes));
    for (head, status) in
        [(line(66_000), "414"), (line(8_000_000), "431"), (field(131_072), "431"), (field(8_000_000), "431")]
    {
        let mut stream = TcpStream::connect(&address).await.unwrap();
        stream.write_all(head.as_bytes()).await.expect("the server reads to the end");
        let mut said = String::new();
        timeout(LONG, stream.read_to_string(&mut said)).await.expect("an end").expect("an answer before the end");
        assert!(said.starts_with(&format!("HTTP/1.1 {status} ")) && said.ends_with("\r\n\r\n"), "{said}");
        for (path, operations) in contract()["paths"].as_object().unwrap() {
            assert!(operations["get"]["responses"][status].is_object(), "{path} names no {status}");
        }
    }
}

/// One client takes the only place and reads nothing: the next one gets it once the time for that is over.
#[tokio::test]
async fn who_does_not_read_is_cut_off() {
    let service = Service::start().await;
    let padding = "x".repeat(300_000);
    let message = |id: u64| {
        format!(
            r#"{{"channel":"live_trades_btcusd","event":"trade","data":{{"id":{id},"microtimestamp":"{}","padding":"{padding}"}}}}"#,
            1_647_817_200_000_000 + id
        )
    };
    service.put((0..60).map(|id| stored(&message(id), id)).collect()).await;
    let limits = Limits { connections: 1, write: Duration::from_millis(300), ..Limits::default() };
    let (address, _stop, _server) = serve(&service, limits).await;
    let mut greedy = TcpStream::connect(&address).await.unwrap();
    greedy.write_all(b"GET /export?channel=live_trades_btcusd HTTP/1.1\r\nhost: x\r\n\r\n").await.unwrap();
    let mut patient = TcpStream::connect(&address).await.unwrap();
    patient.write_all(HEALTH).await.unwrap();
    assert!(answer(&mut patient).await.starts_with("HTTP/1.1 200"));
    drop(greedy);
}

#[tokio::test]
async fn answers_under_way_end_and_idle_connections_close() {
    let service = Service::start().await;
    let (address, stop, server) = serve(&service, Limits::default()).await;
    let mut idle = TcpStream::connect(&address).await.unwrap();
    idle.write_all(HEALTH).await.unwrap();
    assert!(answer(&mut idle).await.starts_with("HTTP/1.1 200"));
    stop.send(()).unwrap();
    timeout(LONG, server).await.expect("the server ends").unwrap();
    assert_eq!(named(&|name: &str| (name == "BITSTAMP_STREAM").then(|| "1".to_owned()), STREAM).as_deref(), Some("1"));
}
