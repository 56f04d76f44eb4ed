//! Values of arguments.

/// Reads the name of an attribute. A quotation mark would end it inside a PartiQL statement.
pub(super) fn attribute(name: &str) -> Result<String, String> {
    match name {
        "" => Err("an attribute has a name".to_owned()),
        name if name.contains('"') => Err("an attribute's name may not contain a quotation mark".to_owned()),
        name => Ok(name.to_owned()),
    }
}

/// Reads a number above 0.
///
/// # Errors
/// A text that says what is expected.
pub fn positive(text: &str) -> Result<f64, String> {
    match text.parse::<f64>() {
        Ok(number) if number > 0.0 && number.is_finite() => Ok(number),
        _ => Err("expected a number above 0".to_owned()),
    }
}
