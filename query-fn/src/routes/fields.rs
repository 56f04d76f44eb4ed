//! Checks the attributes that a request names against the events of its answer.

use crate::http::problem::{Fault, Problem};
use crate::http::render::{self, Columns};
use crate::http::request::Presentation;
use crate::http::request::parameters::meant;
use crate::query::page::Row;

/// Returns the names in `fields` that no event of the page has.
///
/// # Errors
///
/// A [`Problem`] if one of them is so near to a known name that it is probably misspelt.
pub(super) fn unknown_fields(
    presentation: &Presentation,
    columns: Columns,
    rows: &[Row],
) -> Result<Vec<String>, Problem> {
    let Some(fields) = presentation.fields.as_deref().filter(|_| !rows.is_empty()) else { return Ok(Vec::new()) };
    let unknown = render::unknown_fields(fields, columns, rows.iter().map(|row| &row.item));
    let first = rows.iter().take(1).flat_map(|row| row.item.shape().names().map(smol_str::SmolStr::as_str));
    let known: Vec<_> = columns.iter().copied().chain(first).collect();
    check_spelling(&unknown, &known)?;
    Ok(unknown.into_iter().map(str::to_owned).collect())
}

/// Refuses names in `fields`, none of them known, that are probably misspelt.
fn check_spelling(unknown: &[&str], known: &[&str]) -> Result<(), Problem> {
    let misspelt = unknown.iter().filter_map(|field| Some((field, meant(field, known.iter().copied())?)));
    let faults: Vec<_> = misspelt
        .map(|(field, meant)| Fault {
            parameter: "fields".to_owned(),
            reason: format!("no event here has `{field}`; did you mean `{meant}`?"),
        })
        .collect();
    if faults.is_empty() { Ok(()) } else { Err(Problem::parameters(faults)) }
}

/// Refuses names in `fields` that are probably misspelt, before there are events that show which names they have.
///
/// # Errors
///
/// A [`Problem`] that names each of them.
pub(super) fn check_columns(fields: Option<&[String]>, columns: Columns) -> Result<(), Problem> {
    let unknown = render::unknown_fields(fields.unwrap_or_default(), columns, std::iter::empty());
    check_spelling(&unknown, columns)
}
