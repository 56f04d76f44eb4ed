use aws_sdk_dynamodb::types::AttributeValue;
use shared::{
    attribute,
    item::{Item, ItemError},
    key::SEPARATOR,
    table::{ID, MICROTIMESTAMP},
};

/// Writes events as JSON objects: what [`shared::item::to_json`] makes of them, with a string beside every number that a
/// reader with 53-bit integers would round (`id_str` beside `id`), names sorted, and only `fields` if any are given.
///
/// Written without building a tree first, and with the layout of the event before where it fits, as it does for most
/// neighbours: trees and sorting were most of a page's time.
pub struct Writer<'look> {
    fields: Option<&'look [String]>,
    layout: Layout,
}

/// The names of an event's attributes, sorted, and what becomes of each.
#[derive(Default)]
struct Layout {
    /// How many attributes the event has.
    attributes: usize,
    entries: Vec<Entry>,
}

struct Entry {
    /// The attribute that it shows.
    attribute: String,
    /// `"name":`; `None` for what `fields` leaves out.
    label: Option<Vec<u8>>,
    /// The string beside a number.
    is_sibling: bool,
    /// An id: whether it has a sibling depends on its being a number.
    is_id: bool,
    /// What the attribute was when the layout was made.
    is_number: bool,
}

impl<'look> Writer<'look> {
    /// A writer that has seen no event.
    #[must_use]
    pub fn new(fields: Option<&'look [String]>) -> Writer<'look> {
        Writer { fields, layout: Layout::default() }
    }

    /// Adds an event.
    ///
    /// # Errors
    ///
    /// [`ItemError`] for items that this project did not write.
    pub fn event(&mut self, out: &mut Vec<u8>, item: &Item) -> Result<(), ItemError> {
        let start = out.len();
        if self.layout.attributes == item.len() && self.layout.write(out, item)? {
            return Ok(());
        }
        out.truncate(start);
        self.layout = Layout::of(item, self.fields);
        self.layout.write(out, item).map(|_| ())
    }
}

impl Layout {
    fn of(item: &Item, fields: Option<&[String]>) -> Layout {
        let mut named = Vec::with_capacity(item.len() + 4);
        for (attribute, value) in item {
            let is_number = matches!(value, AttributeValue::N(_));
            let is_id = is_id(attribute);
            named.push((attribute.clone(), attribute, false, is_id, is_number));
            if let Some(sibling) = exact_sibling(item, attribute, value) {
                named.push((sibling, attribute, true, is_id, is_number));
            }
        }
        named.sort_unstable();
        let entries = named.into_iter().map(|(name, attribute, is_sibling, is_id, is_number)| {
            let shown = fields.is_none_or(|fields| fields.contains(&name));
            let label = shown.then(|| {
                let mut label = Vec::new();
                string(&mut label, &name);
                label.push(b':');
                label
            });
            Entry { attribute: attribute.clone(), label, is_sibling, is_id, is_number }
        });
        Layout { attributes: item.len(), entries: entries.collect() }
    }

    /// Adds the event; false if it has another layout.
    fn write(&self, out: &mut Vec<u8>, item: &Item) -> Result<bool, ItemError> {
        let mut separator = b'{';
        for Entry { attribute, label, is_sibling, is_id, is_number } in &self.entries {
            let Some(value) = item.get(attribute) else { return Ok(false) };
            if *is_id && matches!(value, AttributeValue::N(_)) != *is_number {
                return Ok(false);
            }
            let Some(label) = label else { continue };
            out.push(separator);
            separator = b',';
            out.extend_from_slice(label);
            let cell = if *is_sibling { Cell::Digits(value) } else { Cell::of(attribute, value) };
            cell.json(out, attribute)?;
        }
        if separator == b'{' {
            out.push(separator);
        }
        out.push(b'}');
        Ok(true)
    }
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
fn exact_sibling(item: &Item, name: &str, value: &AttributeValue) -> Option<String> {
    let is_numeric_id = matches!(value, AttributeValue::N(_)) && is_id(name);
    let sibling = is_numeric_id.then(|| format!("{name}_str"))?;
    (!item.contains_key(&sibling)).then_some(sibling)
}

fn is_id(name: &str) -> bool {
    name == ID || name.ends_with("_id")
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

    /// Few names, so that neighbours often have the same ones, or the same number of others.
    fn item() -> impl Strategy<Value = Item> {
        let name = "id|id_str|[ab]_id|[ab]_id_str|microtimestamp|[a-d]|.{0,3}";
        prop::collection::hash_map(name, attribute(), 0..6)
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
        fn as_the_shared_crate_has_it(items in prop::collection::vec(item(), 1..6)) {
            let mut writer = Writer::new(None);
            // Each twice: the second time with the layout of the first.
            for item in items.iter().flat_map(|item| [item, item]) {
                let mut written = Vec::new();
                match (writer.event(&mut written, item), expected(item)) {
                    (Ok(()), Ok(expected)) => prop_assert_eq!(String::from_utf8(written).unwrap(), expected),
                    (Err(_), Err(_)) => {}
                    (ours, theirs) => prop_assert!(false, "{ours:?} {theirs:?}"),
                }
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
        let fields = ["price".to_owned(), "id_str".to_owned(), "none".to_owned()];
        Writer::new(Some(&fields)).event(&mut written, &item).unwrap();
        assert_eq!(written, br#"{"id_str":"7","price":1.50}"#);
    }
}
