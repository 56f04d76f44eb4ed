//! Formats the reports of the three commands for people.

use std::fmt::Write;

use crate::plan;
use crate::progress::{as_f64, spell_seconds};
use crate::run;
use crate::verify;

/// What `backfill plan` prints for people.
pub fn plan(report: &plan::Report) -> String {
    let mut text = String::new();
    let mut line = |name: &str, value: String| text.push_str(&format!("{name:<22}{value}\n"));
    line("table", format!("{} (key {}), {}", report.table, report.key.join(" + "), report.capacity));
    line("index", index(report).to_owned());
    line("recovery to a moment", report.point_in_time_recovery.to_owned());
    let how = if report.exact { "counted" } else { "described by the service, up to six hours old" };
    line("items", format!("{} ({how}; {} looked at)", report.items, report.looked_at));
    let about = if report.exact { "" } else { "about " };
    line("to write", format!("{about}{}", report.to_write));
    line("already right", format!("{about}{}", report.right));
    line("would be rejected", format!("{about}{}", report.rejects));
    line(
        "read units",
        format!("{:.0}, and the same for each `verify` of the table and of the index", report.read_units),
    );
    let (table, in_index) = (report.write_units_table, report.write_units_index);
    line("write units", format!("{:.0}: table {table:.0}, index {in_index:.0}", table + in_index));
    line("cost", format!("{:.2} at the prices given (on demand)", report.cost));
    let at_rate = match report.seconds_at_rate {
        Some(seconds) => format!("{} at the rate given", spell_seconds(seconds)),
        None => "no rate given (--max-wcu)".to_owned(),
    };
    line("time", at_rate);
    if let Some(busiest) = &report.busiest {
        let share = report.busiest_share * 100.0;
        let floor = spell_seconds(report.seconds_floor);
        line("at least", format!("{floor}: `{busiest}` is {share:.0} % of the index, 1,000 units a second at most"));
    }
    text.push_str("nothing was changed\n");
    text
}

fn index(report: &plan::Report) -> &str {
    match (&report.index, report.index_wanted) {
        (_, false) => "none wanted",
        (Some(status), _) => status,
        (None, _) => "missing: `backfill run --create-index` creates it first",
    }
}

/// What `backfill run` prints for people at its end.
pub fn run(report: &run::Report) -> String {
    let totals = &report.totals;
    let mut text = match (totals.updated, totals.rejects) {
        (0, 0) => format!("table `{}`: nothing to do, every item was right already\n", report.table),
        (0, _) => format!("table `{}`: nothing changed\n", report.table),
        _ => format!("table `{}`: done\n", report.table),
    };
    let mut line = |name: &str, value: String| text.push_str(&format!("{name:<22}{value}\n"));
    line("items", totals.items.to_string());
    line("updated", totals.updated.to_string());
    line("right already", totals.right.to_string());
    if totals.kept > 0 {
        line("left alone", format!("{} (their time is no copy of the key)", totals.kept));
    }
    line("deleted meanwhile", totals.gone.to_string());
    let file = if totals.rejects > 0 { format!(", see {}", report.rejects_file) } else { String::new() };
    line("rejected", format!("{}{file}", totals.rejects));
    line("units", format!("{:.0} write, {:.0} read", totals.write_units, totals.read_units));
    line("throttled", format!("{} times, sent again", totals.throttled));
    if report.channels > 0 {
        line("channels entered", report.channels.to_string());
    }
    if let Some(problem) = &report.channels_problem {
        line("channels", problem.clone());
    }
    let since = if report.resumed { " since it went on" } else { "" };
    line("time", format!("{}{since}", spell_seconds(report.seconds)));
    text
}

/// What `backfill verify` prints for people.
pub fn verify(report: &verify::Report) -> String {
    let verdict = match report.exit_code() {
        0 => "all right",
        3 => "right but for the rejects",
        _ => "DIFFERENCES: run `backfill run` again, then `backfill verify`",
    };
    let mut text = format!("table `{}`: {verdict}\n", report.table);
    let mut line = |name: &str, value: String| text.push_str(&format!("{name:<22}{value}\n"));
    line("items", report.items.to_string());
    line("right", report.right.to_string());
    if report.kept > 0 {
        line("left alone", format!("{} (their time is no copy of the key)", report.kept));
    }
    line("missing", report.missing.to_string());
    line("wrong", report.wrong.to_string());
    line("not convertible", report.rejects.to_string());
    if report.late > 0 {
        line("late", format!("{} (written while this ran; not compared)", report.late));
    }
    line("units", format!("{:.0} read", report.read_units));
    let _infallible = writeln!(text, "{:<40}{:>14}{:>14}", "channel", "table", "index");
    for (name, count) in &report.channels {
        let index = if report.index_checked { count.index.to_string() } else { "-".to_owned() };
        let mark = if report.index_checked && count.lacks() { "  <- differs" } else { "" };
        let _infallible = writeln!(text, "{name:<40}{:>14}{index:>14}{mark}", count.table);
    }
    text
}

/// Items a second, for the report of a benchmark.
pub fn items_a_second(report: &run::Report) -> f64 {
    as_f64(report.totals.items) / report.seconds.max(0.001)
}
