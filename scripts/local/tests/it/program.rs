//! The program's words and exit codes.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Output, Stdio};
use std::time::{Duration, Instant};

use tempfile::TempDir;

fn command(folder: &Path, arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_bitstamp-live"));
    command.args(arguments).arg("--data").arg(folder).stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

fn said(output: &Output) -> String {
    format!("{}{}", String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr))
}

/// The address that the heading names.
fn address(heading: &str) -> String {
    let (_, address) = heading.split_once(", served on http://").unwrap_or_else(|| panic!("{heading}"));
    address.split(';').next().unwrap().to_owned()
}

/// A running program that does not outlive its test.
struct Running(Child);

impl Drop for Running {
    fn drop(&mut self) {
        // Already gone where the test went well.
        let _killed = self.0.kill();
        let _waited = self.0.wait();
    }
}

#[test]
fn a_demo_shows_what_arrives_and_checks_itself() {
    let folder = TempDir::new().unwrap();
    let arguments = ["demo", "--run-for", "4", "--check", "--seed", "3", "--listen", "127.0.0.1:0"];
    let output = command(folder.path(), &arguments).output().unwrap();
    let said = said(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.starts_with("bitstamp-live: simulator, seed 3 -> table bitstamp-live in "), "{said}");
    assert!(said.contains(&format!("status page: http://{}/status\n", address(&said))), "{said}");
    assert!(said.contains(" events/s, ") && said.contains(" stored, spool "), "{said}");
    assert!(said.contains(&format!("curl 'http://{}/bitstamp?channel=", address(&said))), "{said}");
    assert!(said.contains(" equal, 0 missing, 0 extra, 0 altered"), "{said}");
}

#[test]
fn a_demo_in_blocks_checks_itself() {
    let folder = TempDir::new().unwrap();
    let arguments =
        ["demo", "--run-for", "4", "--check", "--storage", "live_orders_*=blocks", "--listen", "127.0.0.1:0"];
    let output = command(folder.path(), &arguments).output().unwrap();
    let said = said(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains(" equal, 0 missing, 0 extra, 0 altered"), "{said}");

    let output = command(folder.path(), &["demo", "--storage", "live_orders_*=block"]).output().unwrap();
    let said = self::said(&output);
    assert_eq!(output.status.code(), Some(1), "{said}");
    assert!(said.contains("`block` is no storage; expected `events` or `blocks`"), "{said}");
}

#[test]
fn ctrl_c_stops_in_order() {
    let folder = TempDir::new().unwrap();
    // A flow that a busy machine stores as well: the stop has a deadline.
    let arguments = ["demo", "--rate", "0.1", "--listen", "127.0.0.1:0"];
    let mut child = command(folder.path(), &arguments).spawn().unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut child = Running(child);
    let mut said = String::new();
    out.read_line(&mut said).unwrap();
    let api = address(&said);
    let end = Instant::now() + Duration::from_secs(600);
    while !get(&api, "/bitstamp?channel=live_orders_btcusd&limit=1").contains("\"Count\":1") {
        assert!(Instant::now() < end, "nothing is captured");
        std::thread::sleep(Duration::from_millis(200)); // another process: nothing signals
    }
    // What the explorer looks for, and what it leads to.
    assert!(get(&api, "/channels").to_lowercase().contains("\r\nlink: <status>; rel=\"status\"\r\n"));
    assert!(!get(&api, "/latest?channel=live_orders_btcusd").contains("rel=\"status\""));
    assert!(get(&api, "/status?format=json").contains("\"format\":1"));
    let interrupted = Command::new("kill").args(["-INT", &child.0.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    // Ends with the program.
    out.read_to_string(&mut said).unwrap();
    let code = child.0.wait().unwrap().code();
    child.0.stderr.take().unwrap().read_to_string(&mut said).unwrap();
    assert_eq!(code, Some(0), "{said}");
    assert!(said.contains("events stored in this run; 0 left in the spool"), "{said}");
}

/// The answer to a request, headers included; empty where there is none.
fn get(address: &str, path: &str) -> String {
    let mut answer = String::new();
    if let Ok(mut stream) = TcpStream::connect(address) {
        let request = format!("GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n");
        let _read = stream.write_all(request.as_bytes()).and_then(|()| stream.read_to_string(&mut answer));
    }
    answer
}

#[test]
fn an_exchange_out_of_reach_is_one_line_with_the_remedy() {
    let folder = TempDir::new().unwrap();
    let arguments = ["--url", "ws://127.0.0.1:9", "--run-for", "2", "--listen", "127.0.0.1:0"];
    let output = command(folder.path(), &arguments).output().unwrap();
    let said = said(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("ws://127.0.0.1:9 cannot be reached: "), "{said}");
    assert_eq!(said.matches("cargo run -- demo").count(), 1, "{said}");
}

#[test]
fn what_is_in_the_way_is_named_with_the_remedy() {
    let folder = TempDir::new().unwrap();
    let taken = TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = taken.local_addr().unwrap().to_string();
    let output = command(folder.path(), &["demo", "--listen", &listen]).output().unwrap();
    let words = said(&output);
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(words.contains(&format!("cannot serve on {listen}; stop what uses it or choose another with --listen")));

    let arguments = ["demo", "--channels", "live_trades_BTCUSD", "--listen", "127.0.0.1:0"];
    let output = command(folder.path(), &arguments).output().unwrap();
    let words = said(&output);
    assert_eq!(output.status.code(), Some(1), "{words}");
    assert!(words.contains("did you mean `live_trades_btcusd`"), "{words}");
}
