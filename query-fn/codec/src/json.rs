use shared::{
    attribute,
    item::ItemError,
    key::SEPARATOR,
    table::{ID, MICROTIMESTAMP},
};
use smol_str::SmolStr;
use std::sync::Arc;

use crate::item::{Item, Shape, Value};

/// Writes events as JSON objects: what [`shared::item::to_json`] makes of them, with a string beside every number that a
/// reader with 53-bit integers would round (`id_str` beside `id`), names sorted, and only `fields` if any are given.
///
/// Written without building a tree first, and with the layout of the event before where it fits, as it does for most
/// neighbours.
pub struct Writer<'look> {
    fields: Option<&'look [String]>,
    layout: Option<Layout>,
}

/// What an event's attributes look like: for all events of one shape whose ids are of the same types.
struct Layout {
    shape: Arc<Shape>,
    /// The places of the ids and whether they are numbers: that decides about their siblings.
    ids: Vec<(usize, bool)>,
    entries: Vec<Entry>,
}

struct Entry {
    /// The attribute that it shows.
    place: usize,
    attribute: SmolStr,
    /// What comes before it: the brace or comma, and `"name":`.
    label: Vec<u8>,
    /// The string beside a number.
    is_sibling: bool,
}

impl<'look> Writer<'look> {
    /// A writer that has seen no event.
    #[must_use]
    pub fn new(fields: Option<&'look [String]>) -> Writer<'look> {
        Writer { fields, layout: None }
    }

    /// Adds an event.
    ///
    /// # Errors
    ///
    /// [`ItemError`] for items that this project did not write.
    pub fn event(&mut self, out: &mut Vec<u8>, item: &Item) -> Result<(), ItemError> {
        let known = self.layout.take().filter(|layout| layout.fits(item));
        self.layout.insert(known.unwrap_or_else(|| Layout::of(item, self.fields))).write(out, item)
    }
}

impl Layout {
    fn of(item: &Item, fields: Option<&[String]>) -> Layout {
        let mut named = Vec::with_capacity(item.shape().len() + 4);
        let mut ids = Vec::new();
        for (place, (attribute, value)) in item.iter().enumerate() {
            if is_id(attribute) {
                ids.push((place, is_number(value)));
            }
            named.push((SmolStr::new(attribute), place, attribute, false));
            if let Some(sibling) = exact_sibling(item, attribute, value) {
                named.push((sibling.into(), place, attribute, true));
            }
        }
        named.sort_unstable();
        named.retain(|(name, ..)| fields.is_none_or(|fields| fields.iter().any(|field| field == name)));
        let entries = named.into_iter().enumerate().map(|(number, (name, place, attribute, is_sibling))| {
            let mut label = vec![if number == 0 { b'{' } else { b',' }];
            string(&mut label, &name);
            label.push(b':');
            Entry { place, attribute: attribute.into(), label, is_sibling }
        });
        Layout { shape: Arc::clone(item.shape()), ids, entries: entries.collect() }
    }

    fn fits(&self, item: &Item) -> bool {
        self.shape == *item.shape()
            && self.ids.iter().all(|(place, number)| item.at(*place).is_some_and(|id| is_number(id) == *number))
    }

    fn write(&self, out: &mut Vec<u8>, item: &Item) -> Result<(), ItemError> {
        if self.entries.is_empty() {
            out.push(b'{');
        }
        for Entry { place, attribute, label, is_sibling } in &self.entries {
            let value = item.at(*place).unwrap_or(&Value::Null);
            out.extend_from_slice(label);
            let cell = if *is_sibling { Cell::Digits(value) } else { Cell::of(attribute, value) };
            cell.json(out, attribute)?;
        }
        out.push(b'}');
        Ok(())
    }
}

/// Adds an object of cells in the order given.
pub(crate) fn object<'cell>(
    out: &mut Vec<u8>,
    cells: impl Iterator<Item = (&'cell str, Cell<'cell>)>,
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
pub(crate) enum Cell<'item> {
    /// An attribute as it is.
    Value(&'item Value),
    /// Text that is not an attribute's own.
    Text(&'item str),
    /// A number, to be written as a string.
    Digits(&'item Value),
}

impl<'item> Cell<'item> {
    /// The sort key is shown without its discriminator.
    pub(crate) fn of(name: &str, value: &'item Value) -> Cell<'item> {
        match value {
            Value::Text(sort) if name == MICROTIMESTAMP => Cell::Text(sort.split(SEPARATOR).next().unwrap_or_default()),
            _ => Cell::Value(value),
        }
    }

    fn json(&self, out: &mut Vec<u8>, name: &str) -> Result<(), ItemError> {
        match self {
            Cell::Text(text) => string(out, text),
            Cell::Digits(Value::Number(digits)) => string(out, digits),
            Cell::Value(attribute) | Cell::Digits(attribute) => value(out, attribute, name)?,
        }
        Ok(())
    }
}

/// The name of the string that goes beside a numeric id, unless the exchange sent it itself.
fn exact_sibling(item: &Item, name: &str, value: &Value) -> Option<String> {
    let sibling = (is_number(value) && is_id(name)).then(|| format!("{name}_str"))?;
    item.get(&sibling).is_none().then_some(sibling)
}

fn is_number(value: &Value) -> bool {
    matches!(value, Value::Number(_))
}

fn is_id(name: &str) -> bool {
    name == ID || name.ends_with("_id")
}

pub(crate) fn value(out: &mut Vec<u8>, attribute: &Value, name: &str) -> Result<(), ItemError> {
    match attribute {
        Value::Text(text) => string(out, text),
        Value::Number(digits) if is_plain_number(digits) => out.extend_from_slice(digits.as_bytes()),
        Value::Flag(true) => out.extend_from_slice(b"true"),
        Value::Flag(false) => out.extend_from_slice(b"false"),
        Value::Null => out.extend_from_slice(b"null"),
        Value::List(values) => {
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
            let json = other.attribute().and_then(|other| attribute::to_json(&other));
            let json = json.map_err(|source| ItemError::Value { name: name.to_owned(), source })?;
            out.extend_from_slice(json.to_string().as_bytes());
        }
    }
    Ok(())
}

/// Adds a JSON string.
fn string(out: &mut Vec<u8>, text: &str) {
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
    use crate::item::strategies::item;
    use proptest::prelude::*;
    use serde_json::{Map, Value as Json};

    /// The slow way: by the definition.
    fn expected(item: &Item) -> Result<String, ItemError> {
        let attributes = item.attributes().map_err(|source| ItemError::Value { name: String::new(), source })?;
        let mut object: Map<String, Json> = shared::item::to_json(&attributes)?;
        for (name, value) in item.iter() {
            if let (Some(sibling), Value::Number(digits)) = (exact_sibling(item, name, value), value) {
                object.insert(sibling, Json::String(digits.to_string()));
            }
        }
        Ok(Json::Object(object).to_string())
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
        let item =
            Item::of(vec![("id".into(), Value::Number("7".into())), ("price".into(), Value::Number("1.50".into()))]);
        let mut written = Vec::new();
        let fields = ["price".to_owned(), "id_str".to_owned(), "none".to_owned()];
        Writer::new(Some(&fields)).event(&mut written, &item).unwrap();
        assert_eq!(written, br#"{"id_str":"7","price":1.50}"#);
    }
}
