//! What `backfill verify` found.

use std::collections::BTreeMap;

use serde::Serialize;

/// Distinct values of the index's partition key that are counted by themselves.
const CHANNELS: usize = 10_000;
/// Where the others are counted.
const OTHERS: &str = "(others)";

/// Items of one value of the index's partition key.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Count {
    /// Items of the table that belong into the index.
    pub table: u64,
    /// Entries of the index.
    pub index: u64,
}

impl Count {
    /// Returns true if the index lacks items. It has none that the table has not: where it has more, they were written between
    /// the two scans, with times of before (a backlog, a filled gap).
    #[must_use]
    pub fn lacks(&self) -> bool {
        self.index < self.table
    }
}

/// What a full pass found.
#[derive(Clone, Debug, Default, PartialEq, Serialize)]
pub struct Report {
    /// The table.
    pub table: String,
    /// Items read.
    pub items: u64,
    /// Items whose target is right.
    pub right: u64,
    /// Items of this project whose target is no copy of the source.
    pub kept: u64,
    /// Items without a target that should have one.
    pub missing: u64,
    /// Items with a wrong target.
    pub wrong: u64,
    /// Items whose source is no time: the rejects of a run.
    pub rejects: u64,
    /// Items as young as this pass, which one of its two scans may have met and the other not: they are not compared.
    pub late: u64,
    /// Whether the index was compared.
    pub index_checked: bool,
    /// By value of the index's partition key.
    pub channels: BTreeMap<String, Count>,
    /// Read units consumed.
    pub read_units: f64,
}

impl Report {
    /// Values of the index's partition key of which the index lacks items.
    pub fn differing(&self) -> impl Iterator<Item = (&String, &Count)> {
        self.channels.iter().filter(|(_, count)| self.index_checked && count.lacks())
    }

    /// 0 where all is right, 3 where only rejects are left, 4 where something differs.
    pub fn exit_code(&self) -> u8 {
        match (self.missing + self.wrong > 0 || self.differing().next().is_some(), self.rejects > 0) {
            (true, _) => 4,
            (false, true) => 3,
            (false, false) => 0,
        }
    }

    pub(super) fn channel(&mut self, name: &str) -> &mut Count {
        let known = self.channels.contains_key(name) || self.channels.len() < CHANNELS;
        self.channels.entry(if known { name } else { OTHERS }.to_owned()).or_default()
    }

    pub(super) fn add(mut self, other: Self) -> Self {
        self.items += other.items;
        self.right += other.right;
        self.kept += other.kept;
        self.missing += other.missing;
        self.wrong += other.wrong;
        self.rejects += other.rejects;
        self.late += other.late;
        self.read_units += other.read_units;
        for (name, count) in other.channels {
            let sum = self.channel(&name);
            sum.table += count.table;
            sum.index += count.index;
        }
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn report(change: impl FnOnce(&mut Report)) -> u8 {
        let mut report = Report { index_checked: true, ..Report::default() };
        report.channels.insert("c".to_owned(), Count { table: 2, index: 2 });
        change(&mut report);
        report.exit_code()
    }

    #[test]
    fn the_exit_code_tells_the_worst() {
        assert_eq!(report(|_| ()), 0);
        assert_eq!(report(|report| report.rejects = 1), 3);
        assert_eq!(report(|report| report.wrong = 1), 4);
        assert_eq!(report(|report| (report.missing, report.rejects) = (1, 1)), 4);
        assert_eq!(report(|report| report.channel("c").index = 1), 4);
        assert_eq!(report(|report| report.channel("c").index = 3), 0, "more were written meanwhile");
    }

    #[test]
    fn a_table_of_countless_channels_does_not_fill_the_memory() {
        let mut report = Report::default();
        for number in 0..CHANNELS + 5 {
            report.channel(&number.to_string()).table += 1;
        }
        assert_eq!((report.channels.len(), report.channels[OTHERS].table), (CHANNELS + 1, 5));
    }
}
