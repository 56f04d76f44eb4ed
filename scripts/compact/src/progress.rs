//! Shows how far a command is: a bar on a terminal, else a JSON line every 10 s, both on standard error.

use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

use backfill::{
    error::Error,
    progress::{StatusSink, as_f64, spell_seconds},
};
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::json;
use tokio::time::interval;

use crate::checkpoint::State;
use crate::store::Units;
use crate::transfer::Transfer;

/// Time between two lines where there is no terminal.
const LINE: Duration = Duration::from_secs(10);
/// The length of the bar; progress is a share of the range's time.
const PARTS: u64 = 1000;

/// What is shown.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    begin: Instant,
    last_line: Instant,
    share_at_begin: f64,
    events_at_begin: u64,
}

impl Progress {
    /// Begins with what earlier processes did.
    pub fn new(state: &State, resumed: bool, status: StatusSink<'_>) -> Progress {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:30} {percent:>3}% {msg}");
            ProgressBar::new(PARTS).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        if resumed {
            let message = format!("going on after {} events", state.totals.events);
            match &bar {
                Some(bar) => bar.println(message),
                None => status(json!({"event": "status", "message": message}).to_string()),
            }
        }
        let (begin, events_at_begin) = (Instant::now(), state.totals.events);
        Progress { bar, begin, last_line: begin, share_at_begin: share(state), events_at_begin }
    }

    fn show(&mut self, state: &State, units: Units, status: StatusSink<'_>) {
        let seconds = self.begin.elapsed().as_secs_f64().max(0.001);
        let (share, totals) = (share(state), &state.totals);
        let rate = as_f64(totals.events - self.events_at_begin) / seconds;
        let done = share - self.share_at_begin;
        let left = (done > 0.0).then(|| (1.0 - share) * seconds / done);
        if let Some(bar) = &self.bar {
            #[expect(clippy::cast_possible_truncation, clippy::cast_sign_loss, reason = "a share of 1,000")]
            bar.set_position((share * as_f64(PARTS)) as u64);
            let left = left.map_or_else(|| "?".to_owned(), spell_seconds);
            let (events, blocks) = (totals.events, totals.blocks);
            let writes = units.write / seconds;
            bar.set_message(format!(
                "{events} events, {blocks} blocks, {rate:.0} events/s, {writes:.0} write units/s, {left} left"
            ));
        } else if self.last_line.elapsed() >= LINE {
            self.last_line = Instant::now();
            let line = json!({
                "event": "progress", "share": (share * 1000.0).round() / 1000.0, "events": totals.events, "blocks": totals.blocks,
                "events_per_second": rate.round(), "write_units_per_second": (units.write / seconds).round(),
                "read_units_per_second": (units.read / seconds).round(), "seconds_left": left.map(f64::round),
                "throttled": units.throttled,
            });
            status(line.to_string());
        }
    }
}

/// How much of the time of all channels lies behind their positions.
fn share(state: &State) -> f64 {
    let channels = state.channels.values().map(|channel| {
        if channel.done {
            return 1.0;
        }
        let of = state.to.saturating_sub(channel.begin).max(1);
        as_f64(channel.position.saturating_sub(channel.begin)) / as_f64(of)
    });
    channels.sum::<f64>() / as_f64(state.channels.len().max(1) as u64)
}

/// Drives the work and shows its progress; returns the seconds it took. What was consumed is noted in any case.
///
/// # Errors
/// Those of the work.
pub async fn watched(
    work: impl Future<Output = Result<(), Error>>,
    transfer: &Transfer<'_>,
    mut progress: Progress,
    status: StatusSink<'_>,
) -> Result<f64, Error> {
    let show = async {
        let mut tick = interval(Duration::from_millis(200));
        loop {
            tick.tick().await;
            progress.show(&transfer.book.state(), transfer.store.units(), status);
        }
    };
    let ended = tokio::select! {
        ended = work => ended,
        () = show => Ok(()),
    };
    if let Some(bar) = &progress.bar {
        bar.finish_and_clear();
    }
    let units = transfer.earlier.and(transfer.store.units());
    transfer.book.change(|state| state.totals.units = units)?;
    ended.map(|()| progress.begin.elapsed().as_secs_f64())
}
