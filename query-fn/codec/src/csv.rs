//! Writes items as comma-separated values (RFC 4180).

use shared::{
    key::SEPARATOR,
    table::{MICROTIMESTAMP, NMICROTIMESTAMP},
};

use super::json::{self, Cell};
use crate::item::{Item, Value};

/// The treatment of attributes without a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// They are in the last column, as a JSON object; the column is empty if there are none.
    Kept,
    /// They are left out: the client chose the columns.
    Dropped,
}

/// The name of the last column under [`Rest::Kept`].
const MORE: &str = "more";

/// Appends the header line to `out`.
pub fn header(out: &mut Vec<u8>, columns: &[impl AsRef<str>], rest: Rest) {
    let names = columns.iter().map(AsRef::as_ref).chain((rest == Rest::Kept).then_some(MORE));
    for (number, name) in names.enumerate() {
        if number > 0 {
            out.push(b',');
        }
        text(out, name);
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends one event to `out`. Numbers have the digits of the table; lists and objects are JSON; a missing attribute and null are empty, an
/// empty text is `""`.
pub fn record(out: &mut Vec<u8>, item: &Item, columns: &[impl AsRef<str>], rest: Rest) {
    for (number, name) in columns.iter().map(AsRef::as_ref).enumerate() {
        if number > 0 {
            out.push(b',');
        }
        cell(out, item, name);
    }
    if rest == Rest::Kept {
        out.push(b',');
        more(out, item, columns);
    }
    out.extend_from_slice(b"\r\n");
}

/// Appends a record of one cell to `out`.
pub fn only_cell(out: &mut Vec<u8>, value: &str) {
    text(out, value);
    out.extend_from_slice(b"\r\n");
}

fn cell(out: &mut Vec<u8>, item: &Item, name: &str) {
    match item.get(name) {
        Some(Value::Text(sort)) if name == MICROTIMESTAMP => {
            text(out, sort.split(SEPARATOR).next().unwrap_or_default());
        }
        Some(Value::Text(value)) => text(out, value),
        Some(Value::Number(digits)) => text(out, digits),
        Some(Value::Null) => {}
        Some(other) => nested(out, |json| json::value(json, other)),
        None if name == json::TIME => {
            let time = item.get(NMICROTIMESTAMP).and_then(json::time);
            out.extend_from_slice(time.unwrap_or_default().as_bytes());
        }
        None => {
            let digits = name.strip_suffix("_str").and_then(|name| item.number(name));
            out.extend_from_slice(digits.unwrap_or_default().as_bytes());
        }
    }
}

fn more(out: &mut Vec<u8>, item: &Item, columns: &[impl AsRef<str>]) {
    let known = |name: &str| name == MICROTIMESTAMP || columns.iter().any(|column| column.as_ref() == name);
    let mut cells =
        item.iter().filter(|(name, _)| !known(name)).map(|(name, value)| (name, Cell::of(name, value))).peekable();
    if cells.peek().is_some() {
        nested(out, |json| json::object(json, cells));
    }
}

fn nested(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>)) {
    let mut json = Vec::new();
    write(&mut json);
    text(out, &String::from_utf8_lossy(&json));
}

/// Appends a text, in quotes if it needs them (RFC 4180, section 2) or is empty, so that it differs from a missing value.
fn text(out: &mut Vec<u8>, text: &str) {
    let quoted = text.is_empty() || text.bytes().any(|byte| matches!(byte, b'"' | b',' | b'\r' | b'\n'));
    if !quoted {
        out.extend_from_slice(text.as_bytes());
        return;
    }
    out.push(b'"');
    for byte in text.bytes() {
        if byte == b'"' {
            out.push(b'"');
        }
        out.push(byte);
    }
    out.push(b'"');
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn quotes_and_keeps_what_has_no_column() {
        let item = Item::of(vec![
            ("a".into(), Value::Text("x,\"y\"\n".into())),
            ("b".into(), Value::Number("1.50".into())),
            ("c".into(), Value::Null),
            ("d".into(), Value::Text("".into())),
            ("microtimestamp".into(), Value::Text("17#ab".into())),
            ("nmicrotimestamp".into(), Value::Number("17000000".into())),
            ("new".into(), Value::List(vec![Value::Text("\"".into())])),
        ]);
        let columns = ["a", "b", "c", "d", "none", "b_str", "microtimestamp", "nmicrotimestamp", "time"];
        let mut written = Vec::new();
        header(&mut written, &columns, Rest::Kept);
        record(&mut written, &item, &columns, Rest::Kept);
        record(&mut written, &item, &["b", "new"], Rest::Dropped);
        let expected = concat!(
            "a,b,c,d,none,b_str,microtimestamp,nmicrotimestamp,time,more\r\n",
            "\"x,\"\"y\"\"\n\",1.50,,\"\",,1.50,17,17000000,1970-01-01T00:00:17.000000Z,\"{\"\"new\"\":[\"\"\\\"\"\"\"]}\"\r\n",
            "1.50,\"[\"\"\\\"\"\"\"]\"\r\n",
        );
        assert_eq!(String::from_utf8(written).unwrap(), expected);
    }
}
