use axum::http::HeaderValue;
use base64::{Engine, engine::general_purpose::STANDARD};
use std::time::Duration;

/// What the function needs to know before the first request.
#[derive(Clone)]
pub struct Config {
    /// The table. `BITSTAMP_TABLE`, default `bitstamp-live`.
    pub table: String,
    /// Keys of the page tokens: the first signs, all verify, so that a key can be replaced without breaking the tokens
    /// under way. `BITSTAMP_TOKEN_KEYS`: standard base64, at least 32 bytes each, separated by commas.
    pub signing_keys: Vec<Vec<u8>>,
    /// The longest that one request may take; inside Lambda the invocation's own deadline counts too.
    /// `BITSTAMP_TIME_BUDGET_MS`, default 25,000: below the 29 s after which API Gateway gives up.
    pub time_budget: Duration,
    /// The same for `/export`. `BITSTAMP_EXPORT_TIME_BUDGET_MS`, default 840,000: below the 15 minutes of a function.
    pub export_time_budget: Duration,
    /// The largest answer of `/export`, bytes as sent. `BITSTAMP_EXPORT_BYTES`, default 190,000,000: below the 200 MB of a
    /// streamed answer. A function that answers in the buffered form needs 4,000,000 (its answers end at 6 MB, and base64
    /// counts).
    pub export_bytes: u64,
    /// A range that ended so long ago does not change any more and may be cached for ever.
    /// `BITSTAMP_CLOSED_AFTER_SECONDS`, default 172,800 (two days): gaps can be filled for one day, and what a daemon could
    /// not store at once arrives when its spool drains.
    pub closed_after: Duration,
    /// Part of every `ETag`. `BITSTAMP_DATA_VERSION`, default empty: set another value after old data was changed, e.g. by
    /// a backfill, so that cached answers are fetched again.
    pub data_version: String,
    /// Origins whose pages may read the answers. `BITSTAMP_CORS_ORIGINS`, separated by commas, default `*`.
    pub cors_origins: Vec<HeaderValue>,
}

const TABLE: &str = "BITSTAMP_TABLE";
const TOKEN_KEYS: &str = "BITSTAMP_TOKEN_KEYS";
const TIME_BUDGET_MS: &str = "BITSTAMP_TIME_BUDGET_MS";
const EXPORT_TIME_BUDGET_MS: &str = "BITSTAMP_EXPORT_TIME_BUDGET_MS";
const EXPORT_BYTES: &str = "BITSTAMP_EXPORT_BYTES";
const CLOSED_AFTER_SECONDS: &str = "BITSTAMP_CLOSED_AFTER_SECONDS";
const DATA_VERSION: &str = "BITSTAMP_DATA_VERSION";
const CORS_ORIGINS: &str = "BITSTAMP_CORS_ORIGINS";

/// As long as the hash: shorter keys weaken it (RFC 2104, section 3).
const MIN_KEY_BYTES: usize = 32;

/// Everything that is wrong with the configuration.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("configuration: {}", .0.join("; "))]
pub struct ConfigError(pub Vec<String>);

impl Config {
    /// The defaults, with keys of the caller's: see [`crate::token::random_key`].
    #[must_use]
    pub fn new(table: impl Into<String>, signing_keys: Vec<Vec<u8>>) -> Config {
        Config {
            table: table.into(),
            signing_keys,
            time_budget: Duration::from_secs(25),
            export_time_budget: Duration::from_secs(14 * 60),
            export_bytes: 190_000_000,
            closed_after: Duration::from_secs(2 * 24 * 3600),
            data_version: String::new(),
            cors_origins: vec![HeaderValue::from_static("*")],
        }
    }

    /// Reads the environment that `variable` looks up. Without `BITSTAMP_TOKEN_KEYS` the list of keys is empty: the caller
    /// decides whether random ones will do.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with every fault at once.
    pub fn from_env(variable: &impl Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
        let mut environment = Environment { variable, faults: Vec::new() };
        let default = Config::new(shared::table::DEFAULT_TABLE, Vec::new());
        let config = Config {
            table: environment.table(default.table),
            signing_keys: environment.keys(),
            time_budget: environment.millis(TIME_BUDGET_MS, default.time_budget),
            export_time_budget: environment.millis(EXPORT_TIME_BUDGET_MS, default.export_time_budget),
            export_bytes: environment.number(EXPORT_BYTES, 1_000..=u64::MAX, default.export_bytes),
            closed_after: Duration::from_secs(environment.number(
                CLOSED_AFTER_SECONDS,
                0..=1 << 40,
                default.closed_after.as_secs(),
            )),
            data_version: variable(DATA_VERSION).unwrap_or_default(),
            cors_origins: environment.origins(default.cors_origins),
        };
        if environment.faults.is_empty() { Ok(config) } else { Err(ConfigError(environment.faults)) }
    }
}

/// Reads variables and collects what is wrong with them.
struct Environment<'a, Variable> {
    variable: &'a Variable,
    faults: Vec<String>,
}

impl<Variable: Fn(&str) -> Option<String>> Environment<'_, Variable> {
    /// A name or an ARN, as the API takes both.
    /// (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Query.html#DDB-Query-request-TableName>)
    fn table(&mut self, default: String) -> String {
        let Some(name) = (self.variable)(TABLE) else { return default };
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/');
        if !(3..=1024).contains(&name.len()) || !name.chars().all(allowed) {
            self.faults.push(format!("{TABLE}: `{name}` is no table name: 3 to 255 of a-z A-Z 0-9 _ - ."));
        }
        name
    }

    fn keys(&mut self) -> Vec<Vec<u8>> {
        let mut keys = Vec::new();
        let text = (self.variable)(TOKEN_KEYS);
        for (number, text) in (1..).zip(text.iter().flat_map(|text| text.split(','))) {
            match STANDARD.decode(text.trim()) {
                Ok(key) if key.len() >= MIN_KEY_BYTES => keys.push(key),
                Ok(key) => self.faults.push(format!(
                    "{TOKEN_KEYS}: key {number} has {} bytes; at least {MIN_KEY_BYTES} are needed (openssl rand -base64 32)",
                    key.len()
                )),
                Err(error) => self.faults.push(format!("{TOKEN_KEYS}: key {number} is not standard base64: {error}")),
            }
        }
        keys
    }

    fn millis(&mut self, name: &str, default: Duration) -> Duration {
        let default = u64::try_from(default.as_millis()).unwrap_or(u64::MAX);
        Duration::from_millis(self.number(name, 100..=900_000, default))
    }

    fn number(&mut self, name: &str, allowed: std::ops::RangeInclusive<u64>, default: u64) -> u64 {
        let Some(text) = (self.variable)(name) else { return default };
        match text.parse() {
            Ok(number) if allowed.contains(&number) => number,
            _ => {
                let (least, most) = allowed.into_inner();
                self.faults.push(format!("{name}: `{text}` is not a whole number from {least} to {most}"));
                default
            }
        }
    }

    fn origins(&mut self, default: Vec<HeaderValue>) -> Vec<HeaderValue> {
        let Some(text) = (self.variable)(CORS_ORIGINS) else { return default };
        let mut origins = Vec::new();
        for origin in text.split(',').map(str::trim).filter(|origin| !origin.is_empty()) {
            match HeaderValue::from_str(origin) {
                Ok(value) if origin == "*" || origin.contains("://") => origins.push(value),
                _ => self.faults.push(format!("{CORS_ORIGINS}: `{origin}` is neither * nor like https://example.com")),
            }
        }
        origins
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::collections::HashMap;

    fn read(variables: &[(&str, &str)]) -> Result<Config, ConfigError> {
        let map: HashMap<_, _> = variables.iter().copied().collect();
        Config::from_env(&|name| map.get(name).map(|value| (*value).to_owned()))
    }

    #[test]
    fn nothing_set_is_the_default() {
        let config = read(&[]).ok().unwrap();
        assert_eq!(config.table, "bitstamp-live");
        assert!(config.signing_keys.is_empty());
        assert_eq!(config.time_budget, Duration::from_secs(25));
        assert_eq!(config.cors_origins, ["*"]);
    }

    #[test]
    fn keys_rotate() {
        let (new, old) = (STANDARD.encode([1; 32]), STANDARD.encode([2; 40]));
        let config = read(&[(TOKEN_KEYS, &format!("{new}, {old}"))]).ok().unwrap();
        assert_eq!(config.signing_keys, [vec![1; 32], vec![2; 40]]);
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let ConfigError(faults) = read(&[
            (TABLE, "a b"),
            (TOKEN_KEYS, &format!("!,{}", STANDARD.encode([1; 8]))),
            (TIME_BUDGET_MS, "0"),
            (EXPORT_BYTES, "much"),
            (CORS_ORIGINS, "https://a.example,b.example"),
        ])
        .err()
        .unwrap();
        assert_eq!(faults.len(), 6, "{faults:?}");
    }
}
