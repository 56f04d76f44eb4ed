//! Counts what was done and shows the progress.

use std::{
    io::IsTerminal,
    time::{Duration, Instant},
};

use indicatif::{ProgressBar, ProgressStyle};
use serde::{Deserialize, Serialize};
use serde_json::{Value, json};

/// What was done, over all processes of a run.
#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct Totals {
    /// Items read.
    pub items: u64,
    /// Items written.
    pub updated: u64,
    /// Items whose target was right already.
    pub right: u64,
    /// Items of this project whose target is no copy of the source.
    pub kept: u64,
    /// Items deleted between reading and writing.
    pub gone: u64,
    /// Values not converted; each is a line of the rejects file.
    pub rejects: u64,
    /// Calls and statements that were throttled and sent again.
    pub throttled: u64,
    /// Read units consumed, as far as answers said so.
    pub read_units: f64,
    /// Write units consumed, as far as answers said so.
    pub write_units: f64,
}

impl Totals {
    /// Adds a page.
    pub fn add(&mut self, page: &Self) {
        self.items += page.items;
        self.updated += page.updated;
        self.right += page.right;
        self.kept += page.kept;
        self.gone += page.gone;
        self.rejects += page.rejects;
        self.throttled += page.throttled;
        self.read_units += page.read_units;
        self.write_units += page.write_units;
    }
}

/// Receives the lines for people, which go to standard error.
pub type StatusSink<'a> = &'a (dyn Fn(String) + Sync);

/// Time between two lines where there is no terminal.
const LINE: Duration = Duration::from_secs(10);

/// Shows how far it is: a bar on a terminal, else a JSON line every 10 s, both on standard error.
#[derive(Debug)]
pub struct Progress {
    bar: Option<ProgressBar>,
    of: u64,
    begin: Instant,
    at_begin: Totals,
    last_line: Instant,
}

impl Progress {
    /// Begins with what earlier processes did; `of` is about the number of items in the table.
    pub fn new(at_begin: Totals, of: u64) -> Self {
        let bar = std::io::stderr().is_terminal().then(|| {
            let style = ProgressStyle::with_template("{bar:30} {percent:>3}% {msg}");
            ProgressBar::new(of).with_style(style.unwrap_or_else(|_| ProgressStyle::default_bar()))
        });
        Self { bar, of, begin: Instant::now(), at_begin, last_line: Instant::now() }
    }

    /// Shows these totals; the text is a line to write, where one is due.
    pub fn show(&mut self, totals: &Totals) -> Option<String> {
        if let Some(bar) = &self.bar {
            bar.set_length(self.of.max(totals.items));
            bar.set_position(totals.items);
            bar.set_message(self.message(totals));
            return None;
        }
        if self.last_line.elapsed() < LINE {
            return None;
        }
        self.last_line = Instant::now();
        Some(self.line(totals).to_string())
    }

    /// Writes a line above the bar, or hands it back where there is none.
    pub fn say(&self, text: &str) -> Option<String> {
        match &self.bar {
            Some(bar) => {
                bar.println(text);
                None
            }
            None => Some(json!({"event": "status", "message": text}).to_string()),
        }
    }

    /// Takes the bar away.
    pub fn end(&self) {
        if let Some(bar) = &self.bar {
            bar.finish_and_clear();
        }
    }

    /// Seconds since this process began.
    pub fn seconds(&self) -> f64 {
        self.begin.elapsed().as_secs_f64()
    }

    fn message(&self, totals: &Totals) -> String {
        let rate = self.rates(totals);
        let left = rate.left.map_or_else(|| "?".to_owned(), spell_seconds);
        format!(
            "{} items, {:.0} items/s, {:.0} write units/s, {left} left, {} rejects",
            totals.items, rate.items, rate.write_units, totals.rejects
        )
    }

    fn line(&self, totals: &Totals) -> Value {
        let rate = self.rates(totals);
        json!({
            "event": "progress", "items": totals.items, "of_about": self.of, "updated": totals.updated,
            "items_per_second": rate.items.round(), "write_units_per_second": rate.write_units.round(),
            "read_units_per_second": rate.read_units.round(), "seconds_left": rate.left.map(f64::round),
            "rejects": totals.rejects, "throttled": totals.throttled,
        })
    }

    fn rates(&self, totals: &Totals) -> Rates {
        let seconds = self.seconds().max(0.001);
        let items = as_f64(totals.items - self.at_begin.items) / seconds;
        let todo = as_f64(self.of.saturating_sub(totals.items));
        Rates {
            items,
            write_units: (totals.write_units - self.at_begin.write_units) / seconds,
            read_units: (totals.read_units - self.at_begin.read_units) / seconds,
            left: (items > 0.0).then(|| todo / items),
        }
    }
}

struct Rates {
    items: f64,
    write_units: f64,
    read_units: f64,
    left: Option<f64>,
}

/// A count for a ratio; a table of 2^53 items does not exist.
pub fn as_f64(count: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "shown with a few digits only")]
    let number = count as f64;
    number
}

/// A duration for people: `45 s`, `12 min`, `27.8 h`.
pub fn spell_seconds(seconds: f64) -> String {
    match seconds {
        ..90.0 => format!("{seconds:.0} s"),
        90.0..5400.0 => format!("{:.0} min", seconds / 60.0),
        _ => format!("{:.1} h", seconds / 3600.0),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_line_holds_what_an_operator_asks_for() {
        let at_begin = Totals { items: 100, ..Totals::default() };
        let mut progress = Progress::new(at_begin, 1000);
        progress.begin = Instant::now().checked_sub(Duration::from_secs(10)).unwrap();
        let totals = Totals { items: 600, write_units: 1000.0, rejects: 2, ..Totals::default() };
        let line = progress.line(&totals);
        let about = |name: &str, expected: f64| {
            let found = line[name].as_f64().unwrap();
            assert!((found - expected).abs() <= 1.0, "{name}: {found}");
        };
        about("items_per_second", 50.0);
        about("write_units_per_second", 100.0);
        about("seconds_left", 8.0);
        assert_eq!(line["rejects"].as_u64(), Some(2));
    }

    #[test]
    fn durations_are_short() {
        assert_eq!([45.0, 720.0, 100_000.0].map(spell_seconds), ["45 s", "12 min", "27.8 h"]);
    }
}
