//! The daemon as a process of its own: watched, never left behind, with its last words where it ends too early.

use std::cell::RefCell;
use std::collections::{BTreeMap, HashMap, VecDeque};
use std::io::{BufRead as _, BufReader};
use std::panic::AssertUnwindSafe;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Weak};
use std::time::Duration;

use futures_util::FutureExt as _;
use tokio::sync::watch;

use crate::support::{DEADLINE, until_async};

/// So many lines of a process's standard error are kept.
const KEPT: usize = 2_000;
/// So many of them are shown where it ended too early.
const SHOWN: usize = 30;

thread_local! {
    /// The processes of this test: its own part runs on one thread.
    static STARTED: RefCell<Vec<Weak<Watched>>> = const { RefCell::new(Vec::new()) };
}

/// What a process has written to standard error.
#[derive(Default)]
struct Said {
    lines: VecDeque<String>,
    /// Standard error is closed: the process has ended.
    ended: bool,
}

/// What is known of a process without asking it.
struct Watched {
    said: watch::Receiver<Said>,
    /// The test ends it, or waits for its end.
    may_end: AtomicBool,
}

impl Watched {
    fn last_words(&self) -> String {
        let said = self.said.borrow();
        let shown = said.lines.iter().skip(said.lines.len().saturating_sub(SHOWN));
        shown.map(|line| format!("  | {line}\n")).collect()
    }
}

/// Fails the test if one of its processes has ended that should not.
pub(crate) fn assert_all_run() {
    STARTED.with_borrow_mut(|started| {
        started.retain(|process| process.strong_count() > 0);
        for process in started.iter().filter_map(Weak::upgrade) {
            let has_ended = process.said.borrow().ended && !process.may_end.load(Ordering::Relaxed);
            assert!(!has_ended, "the process has ended by itself; its last words:\n{}", process.last_words());
        }
    });
}

/// A process that does not outlive its test.
pub(crate) struct Process {
    child: Child,
    watched: Arc<Watched>,
}

impl Process {
    /// Starts it. Its standard error is kept, and shown as well where `INGESTOR_LOG` is set.
    pub(crate) fn spawn(command: &mut Command) -> Process {
        let mut child = command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::piped()).spawn().unwrap();
        let (sender, said) = watch::channel(Said::default());
        let lines = BufReader::new(child.stderr.take().unwrap()).lines();
        let is_shown = std::env::var_os("INGESTOR_LOG").is_some();
        // Ends with the process.
        std::thread::spawn(move || {
            for line in lines.map_while(Result::ok) {
                if is_shown {
                    eprintln!("{line}");
                }
                sender.send_modify(|said| {
                    said.lines.push_back(line);
                    if said.lines.len() > KEPT {
                        said.lines.pop_front();
                    }
                });
            }
            sender.send_modify(|said| said.ended = true);
        });
        let watched = Arc::new(Watched { said, may_end: AtomicBool::new(false) });
        STARTED.with_borrow_mut(|started| started.push(Arc::downgrade(&watched)));
        Process { child, watched }
    }

    pub(crate) fn id(&self) -> u32 {
        self.child.id()
    }

    /// The lines of its standard error so far.
    pub(crate) fn said(&self) -> Vec<String> {
        self.watched.said.borrow().lines.iter().cloned().collect()
    }

    /// Waits until its standard error has a line of which `find` makes something; fails at once if it ends before.
    pub(crate) async fn until_said<T>(&mut self, what: &str, find: impl Fn(&str) -> Option<T>) -> T {
        let mut said = self.watched.said.clone();
        let is_there = |said: &Said| said.ended || said.lines.iter().any(|line| find(line).is_some());
        // The reference must go: reading again beside it waits for ever once the writer waits for it.
        let waited = tokio::time::timeout(DEADLINE, said.wait_for(is_there)).await.map(drop);
        if let Some(found) = self.said().iter().find_map(|line| find(line)) {
            return found;
        }
        match waited {
            Err(_) => panic!("not within {DEADLINE:?}: {what}; its last words:\n{}", self.watched.last_words()),
            Ok(()) => {
                let status = self.ended(DEADLINE).await;
                panic!("it ended ({status}) before: {what}; its last words:\n{}", self.watched.last_words())
            }
        }
    }

    /// Waits until it ends; fails after `within`.
    pub(crate) async fn ended(&mut self, within: Duration) -> ExitStatus {
        self.may_end();
        let end = tokio::time::Instant::now() + within;
        loop {
            if let Some(status) = self.child.try_wait().unwrap() {
                return status;
            }
            let words = || self.watched.last_words();
            assert!(tokio::time::Instant::now() < end, "still running after {within:?}; its last words:\n{}", words());
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    /// From now on its end is no fault.
    fn may_end(&self) {
        self.watched.may_end.store(true, Ordering::Relaxed);
    }
}

impl Drop for Process {
    fn drop(&mut self) {
        self.may_end();
        // Already gone in most tests.
        let _killed = self.child.kill();
        let _waited = self.child.wait();
    }
}

/// The running daemon, and what it serves.
pub(crate) struct Daemon {
    process: Process,
    address: String,
    http: reqwest::Client,
}

impl Daemon {
    /// Starts it and waits until it answers.
    pub(crate) async fn start(settings: &BTreeMap<String, String>) -> Daemon {
        Daemon::start_on(settings, None).await
    }

    /// As [`Daemon::start`], on a machine that may be wrong.
    pub(crate) async fn start_on(settings: &BTreeMap<String, String>, shim: Option<&Shim>) -> Daemon {
        let mut command = command(settings);
        if let Some(shim) = shim {
            shim.put_under(&mut command);
        }
        Daemon::of(&mut command).await
    }

    /// The daemon of a command line with `--listen 127.0.0.1:0`: it listens on whichever port is free, and says on which.
    pub(crate) async fn of(command: &mut Command) -> Daemon {
        let mut process = Process::spawn(command);
        let address = process.until_said("it listens", |line| {
            let (_, address) = line.split_once(": listening address=")?;
            Some(address.split_whitespace().next()?.to_owned())
        });
        let address = address.await;
        Daemon { process, address, http: reqwest::Client::new() }
    }

    pub(crate) fn id(&self) -> u32 {
        self.process.id()
    }

    /// The lines of its standard error so far.
    pub(crate) fn said(&self) -> Vec<String> {
        self.process.said()
    }

    /// Its metrics by name; labels are part of the name.
    pub(crate) async fn metrics(&self) -> Option<HashMap<String, f64>> {
        let url = format!("http://{}/metrics", self.address);
        let text = self.http.get(url).send().await.ok()?.text().await.ok()?;
        Some(
            text.lines()
                .filter(|line| !line.starts_with('#'))
                .filter_map(|line| {
                    let (name, value) = line.rsplit_once(' ')?;
                    Some((name.to_owned(), value.parse().ok()?))
                })
                .collect(),
        )
    }

    pub(crate) async fn metric(&self, name: &str) -> f64 {
        let Some(metrics) = self.metrics().await else {
            panic!("the daemon does not answer; its last words:\n{}", self.process.watched.last_words());
        };
        *metrics.get(name).unwrap_or_else(|| panic!("{name} in {metrics:?}"))
    }

    pub(crate) async fn until_metric(&self, name: &str, is_so: impl Fn(f64) -> bool) {
        until_async(name, async || is_so(self.metric(name).await)).await;
    }

    /// `kill -9`.
    pub(crate) fn kill(self) {
        drop(self.process);
    }

    /// Sends SIGTERM and waits for the end; fails after `within`.
    pub(crate) async fn terminate(mut self, within: Duration) -> i32 {
        self.process.may_end();
        let killed = Command::new("kill").args(["-TERM", &self.id().to_string()]).status().unwrap();
        assert!(killed.success());
        self.ended(within).await
    }

    /// Waits until it ends by itself; fails after `within`.
    pub(crate) async fn ended(&mut self, within: Duration) -> i32 {
        let status = self.process.ended(within).await;
        status.code().unwrap_or_else(|| panic!("{status}; its last words:\n{}", self.process.watched.last_words()))
    }

    /// Peak and present resident memory in KiB, as the kernel counts them.
    pub(crate) fn memory(&self) -> (u64, u64) {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id())).unwrap();
        let field = |name: &str| {
            let line = status.lines().find(|line| line.starts_with(name)).unwrap();
            line.split_whitespace().nth(1).unwrap().parse().unwrap()
        };
        (field("VmHWM:"), field("VmRSS:"))
    }
}

/// The daemon's command line.
pub(crate) fn command(settings: &BTreeMap<String, String>) -> Command {
    // Another build, as it is packaged.
    let binary = std::env::var_os("INGESTOR_BINARY").unwrap_or_else(|| env!("CARGO_BIN_EXE_ingestor").into());
    let mut command = Command::new(binary);
    // As in infra/systemd.
    command.env("MALLOC_ARENA_MAX", "2");
    for (key, value) in settings {
        command.arg(format!("--{}", key.replace('_', "-"))).arg(value);
    }
    command
}

/// Something of the machine that goes wrong on command: a library between the daemon and what it asks the system for.
pub(crate) struct Shim {
    library: PathBuf,
    variable: &'static str,
    said: PathBuf,
}

impl Shim {
    /// The disk: `full` refuses writes, `sync` fails fsync, `slow` lets each take four seconds; nothing heals it.
    pub(crate) fn disk(folder: &Path) -> Shim {
        Shim::build(folder, "disk", include_str!("disk.c"), "DISK_FAULT")
    }

    /// The clock: so many microseconds ahead, or behind with a sign, and a semicolon.
    pub(crate) fn clock(folder: &Path) -> Shim {
        Shim::build(folder, "clock", include_str!("clock.c"), "CLOCK_OFFSET")
    }

    fn build(folder: &Path, name: &str, code: &str, variable: &'static str) -> Shim {
        let (source, library) = (folder.join(format!("{name}.c")), folder.join(format!("{name}.so")));
        std::fs::write(&source, code).unwrap();
        // The C compiler that the dependencies need anyhow.
        let built =
            Command::new("cc").args(["-shared", "-fPIC", "-O2", "-o"]).args([&library, &source]).arg("-ldl").status();
        assert!(built.unwrap().success(), "cc cannot build {}", source.display());
        Shim { library, variable, said: folder.join(format!("{name}.said")) }
    }

    /// Puts it between the system and a command that is to be started.
    pub(crate) fn put_under<'a>(&self, command: &'a mut Command) -> &'a mut Command {
        command.env("LD_PRELOAD", &self.library).env(self.variable, &self.said)
    }

    /// From now on it is so; None: nothing is wrong.
    pub(crate) fn set(&self, fault: Option<&str>) {
        match fault {
            Some(fault) => std::fs::write(&self.said, fault).unwrap(),
            None => std::fs::remove_file(&self.said).unwrap(),
        }
    }
}

#[tokio::test]
async fn a_process_that_ends_early_fails_its_test_with_its_last_words() {
    let fails = async {
        let mut script = Command::new("sh");
        let _process = Process::spawn(script.args(["-c", "echo the disk is on fire >&2; exit 74"]));
        crate::support::until("never", || false).await;
    };
    let panic = AssertUnwindSafe(fails).catch_unwind().await.unwrap_err();
    let words = panic.downcast_ref::<String>().unwrap();
    assert!(words.contains("the disk is on fire") && !words.contains("not within"), "{words}");
}
