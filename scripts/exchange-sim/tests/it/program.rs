//! The binary: what it prints, and how it stops.

use std::io::{BufRead, BufReader, Read};
use std::process::{Command, Stdio};

use exchange_sim::truth;

use crate::support::scratch;

fn program() -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_exchange-sim"));
    command.stdout(Stdio::piped()).stderr(Stdio::piped());
    command
}

#[test]
fn it_prints_its_addresses_and_an_interrupt_ends_it_with_a_whole_truth() {
    let path = scratch("program.ndjson");
    let mut child = program().args(["--listen", "127.0.0.1:0", "--seed", "42", "--truth"]).arg(&*path).spawn().unwrap();
    let mut lines = BufReader::new(child.stdout.take().unwrap()).lines().map(Result::unwrap);
    let printed: Vec<String> = lines.by_ref().take(3).collect();
    assert!(printed[0].starts_with("websocket  ws://127.0.0.1:"), "{printed:?}");
    assert!(printed[1].starts_with("rest       http://127.0.0.1:") && printed[1].ends_with("/api/v2"), "{printed:?}");
    assert_eq!(printed[2], "seed       42");
    let status = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(status.success());
    let last = lines.last().unwrap();
    assert!(child.wait().unwrap().success());
    let events = truth::events(&truth::read(&path).unwrap()).count();
    // Books count only where somebody is subscribed, so every event is in the file.
    assert_eq!(last, format!("stopped after {events} events"));
}

#[test]
fn what_is_wrong_is_said_with_its_remedy() {
    let wrong = |arguments: &[&str]| {
        let mut child = program().args(arguments).spawn().unwrap();
        let mut error = String::new();
        child.stderr.take().unwrap().read_to_string(&mut error).unwrap();
        (child.wait().unwrap().code(), error)
    };
    let (code, error) = wrong(&["--listen", "127.0.0.1:0", "--market", "BTC/USD"]);
    assert_eq!(code, Some(1));
    assert!(error.contains("`BTC/USD` is no market: write it in lower case"), "{error}");
    let (code, error) = wrong(&["--fault", "10s:explode"]);
    assert_eq!(code, Some(2));
    assert!(error.contains("fault `explode` is not known"), "{error}");
    let (code, error) = wrong(&["--rate", "0", "--listen", "127.0.0.1:0"]);
    assert_eq!(code, Some(1));
    assert!(error.contains("the rate is 0, but must be a positive number"), "{error}");
}
