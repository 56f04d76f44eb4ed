//! Counts calls, faults and items.

use std::{collections::BTreeMap, fmt, sync::Mutex};

use serde::Serialize;

use crate::mix::Fault;

/// What the proxy saw and did since its start.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Counts {
    /// Calls received, by action.
    pub requests: BTreeMap<String, u64>,
    /// Calls that reached the endpoint behind, by action.
    pub forwarded: BTreeMap<String, u64>,
    /// Faults that happened, by kind.
    pub faults: BTreeMap<Fault, u64>,
    /// Put requests that reached the endpoint inside `BatchWriteItem`, and `PutItem` calls.
    pub put_items_forwarded: u64,
    /// Write units that the endpoint reported in `ConsumedCapacity` (only calls that asked for it).
    pub write_units: f64,
    /// Read units that the endpoint reported in `ConsumedCapacity` (only calls that asked for it).
    pub read_units: f64,
}

impl Counts {
    /// How often one fault happened.
    pub fn fault(&self, fault: Fault) -> u64 {
        self.faults.get(&fault).copied().unwrap_or(0)
    }

    /// Calls of one action received.
    pub fn requested(&self, action: &str) -> u64 {
        self.requests.get(action).copied().unwrap_or(0)
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(out, "{:<28}{:>12}{:>12}", "action", "requests", "forwarded")?;
        for (action, requests) in &self.requests {
            let forwarded = self.forwarded.get(action).copied().unwrap_or(0);
            writeln!(out, "{action:<28}{requests:>12}{forwarded:>12}")?;
        }
        writeln!(out, "{:<28}{:>12}", "fault", "times")?;
        for (fault, times) in &self.faults {
            writeln!(out, "{:<28}{times:>12}", fault.name())?;
        }
        writeln!(out, "{:<28}{:>12}", "put items forwarded", self.put_items_forwarded)?;
        writeln!(out, "{:<28}{:>12.1}", "write units reported", self.write_units)?;
        write!(out, "{:<28}{:>12.1}", "read units reported", self.read_units)
    }
}

/// The counts behind their lock; never held across an await.
#[derive(Debug, Default)]
pub(crate) struct Tally(Mutex<Counts>);

impl Tally {
    pub(crate) fn change(&self, change: impl FnOnce(&mut Counts)) {
        change(&mut self.0.lock().expect("no holder of the counts panics"));
    }

    pub(crate) fn fault(&self, fault: Fault) {
        self.change(|counts| *counts.faults.entry(fault).or_default() += 1);
    }

    pub(crate) fn snapshot(&self) -> Counts {
        self.0.lock().expect("no holder of the counts panics").clone()
    }
}
