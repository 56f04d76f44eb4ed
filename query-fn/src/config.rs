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
}

const TABLE: &str = "BITSTAMP_TABLE";
const TOKEN_KEYS: &str = "BITSTAMP_TOKEN_KEYS";
const TIME_BUDGET_MS: &str = "BITSTAMP_TIME_BUDGET_MS";

/// As long as the hash: shorter keys weaken it (RFC 2104, section 3).
const MIN_KEY_BYTES: usize = 32;
const TIME_BUDGET: Duration = Duration::from_secs(25);

/// Everything that is wrong with the configuration.
#[derive(Debug, PartialEq, Eq, thiserror::Error)]
#[error("configuration: {}", .0.join("; "))]
pub struct ConfigError(pub Vec<String>);

impl Config {
    /// The defaults, with keys of the caller's: see [`crate::token::random_key`].
    #[must_use]
    pub fn new(table: impl Into<String>, signing_keys: Vec<Vec<u8>>) -> Config {
        Config { table: table.into(), signing_keys, time_budget: TIME_BUDGET }
    }

    /// Reads the environment that `variable` looks up. Without `BITSTAMP_TOKEN_KEYS` the list of keys is empty: the caller
    /// decides whether random ones will do.
    ///
    /// # Errors
    ///
    /// [`ConfigError`] with every fault at once.
    pub fn from_env(variable: &impl Fn(&str) -> Option<String>) -> Result<Config, ConfigError> {
        let mut faults = Vec::new();
        let table = variable(TABLE).unwrap_or_else(|| shared::table::DEFAULT_TABLE.to_owned());
        if let Some(fault) = table_fault(&table) {
            faults.push(format!("{TABLE}: {fault}"));
        }
        let mut signing_keys = Vec::new();
        for (number, text) in variable(TOKEN_KEYS).iter().flat_map(|text| text.split(',')).enumerate() {
            match STANDARD.decode(text.trim()) {
                Ok(key) if key.len() >= MIN_KEY_BYTES => signing_keys.push(key),
                Ok(key) => faults.push(format!(
                    "{TOKEN_KEYS}: key {} has {} bytes; at least {MIN_KEY_BYTES} are needed (openssl rand -base64 32)",
                    number + 1,
                    key.len()
                )),
                Err(error) => faults.push(format!("{TOKEN_KEYS}: key {} is not standard base64: {error}", number + 1)),
            }
        }
        let time_budget = match variable(TIME_BUDGET_MS).map(|text| (text.parse::<u64>(), text)) {
            None => TIME_BUDGET,
            Some((Ok(millis @ 100..=900_000), _)) => Duration::from_millis(millis),
            Some((_, text)) => {
                faults.push(format!("{TIME_BUDGET_MS}: `{text}` is not a number of milliseconds from 100 to 900000"));
                TIME_BUDGET
            }
        };
        if faults.is_empty() { Ok(Config { table, signing_keys, time_budget }) } else { Err(ConfigError(faults)) }
    }
}

/// A name or an ARN, as the API takes both.
/// (<https://docs.aws.amazon.com/amazondynamodb/latest/APIReference/API_Query.html#DDB-Query-request-TableName>)
fn table_fault(name: &str) -> Option<String> {
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | '-' | '.' | ':' | '/');
    let fits = (3..=1024).contains(&name.len()) && name.chars().all(allowed);
    (!fits).then(|| format!("`{name}` is no table name: 3 to 255 of a-z A-Z 0-9 _ - ."))
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
    }

    #[test]
    fn keys_rotate() {
        let (new, old) = (STANDARD.encode([1; 32]), STANDARD.encode([2; 40]));
        let config = read(&[(TOKEN_KEYS, &format!("{new}, {old}"))]).ok().unwrap();
        assert_eq!(config.signing_keys, [vec![1; 32], vec![2; 40]]);
    }

    #[test]
    fn every_fault_is_named_at_once() {
        let ConfigError(faults) =
            read(&[(TABLE, "a b"), (TOKEN_KEYS, &format!("!,{}", STANDARD.encode([1; 8]))), (TIME_BUDGET_MS, "0")])
                .err()
                .unwrap();
        assert_eq!(faults.len(), 4, "{faults:?}");
    }
}
