use aws_sdk_dynamodb::types::AttributeValue;
use shared::{key::SEPARATOR, number::Decimal};

use crate::{
    args::JobArgs,
    convert::{Rule, ToType},
    json::{Item, to_json, value_to_json},
    shape::Shape,
};

/// The partition key that marks this tool's own item in a table: no exchange gives such an id.
pub const OWN_TEXT: &str = "_backfill";
/// The same where the key is a number.
pub const OWN_NUMBER: &str = "-1";

/// What is to be looked at in each item.
#[derive(Clone, Debug)]
pub struct Lens {
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
    /// It is this tool's own item.
    Own,
}

/// One item's target, to be written if the item still is as it was read.
#[derive(Clone, Debug, PartialEq)]
pub struct Change {
    /// The values of the key, in the order of [`Lens::keys`].
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

impl Lens {
    /// For this table and these arguments.
    pub fn new(shape: &Shape, args: &JobArgs) -> Self {
        let own = |kind: &str| match kind {
            "N" => AttributeValue::N(OWN_NUMBER.to_owned()),
            "B" => AttributeValue::B(aws_sdk_dynamodb::primitives::Blob::new(OWN_TEXT)),
            _ => AttributeValue::S(OWN_TEXT.to_owned()),
        };
        let keys = std::iter::once(&shape.hash).chain(&shape.range);
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
        if self.keys.iter().all(|name| item.get(name) == self.own.get(name)) {
            return Some(Verdict::Own);
        }
        let (source, target) = (item.get(&self.from), item.get(&self.to));
        let new = match self.rule.convert(source) {
            Ok(new) => new,
            Err(_) if self.is_newer_item(item) => return Some(Verdict::Kept),
            Err(reason) => return Some(Verdict::Reject(self.reject(item, &reason.to_string()))),
        };
        if target.is_some_and(|target| self.same(target, &new)) {
            return Some(Verdict::Right);
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

    /// Items that this project's own daemon writes carry the target from the start; where the message had no time of its
    /// own the target is the time of receipt, which the source does not know.
    fn is_newer_item(&self, item: &Item) -> bool {
        let text = |name: &str| item.get(name).and_then(|value| value.as_s().ok());
        let discriminated = text(&self.from).is_some_and(|source| source.contains(SEPARATOR));
        let reserved = text(&self.channel).is_some_and(|channel| channel.starts_with('_'));
        let has_target = matches!(item.get(&self.to), Some(AttributeValue::N(_)));
        self.rule.discriminator && has_target && (discriminated || reserved)
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

    fn lens(from: &str) -> Lens {
        let own = [("id", AttributeValue::N("-1".into())), ("microtimestamp", AttributeValue::S("_backfill".into()))];
        Lens {
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
        let lens = lens("microtimestamp");
        let Some(Verdict::Change(change)) = lens.examine(&item(&[])) else { panic!("no change") };
        assert_eq!((change.old, change.source, change.new), (None, None, number("1647817207170000")));
        let right = item(&[("nmicrotimestamp", number("1.64781720717E15"))]);
        assert_eq!(lens.examine(&right), Some(Verdict::Right));
        let wrong = item(&[("nmicrotimestamp", number("1647817207170"))]);
        let Some(Verdict::Change(change)) = lens.examine(&wrong) else { panic!("no change") };
        assert_eq!(change.old, Some(number("1647817207170")));
    }

    #[test]
    fn a_source_outside_the_key_is_part_of_the_condition() {
        let stamped = item(&[("stamp", AttributeValue::S("1647817207170001".into()))]);
        let Some(Verdict::Change(change)) = lens("stamp").examine(&stamped) else { panic!("no change") };
        assert_eq!(change.source, Some(AttributeValue::S("1647817207170001".into())));
        let Some(Verdict::Reject(reject)) = lens("stamp").examine(&item(&[])) else { panic!("no reject") };
        let line: serde_json::Value = serde_json::from_str(&reject.line).unwrap();
        assert_eq!((line["reason"].as_str(), line["key"]["id"]["N"].as_str()), (Some("missing"), Some("7")));
    }

    #[test]
    fn items_of_the_daemon_without_a_time_of_their_own_are_kept() {
        let lens = lens("microtimestamp");
        let sort = ("microtimestamp", AttributeValue::S("0#87855a5e187323c6".into()));
        let received = ("nmicrotimestamp", number("1700000000000000"));
        assert_eq!(lens.examine(&item(&[sort.clone(), received])), Some(Verdict::Kept));
        assert!(matches!(lens.examine(&item(&[sort])), Some(Verdict::Reject(_))));
    }

    #[test]
    fn the_tools_own_item_is_passed_over() {
        let lens = lens("microtimestamp");
        assert_eq!(lens.examine(lens.own_key()), Some(Verdict::Own));
    }
}
