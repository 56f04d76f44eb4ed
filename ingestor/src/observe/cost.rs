//! What writing costs, in exact decimals.

use rust_decimal::Decimal;

/// Seconds of a day.
const DAY: u64 = 86_400;
/// Hours of a day.
const HOURS: u64 = 24;
/// How much of its capacity auto scaling lets a provisioned table use, in percent (`TargetUtilization` in infra/data.yaml).
const USED_PERCENT: u64 = 60;

/// Bytes of a gigabyte.
const GIGABYTE: u64 = 1_000_000_000;
/// How much less the table class Standard-Infrequent Access costs for storage, in percent (<https://aws.amazon.com/dynamodb/pricing/>), ...
const INFREQUENT_LESS: u64 = 60;
/// ... and how much more for writes.
const INFREQUENT_MORE: u64 = 25;

/// Currency of the prices by default.
pub const CURRENCY: &str = "USD";

/// Prices of write units and storage, in the currency of whoever sets them.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Prices {
    /// Of a million write units on demand.
    pub per_million: Decimal,
    /// Of a provisioned write unit for an hour.
    pub per_unit_hour: Decimal,
    /// Of a gigabyte kept for a month.
    pub per_gb_month: Decimal,
}

impl Default for Prices {
    /// Returns the prices of us-east-1 in US dollars (<https://aws.amazon.com/dynamodb/pricing/>).
    fn default() -> Prices {
        Prices {
            per_million: Decimal::new(625, 3),
            per_unit_hour: Decimal::new(65, 5),
            per_gb_month: Decimal::new(25, 2),
        }
    }
}

impl Prices {
    /// Returns what so many write units cost on demand.
    #[must_use]
    pub fn on_demand(&self, units: Decimal) -> Decimal {
        units * self.per_million / Decimal::from(1_000_000)
    }

    /// Returns what a day costs at so many write units a day with provisioned capacity, of which 60 % are used.
    #[must_use]
    pub fn provisioned(&self, units_a_day: Decimal) -> Decimal {
        let capacity = units_a_day / Decimal::from(DAY) * Decimal::from(100) / Decimal::from(USED_PERCENT);
        capacity * Decimal::from(HOURS) * self.per_unit_hour
    }

    /// Returns what a month of keeping so many bytes costs in the table class Standard.
    #[must_use]
    pub fn kept_a_month(&self, bytes: Decimal) -> Decimal {
        bytes / Decimal::from(GIGABYTE) * self.per_gb_month
    }

    /// Returns the same in the table class Standard-Infrequent Access.
    #[must_use]
    pub fn kept_a_month_infrequent(&self, bytes: Decimal) -> Decimal {
        self.kept_a_month(bytes) * Decimal::from(100 - INFREQUENT_LESS) / Decimal::from(100)
    }

    /// Returns what so many write units cost on demand in the table class Standard-Infrequent Access.
    #[must_use]
    pub fn on_demand_infrequent(&self, units: Decimal) -> Decimal {
        self.on_demand(units) * Decimal::from(100 + INFREQUENT_MORE) / Decimal::from(100)
    }
}

/// Returns the rate a second of `number` counted over `micros` microseconds; `None` if that time is zero
/// or the number beyond what a decimal holds.
#[must_use]
pub fn a_second(number: u64, micros: u64) -> Option<Decimal> {
    Decimal::from(number).checked_mul(Decimal::from(1_000_000))?.checked_div(Decimal::from(micros))
}

/// Returns the rate a day of `number` counted over `micros` microseconds; `None` if that time is zero
/// or the number beyond what a decimal holds.
#[must_use]
pub fn a_day(number: u64, micros: u64) -> Option<Decimal> {
    Decimal::from(number).checked_mul(Decimal::from(DAY * 1_000_000))?.checked_div(Decimal::from(micros))
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The rows of docs/cost.md: events of two units. It rounds the capacity up, which makes 3.65 of the first one.
    #[test]
    fn it_counts_as_the_documentation_does() {
        let prices = Prices::default();
        for (rate, on_demand, provisioned) in [(70, "7.56", "3.64"), (96, "10.37", "4.99"), (237, "25.60", "12.32")] {
            let units = a_day(2 * rate, 1_000_000).unwrap();
            assert_eq!(prices.on_demand(units).round_dp(2).to_string(), on_demand);
            assert_eq!(prices.provisioned(units).round_dp(2).to_string(), provisioned);
        }
    }

    /// The figures of docs/cost.md: a day of 96 order events a second, 1,126 bytes each.
    #[test]
    fn a_month_of_keeping_costs_as_the_documentation_says() {
        let (prices, day) = (Prices::default(), Decimal::from(96 * DAY * 1_126));
        assert_eq!(prices.kept_a_month(day).round_dp(2).to_string(), "2.33");
        assert_eq!(prices.kept_a_month_infrequent(day).round_dp(2).to_string(), "0.93");
        assert_eq!(prices.on_demand_infrequent(Decimal::from(96 * DAY * 2)).round_dp(2).to_string(), "12.96");
    }

    #[test]
    fn nothing_is_rounded_before_it_is_shown() {
        assert_eq!(a_day(1, 3_000_000).map(|rate| rate.normalize()), Some(Decimal::from(28_800)));
        assert_eq!(a_day(7, 0), None);
        let prices = Prices::default();
        assert_eq!(prices.on_demand(Decimal::ONE).to_string(), "0.000000625");
        assert_eq!(prices.on_demand(Decimal::from(u64::MAX)).to_string(), "11529215046068.469759375");
    }
}
