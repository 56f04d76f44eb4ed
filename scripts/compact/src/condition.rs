//! Conditions on an item as it was read, and the comparison of items.

use std::collections::HashMap;

use aws_sdk_dynamodb::types::AttributeValue;
use shared::{
    item::{EXPIRES, Item, ORIGIN, SOURCE},
    number::Decimal,
    table::RECEIVED_AT,
};

/// Items with more attributes stay as they are: a condition on all of them might not fit into a request
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/developerguide/Constraints.html>: 4 KB, 300 operators).
pub const MOST_ATTRIBUTES: usize = 100;
/// Attributes that programs of this project add to an item that is there already.
const ADDED_LATER: [&str; 4] = [RECEIVED_AT, EXPIRES, ORIGIN, SOURCE];

/// A condition expression with its placeholders.
#[derive(Clone, Debug, Default, PartialEq)]
pub struct Condition {
    /// The expression.
    pub expression: String,
    /// `#n` to names.
    pub names: HashMap<String, String>,
    /// `:v` to values; `None` where the expression has none.
    pub values: Option<HashMap<String, AttributeValue>>,
}

impl Condition {
    /// The item is there, each attribute as in `item`, and without those that programs of this project add later. Of others that are added
    /// DynamoDB has no condition: who deletes compares what was deleted.
    #[must_use]
    pub fn still(item: &Item) -> Condition {
        let mut names = HashMap::new();
        let (mut terms, mut values) = (Vec::new(), HashMap::new());
        for (number, (name, value)) in item.iter().enumerate() {
            names.insert(format!("#{number}"), name.clone());
            values.insert(format!(":{number}"), value.clone());
            terms.push(format!("#{number} = :{number}"));
        }
        for name in ADDED_LATER.into_iter().filter(|name| !item.contains_key(*name)) {
            let alias = format!("#{}", names.len());
            terms.push(format!("attribute_not_exists({alias})"));
            names.insert(alias, name.to_owned());
        }
        Condition { expression: terms.join(" AND "), names, values: Some(values) }
    }

    /// The attribute has this value.
    #[must_use]
    pub fn equals(name: &str, value: AttributeValue) -> Condition {
        let names = HashMap::from([("#0".to_owned(), name.to_owned())]);
        let values = Some(HashMap::from([(":0".to_owned(), value)]));
        Condition { expression: "#0 = :0".to_owned(), names, values }
    }

    /// No item has the key.
    #[must_use]
    pub fn absent() -> Condition {
        let names = HashMap::from([("#0".to_owned(), shared::table::ID.to_owned())]);
        Condition { expression: "attribute_not_exists(#0)".to_owned(), names, values: None }
    }
}

/// Whether two items have the same attributes; numbers by value, because engines spell them differently.
#[must_use]
pub fn same(one: &Item, other: &Item) -> bool {
    one.len() == other.len()
        && one.iter().all(|(name, value)| other.get(name).is_some_and(|other| same_value(value, other)))
}

fn same_value(one: &AttributeValue, other: &AttributeValue) -> bool {
    match (one, other) {
        (AttributeValue::N(one), AttributeValue::N(other)) => {
            let canonical = |digits: &str| Decimal::parse(digits).map(|decimal| decimal.canonical());
            one == other || canonical(one).is_some_and(|one| Some(one) == canonical(other))
        }
        (AttributeValue::L(one), AttributeValue::L(other)) => {
            one.len() == other.len() && one.iter().zip(other).all(|(one, other)| same_value(one, other))
        }
        (AttributeValue::M(one), AttributeValue::M(other)) => same(one, other),
        _ => one == other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_compared_by_value_and_texts_to_the_letter() {
        let item = |digits: &str, text: &str| {
            let list = AttributeValue::L(vec![AttributeValue::N(digits.to_owned())]);
            Item::from([("l".to_owned(), list), ("s".to_owned(), AttributeValue::S(text.to_owned()))])
        };
        assert!(same(&item("1.50", "1.50"), &item("1.5", "1.50")));
        assert!(!same(&item("1.50", "1.50"), &item("1.5", "1.5")));
        assert!(!same(&item("1.51", "a"), &item("1.5", "a")));
        let mut more = item("1", "a");
        more.insert("m".to_owned(), AttributeValue::Bool(true));
        assert!(!same(&more, &item("1", "a")) && !same(&item("1", "a"), &more));
    }

    #[test]
    fn a_condition_names_every_attribute_and_what_may_be_added() {
        let item = Item::from([("source".to_owned(), AttributeValue::S("rest".to_owned()))]);
        let condition = Condition::still(&item);
        assert_eq!(condition.expression.matches(" AND ").count(), 3);
        assert_eq!(condition.names.len(), 4);
    }
}
