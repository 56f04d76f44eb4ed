//! The configuration from environment variables, read before the first request with every fault named at once.

use axum::http::HeaderValue;
use base64::{Engine, engine::general_purpose::STANDARD};
use std::time::Duration;

/// The configuration of the service.
#[derive(Clone)]
pub struct Config {
    /// The name of the table. `BITSTAMP_LIVE_TABLE`, default `bitstamp-live`.
    pub table: String,
    /// Keys of the page tokens: the first signs, all verify, so that a key can be replaced without breaking the tokens
    /// under way. `BITSTAMP_LIVE_TOKEN_KEYS`: standard base64, at least 32 bytes each, separated by commas.
    pub signing_keys: Vec<Vec<u8>>,
    /// The longest time of one request; inside Lambda the invocation's own deadline counts too.
    /// `BITSTAMP_LIVE_TIME_BUDGET_MS`, default 25,000: below the 29 s after which API Gateway gives up.
    pub time_budget: Duration,
    /// The same for `/export`. `BITSTAMP_LIVE_EXPORT_TIME_BUDGET_MS`, default 840,000: below the 15 minutes of a function.
    pub export_time_budget: Duration,
    /// The longest that a page waits for its ledger; counts, candles and exports, which read more of it, wait four times as long.
    /// `BITSTAMP_LIVE_LEDGER_TIME_BUDGET_MS`, default 500.
    pub ledger_time_budget: Duration,
    /// The largest answer of `/export` and of `/tail`, in bytes as sent. `BITSTAMP_LIVE_EXPORT_BYTES`, default 190,000,000: below the 200 MB of a
    /// streamed answer.
    pub export_bytes: u64,
    /// The same for `/tail`, whose client goes on where it ended. `BITSTAMP_LIVE_TAIL_TIME_BUDGET_MS`, default 300,000: Lambda is not told
    /// that a client has gone, so a viewer that leaves holds a function for the rest of this time.
    pub tail_time_budget: Duration,
    /// The time for which `/tail` holds an event back: what becomes readable so much later than a newer event is still shown.
    /// `BITSTAMP_LIVE_TAIL_WINDOW_MS`, default 1,500: with a poll and three Querys an event is shown within two seconds.
    pub tail_window: Duration,
    /// The most viewers of `/tail` at once. `BITSTAMP_LIVE_TAIL_VIEWERS`, default 64: a quarter of the server's connections.
    pub tail_viewers: usize,
    /// True if answers of `/export` are complete before they are sent: see [`Config::buffer_exports`].
    pub exports_are_buffered: bool,
    /// The age at which a range is closed: it does not change any more and may be cached for ever.
    /// `BITSTAMP_LIVE_CLOSED_AFTER_SECONDS`, default 172,800 (two days): gaps can be filled for one day, and what a daemon could
    /// not store at once arrives when its spool drains.
    pub closed_after: Duration,
    /// Part of every `ETag`. `BITSTAMP_LIVE_DATA_VERSION`, default empty: set another value after old data was changed, e.g. by
    /// a backfill, so that cached answers are fetched again.
    pub data_version: String,
    /// Origins whose pages may read the answers. `BITSTAMP_LIVE_CORS_ORIGINS`, separated by commas, default `*`.
    pub cors_origins: Vec<HeaderValue>,
}

const TABLE: &str = "BITSTAMP_LIVE_TABLE";
const TOKEN_KEYS: &str = "BITSTAMP_LIVE_TOKEN_KEYS";
const TIME_BUDGET_MS: &str = "BITSTAMP_LIVE_TIME_BUDGET_MS";
const LEDGER_TIME_BUDGET_MS: &str = "BITSTAMP_LIVE_LEDGER_TIME_BUDGET_MS";
const EXPORT_TIME_BUDGET_MS: &str = "BITSTAMP_LIVE_EXPORT_TIME_BUDGET_MS";
const TAIL_TIME_BUDGET_MS: &str = "BITSTAMP_LIVE_TAIL_TIME_BUDGET_MS";
const TAIL_WINDOW_MS: &str = "BITSTAMP_LIVE_TAIL_WINDOW_MS";
const TAIL_VIEWERS: &str = "BITSTAMP_LIVE_TAIL_VIEWERS";
const EXPORT_BYTES: &str = "BITSTAMP_LIVE_EXPORT_BYTES";
const CLOSED_AFTER_SECONDS: &str = "BITSTAMP_LIVE_CLOSED_AFTER_SECONDS";
const DATA_VERSION: &str = "BITSTAMP_LIVE_DATA_VERSION";
const CORS_ORIGINS: &str = "BITSTAMP_LIVE_CORS_ORIGINS";

/// The variable that makes the function stream its answers inside Lambda, if it is `1`.
pub const STREAM: &str = "BITSTAMP_LIVE_STREAM";

/// Looks up a variable by its name, or by its former name without `LIVE_`.
pub fn named(variable: &impl Fn(&str) -> Option<String>, name: &str) -> Option<String> {
    variable(name).or_else(|| variable(&name.replacen("_LIVE_", "_", 1)))
}

/// The largest body of a buffered answer as it is sent: Lambda allows 6 MiB for all of it, so some is left for the headers.
/// (<https://docs.aws.amazon.com/lambda/latest/dg/gettingstarted-limits.html>)
pub const MOST_BYTES: usize = 6 * 1024 * 1024 - 64 * 1024;

/// The shortest key of page tokens, bytes: as long as the hash, because shorter keys weaken it (RFC 2104, section 3).
pub const MIN_KEY_BYTES: usize = 32;

/// The error that names every fault of the configuration.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("configuration: {}", .0.join("; "))]
pub struct ConfigError(pub Vec<String>);

impl Config {
    /// Returns the defaults with the caller's keys: see [`crate::http::token::random_key`].
    #[must_use]
    pub fn new(table: impl Into<String>, signing_keys: Vec<Vec<u8>>) -> Config {
        Config {
            table: table.into(),
            signing_keys,
            time_budget: Duration::from_secs(25),
            ledger_time_budget: Duration::from_millis(500),
            export_time_budget: Duration::from_secs(14 * 60),
            export_bytes: 190_000_000,
            tail_time_budget: Duration::from_secs(5 * 60),
            tail_window: Duration::from_millis(1_500),
            tail_viewers: 64,
            exports_are_buffered: false,
            closed_after: Duration::from_secs(2 * 24 * 3600),
            data_version: String::new(),
            cors_origins: vec![HeaderValue::from_static("*")],
        }
    }

    /// Limits `/export` to what a function can send without streaming: the size of a buffered answer, and the time of a request.
    pub fn buffer_exports(&mut self) {
        self.exports_are_buffered = true;
        self.export_bytes = self.export_bytes.min(MOST_BYTES as u64);
        self.export_time_budget = self.export_time_budget.min(self.time_budget);
    }

    /// Reads the environment through `variable`. Without `BITSTAMP_LIVE_TOKEN_KEYS` the list of keys is empty: the caller
    /// decides whether random ones will do.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with every fault at once.
    pub fn from_env(variable: &impl Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
        let variable = &|name: &str| named(variable, name);
        let mut environment = Environment { variable, faults: Vec::new() };
        let default = Config::new(shared::table::DEFAULT_TABLE, Vec::new());
        let config = Config {
            table: environment.table(default.table),
            signing_keys: environment.keys(),
            time_budget: environment.millis(TIME_BUDGET_MS, default.time_budget),
            ledger_time_budget: environment.millis(LEDGER_TIME_BUDGET_MS, default.ledger_time_budget),
            export_time_budget: environment.millis(EXPORT_TIME_BUDGET_MS, default.export_time_budget),
            export_bytes: environment.number(EXPORT_BYTES, 1_000..=u64::MAX, default.export_bytes),
            tail_time_budget: environment.millis(TAIL_TIME_BUDGET_MS, default.tail_time_budget),
            tail_window: environment.millis(TAIL_WINDOW_MS, default.tail_window),
            tail_viewers: usize::try_from(environment.number(TAIL_VIEWERS, 1..=10_000, default.tail_viewers as u64))
                .unwrap_or(default.tail_viewers),
            exports_are_buffered: false,
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

/// Reads variables and collects their faults.
struct Environment<'a, Variable> {
    variable: &'a Variable,
    faults: Vec<String>,
}

impl<Variable: Fn(&str) -> Option<String>> Environment<'_, Variable> {
    /// Reads the name or the ARN of the table: the API takes both.
    /// (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Query.html#DDB-Query-request-TableName>)
    fn table(&mut self, default: String) -> String {
        let Some(name) = (self.variable)(TABLE) else { return default };
        let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/');
        if !(3..=1024).contains(&name.len()) || !name.chars().all(allowed) {
            self.faults.push(format!("{TABLE}: `{name}` is no table name: 3 to 255 of a-z A-Z 0-9 _ - ."));
        }
        name
    }

    /// Reads the keys of page tokens.
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

    /// Reads the origins of CORS.
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
    fn the_names_of_before_are_understood() {
        assert_eq!(read(&[("BITSTAMP_TABLE", "old")]).ok().unwrap().table, "old");
        assert_eq!(read(&[("BITSTAMP_TABLE", "old"), ("BITSTAMP_LIVE_TABLE", "new")]).ok().unwrap().table, "new");
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
