//! Bytes on the way from the table to a page.

use codec::answer::Answer;
use codec::item::{Item, Value};
use codec::{csv, json};
use serde_json::Value as Json;
use shared::block::stored::BlockItem;

/// Parses an answer to a Query, and writes its items as JSON.
pub fn answer(data: &[u8]) {
    let Ok(answer) = Answer::parse(data) else { return };
    let mut writer = json::Writer::new(None);
    for item in answer.items.0.iter().chain(&answer.last_evaluated_key) {
        let mut out = Vec::new();
        writer.event(&mut out, item);
        assert!(!out.contains(&b'\n'), "an event of NDJSON is one line");
        if item.iter().all(|(_, value)| numbers_are_json(value)) {
            serde_json::from_slice::<Json>(&out).expect("an event is JSON");
        }
        if let Ok(block) = BlockItem::from_attributes(&item.attributes()) {
            let _events =
                codec::block::events(&block, &(shared::time::Micros(0)..=shared::time::Micros(u64::MAX)), None);
        }
    }
}

/// Numbers are written with the digits of the table, which accepts no others.
fn numbers_are_json(value: &Value) -> bool {
    match value {
        Value::Number(digits) => digits.parse::<serde_json::Number>().is_ok(),
        Value::List(values) => values.iter().all(numbers_are_json),
        Value::Map(fields) => fields.iter().all(|(_, value)| numbers_are_json(value)),
        _ => true,
    }
}

/// Parses an answer to a Query, and writes its items as CSV: a reader finds as many cells in each record as in the header, and every text.
pub fn csv(data: &[u8]) {
    let Ok(answer) = Answer::parse(data) else { return };
    let items = &answer.items.0;
    let Some(first) = items.first() else { return };
    // As many columns as a reader can tell from none.
    let columns: Vec<&str> = first.iter().map(|(name, _)| name).take(8).collect();
    for rest in [csv::Rest::Kept, csv::Rest::Dropped] {
        if columns.is_empty() && rest == csv::Rest::Dropped {
            continue;
        }
        let mut out = Vec::new();
        csv::header(&mut out, &columns, rest);
        items.iter().for_each(|item| csv::record(&mut out, item, &columns, rest));
        let text = String::from_utf8(out).expect("CSV is UTF-8");
        let records = parse(&text).expect("what was written is CSV by RFC 4180");
        assert_eq!(records.len(), 1 + items.len());
        let width = columns.len() + usize::from(rest == csv::Rest::Kept);
        for (record, item) in records.iter().skip(1).zip(items) {
            assert_eq!(record.len(), width);
            compare(record, item, &columns);
        }
    }
}

/// Compares the cells of texts; the sort key is shown without its discriminator.
fn compare(record: &[String], item: &Item, columns: &[&str]) {
    for (cell, name) in record.iter().zip(columns) {
        if let Some(text) = item.text(name).filter(|_| *name != "microtimestamp" && *name != "time") {
            assert_eq!(cell, text, "{name}");
        }
    }
}

/// Parses CSV by RFC 4180 with quoted cells, CRLF after every record, and no other control of its own.
fn parse(text: &str) -> Option<Vec<Vec<String>>> {
    let (mut records, mut record, mut rest) = (Vec::new(), Vec::new(), text);
    while !rest.is_empty() {
        let (cell, after) = match rest.strip_prefix('"') {
            Some(quoted) => quoted_cell(quoted)?,
            None => {
                let end = rest.find([',', '\r', '\n', '"'])?;
                let (cell, after) = rest.split_at(end);
                (cell.to_owned(), after)
            }
        };
        record.push(cell);
        if let Some(next) = after.strip_prefix(',') {
            rest = next;
        } else {
            rest = after.strip_prefix("\r\n")?;
            records.push(std::mem::take(&mut record));
        }
    }
    record.is_empty().then_some(records)
}

/// Returns a cell behind its opening quote, and what follows its closing one.
fn quoted_cell(mut rest: &str) -> Option<(String, &str)> {
    let mut cell = String::new();
    loop {
        let (part, after) = rest.split_once('"')?;
        cell.push_str(part);
        match after.strip_prefix('"') {
            Some(next) => {
                cell.push('"');
                rest = next;
            }
            None => return Some((cell, after)),
        }
    }
}
