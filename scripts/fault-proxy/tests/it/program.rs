//! The binary: arguments, output, end.

use std::{
    io::{BufRead, BufReader, Read},
    process::{Command, Stdio},
};

const PROGRAM: &str = env!("CARGO_BIN_EXE_fault-proxy");

#[test]
fn help_has_examples() {
    let output = Command::new(PROGRAM).arg("--help").output().unwrap();
    assert!(String::from_utf8(output.stdout).unwrap().contains("Examples:"));
}

#[test]
fn a_wrong_endpoint_is_named() {
    let output = Command::new(PROGRAM).args(["--upstream", "localhost", "--listen", "127.0.0.1:0"]).output().unwrap();
    assert_eq!(output.status.code(), Some(1));
    let said = String::from_utf8(output.stderr).unwrap();
    assert!(said.contains("`localhost` is not an endpoint: expected http://HOST:PORT"), "{said}");
}

#[test]
fn ctrl_c_prints_the_counts() {
    let mut child = Command::new(PROGRAM)
        .args(["--upstream", "http://127.0.0.1:1", "--listen", "127.0.0.1:0", "--seed", "7", "--mix", "rough"])
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .unwrap();
    let mut out = BufReader::new(child.stdout.take().unwrap());
    let mut said = String::new();
    out.read_line(&mut said).unwrap();
    assert!(said.starts_with("listening on http://127.0.0.1:") && said.contains("seed 7"), "{said}");
    let interrupted = Command::new("kill").args(["-INT", &child.id().to_string()]).status().unwrap();
    assert!(interrupted.success());
    out.read_to_string(&mut said).unwrap();
    assert!(child.wait().unwrap().success());
    assert!(said.contains("put items forwarded"), "{said}");
}
