//! The configurations of daemon and query API, from the options.

use std::collections::BTreeMap;
use std::io::Write as _;
use std::os::unix::fs::OpenOptionsExt as _;
use std::path::Path;

use anyhow::Context as _;
use ingestor::config::Config;

use super::Options;
use crate::store::Place;

/// The daemon's configuration goes the same way as everybody's, so that it is checked the same.
pub(super) fn daemon(
    options: &Options,
    url: String,
    rest_url: Option<String>,
    endpoint_url: Option<String>,
    region: Option<String>,
) -> anyhow::Result<Config> {
    let mut settings = BTreeMap::from([
        ("channels".to_owned(), options.channels.join(",")),
        ("storage".to_owned(), options.storage.clone()),
        ("keep".to_owned(), options.keep.clone()),
        ("url".to_owned(), url),
        ("table".to_owned(), options.table.clone()),
        ("spool_dir".to_owned(), options.data.join("spool").display().to_string()),
        ("listen".to_owned(), options.metrics.to_string()),
    ]);
    // In an account each entry is a write; here it costs nothing, and shows soon what is captured.
    if matches!(options.place, Place::File(_)) {
        settings.insert("ledger_every".to_owned(), "5s".to_owned());
    }
    settings.extend(rest_url.map(|url| ("rest_url".to_owned(), url)));
    settings.extend(endpoint_url.map(|url| ("endpoint_url".to_owned(), url)));
    settings.extend(region.map(|region| ("region".to_owned(), region)));
    Ok(Config::read(&settings, &BTreeMap::new(), None)?)
}

/// The query API's configuration, from the same variables as where it is deployed. Without a key in them it keeps one beside the
/// data, so that pages can be continued after a restart.
pub(super) fn query(options: &Options, table: &str) -> anyhow::Result<query_fn::config::Config> {
    let variable = |name: &str| std::env::var(name).ok().filter(|value| !value.is_empty());
    let mut config = query_fn::config::Config::from_env(&variable)?;
    table.clone_into(&mut config.table);
    if config.signing_keys.is_empty() {
        config.signing_keys.push(kept_key(&options.data)?);
    }
    Ok(config)
}

/// Reads the key of the page tokens, or makes it; only its owner may read it.
fn kept_key(data: &Path) -> anyhow::Result<Vec<u8>> {
    let file = data.join("token.key");
    match std::fs::read(&file) {
        Ok(key) if key.len() >= query_fn::config::MIN_KEY_BYTES => return Ok(key),
        Ok(_) => tracing::warn!(file = %file.display(), "no key of tokens; a new one replaces it"),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {}
        Err(error) => return Err(error).with_context(|| format!("cannot read `{}`", file.display())),
    }
    let key = query_fn::http::token::random_key();
    let write = || {
        std::fs::create_dir_all(data)?;
        let mut file = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&file)?;
        file.write_all(&key)
    };
    write().with_context(|| format!("cannot write `{}`", file.display()))?;
    Ok(key)
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::PermissionsExt as _;

    #[test]
    fn a_token_key_outlives_a_restart_and_is_its_owners_alone() {
        let folder = tempfile::TempDir::new().unwrap();
        let data = folder.path().join("data");
        let key = kept_key(&data).unwrap();
        assert_eq!((key.len(), kept_key(&data).unwrap()), (32, key));
        let mode = std::fs::metadata(data.join("token.key")).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
    }
}
