//! Looks at single items of the table, corrects, removes and puts them back: through the operators' function, or in a local store.

mod args;
mod change;
mod diff;
mod endpoint;
mod read;

use args::{Arguments, Command};
use clap::Parser;
use endpoint::Endpoint;
use std::{
    io::{self, Write},
    process::ExitCode,
    sync::atomic::{AtomicBool, Ordering},
};
use tokio::runtime::Builder;

/// How a command ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Ended {
    /// Done, or there was nothing to do.
    Done,
    /// The function refuses the request.
    Refused,
    /// The answer to the question was not yes.
    Declined,
    /// The item is not what was seen any more.
    Conflict,
    /// There is no such item.
    Missing,
}

impl Ended {
    fn code(self) -> u8 {
        match self {
            Ended::Done => 0,
            Ended::Refused => 2,
            Ended::Declined => 3,
            Ended::Conflict => 4,
            Ended::Missing => 5,
        }
    }
}

/// The exit code after Ctrl-C, as shells have it: 128 and the signal's number.
const EXIT_INTERRUPTED: u8 = 130;

/// True from the moment on at which a change was sent and its answer has not come.
static IS_SENT: AtomicBool = AtomicBool::new(false);

fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let runtime = match Builder::new_multi_thread().enable_all().build() {
        Ok(runtime) => runtime,
        Err(error) => {
            say(&format!("cannot start: {error}"));
            return ExitCode::FAILURE;
        }
    };
    let code = runtime.block_on(async {
        tokio::select! {
            ended = run(arguments) => match ended {
                Ok(ended) => ended.code(),
                Err(error) => {
                    say(&format!("{error:#}"));
                    1
                }
            },
            _ = tokio::signal::ctrl_c() => {
                say(if IS_SENT.load(Ordering::SeqCst) {
                    "\ninterrupted after the change was sent: `items audit` says whether it was made"
                } else {
                    "\ninterrupted; nothing was changed"
                });
                EXIT_INTERRUPTED
            }
        }
    });
    // A thread may still wait for an answer at the terminal.
    runtime.shutdown_background();
    ExitCode::from(code)
}

async fn run(arguments: Arguments) -> anyhow::Result<Ended> {
    let endpoint = Endpoint::of(&arguments.place).await?;
    match &arguments.command {
        Command::Get { key, typed } => read::get(&endpoint, key, *typed).await,
        Command::Put(put) => change::put(&endpoint, put).await,
        Command::Set(set) => change::set(&endpoint, set).await,
        Command::Rm { key, consent } => change::rm(&endpoint, key, consent).await,
        Command::Echo { payload } => read::echo(&endpoint, payload).await,
        Command::Audit(audit) => read::audit(&endpoint, audit).await,
    }
}

/// Says something to the person; data goes to standard output.
fn say(text: &str) {
    // Nobody is left to be told where that fails.
    drop(writeln!(io::stderr(), "{text}"));
}

/// Writes data. A reader that has seen enough (`| head`) is no fault.
fn print(text: &str) -> io::Result<()> {
    match writeln!(io::stdout(), "{text}") {
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe => Ok(()),
        written => written,
    }
}
