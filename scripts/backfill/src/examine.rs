//! Decides for each item whether its target attribute is right, must change or cannot be made.

use aws_sdk_dynamodb::types::AttributeValue;
use shared::{coverage::CHANNELS, key::SEPARATOR, number::Decimal};

use crate::args::JobArgs;
use crate::convert::{Rule, ToType};
use crate::json::{Item, to_json, value_to_json};
use crate::table_info::TableInfo;

/// The partition key that marks this tool's own item in a table: no exchange gives such an id.
pub const OWN_TEXT: &str = "_backfill";
/// The same where the key is a number.
pub const OWN_NUMBER: &str = "-1";

/// Names what the message of an item did not carry (docs/data-model.md).
const DERIVED: &str = "derived";
/// `rest` where an item was fetched after a gap.
const SOURCE: &str = "source";
/// When the daemon received the message, microseconds since the Unix epoch by its own clock.
pub const RECEIVED_AT: &str = "received_at";

/// Decides for each item whether its target is right, has to change, or cannot be made.
#[derive(Clone, Debug)]
pub struct ItemClassifier {
    /// Partition key and sort key.
    pub keys: Vec<String>,
    /// Where the time is.
    pub from: String,
    /// Where it goes.
    pub to: String,
    /// The index's partition key.
    pub channel: String,
    /// Which values become which.
    pub rule: Rule,
    /// The key of this tool's own item.
    own: Item,
}

/// What one item needs.
#[derive(Clone, Debug, PartialEq)]
pub enum Verdict {
    /// Nothing: the target is right.
    Right,
    /// Nothing: an item of this project whose target is no copy of its source (a message without a time of its own).
    Kept,
    /// The target is missing or wrong.
    Change(Change),
    /// The source is no time; the target is left alone.
    Reject(Reject),
    /// It is this tool's own item, or one of the list of channels, to which this tool adds.
    Own,
}

/// One item's target, to be written if the item still is as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The values of the key, in the order of [`ItemClassifier::keys`].
    pub key: Vec<AttributeValue>,
    /// The source as read; `None` where it is part of the key and so cannot change.
    pub source: Option<AttributeValue>,
    /// The target as read; `None` where it was missing.
    pub old: Option<AttributeValue>,
    /// The target to write.
    pub new: AttributeValue,
}

/// A value that is not converted.
#[derive(Clone, Debug, PartialEq)]
pub struct Reject {
    /// One line of the rejects file, without its end.
    pub line: String,
}

impl ItemClassifier {
    /// For this table and these arguments.
    pub fn new(info: &TableInfo, args: &JobArgs) -> Self {
        let own = |kind: &str| match kind {
            "N" => AttributeValue::N(OWN_NUMBER.to_owned()),
            "B" => AttributeValue::B(aws_sdk_dynamodb::primitives::Blob::new(OWN_TEXT)),
            _ => AttributeValue::S(OWN_TEXT.to_owned()),
        };
        let keys = std::iter::once(&info.hash).chain(&info.range);
        Self {
            own: keys.clone().map(|key| (key.name.clone(), own(key.kind.as_str()))).collect(),
            keys: keys.map(|key| key.name.clone()).collect(),
            from: args.from_attribute.clone(),
            to: args.to_attribute.clone(),
            channel: args.index_partition.clone(),
            rule: args.rule(),
        }
    }

    /// The key of the item in which this tool keeps its progress if asked to.
    pub fn own_key(&self) -> &Item {
        &self.own
    }

    /// Decides about one item. `None` where the item lacks its key, which no table's item does.
    pub fn examine(&self, item: &Item) -> Option<Verdict> {
        let key: Vec<_> = self.keys.iter().map(|name| item.get(name).cloned()).collect::<Option<_>>()?;
        if self.keys.iter().all(|name| item.get(name) == self.own.get(name)) || self.is_listed_channel(item) {
            return Some(Verdict::Own);
        }
        let (source, target) = (item.get(&self.from), item.get(&self.to));
        let new = match self.rule.convert(source) {
            Ok(new) => new,
            Err(_) if self.has_no_time(item) => return Some(Verdict::Kept),
            Err(reason) => return Some(Verdict::Reject(self.reject(item, &reason.to_string()))),
        };
        if target.is_some_and(|target| self.same(target, &new)) {
            return Some(Verdict::Right);
        }
        if self.has_time_of_its_own(item) {
            return Some(Verdict::Kept);
        }
        let in_key = self.keys.contains(&self.from);
        let source = if in_key { None } else { source.cloned() };
        Some(Verdict::Change(Change { key, source, old: target.cloned(), new }))
    }

    /// A line of the rejects file: key, value, reason.
    pub fn reject(&self, item: &Item, reason: &str) -> Reject {
        let key: Item = self.keys.iter().filter_map(|name| Some((name.clone(), item.get(name)?.clone()))).collect();
        let value = item.get(&self.from).map(value_to_json);
        let line = serde_json::json!({"key": to_json(&key), "value": value, "reason": reason});
        Reject { line: line.to_string() }
    }

    /// The line for an item of which only a change is at hand.
    pub fn reject_change(&self, change: &Change, reason: &str) -> Reject {
        let mut item: Item = self.keys.iter().cloned().zip(change.key.iter().cloned()).collect();
        if let Some(source) = &change.source {
            item.insert(self.from.clone(), source.clone());
        }
        self.reject(&item, reason)
    }

    /// Returns true for items and index entries of the list of channels.
    pub fn is_listed_channel(&self, item: &Item) -> bool {
        self.rule.discriminator
            && item.get(&self.channel).and_then(|value| value.as_s().ok()).is_some_and(|name| name == CHANNELS)
    }

    /// Returns true for items of this project whose sort key is no time: those of messages without a time of their own, whose
    /// target is the time of receipt, and those of reserved channels and sort keys.
    fn has_no_time(&self, item: &Item) -> bool {
        let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok());
        let discriminated = text(&self.from).is_some_and(|source| source.contains(SEPARATOR));
        let reserved =
            [&self.channel, &self.from].into_iter().filter_map(|name| text(name)).any(|text| text.starts_with('_'));
        self.rule.discriminator && (reserved || (discriminated && self.has_target(item)))
    }

    /// Returns true for items whose target the daemon chose although the sort key reads as a time: a trade that was fetched after a
    /// gap has the second of the exchange's history in its key, and may have the gap's end as its time.
    fn has_time_of_its_own(&self, item: &Item) -> bool {
        let is_derived = |value: &AttributeValue| value.as_s().is_ok_and(|name| *name == self.from);
        let derived = item.get(DERIVED).and_then(|value| value.as_l().ok());
        let fetched = item.get(SOURCE).and_then(|value| value.as_s().ok()).is_some_and(|source| source == "rest");
        let derived = derived.is_some_and(|names| names.iter().any(is_derived));
        self.rule.discriminator && self.has_target(item) && (derived || fetched)
    }

    fn has_target(&self, item: &Item) -> bool {
        matches!(item.get(&self.to), Some(AttributeValue::N(_)))
    }

    /// The attributes that a decision needs.
    pub fn attributes(&self) -> Vec<String> {
        let named = [&self.from, &self.to, &self.channel].into_iter().cloned();
        let more = [DERIVED, SOURCE, RECEIVED_AT].map(str::to_owned);
        let mut attributes: Vec<_> = self.keys.iter().cloned().chain(named).chain(more).collect();
        attributes.sort();
        attributes.dedup();
        attributes
    }

    /// Numbers are compared by value: an engine may give them back in another spelling.
    fn same(&self, target: &AttributeValue, new: &AttributeValue) -> bool {
        match (self.rule.to, target, new) {
            (ToType::N, AttributeValue::N(is), AttributeValue::N(should)) => {
                is == should || Decimal::parse(is).is_some_and(|is| Some(is) == Decimal::parse(should))
            }
            _ => target == new,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::convert::Accept;

    fn classifier(from: &str) -> ItemClassifier {
        let own = [("id", AttributeValue::N("-1".into())), ("microtimestamp", AttributeValue::S("_backfill".into()))];
        ItemClassifier {
            keys: vec!["id".into(), "microtimestamp".into()],
            from: from.into(),
            to: "nmicrotimestamp".into(),
            channel: "channel".into(),
            rule: Rule { to: ToType::N, accept: Accept::default(), discriminator: from == "microtimestamp" },
            own: own.into_iter().map(|(name, value)| (name.to_owned(), value)).collect(),
        }
    }

    fn item(more: &[(&str, AttributeValue)]) -> Item {
        let key =
            [("id", AttributeValue::N("7".into())), ("microtimestamp", AttributeValue::S("1647817207170000".into()))];
        key.iter().chain(more).map(|(name, value)| ((*name).to_owned(), value.clone())).collect()
    }

    fn number(digits: &str) -> AttributeValue {
        AttributeValue::N(digits.into())
    }

    #[test]
    fn only_missing_and_wrong_targets_are_changed() {
        let classifier = classifier("microtimestamp");
        let Some(Verdict::Change(change)) = classifier.examine(&item(&[])) else { panic!("no change") };
        assert_eq!((change.old, change.source, change.new), (None, None, number("1647817207170000")));
        let right = item(&[("nmicrotimestamp", number("1.64781720717E15"))]);
        assert_eq!(classifier.examine(&right), Some(Verdict::Right));
        let wrong = item(&[("nmicrotimestamp", number("1647817207170"))]);
        let Some(Verdict::Change(change)) = classifier.examine(&wrong) else { panic!("no change") };
        assert_eq!(change.old, Some(number("1647817207170")));
    }

    #[test]
    fn a_source_outside_the_key_is_part_of_the_condition() {
        let stamped = item(&[("stamp", AttributeValue::S("1647817207170001".into()))]);
        let Some(Verdict::Change(change)) = classifier("stamp").examine(&stamped) else { panic!("no change") };
        assert_eq!(change.source, Some(AttributeValue::S("1647817207170001".into())));
        let Some(Verdict::Reject(reject)) = classifier("stamp").examine(&item(&[])) else { panic!("no reject") };
        let line: serde_json::Value = serde_json::from_str(&reject.line).unwrap();
        assert_eq!((line["reason"].as_str(), line["key"]["id"]["N"].as_str()), (Some("missing"), Some("7")));
    }

    #[test]
    fn items_of_the_daemon_without_a_time_of_their_own_are_kept() {
        let classifier = classifier("microtimestamp");
        let sort = ("microtimestamp", AttributeValue::S("0#87855a5e187323c6".into()));
        let received = ("nmicrotimestamp", number("1700000000000000"));
        assert_eq!(classifier.examine(&item(&[sort.clone(), received])), Some(Verdict::Kept));
        assert!(matches!(classifier.examine(&item(&[sort])), Some(Verdict::Reject(_))));
    }

    #[test]
    fn a_time_that_the_daemon_chose_is_kept() {
        let classifier = classifier("microtimestamp");
        let chosen = ("nmicrotimestamp", number("1647817207099999"));
        let derived = ("derived", AttributeValue::L(vec![AttributeValue::S("microtimestamp".into())]));
        let fetched = ("source", AttributeValue::S("rest".into()));
        assert!(matches!(classifier.examine(&item(std::slice::from_ref(&chosen))), Some(Verdict::Change(_))));
        assert_eq!(classifier.examine(&item(&[chosen.clone(), derived.clone()])), Some(Verdict::Kept));
        assert_eq!(classifier.examine(&item(&[chosen, fetched])), Some(Verdict::Kept));
        assert!(
            matches!(classifier.examine(&item(&[derived])), Some(Verdict::Change(_))),
            "it lacks the time altogether"
        );
    }

    #[test]
    fn a_lease_is_no_reject() {
        let lease = item(&[
            ("microtimestamp", AttributeValue::S("_lease:87855a5e187323c6".into())),
            ("channel", AttributeValue::S("_lease".into())),
        ]);
        assert_eq!(classifier("microtimestamp").examine(&lease), Some(Verdict::Kept));
    }

    /// A block has the index's attributes, and its events theirs.
    #[test]
    fn a_block_is_no_reject() {
        let block = item(&[
            ("id", AttributeValue::N("1647817207170000".into())),
            ("microtimestamp", AttributeValue::S("1647817207170000#block/vm-a-1/7".into())),
            ("nmicrotimestamp", AttributeValue::N("1647817207170000".into())),
            ("channel", AttributeValue::S("_blocks:live_orders_btcusd".into())),
            ("data", AttributeValue::B(vec![1, 0].into())),
        ]);
        assert_eq!(classifier("microtimestamp").examine(&block), Some(Verdict::Right));
    }

    /// An operator's changes of an item are counted beside it; the count has no channel.
    #[test]
    fn a_count_of_changes_is_no_reject() {
        let count = item(&[("microtimestamp", AttributeValue::S("_audit-changes#87855a5e187323c6".into()))]);
        assert_eq!(classifier("microtimestamp").examine(&count), Some(Verdict::Kept));
    }

    #[test]
    fn the_tools_own_item_is_passed_over() {
        let classifier = classifier("microtimestamp");
        assert_eq!(classifier.examine(classifier.own_key()), Some(Verdict::Own));
    }
}
