//! The program on a local store, and with signed requests against the service behind a socket.
#![allow(clippy::unwrap_used, clippy::indexing_slicing, reason = "a test fails by panicking")]

mod local;
mod signed;
#[path = "../../../../query-fn/tests/it/table.rs"]
mod table;

use std::process::{Output, Stdio};
use tokio::process::Command;

/// The program without the settings of who runs the tests.
fn items(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_items"));
    command.args(arguments).env_clear().env("USER", "tester").stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// The exit code, standard output and standard error of a command that has ended.
fn said(output: &Output) -> (Option<i32>, String, String) {
    let text = |bytes: &[u8]| String::from_utf8(bytes.to_vec()).unwrap();
    (output.status.code(), text(&output.stdout), text(&output.stderr))
}
