//! What a service manager is told (`sd_notify(3)`).

use std::os::unix::net::UnixDatagram;
use std::process::Command;
use std::time::Duration;

use crate::support::{Bench, Process, command};

/// Long enough for a start on a busy machine; nothing is waited for that does not come.
const PATIENCE: Duration = Duration::from_secs(600);

#[tokio::test(flavor = "multi_thread")]
async fn it_says_when_it_is_ready_that_it_lives_and_when_it_stops() {
    let bench = Bench::new(91, 5.0).await;
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("notify");
    let socket = UnixDatagram::bind(&path).unwrap();
    socket.set_read_timeout(Some(PATIENCE)).unwrap();
    let mut told = [0; 256];
    let mut next = || {
        let length = tokio::task::block_in_place(|| socket.recv(&mut told)).expect("told in time");
        String::from_utf8(told[..length].to_vec()).unwrap().trim().to_owned()
    };

    let mut command = command(&bench.settings());
    let mut daemon = Process::spawn(command.env("NOTIFY_SOCKET", &path).env("WATCHDOG_USEC", "300000"));
    assert_eq!(next(), "READY=1");
    bench.simulator.resume();
    for _ in 0..5 {
        assert_eq!(next(), "WATCHDOG=1");
    }
    assert!(Command::new("kill").arg(daemon.id().to_string()).status().unwrap().success());
    loop {
        match next().as_str() {
            "WATCHDOG=1" => {}
            other => break assert_eq!(other, "STOPPING=1"),
        }
    }
    assert!(daemon.ended(PATIENCE).await.success());
}
