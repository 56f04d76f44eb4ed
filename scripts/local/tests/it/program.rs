//! The program's words and exit codes.

use std::net::TcpListener;
use std::path::Path;
use std::process::{Command, Output, Stdio};
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

fn free_port() -> String {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    listener.local_addr().unwrap().to_string()
}

#[test]
fn a_demo_shows_what_arrives_and_checks_itself() {
    let folder = TempDir::new().unwrap();
    let listen = free_port();
    let arguments = ["demo", "--run-for", "4", "--check", "--seed", "3", "--listen", &listen];
    let output = command(folder.path(), &arguments).output().unwrap();
    let said = said(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.starts_with("bitstamp-live: simulator, seed 3 -> table bitstamp-live in "), "{said}");
    assert!(said.contains(" events/s, ") && said.contains(" stored, spool "), "{said}");
    assert!(said.contains(&format!("curl 'http://{listen}/bitstamp?channel=")), "{said}");
    assert!(said.contains(" equal, 0 missing, 0 extra, 0 altered"), "{said}");
}

#[test]
fn ctrl_c_stops_in_order() {
    let folder = TempDir::new().unwrap();
    let listen = free_port();
    let mut child = command(folder.path(), &["demo", "--listen", &listen]).spawn().unwrap();
    let end = Instant::now() + Duration::from_secs(60);
    while std::net::TcpStream::connect(&listen).is_err() {
        assert!(Instant::now() < end, "not up");
        std::thread::sleep(Duration::from_millis(50)); // another process: nothing signals
    }
    // The address answers before everything is up; a moment of capturing is wanted too.
    std::thread::sleep(Duration::from_secs(2));
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    while child.try_wait().unwrap().is_none() {
        assert!(Instant::now() < end, "still running");
        std::thread::sleep(Duration::from_millis(50));
    }
    let output = child.wait_with_output().unwrap();
    let said = said(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("events stored in this run; 0 left in the spool"), "{said}");
}

#[test]
fn an_exchange_out_of_reach_is_one_line_with_the_remedy() {
    let folder = TempDir::new().unwrap();
    let arguments = ["--url", "ws://127.0.0.1:9", "--run-for", "2", "--listen", "127.0.0.1:0"];
    let output = command(folder.path(), &arguments).output().unwrap();
    let said = said(&output);
    assert_eq!(output.status.code(), Some(0), "{said}");
    assert!(said.contains("ws://127.0.0.1:9 cannot be reached: "), "{said}");
    assert_eq!(said.matches("cargo run --release -- demo").count(), 1, "{said}");
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
