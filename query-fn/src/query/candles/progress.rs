//! The state of a request for candles between two pages, as a token carries it.

use rust_decimal::Decimal;

use super::Candle;
use super::recent::Recent;
use crate::range::{InvalidProgress, Position};

/// The state between two pages: the candle under way and the last trade that was read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Progress {
    pub(super) current: Option<Candle>,
    pub(super) after: Option<Position>,
    pub(super) recent: Recent,
}

impl std::fmt::Display for Progress {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        if let Some(Candle { time, open, high, low, close, volume, buy_volume, trades, skipped }) = &self.current {
            write!(f, "{time} {open} {high} {low} {close} {volume} {buy_volume} {trades} {skipped}")?;
        }
        writeln!(f)?;
        writeln!(f, "{}", self.recent)?;
        self.after.as_ref().map_or(Ok(()), |after| write!(f, "{after}"))
    }
}

impl Progress {
    pub(super) fn parse(text: &str) -> Result<Progress, InvalidProgress> {
        let (candle, rest) = text.split_once('\n').ok_or(InvalidProgress)?;
        let (recent, after) = rest.split_once('\n').ok_or(InvalidProgress)?;
        let recent = Recent::parse(recent).ok_or(InvalidProgress)?;
        let current = if candle.is_empty() { None } else { Some(parse_candle(candle).ok_or(InvalidProgress)?) };
        let after = if after.is_empty() { None } else { Some(Position::parse(after).ok_or(InvalidProgress)?) };
        Ok(Progress { current, after, recent })
    }
}

/// Parses the candle of a [`Progress`].
fn parse_candle(text: &str) -> Option<Candle> {
    let mut parts = text.split(' ');
    let time = parts.next()?.parse().ok()?;
    let mut decimal = || Decimal::from_str_exact(parts.next()?).ok();
    let (open, high, low, close) = (decimal()?, decimal()?, decimal()?, decimal()?);
    let (volume, buy_volume) = (decimal()?, decimal()?);
    let (trades, skipped) = (parts.next()?.parse().ok()?, parts.next()?.parse().ok()?);
    Some(Candle { time, open, high, low, close, volume, buy_volume, trades, skipped })
}

#[cfg(test)]
mod tests {
    use super::super::parse;
    use super::*;

    #[test]
    fn progress_survives_a_token() {
        let mut candle = Candle::new(60, parse("29422.10").unwrap());
        assert!(candle.add(parse("1e-8").unwrap(), parse("0.00000001").unwrap(), true));
        let after = Some(Position { time: 61, received_at: 62, id: "7".into(), sort: "61".into() });
        let mut recent = Recent::default();
        for (id, is_fetched) in [("7", true), ("8", false)] {
            recent.note(61, id, is_fetched);
        }
        for progress in [Progress::default(), Progress { current: Some(candle), after, recent }] {
            assert_eq!(Progress::parse(&progress.to_string()), Ok(progress));
        }
    }
}
