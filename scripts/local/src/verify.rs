//! Compares what the simulator sent with what the query API returns.

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fmt;
use std::net::SocketAddr;
use std::time::Duration;

use anyhow::Context as _;
use exchange_sim::truth;
use serde_json::{Map, Value};
use shared::number::Decimal;

/// How what came back over HTTP compares with what was sent, event by event and digit by digit.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Comparison {
    /// Events that came back as they were sent.
    pub equal: usize,
    /// Sent and not there.
    pub missing: Vec<String>,
    /// There and not sent.
    pub extra: Vec<String>,
    /// There under the right identity, with other content.
    pub altered: Vec<String>,
}

impl fmt::Display for Comparison {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Comparison { equal, missing, extra, altered } = self;
        write!(f, "{equal} equal, {} missing, {} extra, {} altered", missing.len(), extra.len(), altered.len())
    }
}

impl Comparison {
    /// Whether nothing is missing, extra or altered, and there was something to compare.
    #[must_use]
    pub fn is_perfect(&self) -> bool {
        self.equal > 0 && self.missing.is_empty() && self.extra.is_empty() && self.altered.is_empty()
    }
}

/// How often a busy store is asked for a page, and how long between.
const ATTEMPTS: u32 = 60;
const RETRY_AFTER: Duration = Duration::from_secs(1);

/// Attributes that the daemon adds to what the exchange sent.
const ADDED: [&str; 4] = ["received_at", "nmicrotimestamp", "derived", "channel"];

/// Compares frames with items, both as JSON. Knows the API's promise only, nothing of how items are built.
#[must_use]
pub fn compare<'a>(frames: impl Iterator<Item = &'a str>, items: Vec<Map<String, Value>>) -> Comparison {
    let mut found: HashMap<Identity, Vec<Map<String, Value>>> = HashMap::new();
    for item in items {
        found.entry(Identity::of_item(&item)).or_default().push(item);
    }
    let mut comparison = Comparison::default();
    for text in frames {
        let Ok(Value::Object(frame)) = serde_json::from_str::<Value>(text) else {
            comparison.missing.push(text.to_owned());
            continue;
        };
        let candidates = found.entry(Identity::of_frame(&frame)).or_default();
        match candidates.iter().position(|item| carries(item, &frame)) {
            Some(place) => {
                candidates.swap_remove(place);
                comparison.equal += 1;
            }
            None if candidates.is_empty() => comparison.missing.push(text.to_owned()),
            None => {
                let item = candidates.swap_remove(0);
                comparison.altered.push(format!("{text} came back as {}", Value::Object(item)));
            }
        }
    }
    comparison.extra = found.into_values().flatten().map(|item| Value::Object(item).to_string()).collect();
    comparison
}

/// What tells events apart as far as a reader can see.
#[derive(PartialEq, Eq, Hash)]
struct Identity(Vec<String>);

impl Identity {
    fn of_frame(frame: &Map<String, Value>) -> Identity {
        let data = frame.get("data");
        let part = |field: Option<&Value>| field.map(canonical).unwrap_or_default();
        Identity(vec![
            part(frame.get("channel")),
            part(frame.get("event")),
            part(data.and_then(|data| data.get("microtimestamp"))),
            part(frame.get("event_id")),
        ])
    }

    fn of_item(item: &Map<String, Value>) -> Identity {
        let derived = derived(item);
        let part = |name: &str| match item.get(name) {
            Some(value) if !derived.contains(name) => canonical(value),
            _ => String::new(),
        };
        Identity(vec![part("channel"), part("event"), part("microtimestamp"), part("event_id")])
    }
}

/// Whether the item has every field of the frame with its value, and nothing that nobody sent.
fn carries(item: &Map<String, Value>, frame: &Map<String, Value>) -> bool {
    let Some(Value::Object(data)) = frame.get("data") else { return false };
    let derived = derived(item);
    let mut explained: BTreeSet<&str> = ADDED.into();
    explained.extend(derived.iter().map(String::as_str));
    let mut names: BTreeMap<String, &Value> = BTreeMap::new();
    for (name, value) in data {
        // A field whose usual attribute is taken (an id sent as a string) stands behind a prefix.
        let prefixed = format!("data.{name}");
        names.insert(if item.contains_key(&prefixed) { prefixed } else { name.clone() }, value);
    }
    for (name, value) in frame.iter().filter(|(name, _)| !matches!(name.as_str(), "data" | "channel")) {
        let prefixed = format!("frame.{name}");
        names.insert(if item.contains_key(&prefixed) { prefixed } else { name.clone() }, value);
    }
    let all_there = names.iter().all(|(name, value)| item.get(name).map(canonical) == Some(canonical(value)));
    let nothing_else = item.iter().all(|(name, value)| {
        names.contains_key(name)
            || explained.contains(name.as_str())
            || names.contains_key(&format!("data.{name}"))
            || spells_a_number(item, name, value)
    });
    all_there && nothing_else
}

/// The API adds `x_str` to a large number `x`, for readers whose numbers are floats.
fn spells_a_number(item: &Map<String, Value>, name: &str, value: &Value) -> bool {
    let number = name.strip_suffix("_str").and_then(|plain| item.get(plain));
    matches!((number, value), (Some(Value::Number(number)), Value::String(text)) if number.as_str() == text)
}

fn derived(item: &Map<String, Value>) -> BTreeSet<String> {
    let names = item.get("derived").and_then(Value::as_array);
    names.into_iter().flatten().filter_map(|name| name.as_str().map(str::to_owned)).collect()
}

/// Numbers by value, everything else to the letter.
fn canonical(value: &Value) -> String {
    match value {
        Value::Number(number) => Decimal::parse(number.as_str()).map(|d| d.canonical()).unwrap_or_default(),
        Value::Array(values) => values.iter().fold("[".to_owned(), |text, value| text + &canonical(value) + ","),
        Value::Object(fields) => {
            let sorted: BTreeMap<_, _> = fields.iter().collect();
            sorted.iter().fold("{".to_owned(), |text, (name, value)| format!("{text}{name:?}:{},", canonical(value)))
        }
        other => other.to_string(),
    }
}

/// Reads all events of the channels back over HTTP, page by page, from `from` on (microseconds).
///
/// # Errors
///
/// The API cannot be reached or does not answer with a page.
pub async fn read_back(api: SocketAddr, channels: &[String], from: u64) -> anyhow::Result<Vec<Map<String, Value>>> {
    let client = reqwest::Client::new();
    let mut items = Vec::new();
    for channel in channels {
        let mut token: Option<String> = None;
        loop {
            let mut query = vec![
                ("channel", channel.clone()),
                ("from", from.to_string()),
                ("to", "9999-01-01T00:00:00Z".to_owned()),
            ];
            query.extend(token.take().map(|token| ("ExclusiveStartKey", token)));
            let text = page(&client.get(format!("http://{api}/bitstamp")).query(&query)).await?;
            let mut page: Map<String, Value> = serde_json::from_str(&text)?;
            let Some(Value::Array(rows)) = page.remove("Items") else { anyhow::bail!("a page without items: {text}") };
            for row in rows {
                let Value::Object(item) = row else { anyhow::bail!("an item that is no object: {row}") };
                items.push(item);
            }
            match page.remove("LastEvaluatedKey") {
                Some(Value::String(next)) => token = Some(next),
                Some(other) => anyhow::bail!("a token that is no string: {other}"),
                None => break,
            }
        }
    }
    Ok(items)
}

/// One page. The API says 503 while the store is busy, and that trying again is right.
async fn page(request: &reqwest::RequestBuilder) -> anyhow::Result<String> {
    let mut attempts = 0;
    loop {
        attempts += 1;
        let answer = request.try_clone().context("a request without a body can be repeated")?.send().await?;
        let status = answer.status();
        let text = answer.text().await?;
        if status.is_success() {
            return Ok(text);
        }
        let busy = status == reqwest::StatusCode::SERVICE_UNAVAILABLE && attempts < ATTEMPTS;
        anyhow::ensure!(busy, "the api answers {status}: {text}");
        tokio::time::sleep(RETRY_AFTER).await;
    }
}

/// Compares a truth file with what the API returns for these channels.
///
/// # Errors
///
/// The file or the API cannot be read.
pub async fn check(
    truth_file: &std::path::Path,
    api: SocketAddr,
    channels: &[String],
    from: u64,
) -> anyhow::Result<Comparison> {
    let lines = truth::read(truth_file).with_context(|| format!("cannot read `{}`", truth_file.display()))?;
    let items = read_back(api, channels, from).await?;
    let sent = truth::events(&lines).filter(|frame| !frame.connections.is_empty()).map(|frame| frame.frame.as_str());
    Ok(compare(sent, items))
}
