//! Lays the three sources of a setting over each other: flags over environment over file.

use std::collections::BTreeMap;

use crate::config::settings::{Faults, SETTINGS};

/// Prefix of a setting's name in the environment.
pub const PREFIX: &str = "BITSTAMP_LIVE_";
/// Settings with rules by channel, which may be a table in the file.
const RULES: [&str; 2] = ["storage", "keep"];

/// The values of all layers by key, each with its source, and the faults found so far.
#[derive(Debug)]
pub struct Layers {
    values: BTreeMap<String, SettingValue>,
    faults: Vec<String>,
}

#[derive(Clone, Debug)]
struct SettingValue {
    text: String,
    /// Source, for messages: `flag: --table`, `environment: BITSTAMP_LIVE_TABLE`, `a.toml: table`.
    place: String,
}

impl Layers {
    /// Lays flags over environment over file.
    #[must_use]
    pub fn new(
        flags: &BTreeMap<String, String>,
        environment: &BTreeMap<String, String>,
        file: Option<(&str, &str)>,
    ) -> Layers {
        let mut layers = Layers { values: BTreeMap::new(), faults: Vec::new() };
        if let Some((name, text)) = file {
            layers.add_file(name, text);
        }
        for (variable, text) in environment {
            if let Some(key) = variable.strip_prefix(PREFIX) {
                layers.add("environment", variable, &key.to_lowercase(), Some(text.clone()), |key| {
                    format!("{PREFIX}{}", key.to_uppercase())
                });
            }
        }
        for (key, text) in flags {
            let place = format!("flag: --{}", key.replace('_', "-"));
            layers.values.insert(key.clone(), SettingValue { text: text.clone(), place });
        }
        layers
    }

    fn add_file(&mut self, name: &str, text: &str) {
        let table: toml::Table = match text.parse() {
            Ok(table) => table,
            Err(error) => {
                let line = error.span().map_or(0, |span| text.bytes().take(span.start).filter(|b| *b == b'\n').count());
                self.faults.push(format!("{name}: line {}: {}", line + 1, error.message()));
                return;
            }
        };
        for (key, value) in &table {
            let text = match value {
                toml::Value::String(text) => Some(text.clone()),
                toml::Value::Integer(number) => Some(number.to_string()),
                toml::Value::Table(rules) if RULES.contains(&key.as_str()) => rules
                    .iter()
                    .map(|(name, value)| value.as_str().map(|value| format!("{name}={value}")))
                    .collect::<Option<Vec<_>>>()
                    .map(|rules| rules.join(",")),
                toml::Value::Array(values) => {
                    values.iter().map(|value| value.as_str()).collect::<Option<Vec<_>>>().map(|texts| texts.join(","))
                }
                _ => None,
            };
            if text.is_none() && SETTINGS.iter().any(|setting| setting.key == key) {
                let kind = match value {
                    toml::Value::Array(_) => "a list of strings",
                    toml::Value::Table(_) if RULES.contains(&key.as_str()) => "a table of strings",
                    _ => "a string or a whole number",
                };
                self.faults.push(format!("{name}: `{key}` must be {kind}"));
                // The fault is reported already; a valid stand-in keeps it from being reported again.
                continue;
            }
            self.add(name, key, key, text, str::to_owned);
        }
    }

    fn add(&mut self, source: &str, spelled: &str, key: &str, text: Option<String>, spell: impl Fn(&str) -> String) {
        if !SETTINGS.iter().any(|setting| setting.key == key) {
            let nearest =
                SETTINGS.iter().map(|setting| setting.key).min_by_key(|known| strsim::levenshtein(known, key));
            let hint = nearest.map(|nearest| format!("; did you mean `{}`?", spell(nearest))).unwrap_or_default();
            self.faults.push(format!("{source}: `{spelled}` is no setting{hint}"));
            return;
        }
        if let Some(text) = text {
            self.values.insert(key.to_owned(), SettingValue { text, place: format!("{source}: {spelled}") });
        }
    }

    fn value(&self, key: &'static str) -> SettingValue {
        self.values
            .get(key)
            .cloned()
            .unwrap_or_else(|| SettingValue { text: default(key).to_owned(), place: format!("default: {key}") })
    }

    /// Reads one value. Notes a fault and returns the default, so that reading goes on.
    pub fn get<T>(&mut self, key: &'static str, read: impl Fn(&str) -> Result<T, String>) -> T {
        let SettingValue { text, place } = self.value(key);
        match read(text.trim()) {
            Ok(value) => value,
            Err(reason) => {
                self.faults.push(format!("{place} = `{text}`: {reason}"));
                read(default(key)).expect("every default is valid, which a test shows")
            }
        }
    }

    /// Reads a value that may be absent.
    pub fn optional(&mut self, key: &'static str) -> Option<String> {
        let text = self.value(key).text.trim().to_owned();
        (!text.is_empty()).then_some(text)
    }

    /// Reads a list without repetition; every entry is read and every fault noted.
    pub fn list<T: PartialEq>(&mut self, key: &'static str, read: impl Fn(&str) -> Result<T, String>) -> Vec<T> {
        let SettingValue { text, place } = self.value(key);
        let mut values = Vec::new();
        for entry in text.split(',').map(str::trim).filter(|entry| !entry.is_empty()) {
            match read(entry) {
                Ok(value) if values.contains(&value) => self.faults.push(format!("{place}: `{entry}` stands twice")),
                Ok(value) => values.push(value),
                Err(reason) => self.faults.push(format!("{place}: {reason}")),
            }
        }
        if text.trim().is_empty() {
            self.faults.push(format!("{place} names nothing"));
        }
        values
    }

    /// Notes a fault of a value that does not fit another one.
    pub fn fault(&mut self, key: &'static str, reason: &str) {
        let SettingValue { text, place } = self.value(key);
        self.faults.push(format!("{place} = `{text}`: {reason}"));
    }

    /// Ends the reading.
    ///
    /// # Errors
    ///
    /// Returns the [`Faults`] if there are any.
    pub fn finish(self) -> Result<(), Faults> {
        if self.faults.is_empty() { Ok(()) } else { Err(Faults(self.faults)) }
    }
}

fn default(key: &str) -> &'static str {
    SETTINGS.iter().find(|setting| setting.key == key).map_or("", |setting| setting.default)
}
