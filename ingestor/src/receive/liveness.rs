//! Judges whether a connection is alive, by pings and heartbeats and never by data.

use std::time::Duration;

use tokio::time::Instant;

use crate::config::liveness::Limits;

/// Delay behind the plan from which the connection's own task counts as paused: the process was stopped, the machine
/// was paused, or the intake took nothing.
const PAUSE: Duration = Duration::from_millis(500);

/// Decides whether a connection is alive. Data proves nothing (a dead subscription looks the same as a quiet market)
/// and its absence proves nothing either. Pings and heartbeats are judged apart: a proxy answers pings for an
/// application that is dead.
///
/// At most one heartbeat is unanswered at a time. An answer names no question, so with several under way one lost answer would
/// let every later one prove a wrong time; here a lost answer ends the connection.
#[derive(Debug)]
pub struct Liveness {
    limits: Limits,
    next_ping: Instant,
    next_heartbeat: Instant,
    /// When the oldest ping without a pong was sent.
    ping_since: Option<Instant>,
    /// When the heartbeat without an answer was sent.
    heartbeat_since: Option<Instant>,
}

/// What the connection has to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Send a WebSocket ping.
    Ping,
    /// Send `bts:heartbeat`.
    Heartbeat,
    /// A ping was not answered in time.
    NoPong,
    /// A heartbeat was not answered in time.
    NoHeartbeat,
}

impl Liveness {
    /// Begins with a connection that has just been opened.
    #[must_use]
    pub fn new(limits: Limits, now: Instant) -> Liveness {
        Liveness {
            limits,
            next_ping: now + limits.ping_every,
            next_heartbeat: now + limits.heartbeat_every,
            ping_since: None,
            heartbeat_since: None,
        }
    }

    /// Returns when [`Liveness::due`] is to be called next.
    #[must_use]
    pub fn next(&self) -> Instant {
        let overdue = |since: Option<Instant>| since.map(|since| since + self.limits.answer_within);
        let heartbeat = overdue(self.heartbeat_since).unwrap_or(self.next_heartbeat);
        let ping = overdue(self.ping_since).map_or(self.next_ping, |at| at.min(self.next_ping));
        ping.min(heartbeat)
    }

    /// Returns what is due now; a ping or heartbeat that is due counts as sent.
    pub fn due(&mut self, now: Instant) -> Option<Due> {
        let is_overdue = |since: Option<Instant>| since.is_some_and(|since| now >= since + self.limits.answer_within);
        if is_overdue(self.ping_since) {
            return Some(Due::NoPong);
        }
        if is_overdue(self.heartbeat_since) {
            return Some(Due::NoHeartbeat);
        }
        if now >= self.next_heartbeat && self.heartbeat_since.is_none() {
            self.asked_heartbeat(now);
            Some(Due::Heartbeat)
        } else if now >= self.next_ping {
            self.next_ping = now + self.limits.ping_every;
            self.ping_since.get_or_insert(now);
            Some(Due::Ping)
        } else {
            None
        }
    }

    /// Notes a heartbeat that is sent now, due or not. No other may be unanswered.
    pub fn asked_heartbeat(&mut self, now: Instant) {
        self.next_heartbeat = now + self.limits.heartbeat_every;
        self.heartbeat_since = Some(now);
    }

    /// Returns true while a heartbeat waits for its answer.
    #[must_use]
    pub fn awaits_heartbeat(&self) -> bool {
        self.heartbeat_since.is_some()
    }

    /// Notes a pong, which answers pings only.
    pub fn pong(&mut self) {
        self.ping_since = None;
    }

    /// Notes the answer to a heartbeat; returns false if none was sent.
    pub fn heartbeat_answered(&mut self) -> bool {
        self.heartbeat_since.take().is_some()
    }

    /// Notes that the connection's task runs at `now` and was to run at `planned` at the latest. After a pause the
    /// unanswered pings and heartbeats have their whole time again: the answers may lie unread, or still be on their
    /// way. Returns true after a pause.
    pub fn woke(&mut self, now: Instant, planned: Instant) -> bool {
        let paused = now > planned + PAUSE;
        if paused {
            self.ping_since = self.ping_since.map(|_| now);
            self.heartbeat_since = self.heartbeat_since.map(|_| now);
        }
        paused
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs for an hour or until a question is overdue; each is answered after its delay, if it has one. Returns what was
    /// overdue, and when.
    fn overdue_after(pong: Option<Duration>, heartbeat: Option<Duration>) -> Option<(Due, Duration)> {
        let start = Instant::now();
        let mut liveness = Liveness::new(Limits::default(), start);
        let mut answers = Vec::new();
        let mut now = start;
        while now < start + Duration::from_secs(3_600) {
            for (question, _) in answers.extract_if(.., |(_, at)| *at <= now) {
                match question {
                    Due::Ping => liveness.pong(),
                    _ => assert!(liveness.heartbeat_answered()),
                }
            }
            let due = liveness.due(now);
            let delay = match due {
                Some(Due::NoPong | Due::NoHeartbeat) => return due.map(|due| (due, now - start)),
                Some(Due::Ping) => pong,
                Some(Due::Heartbeat) => heartbeat,
                None => None,
            };
            answers.extend(due.zip(delay).map(|(due, delay)| (due, now + delay)));
            now += Duration::from_millis(10);
        }
        None
    }

    const SOON: Option<Duration> = Some(Duration::from_millis(150));

    #[test]
    fn a_mute_connection_is_found_within_three_seconds() {
        assert_eq!(overdue_after(None, None), Some((Due::NoPong, Duration::from_secs(3))));
    }

    #[test]
    fn pongs_do_not_answer_heartbeats() {
        assert_eq!(overdue_after(SOON, None), Some((Due::NoHeartbeat, Duration::from_secs(7))));
    }

    #[test]
    fn a_quiet_market_is_no_reason_to_reconnect() {
        assert_eq!(overdue_after(SOON, SOON), None);
    }

    #[test]
    fn one_heartbeat_at_a_time_is_unanswered() {
        let limits = Limits { answer_within: Duration::from_secs(30), ..Limits::default() };
        let now = Instant::now();
        let mut liveness = Liveness::new(limits, now);
        let asked = |liveness: &mut Liveness, now| {
            std::iter::from_fn(|| liveness.due(now)).take(9).filter(|due| *due == Due::Heartbeat).count()
        };
        assert_eq!(asked(&mut liveness, now + Duration::from_secs(5)), 1);
        liveness.pong();
        assert_eq!(asked(&mut liveness, now + Duration::from_secs(29)), 0);
        assert!(liveness.heartbeat_answered());
        assert!(!liveness.heartbeat_answered(), "nothing was asked");
        assert_eq!(asked(&mut liveness, now + Duration::from_secs(29)), 1);
    }

    #[test]
    fn a_pause_of_our_own_is_no_silence_of_theirs() {
        let now = Instant::now();
        let mut liveness = Liveness::new(Limits::default(), now);
        let first = liveness.next();
        assert_eq!(liveness.due(first), Some(Due::Ping));
        let (planned, woken) = (liveness.next(), now + Duration::from_secs(60));
        assert!(liveness.woke(woken, planned));
        assert_ne!(liveness.due(woken), Some(Due::NoPong));
        let end = woken + Duration::from_secs(2);
        assert!(!liveness.woke(end, end));
        assert_eq!(liveness.due(end), Some(Due::NoPong), "it had its whole time after the pause");
    }

    #[test]
    fn the_next_moment_is_never_missed() {
        let now = Instant::now();
        let mut liveness = Liveness::new(Limits::default(), now);
        let ping = liveness.next();
        assert_eq!(ping, now + Duration::from_secs(1));
        assert_eq!(liveness.due(ping), Some(Due::Ping));
        let again = liveness.next();
        assert_eq!(again, ping + Duration::from_secs(1));
        liveness.due(again);
        assert_eq!(liveness.next(), ping + Duration::from_secs(2));
    }
}
