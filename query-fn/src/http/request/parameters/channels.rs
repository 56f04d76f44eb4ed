//! The parameter `channel`: one name, several, or patterns.

use shared::channel::{Channel, Family};

use super::Parameters;
use crate::query::channels::MAX_CHANNELS;

impl Parameters {
    /// Takes one channel with a valid name.
    pub fn channel(&mut self) -> String {
        let name = self.take("channel").unwrap_or_default();
        if name.contains(['*', ',']) {
            let reason = format!(
                "`{name}` is not one channel; /channels lists them. /bitstamp, /latest and /export take several"
            );
            self.fault("channel", reason);
        } else {
            self.check_channel(&name);
        }
        name
    }

    /// Takes one channel or several, each a name or a pattern with one `*`.
    pub fn channels(&mut self) -> Vec<String> {
        let given = self.take("channel").unwrap_or_default();
        let names: Vec<_> = given.split(',').map(|name| name.trim().to_owned()).collect();
        if names.len() > MAX_CHANNELS {
            self.fault("channel", format!("more than {MAX_CHANNELS} channels"));
            return names;
        }
        for name in &names {
            // Whatever stands for the star, the rest is to be a channel's name.
            self.check_channel(&name.replacen('*', "0", 1));
        }
        names
    }

    fn check_channel(&mut self, name: &str) {
        if name.is_empty() {
            self.fault("channel", "missing; expected a channel's name such as live_trades_btcusd".to_owned());
        } else if let Err(error) = name.parse::<Channel>() {
            self.fault("channel", error.to_string());
        } else if name.starts_with('_') {
            self.fault("channel", format!("`{name}` is reserved; see /channels and /coverage"));
        }
    }

    /// Takes one channel that carries trades.
    pub fn trades_channel(&mut self) -> String {
        let name = self.channel();
        let channel = Channel::from_frame(name.clone());
        if self.faults.iter().all(|fault| fault.parameter != "channel") && channel.family() != Family::LiveTrades {
            let reason = match channel.market() {
                Some(market) => format!("`{name}` carries no trades; did you mean `live_trades_{market}`?"),
                None => format!("`{name}` carries no trades; expected one like live_trades_btcusd"),
            };
            self.fault("channel", reason);
        }
        name
    }
}
