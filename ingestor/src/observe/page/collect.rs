//! Collects the document from counters, gauges and troubles.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::sync::atomic::Ordering;

use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::clock::system_micros;
use crate::observe::cost::{self, Prices};
use crate::observe::document::{Audit, Clock, Cost, Document, FORMAT, Flow, Lease, Quarantine, Stored, Trouble};
use crate::observe::page::rates::{Rates, Sample, a_second, micros};
use crate::observe::status::{Component, Status};
use crate::observe::watch::NO_SUBSCRIPTION;
use crate::spool::Spool;

use parts::{age, known};

mod parts;

/// Decimals of write units a second.
const UNIT_DECIMALS: u32 = 3;
/// Decimals of money.
const MONEY_DECIMALS: u32 = 2;

/// What the document says of the daemon besides its counters.
#[derive(Clone, Debug)]
pub struct About {
    /// When it started.
    pub started: Instant,
    /// True if daemons write in turn.
    pub has_lease: bool,
    /// Cancelled once it is told to stop.
    pub stopping: CancellationToken,
    /// Prices of write units.
    pub prices: Prices,
}

impl Default for About {
    fn default() -> About {
        About {
            started: Instant::now(),
            has_lease: false,
            stopping: CancellationToken::new(),
            prices: Prices::default(),
        }
    }
}

/// What the document is made of.
#[derive(Clone)]
pub struct Source {
    /// Counters, gauges and troubles.
    pub status: Arc<Status>,
    /// The spool.
    pub spool: Arc<Spool>,
    /// The rest.
    pub about: About,
}

/// Returns the present troubles; some of it is so before it has lasted long enough for the log.
pub(in crate::observe) fn troubles(status: &Status) -> Vec<Trouble> {
    let row = |component: Component, reason: String, lasts_us| Trouble {
        component: component.name().to_owned(),
        reason,
        lasts_us,
    };
    let mut known: BTreeMap<Component, Trouble> = BTreeMap::new();
    for trouble in status.present_troubles() {
        let lasts = Some(micros(trouble.lasts));
        known.insert(trouble.component, row(trouble.component, trouble.reason, lasts));
    }
    let at_once = if status.connections.get() == 0 {
        Some((Component::Exchange, "no connection to the exchange is open"))
    } else if status.subscriptions.get() == 0 {
        Some((Component::Subscriptions, NO_SUBSCRIPTION))
    } else {
        None
    };
    if let Some((component, reason)) = at_once {
        known.entry(component).or_insert_with(|| row(component, reason.to_owned(), None));
    }
    let mut all: Vec<Trouble> = known.into_values().collect();
    if status.intake_stopped.load(Ordering::Relaxed) {
        let reason = "the spool is full: intake stopped, events are missed until a tenth is free".to_owned();
        all.push(Trouble { component: "spool".to_owned(), reason, lasts_us: None });
    }
    all
}

impl Source {
    /// Takes the counters that rates are made of.
    pub(super) fn sample(&self) -> Sample {
        let events = self.status.channels().into_iter().map(|(channel, status)| (channel, status.events)).collect();
        Sample {
            at: Instant::now(),
            received: self.status.received.get(),
            stored: self.status.stored.get(),
            units: self.status.write_units.get(),
            events,
        }
    }

    /// Returns the document now, with rates since the samples.
    pub(super) fn document(&self, rates: &Rates) -> Document {
        let (status, now) = (&self.status, system_micros());
        let sample = self.sample();
        let rate = |of: fn(&Sample) -> u64| {
            let since = rates.since(sample.at)?;
            Some(a_second(of(&sample).saturating_sub(of(since)), sample.at - since.at))
        };
        let trouble = troubles(status);
        Document {
            format: FORMAT,
            now,
            version: env!("CARGO_PKG_VERSION").to_owned(),
            daemon: self.spool.daemon().to_owned(),
            uptime_us: micros(self.about.started.elapsed()),
            healthy: trouble.is_empty(),
            stopping: self.about.stopping.is_cancelled(),
            trouble,
            last_troubles: parts::past(status),
            connections: parts::connections(status, now),
            received: Flow {
                total: sample.received,
                per_second: rate(|sample| sample.received),
                bytes: status.received_bytes.get(),
                duplicates: status.duplicates.get(),
            },
            stored: Stored {
                total: sample.stored,
                per_second: rate(|sample| sample.stored),
                bytes: status.stored_bytes.get(),
                newest_age_us: age(status.newest_stored.get(), now),
            },
            channels: parts::channels(status, &sample, rates.since(sample.at), now),
            spool: parts::spool(status, &self.spool, now),
            writes: parts::writes(status),
            blocks: parts::blocks(status),
            cost: self.cost(&sample, rates),
            clock: Clock {
                skew_us: status.clock_skew.get(),
                steps: status.clock_steps.get(),
                implausible: status.implausible.get(),
            },
            gaps: parts::gaps(status),
            quarantine: Quarantine {
                records: self.spool.quarantine().count(),
                bytes: self.spool.quarantine().bytes(),
                added: status.quarantined.get(),
                key_conflicts: status.key_conflicts.get(),
            },
            audit: Audit { through: known(status.audited.get()), missing: status.audit_missing.get() },
            lease: Lease { role: self.role().to_owned(), skipped: status.skipped.get() },
        }
    }

    fn role(&self) -> &'static str {
        match (self.about.has_lease, self.status.writes.get()) {
            (false, _) => "none",
            (true, 0) => "standby",
            (true, _) => "holder",
        }
    }

    fn cost(&self, sample: &Sample, rates: &Rates) -> Cost {
        let prices = &self.about.prices;
        let counted = rates.units_since(sample.at, sample.units);
        let a_day = counted.and_then(|(grown, over)| cost::a_day(grown, over));
        let a_second = counted.and_then(|(grown, over)| cost::a_second(grown, over));
        let money = |of: fn(&Prices, rust_decimal::Decimal) -> rust_decimal::Decimal| {
            a_day.map(|units| format!("{:.*}", MONEY_DECIMALS as usize, of(prices, units).round_dp(MONEY_DECIMALS)))
        };
        Cost {
            units: sample.units,
            over_us: counted.map(|(_, over)| over),
            units_per_second: a_second.map(|units| units.round_dp(UNIT_DECIMALS).normalize().to_string()),
            on_demand_a_day: money(Prices::on_demand),
            provisioned_a_day: money(Prices::provisioned),
            price_per_million: prices.per_million.to_string(),
            price_per_unit_hour: prices.per_unit_hour.to_string(),
            currency: cost::CURRENCY.to_owned(),
        }
    }
}
