//! `ingestor estimate`: estimates what the channels cost.

use std::io::Write;
use std::time::Duration;

use clap::{Arg, ArgMatches, Command};
use ingestor::config::{Config, units};
use ingestor::exchange::markets;
use ingestor::observe::cost::{self, Prices};
use rust_decimal::Decimal;

use self::count::Counted;
use super::grouped;

mod count;

/// Prices from here on are refused as typing errors.
const MOST: Decimal = Decimal::from_parts(1_000_000, 0, 0, false, 0);

const EXAMPLES: &str = "\
Examples:
  ingestor estimate --region eu-central-1
  ingestor estimate --last 24h --price-per-million 0.7625
  ingestor estimate --from daemon --sample 5min

Events are counted in the table (dynamodb:Query; what that reads is shown and costs money too) or, --from daemon, by the
counters of the running daemon. A write unit is a started kilobyte, once for the table and once for the index; how many an
event takes is measured on the newest 100 items and on all blocks of the channel, else taken from docs/cost.md. The default prices are those
of us-east-1 in US dollars; yours: https://aws.amazon.com/dynamodb/pricing/. Storage, recovery and reads are not in it.
Exit codes: 0 done, 69 the store or the daemon cannot be reached or refuses, 78 wrong configuration.";

pub(super) fn command() -> Command {
    let valued = |name: &'static str, value: &'static str, default: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).default_value(default).help(help)
    };
    Command::new("estimate")
        .about("What writing the configured channels costs a day, on demand and provisioned")
        .after_help(EXAMPLES)
        .arg(valued("from", "WHERE", "table", "Where events are counted").value_parser(["table", "daemon"]))
        .arg(valued("last", "TIME", "60min", "How far back events are counted in the table").value_parser(time))
        .arg(valued("sample", "TIME", "60s", "How long events are counted in the daemon").value_parser(time))
        .arg(valued("price-per-million", "PRICE", "0.625", "Of a million write units on demand").value_parser(price))
        .arg(
            valued("price-per-unit-hour", "PRICE", "0.00065", "Of a provisioned write unit for an hour")
                .value_parser(price),
        )
}

fn time(text: &str) -> Result<Duration, String> {
    units::duration(Duration::from_secs(1), Duration::from_secs(7 * 86_400))(text)
        .map_err(|_| "expected a number and s, min or h, at most 168h".to_owned())
}

fn price(text: &str) -> Result<Decimal, String> {
    let price = text.parse().ok().filter(|price| (Decimal::ZERO..MOST).contains(price));
    price.ok_or_else(|| "expected a price like 0.625".to_owned())
}

pub(super) async fn run(matches: &ArgMatches, config: &Config, out: &mut dyn Write) -> anyhow::Result<u8> {
    let of = |name: &str| matches.get_one::<Decimal>(name).copied().unwrap_or_default();
    let prices = Prices { per_million: of("price-per-million"), per_unit_hour: of("price-per-unit-hour") };
    let span = |name: &str| matches.get_one::<Duration>(name).copied().unwrap_or_default();
    let from_daemon = matches.get_one::<String>("from").is_some_and(|from| from == "daemon");
    let config = Config { channels: markets::channels(config).await?, ..config.clone() };
    let (counts, source) = if from_daemon {
        count::in_daemon(&config, span("sample")).await?
    } else {
        count::in_table(&config, span("last")).await?
    };
    let estimates: Vec<Estimate> = counts.iter().map(|counted| Estimate::of(counted, &prices)).collect();
    show(&counts, &estimates, out)?;
    writeln!(out, "\n{source}")?;
    if counts.iter().any(|counted| !counted.is_measured) {
        writeln!(out, "* no item to measure: units from docs/cost.md")?;
    }
    writeln!(
        out,
        "prices: {} a million write units on demand; {} an hour for a provisioned one, of which 60 % are used",
        prices.per_million, prices.per_unit_hour
    )?;
    Ok(0)
}

/// What a channel costs in a day.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
struct Estimate {
    events: Decimal,
    units: Decimal,
    on_demand: Decimal,
    provisioned: Decimal,
}

impl Estimate {
    fn of(counted: &Counted, prices: &Prices) -> Estimate {
        let micros = u64::try_from(counted.over.as_micros()).unwrap_or(u64::MAX);
        let events = cost::a_day(counted.events, micros).unwrap_or_default();
        let units = events * counted.units;
        Estimate { events, units, on_demand: prices.on_demand(units), provisioned: prices.provisioned(units) }
    }

    fn plus(self, other: &Estimate) -> Estimate {
        Estimate {
            events: self.events + other.events,
            units: self.units + other.units,
            on_demand: self.on_demand + other.on_demand,
            provisioned: self.provisioned + other.provisioned,
        }
    }
}

fn show(counts: &[Counted], estimates: &[Estimate], out: &mut dyn Write) -> std::io::Result<()> {
    let heads = ["events a day", "units each", "units a day", "on demand a day", "provisioned"];
    write!(out, "{:<28}", "channel")?;
    for head in heads {
        write!(out, " {head:>15}")?;
    }
    writeln!(out)?;
    for (counted, estimate) in counts.iter().zip(estimates) {
        let star = if counted.is_measured { " " } else { "*" };
        row(counted.channel.as_str(), &format!("{}{star}", units_each(counted.units)), estimate, out)?;
    }
    let all = estimates.iter().fold(Estimate::default(), |sum, estimate| sum.plus(estimate));
    row("all", "", &all, out)
}

fn row(name: &str, units: &str, estimate: &Estimate, out: &mut dyn Write) -> std::io::Result<()> {
    let (events, all_units) = (whole(estimate.events), whole(estimate.units));
    let (on_demand, provisioned) = (cents(estimate.on_demand), cents(estimate.provisioned));
    writeln!(out, "{name:<28} {events:>15} {units:>15} {all_units:>15} {on_demand:>15} {provisioned:>15}")
}

/// Formats the write units of an event; in blocks they are some hundredths.
fn units_each(units: Decimal) -> String {
    if units < Decimal::ONE { format!("{:.4}", units.round_dp(4)) } else { cents(units) }
}

/// Formats with two decimals.
fn cents(number: Decimal) -> String {
    format!("{:.2}", number.round_dp(2))
}

fn whole(number: Decimal) -> String {
    let text = number.round_dp(0).to_string();
    text.parse().map_or(text, grouped)
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of docs/cost.md.
    #[test]
    fn it_counts_as_the_documentation_does() {
        // The documentation rounds the capacity up to whole units, which makes 3.65 of the first one.
        for (rate, on_demand, provisioned) in [(70, "7.56", "3.64"), (96, "10.37", "4.99"), (237, "25.60", "12.32")] {
            let counted = Counted {
                channel: "live_orders_btcusd".parse().unwrap(),
                events: rate * 3_600,
                over: Duration::from_secs(3_600),
                units: Decimal::TWO,
                is_measured: true,
            };
            let estimate = Estimate::of(&counted, &Prices::default());
            assert_eq!(
                (cents(estimate.on_demand), cents(estimate.provisioned)),
                (on_demand.to_owned(), provisioned.to_owned())
            );
        }
    }

    #[test]
    fn units_below_one_have_four_decimals() {
        assert_eq!([Decimal::TWO, Decimal::new(1934, 5)].map(units_each), ["2.00", "0.0193"]);
    }

    #[test]
    fn times_and_prices_of_people() {
        assert_eq!(time("24h"), Ok(Duration::from_secs(86_400)));
        assert_eq!(time("90s"), Ok(Duration::from_secs(90)));
        for text in ["", "h", "1d", "169h", "0s", "99999999999h"] {
            assert!(time(text).is_err(), "{text}");
        }
        assert_eq!(price("0.7625"), Ok(Decimal::new(7_625, 4)));
        for text in ["", "-1", "NaN", "inf", "10000000", "$1"] {
            assert!(price(text).is_err(), "{text}");
        }
    }
}
