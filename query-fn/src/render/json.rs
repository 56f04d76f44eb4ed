use aws_sdk_dynamodb::types::AttributeValue;
use shared::{
    attribute,
    item::{Item, ItemError},
    key::SEPARATOR,
    table::{ID, MICROTIMESTAMP},
};
use std::borrow::Cow;

/// Adds an event as a JSON object: what [`shared::item::to_json`] makes of it, with a string beside every number that a
/// reader with 53-bit integers would round (`id_str` beside `id`), names sorted, and only `fields` if any are given.
///
/// Written without building a tree first: that tree was most of a page's time.
///
/// # Errors
///
/// [`ItemError`] for items that this project did not write.
pub fn event(out: &mut Vec<u8>, item: &Item, fields: Option<&[String]>) -> Result<(), ItemError> {
    let mut cells: Vec<(Cow<'_, str>, Cell<'_>)> = Vec::with_capacity(item.len() + 4);
    for (name, value) in item {
        cells.push((Cow::Borrowed(name), Cell::of(name, value)));
        if let Some(sibling) = exact_sibling(item, name, value) {
            cells.push((Cow::Owned(sibling), Cell::Digits(value)));
        }
    }
    if let Some(fields) = fields {
        cells.retain(|(name, _)| fields.iter().any(|field| field == name));
    }
    cells.sort_unstable_by(|(left, _), (right, _)| left.cmp(right));
    object(out, cells.iter().map(|(name, cell)| (name.as_ref(), cell)))
}

/// Adds an object of cells in the order given.
pub(super) fn object<'cell>(
    out: &mut Vec<u8>,
    cells: impl Iterator<Item = (&'cell str, &'cell Cell<'cell>)>,
) -> Result<(), ItemError> {
    let mut separator = b'{';
    for (name, cell) in cells {
        out.push(separator);
        separator = b',';
        string(out, name);
        out.push(b':');
        cell.json(out, name)?;
    }
    if separator == b'{' {
        out.push(separator);
    }
    out.push(b'}');
    Ok(())
}

/// A value as people see it.
pub(super) enum Cell<'item> {
    /// An attribute as it is.
    Value(&'item AttributeValue),
    /// Text that is not an attribute's own.
    Text(&'item str),
    /// A number, to be written as a string.
    Digits(&'item AttributeValue),
}

impl<'item> Cell<'item> {
    /// The sort key is shown without its discriminator.
    pub(super) fn of(name: &str, value: &'item AttributeValue) -> Cell<'item> {
        match value {
            AttributeValue::S(sort) if name == MICROTIMESTAMP => {
                Cell::Text(sort.split(SEPARATOR).next().unwrap_or_default())
            }
            _ => Cell::Value(value),
        }
    }

    fn json(&self, out: &mut Vec<u8>, name: &str) -> Result<(), ItemError> {
        match self {
            Cell::Text(text) => string(out, text),
            Cell::Digits(AttributeValue::N(digits)) => string(out, digits),
            Cell::Value(attribute) | Cell::Digits(attribute) => value(out, attribute, name)?,
        }
        Ok(())
    }
}

/// The name of the string that goes beside a numeric id, unless the exchange sent it itself.
pub(super) fn exact_sibling(item: &Item, name: &str, value: &AttributeValue) -> Option<String> {
    let is_id = matches!(value, AttributeValue::N(_)) && (name == ID || name.ends_with("_id"));
    let sibling = is_id.then(|| format!("{name}_str"))?;
    (!item.contains_key(&sibling)).then_some(sibling)
}

pub(super) fn value(out: &mut Vec<u8>, attribute: &AttributeValue, name: &str) -> Result<(), ItemError> {
    match attribute {
        AttributeValue::S(text) => string(out, text),
        AttributeValue::N(digits) if is_plain_number(digits) => out.extend_from_slice(digits.as_bytes()),
        AttributeValue::Bool(true) => out.extend_from_slice(b"true"),
        AttributeValue::Bool(false) => out.extend_from_slice(b"false"),
        AttributeValue::Null(_) => out.extend_from_slice(b"null"),
        AttributeValue::L(values) => {
            let mut separator = b'[';
            for element in values {
                out.push(separator);
                separator = b',';
                value(out, element, name)?;
            }
            if separator == b'[' {
                out.push(separator);
            }
            out.push(b']');
        }
        // Rare: numbers with exponents, and maps, which may be `shared`'s own form for what DynamoDB cannot hold.
        other => {
            let json =
                attribute::to_json(other).map_err(|source| ItemError::Value { name: name.to_owned(), source })?;
            out.extend_from_slice(json.to_string().as_bytes());
        }
    }
    Ok(())
}

/// Adds a JSON string.
pub(crate) fn string(out: &mut Vec<u8>, text: &str) {
    let plain = text.bytes().all(|byte| byte >= b' ' && byte != b'"' && byte != b'\\');
    if plain {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        serde_json::to_writer(out, text).expect("a string is written to memory");
    }
}

/// Whether the text is a number by JSON's grammar and without an exponent, as engines write almost all.
fn is_plain_number(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let (whole, fraction) = match unsigned.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (unsigned, None),
    };
    let digits = |part: &str| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit());
    digits(whole) && (whole == "0" || !whole.starts_with('0')) && fraction.is_none_or(digits)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use serde_json::{Map, Value};

    fn attribute() -> impl Strategy<Value = AttributeValue> {
        let number = prop_oneof!["-?(0|[1-9][0-9]{0,20})(\\.[0-9]{1,10})?([eE][+-]?[0-9]{1,2})?", "[0-9.eE+-]{1,6}"];
        let leaf = prop_oneof![
            ".{0,12}".prop_map(AttributeValue::S),
            number.prop_map(AttributeValue::N),
            any::<bool>().prop_map(AttributeValue::Bool),
            Just(AttributeValue::Null(true)),
        ];
        leaf.prop_recursive(3, 20, 4, |inner| {
            let text = r#"\{"x":\[1e5,"\\u00e9"\]\}|not json"#;
            let marker = text.prop_map(|text| ("$json".to_owned(), AttributeValue::S(text)));
            prop_oneof![
                prop::collection::vec(inner.clone(), 0..4).prop_map(AttributeValue::L),
                prop::collection::hash_map("[a-z$]{0,4}", inner, 0..4).prop_map(AttributeValue::M),
                marker.prop_map(|pair| AttributeValue::M([pair].into())),
            ]
        })
    }

    /// The slow way: by the definition.
    fn expected(item: &Item) -> Result<String, ItemError> {
        let mut object: Map<String, Value> = shared::item::to_json(item)?;
        for (name, value) in item {
            if let (Some(sibling), AttributeValue::N(digits)) = (exact_sibling(item, name, value), value) {
                object.insert(sibling, Value::String(digits.clone()));
            }
        }
        Ok(Value::Object(object).to_string())
    }

    proptest! {
        #[test]
        fn as_the_shared_crate_has_it(item in prop::collection::hash_map("id|[a-z$.]{0,3}_id(_str)?|microtimestamp|.{0,5}", attribute(), 0..8)) {
            let mut written = Vec::new();
            match (event(&mut written, &item, None), expected(&item)) {
                (Ok(()), Ok(expected)) => prop_assert_eq!(String::from_utf8(written).unwrap(), expected),
                (Err(_), Err(_)) => {}
                (ours, theirs) => prop_assert!(false, "{ours:?} {theirs:?}"),
            }
        }
    }

    #[test]
    fn fields_choose() {
        let item = Item::from([
            ("id".to_owned(), AttributeValue::N("7".to_owned())),
            ("price".to_owned(), AttributeValue::N("1.50".to_owned())),
        ]);
        let mut written = Vec::new();
        event(&mut written, &item, Some(&["price".to_owned(), "id_str".to_owned(), "none".to_owned()])).unwrap();
        assert_eq!(written, br#"{"id_str":"7","price":1.50}"#);
    }
}
