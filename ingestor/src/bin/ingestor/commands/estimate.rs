//! `ingestor estimate`: estimates what the channels cost.

use std::io::Write;
use std::time::Duration;

use clap::{Arg, ArgMatches, Command};
use ingestor::config::{Config, units};
use ingestor::exchange::markets;
use ingestor::observe::cost::Prices;
use rust_decimal::Decimal;

use self::table::Estimate;

mod count;
mod sample;
mod table;

/// Prices from here on are refused as typing errors.
const MOST: Decimal = Decimal::from_parts(1_000_000, 0, 0, false, 0);

const EXAMPLES: &str = "\
Examples:
  ingestor estimate --region eu-central-1
  ingestor estimate --last 24h --price-per-million 0.7625 --price-per-gb-month 0.306
  ingestor estimate --keep 90d --block-age 10s
  ingestor estimate --from daemon --sample 5min

Events are counted in the table (dynamodb:Query; what that reads is shown and costs money too) or, --from daemon, by the
counters of the running daemon. Each channel has a line for the storage that is configured and one for the other. A write unit is
a started kilobyte, once for the table and once for the index; how many an event takes is measured on the newest 2,000 items and
the events of the newest 64 blocks of the channel, which are packed into blocks of --block-age for that; else it is taken from
docs/cost.md. The second table says what a month costs once so much is kept (--keep, else 30 days and a year), in the table classes
Standard and Standard-IA, which costs 60 % less for storage and 25 % more for each write. The default prices are those of us-east-1
in US dollars; yours: https://aws.amazon.com/dynamodb/pricing/. Ledger, order books, recovery and reads are not in it.
Exit codes: 0 done, 69 the store or the daemon cannot be reached or refuses, 78 wrong configuration.";

pub(super) fn command() -> Command {
    let valued = |name: &'static str, value: &'static str, default: &'static str, help: &'static str| {
        Arg::new(name).long(name).value_name(value).default_value(default).help(help)
    };
    let priced = |name: &'static str, default: &'static str, help: &'static str| {
        valued(name, "PRICE", default, help).value_parser(price)
    };
    Command::new("estimate")
        .about("What writing and keeping the configured channels costs, as events and in blocks")
        .after_help(EXAMPLES)
        .arg(valued("from", "WHERE", "table", "Where events are counted").value_parser(["table", "daemon"]))
        .arg(valued("last", "TIME", "60min", "How far back events are counted in the table").value_parser(time))
        .arg(valued("sample", "TIME", "60s", "How long events are counted in the daemon").value_parser(time))
        .arg(priced("price-per-million", "0.625", "Of a million write units on demand"))
        .arg(priced("price-per-unit-hour", "0.00065", "Of a provisioned write unit for an hour"))
        .arg(priced("price-per-gb-month", "0.25", "Of a gigabyte kept for a month, in the table class Standard"))
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
    let prices = Prices {
        per_million: of("price-per-million"),
        per_unit_hour: of("price-per-unit-hour"),
        per_gb_month: of("price-per-gb-month"),
    };
    let span = |name: &str| matches.get_one::<Duration>(name).copied().unwrap_or_default();
    let from_daemon = matches.get_one::<String>("from").is_some_and(|from| from == "daemon");
    let config = Config { channels: markets::channels(config).await?, ..config.clone() };
    let (counts, source) = if from_daemon {
        count::in_daemon(&config, span("sample")).await?
    } else {
        count::in_table(&config, span("last")).await?
    };
    let estimates: Vec<Estimate> = counts.iter().flat_map(|counted| table::estimates(counted, &config)).collect();
    table::writes(&estimates, &prices, out)?;
    writeln!(out)?;
    table::kept(&estimates, &config.keep, &prices, out)?;
    writeln!(out, "\n{source}")?;
    if counts.iter().any(|counted| !counted.is_measured) {
        writeln!(out, "* no event to measure: bytes and units from docs/cost.md, and none for blocks")?;
    }
    writeln!(
        out,
        "prices: {} a million write units on demand; {} an hour for a provisioned one, of which 60 % are used; {} a GB and month",
        prices.per_million, prices.per_unit_hour, prices.per_gb_month
    )?;
    Ok(0)
}

#[cfg(test)]
mod tests {
    use super::*;

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
