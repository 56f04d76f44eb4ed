//! Writes items as JSON objects.

use shared::{
    attribute,
    key::SEPARATOR,
    table::{ID, MICROTIMESTAMP, NMICROTIMESTAMP},
    time::Micros,
};
use smol_str::SmolStr;
use std::sync::Arc;

use crate::item::{Item, Shape, Value};

/// Writes events as JSON objects: the result of [`shared::item::to_json`], with a string beside every number that a reader with 53-bit integers
/// would round (`id_str` beside `id`), names sorted, and only `fields` if any are given.
///
/// It builds no tree, and uses the layout of the event before if that fits, as it does for most neighbours.
pub struct Writer<'fields> {
    fields: Option<&'fields [String]>,
    layout: Option<Layout>,
}

/// The order and the form of an event's attributes, for all events of one shape whose ids are of the same types.
struct Layout {
    shape: Arc<Shape>,
    /// The places of the ids, and true for an id that is a number: it gets a string beside it.
    ids: Vec<(usize, bool)>,
    entries: Vec<Entry>,
}

struct Entry {
    /// The place of the attribute.
    place: usize,
    attribute: SmolStr,
    /// The bytes before the value: the brace or comma, and `"name":`.
    label: Vec<u8>,
    kind: Kind,
}

/// The form in which an attribute is written.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Kind {
    /// The value as in the table.
    Own,
    /// The digits of a number, as a string.
    Digits,
    /// As [`TIME`].
    Time,
}

/// The field with the event's exchange time as RFC 3339, made from `nmicrotimestamp` if a client asks for it and the event has no such attribute.
pub const TIME: &str = "time";

impl<'fields> Writer<'fields> {
    /// Returns a writer of these fields, or of all without any.
    #[must_use]
    pub fn new(fields: Option<&'fields [String]>) -> Writer<'fields> {
        Writer { fields, layout: None }
    }

    /// Appends an event to `out`. Every attribute has a JSON form, whoever wrote it.
    pub fn event(&mut self, out: &mut Vec<u8>, item: &Item) {
        let known = self.layout.take().filter(|layout| layout.fits(item));
        self.layout.insert(known.unwrap_or_else(|| Layout::of(item, self.fields))).write(out, item);
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
            named.push((SmolStr::new(attribute), place, attribute, Kind::Own));
            if let Some(sibling) = exact_sibling(item, attribute, value) {
                named.push((sibling.into(), place, attribute, Kind::Digits));
            }
            if attribute == NMICROTIMESTAMP && fields.is_some() && item.get(TIME).is_none() {
                named.push((TIME.into(), place, attribute, Kind::Time));
            }
        }
        named.sort_unstable();
        named.retain(|(name, ..)| fields.is_none_or(|fields| fields.iter().any(|field| field == name)));
        let entries = named.into_iter().enumerate().map(|(number, (name, place, attribute, kind))| {
            let mut label = vec![if number == 0 { b'{' } else { b',' }];
            string(&mut label, &name);
            label.push(b':');
            Entry { place, attribute: attribute.into(), label, kind }
        });
        Layout { shape: Arc::clone(item.shape()), ids, entries: entries.collect() }
    }

    fn fits(&self, item: &Item) -> bool {
        self.shape == *item.shape()
            && self.ids.iter().all(|(place, number)| item.at(*place).is_some_and(|id| is_number(id) == *number))
    }

    fn write(&self, out: &mut Vec<u8>, item: &Item) {
        if self.entries.is_empty() {
            out.push(b'{');
        }
        for Entry { place, attribute, label, kind } in &self.entries {
            let value = item.at(*place).unwrap_or(&Value::Null);
            out.extend_from_slice(label);
            match kind {
                Kind::Own => Cell::of(attribute, value).json(out),
                Kind::Digits => Cell::Digits(value).json(out),
                Kind::Time => match time(value) {
                    Some(time) => string(out, &time),
                    None => out.extend_from_slice(b"null"),
                },
            }
        }
        out.push(b'}');
    }
}

/// Appends an object of cells to `out`, in their order.
pub(crate) fn object<'cell>(out: &mut Vec<u8>, cells: impl Iterator<Item = (&'cell str, Cell<'cell>)>) {
    let mut separator = b'{';
    for (name, cell) in cells {
        out.push(separator);
        separator = b',';
        string(out, name);
        out.push(b':');
        cell.json(out);
    }
    if separator == b'{' {
        out.push(separator);
    }
    out.push(b'}');
}

/// A value as clients see it.
pub(crate) enum Cell<'item> {
    /// An attribute as in the table.
    Value(&'item Value),
    /// A text that is derived from an attribute.
    Text(&'item str),
    /// A number that is written as a string.
    Digits(&'item Value),
}

impl<'item> Cell<'item> {
    /// Returns the cell of an attribute; the sort key is without its discriminator.
    pub(crate) fn of(name: &str, value: &'item Value) -> Cell<'item> {
        match value {
            Value::Text(sort) if name == MICROTIMESTAMP => Cell::Text(sort.split(SEPARATOR).next().unwrap_or_default()),
            _ => Cell::Value(value),
        }
    }

    fn json(&self, out: &mut Vec<u8>) {
        match self {
            Cell::Text(text) => string(out, text),
            Cell::Digits(Value::Number(digits)) => string(out, digits),
            Cell::Value(attribute) | Cell::Digits(attribute) => value(out, attribute),
        }
    }
}

/// Returns the [`TIME`] of an `nmicrotimestamp`.
pub(crate) fn time(value: &Value) -> Option<String> {
    match value {
        Value::Number(digits) => Micros::from_digits(digits)?.to_full_rfc3339(),
        _ => None,
    }
}

/// Returns the name of the string beside a numeric id; `None` if the exchange sent that string itself.
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

pub(crate) fn value(out: &mut Vec<u8>, attribute: &Value) {
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
                value(out, element);
            }
            if separator == b'[' {
                out.push(separator);
            }
            out.push(b']');
        }
        // Rare: numbers with exponents, and maps, which may be `shared`'s own form for what DynamoDB cannot hold.
        other => match attribute::to_json(&other.attribute()) {
            Ok(json) => out.extend_from_slice(json.to_string().as_bytes()),
            Err(_) => foreign(out, other),
        },
    }
}

/// Appends a value as it is in the table, although it looks like a form of `shared`.
fn foreign(out: &mut Vec<u8>, attribute: &Value) {
    match attribute {
        Value::Map(fields) => object(out, fields.iter().map(|(name, value)| (name.as_str(), Cell::Value(value)))),
        Value::Number(text) => string(out, text),
        other => value(out, other),
    }
}

/// Appends a JSON string to `out`.
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

/// Returns true if the text is a number of JSON's grammar without an exponent, as engines write almost all.
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

    /// The slow way: by the definition; `None` for items that this project did not write.
    fn expected(item: &Item) -> Option<String> {
        let mut object: Map<String, Json> = shared::item::to_json(&item.attributes()).ok()?;
        for (name, value) in item.iter() {
            if let (Some(sibling), Value::Number(digits)) = (exact_sibling(item, name, value), value) {
                object.insert(sibling, Json::String(digits.to_string()));
            }
        }
        Some(Json::Object(object).to_string())
    }

    proptest! {
        #[test]
        fn as_the_shared_crate_has_it(items in prop::collection::vec(item(), 1..6)) {
            let mut writer = Writer::new(None);
            // Each twice: the second time with the layout of the first.
            for item in items.iter().flat_map(|item| [item, item]) {
                let mut written = Vec::new();
                writer.event(&mut written, item);
                let written = String::from_utf8(written).unwrap();
                match expected(item) {
                    Some(expected) => prop_assert_eq!(written, expected),
                    None => prop_assert!(serde_json::from_str::<Map<String, Json>>(&written).is_ok(), "{written}"),
                }
            }
        }
    }

    #[test]
    fn what_looks_like_our_own_form_and_is_not_is_shown_as_it_stands() {
        let marker = Value::Map([("$json".into(), Value::Text("not json".into()))].into());
        let item = Item::of(vec![("a".into(), Value::List(vec![marker])), ("b".into(), Value::Number("NaN".into()))]);
        let mut written = Vec::new();
        Writer::new(None).event(&mut written, &item);
        assert_eq!(String::from_utf8(written).unwrap(), r#"{"a":[{"$json":"not json"}],"b":"NaN"}"#);
    }

    #[test]
    fn fields_choose() {
        let item =
            Item::of(vec![("id".into(), Value::Number("7".into())), ("price".into(), Value::Number("1.50".into()))]);
        let mut written = Vec::new();
        let fields = ["price".to_owned(), "id_str".to_owned(), "none".to_owned()];
        Writer::new(Some(&fields)).event(&mut written, &item);
        assert_eq!(written, br#"{"id_str":"7","price":1.50}"#);
    }
}
