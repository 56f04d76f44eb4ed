//! Formats the reports of the three commands for people.

use backfill::progress::{as_f64, spell_seconds};

use crate::plan;
use crate::run;
use crate::time::spell;

/// Blocks that stay are named, up to so many.
const MOST_NAMED: usize = 20;

/// What `compact plan` prints for people.
#[must_use]
pub fn plan(report: &plan::Report) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| text.push_str(&format!("{name:<22}{value}\n"));
    let about = if report.exact { "" } else { "about " };
    line("table", report.table.clone());
    let from = if report.from == 0 { "the first event".to_owned() } else { spell(report.from) };
    line("range", format!("{from} to {}", spell(report.to)));
    line("recovery to a moment", report.point_in_time_recovery.to_owned());
    for channel in &report.channels {
        line(&channel.name, format!("{about}{:.0} events in {:.0} blocks", channel.events, channel.blocks));
    }
    line("stay single", format!("{about}{:.0}", report.singles));
    let (items, blocks) = (report.units_as_items, report.units_as_blocks);
    line("write units", format!("{:.0}: {blocks:.0} for the blocks, {items:.0} for deletions", report.write_units));
    line("read units", format!("{:.0}", report.read_units));
    line("cost", format!("{:.2} at the prices given (on demand)", report.cost));
    let (before, after) = (report.bytes_before / 1e6, report.bytes_after / 1e6);
    line("storage", format!("{before:.1} MB now, {after:.1} MB then (table and index)"));
    line("saved", format!("{:.2} a month{}", report.saved_a_month, pays_off(report)));
    let at_rate = match report.seconds_at_rate {
        Some(seconds) => format!("{} at the rate given", spell_seconds(seconds)),
        None => "no rate given (--max-wcu)".to_owned(),
    };
    line("time", at_rate);
    line("at least", format!("{}, at 1,000 write units a second for a channel", spell_seconds(report.seconds_floor)));
    line("this plan read", format!("{:.0} units", report.read_units_of_plan));
    text.push_str("nothing was changed\n");
    text
}

fn pays_off(report: &plan::Report) -> String {
    if report.saved_a_month <= 0.0 || report.cost <= 0.0 {
        return String::new();
    }
    format!("; the run pays for itself after {:.1} months", report.cost / report.saved_a_month)
}

/// What `compact run` prints for people at its end.
#[must_use]
pub fn run(report: &run::Report) -> String {
    let totals = &report.totals;
    let mut text = format!("table `{}`: {} events packed into {} blocks\n", report.table, totals.moved, totals.blocks);
    let mut line = |name: &str, value: String| text.push_str(&format!("{name:<22}{value}\n"));
    line("channels", format!("{} through {}", report.channels.join(", "), spell(report.to)));
    let singles = &totals.singles;
    let reasons = [
        (singles.codec, "the codec does not hold them exactly"),
        (singles.time, "their key names another time"),
        (singles.expires, "they expire at another time than the table's record says"),
        (singles.attributes, "they have too many attributes"),
    ];
    let reasons: Vec<_> =
        reasons.iter().filter(|(count, _)| *count > 0).map(|(count, why)| format!("{count}: {why}")).collect();
    let reasons = if reasons.is_empty() { String::new() } else { format!(" ({})", reasons.join("; ")) };
    line("stay single", format!("{}{reasons}", singles.sum()));
    line("changed meanwhile", format!("{}, which stay as they are", totals.changed));
    let each = as_f64(totals.block_bytes) / as_f64(totals.moved.max(1));
    line("bytes an event", format!("{each:.1}"));
    end(text, report)
}

/// What `compact expand` prints for people at its end.
#[must_use]
pub fn expand(report: &run::Report) -> String {
    let totals = &report.totals;
    let mut text =
        format!("table `{}`: {} blocks taken apart into {} events\n", report.table, totals.blocks, totals.moved);
    let mut line = |name: &str, value: String| text.push_str(&format!("{name:<22}{value}\n"));
    line("channels", format!("{} through {}", report.channels.join(", "), spell(report.to)));
    line("passed over", format!("{} blocks of daemons, or that reach behind the range", totals.passed));
    if totals.conflicts > 0 {
        line("conflicts", format!("{} events whose key has another item", totals.conflicts));
    }
    line("left as they are", format!("{} blocks", totals.left.len()));
    for why in totals.left.iter().take(MOST_NAMED) {
        line("", why.clone());
    }
    end(text, report)
}

fn end(mut text: String, report: &run::Report) -> String {
    let units = &report.totals.units;
    let mut line = |name: &str, value: String| text.push_str(&format!("{name:<22}{value}\n"));
    line("units", format!("{:.0} write, {:.0} read", units.write, units.read));
    line("throttled", format!("{} times, sent again", units.throttled));
    let since = if report.resumed { " since it went on" } else { "" };
    line("time", format!("{}{since}", spell_seconds(report.seconds)));
    text
}
