//! Rules by the name of a channel or family.

use shared::channel::Channel;

use crate::config::values::channel;

/// Values by the name of a channel or, with `*` as its market, of a family; each name once.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Rules<T>(Vec<(Channel, T)>);

impl<T> Default for Rules<T> {
    fn default() -> Rules<T> {
        Rules(Vec::new())
    }
}

impl<T: Copy> Rules<T> {
    /// Reads `NAME=VALUE,NAME=VALUE`. `expected`: the value in words; `read`: reads a value for a channel.
    ///
    /// # Errors
    ///
    /// Returns a sentence with every fault.
    pub(super) fn read(
        text: &str,
        expected: &str,
        read: impl Fn(&Channel, &str) -> Result<T, String>,
    ) -> Result<Rules<T>, String> {
        let (mut rules, mut faults) = (Rules::default(), Vec::new());
        let one = |rule: &str| {
            let (name, value) =
                rule.split_once('=').ok_or_else(|| format!("`{rule}` is no channel, `=` and {expected}"))?;
            let name = channel(name.trim())?;
            let value = read(&name, value.trim())?;
            Ok::<_, String>((name, value))
        };
        for rule in text.split(',').map(str::trim).filter(|rule| !rule.is_empty()) {
            match one(rule) {
                Ok((name, _)) if rules.0.iter().any(|(known, _)| *known == name) => {
                    faults.push(format!("`{name}` stands twice"));
                }
                Ok(rule) => rules.0.push(rule),
                Err(fault) => faults.push(fault),
            }
        }
        if faults.is_empty() { Ok(rules) } else { Err(faults.join("; ")) }
    }

    /// Returns the value of a channel: that of its name, else that of its family.
    pub(super) fn of(&self, name: &str) -> Option<T> {
        let every = name.rsplit_once('_').map(|(family, _)| format!("{family}_*"));
        let find = |name: &str| self.0.iter().find(|(known, _)| known.as_str() == name).map(|(_, value)| *value);
        find(name).or_else(|| every.and_then(|every| find(&every)))
    }

    /// Returns names and values, as they are configured.
    pub(super) fn iter(&self) -> impl Iterator<Item = (&str, T)> {
        self.0.iter().map(|(name, value)| (name.as_str(), *value))
    }

    /// Returns the first name that fits none of the configured channels; it would be without effect.
    pub(super) fn without_effect(&self, channels: &[Channel]) -> Option<&Channel> {
        self.0
            .iter()
            .map(|(name, _)| name)
            .find(|name| !channels.iter().any(|channel| fits(name.as_str(), channel.as_str())))
    }
}

/// Returns true if two names stand for the same channel, or one of them for a family that the other is of.
#[must_use]
pub fn fits(one: &str, other: &str) -> bool {
    let family = |name: &str| name.rsplit_once('_').map(|(family, _)| family.to_owned());
    let is_every = |name: &str| name.ends_with("_*");
    one == other || ((is_every(one) || is_every(other)) && family(one) == family(other))
}
