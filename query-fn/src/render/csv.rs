use aws_sdk_dynamodb::types::AttributeValue;
use shared::{
    item::{Item, ItemError},
    key::SEPARATOR,
    table::MICROTIMESTAMP,
};

use super::json::{self, Cell};

/// What becomes of attributes without a column.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rest {
    /// They are in the last column, as a JSON object; empty where there are none.
    Kept,
    /// The caller chose the columns and does not want them.
    Dropped,
}

/// The name of the last column under [`Rest::Kept`].
const MORE: &str = "more";

/// Adds the header line.
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

/// Adds one event. Numbers have the digits of the table; lists and objects are JSON; what is missing or null is empty, an
/// empty text is `""`.
///
/// # Errors
///
/// [`ItemError`] for items that this project did not write.
pub fn record(out: &mut Vec<u8>, item: &Item, columns: &[impl AsRef<str>], rest: Rest) -> Result<(), ItemError> {
    for (number, name) in columns.iter().map(AsRef::as_ref).enumerate() {
        if number > 0 {
            out.push(b',');
        }
        cell(out, item, name)?;
    }
    if rest == Rest::Kept {
        out.push(b',');
        more(out, item, columns)?;
    }
    out.extend_from_slice(b"\r\n");
    Ok(())
}

fn cell(out: &mut Vec<u8>, item: &Item, name: &str) -> Result<(), ItemError> {
    let digits_of = || match item.get(name.strip_suffix("_str")?)? {
        AttributeValue::N(digits) => Some(digits),
        _ => None,
    };
    match item.get(name) {
        Some(AttributeValue::S(sort)) if name == MICROTIMESTAMP => {
            text(out, sort.split(SEPARATOR).next().unwrap_or_default());
        }
        Some(AttributeValue::S(value)) => text(out, value),
        Some(AttributeValue::N(digits)) => text(out, digits),
        Some(AttributeValue::Null(_)) => {}
        Some(other) => nested(out, |json| json::value(json, other, name))?,
        None => out.extend_from_slice(digits_of().map(String::as_bytes).unwrap_or_default()),
    }
    Ok(())
}

fn more(out: &mut Vec<u8>, item: &Item, columns: &[impl AsRef<str>]) -> Result<(), ItemError> {
    let known = |name: &str| name == MICROTIMESTAMP || columns.iter().any(|column| column.as_ref() == name);
    let mut cells: Vec<_> = item.iter().filter(|(name, _)| !known(name)).collect();
    if cells.is_empty() {
        return Ok(());
    }
    cells.sort_unstable_by_key(|(name, _)| *name);
    let cells: Vec<_> = cells.into_iter().map(|(name, value)| (name.as_str(), Cell::of(name, value))).collect();
    nested(out, |json| json::object(json, cells.iter().map(|(name, cell)| (*name, cell))))
}

fn nested(out: &mut Vec<u8>, write: impl FnOnce(&mut Vec<u8>) -> Result<(), ItemError>) -> Result<(), ItemError> {
    let mut json = Vec::new();
    write(&mut json)?;
    text(out, &String::from_utf8_lossy(&json));
    Ok(())
}

/// Quotes what needs it (RFC 4180, section 2), and the empty text so that it differs from nothing.
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
        let item = Item::from([
            ("a".to_owned(), AttributeValue::S("x,\"y\"\n".to_owned())),
            ("b".to_owned(), AttributeValue::N("1.50".to_owned())),
            ("c".to_owned(), AttributeValue::Null(true)),
            ("d".to_owned(), AttributeValue::S(String::new())),
            ("microtimestamp".to_owned(), AttributeValue::S("17#ab".to_owned())),
            ("new".to_owned(), AttributeValue::L(vec![AttributeValue::S("\"".to_owned())])),
        ]);
        let columns = ["a", "b", "c", "d", "none", "b_str", "microtimestamp"];
        let mut written = Vec::new();
        header(&mut written, &columns, Rest::Kept);
        record(&mut written, &item, &columns, Rest::Kept).unwrap();
        record(&mut written, &item, &["b", "new"], Rest::Dropped).unwrap();
        let expected = concat!(
            "a,b,c,d,none,b_str,microtimestamp,more\r\n",
            "\"x,\"\"y\"\"\n\",1.50,,\"\",,1.50,17,\"{\"\"new\"\":[\"\"\\\"\"\"\"]}\"\r\n",
            "1.50,\"[\"\"\\\"\"\"\"]\"\r\n",
        );
        assert_eq!(String::from_utf8(written).unwrap(), expected);
    }
}
