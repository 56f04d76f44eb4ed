//! What the channels cost, as tables.

use std::io::Write;

use ingestor::config::Config;
use ingestor::config::keep::{Retention, spelled};
use ingestor::config::storage::Storage;
use ingestor::observe::cost::{self, Prices};
use rust_decimal::Decimal;

use super::count::Counted;
use super::sample::Each;
use crate::commands::grouped;

/// Days for which items are kept where nothing is set.
const KEPT_DAYS: [u64; 2] = [30, 365];
const DAY: u64 = 86_400;

/// What a channel takes in a day in one of the storages.
#[derive(Clone, Debug)]
pub(super) struct Estimate {
    channel: String,
    storage: Storage,
    /// True for the storage that is configured.
    is_set: bool,
    is_measured: bool,
    /// What an event takes.
    each: Each,
    events: Decimal,
    units: Decimal,
    /// Bytes that a day adds to table and index.
    stored: Decimal,
}

/// Returns what a channel takes in the configured storage, and then in the other one.
pub(super) fn estimates(counted: &Counted, config: &Config) -> Vec<Estimate> {
    let micros = u64::try_from(counted.over.as_micros()).unwrap_or(u64::MAX);
    let events = cost::a_day(counted.events, micros).unwrap_or_default();
    let set = config.storage.of(&counted.channel);
    let of = |storage: Storage, each: Each| Estimate {
        channel: counted.channel.to_string(),
        storage,
        // Without any event to pack it is not known what blocks take.
        is_set: storage == set || counted.in_blocks.is_none(),
        is_measured: counted.is_measured,
        each,
        events,
        units: events * each.units,
        stored: events * each.stored,
    };
    let blocks = counted.in_blocks.map(|each| of(Storage::Blocks, each));
    let mut both: Vec<_> = [of(Storage::Events, counted.single)].into_iter().chain(blocks).collect();
    both.sort_by_key(|estimate| !estimate.is_set);
    both
}

impl Estimate {
    /// Returns name and storage as a line shows them: the name once.
    fn name(&self) -> (&str, &'static str) {
        let storage = match self.storage {
            Storage::Events => "events",
            Storage::Blocks => "blocks",
        };
        (if self.is_set { &self.channel } else { "  or" }, storage)
    }
}

/// Writes what the channels cost a day, and all of them as they are configured.
pub(super) fn writes(estimates: &[Estimate], prices: &Prices, out: &mut dyn Write) -> std::io::Result<()> {
    let heads = ["events a day", "bytes each", "units each", "units a day", "on demand a day", "provisioned"];
    line(("channel", "storage"), &heads.map(str::to_owned), out)?;
    for estimate in estimates {
        let star = if estimate.is_measured { "" } else { "*" };
        let Estimate { each, events, units, .. } = estimate;
        let cells = [
            whole(*events),
            format!("{:.1}{star}", each.bytes.round_dp(1)),
            format!("{}{star}", units_each(each.units)),
            whole(*units),
            cents(prices.on_demand(*units)),
            cents(prices.provisioned(*units)),
        ];
        line(estimate.name(), &cells, out)?;
    }
    let of_set = |of: fn(&Estimate) -> Decimal| estimates.iter().filter(|estimate| estimate.is_set).map(of).sum();
    let (events, units): (Decimal, Decimal) = (of_set(|estimate| estimate.events), of_set(|estimate| estimate.units));
    let (on_demand, provisioned) = (cents(prices.on_demand(units)), cents(prices.provisioned(units)));
    line(("all", ""), &[whole(events), String::new(), String::new(), whole(units), on_demand, provisioned], out)
}

/// Writes what a month of keeping costs once so much is kept, in either table class.
pub(super) fn kept(
    estimates: &[Estimate],
    keep: &Retention,
    prices: &Prices,
    out: &mut dyn Write,
) -> std::io::Result<()> {
    let heads = ["GB a day", "kept", "GB kept", "Standard a month", "Standard-IA", "its writes a day"];
    line(("channel", "storage"), &heads.map(str::to_owned), out)?;
    for estimate in estimates {
        for (place, days) in days_of(keep, &estimate.channel).into_iter().enumerate() {
            let name = if place == 0 { estimate.name() } else { ("", "") };
            let cells = kept_cells(estimate.stored, days, estimate.units, prices);
            line(name, &cells, out)?;
        }
    }
    // Where channels are kept differently, those without an end count with a year.
    let longest = |estimate: &Estimate| days_of(keep, &estimate.channel).last().copied().unwrap_or_default();
    let set = || estimates.iter().filter(|estimate| estimate.is_set);
    let bytes: Decimal = set().map(|estimate| estimate.stored * Decimal::from(longest(estimate))).sum();
    let a_day: Decimal = set().map(|estimate| estimate.stored).sum();
    let units: Decimal = set().map(|estimate| estimate.units).sum();
    let mut cells = kept_cells(a_day, 0, units, prices);
    cells[1] = "longest".to_owned();
    cells[2] = gigabytes(bytes);
    (cells[3], cells[4]) = (cents(prices.kept_a_month(bytes)), cents(prices.kept_a_month_infrequent(bytes)));
    line(("all", ""), &cells, out)
}

/// Returns for how many days a channel's items are kept; where that has no end, for a month and for a year.
fn days_of(keep: &Retention, channel: &str) -> Vec<u64> {
    keep.of(channel).map_or_else(|| KEPT_DAYS.to_vec(), |seconds| vec![seconds / DAY])
}

fn kept_cells(stored_a_day: Decimal, days: u64, units: Decimal, prices: &Prices) -> [String; 6] {
    let bytes = stored_a_day * Decimal::from(days);
    [
        gigabytes(stored_a_day),
        spelled(Some(days * DAY)),
        gigabytes(bytes),
        cents(prices.kept_a_month(bytes)),
        cents(prices.kept_a_month_infrequent(bytes)),
        cents(prices.on_demand_infrequent(units)),
    ]
}

fn line((name, storage): (&str, &str), cells: &[String], out: &mut dyn Write) -> std::io::Result<()> {
    write!(out, "{name:<28} {storage:<7}")?;
    for cell in cells {
        write!(out, " {cell:>16}")?;
    }
    writeln!(out)
}

/// Formats the write units of an event; in blocks they are some hundredths.
fn units_each(units: Decimal) -> String {
    if units < Decimal::ONE { format!("{:.4}", units.round_dp(4)) } else { cents(units) }
}

/// Formats with two decimals.
fn cents(number: Decimal) -> String {
    format!("{:.2}", number.round_dp(2))
}

fn gigabytes(bytes: Decimal) -> String {
    format!("{:.3}", (bytes / Decimal::from(1_000_000_000)).round_dp(3))
}

fn whole(number: Decimal) -> String {
    let text = number.round_dp(0).to_string();
    text.parse().map_or(text, grouped)
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;
    use std::time::Duration;

    use super::*;

    fn config(settings: &[(&str, &str)]) -> Config {
        let settings = settings.iter().map(|(key, value)| ((*key).to_owned(), (*value).to_owned())).collect();
        Config::read(&settings, &BTreeMap::new(), None).unwrap()
    }

    fn counted(rate: u64, in_blocks: Option<Each>) -> Counted {
        Counted {
            channel: "live_orders_btcusd".parse().unwrap(),
            events: rate * 3_600,
            over: Duration::from_secs(3_600),
            single: Each::single(463, 2),
            in_blocks,
            is_measured: true,
        }
    }

    fn shown(write: impl Fn(&mut dyn Write) -> std::io::Result<()>) -> Vec<Vec<String>> {
        let mut out = Vec::new();
        write(&mut out).unwrap();
        let text = String::from_utf8(out).unwrap();
        text.lines().map(|line| line.split_whitespace().map(str::to_owned).collect()).collect()
    }

    /// The rows of docs/cost.md.
    #[test]
    fn it_counts_as_the_documentation_does() {
        // The documentation rounds the capacity up to whole units, which makes 3.65 of the first one.
        for (rate, on_demand, provisioned) in [(70, "7.56", "3.64"), (96, "10.37", "4.99"), (237, "25.60", "12.32")] {
            let estimates = estimates(&counted(rate, None), &config(&[]));
            let rows = shown(|out| writes(&estimates, &Prices::default(), out));
            assert_eq!(rows[1][6..], [on_demand.to_owned(), provisioned.to_owned()]);
            assert_eq!(rows[2][0], "all");
        }
    }

    #[test]
    fn what_is_configured_comes_first_and_makes_up_all() {
        let blocks = Each { bytes: Decimal::TEN, units: Decimal::new(2, 2), stored: Decimal::from(25) };
        for (storage, first, units) in [("", "events", "16,588,800"), ("live_orders_*=blocks", "blocks", "165,888")] {
            let estimates = estimates(&counted(96, Some(blocks)), &config(&[("storage", storage)]));
            let rows = shown(|out| writes(&estimates, &Prices::default(), out));
            assert_eq!((rows[1][1].as_str(), rows[2][0].as_str(), rows[1][5].as_str()), (first, "or", units));
            assert_eq!(rows[3][2], units);
        }
    }

    #[test]
    fn a_month_of_keeping_is_of_the_setting_or_of_a_month_and_a_year() {
        let rows = |keep: &str| {
            let config = config(&[("keep", keep)]);
            let estimates = estimates(&counted(96, None), &config);
            shown(|out| kept(&estimates, &config.keep, &Prices::default(), out))
        };
        let none = rows("");
        assert_eq!(none[1][2..], ["9.339", "30d", "280.185", "70.05", "28.02", "12.96"]);
        assert_eq!(none[2][..], ["9.339", "365d", "3408.915", "852.23", "340.89", "12.96"]);
        let set = rows("90d,live_trades_*=forever");
        assert_eq!(set[1][2..], ["9.339", "90d", "840.554", "210.14", "84.06", "12.96"]);
        assert_eq!(set.len(), 3);
    }

    #[test]
    fn units_below_one_have_four_decimals() {
        assert_eq!([Decimal::TWO, Decimal::new(1934, 5)].map(units_each), ["2.00", "0.0193"]);
    }
}
