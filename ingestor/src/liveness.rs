use std::time::Duration;

use tokio::time::Instant;

/// How often a connection is asked whether it lives, and how long it may take to answer.
#[derive(Clone, Copy, Debug)]
pub struct Limits {
    /// Between two WebSocket pings.
    pub ping_every: Duration,
    /// Between two `bts:heartbeat` messages.
    pub heartbeat_every: Duration,
    /// From a question to its answer.
    pub answer_within: Duration,
}

impl Default for Limits {
    /// A mute connection is found within 3 s, however quiet its channels are.
    fn default() -> Limits {
        Limits {
            ping_every: Duration::from_secs(1),
            heartbeat_every: Duration::from_secs(5),
            answer_within: Duration::from_secs(2),
        }
    }
}

/// Whether a connection is alive. Data proves nothing (a dead subscription looks the same as a quiet market) and its
/// absence proves nothing either; an answer to a ping or a heartbeat does.
#[derive(Debug)]
pub struct Liveness {
    limits: Limits,
    next_ping: Instant,
    next_heartbeat: Instant,
    /// When the oldest question without an answer was asked.
    unanswered_since: Option<Instant>,
}

/// What is due.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Due {
    /// Send a WebSocket ping.
    Ping,
    /// Send `bts:heartbeat`.
    Heartbeat,
    /// The connection has not answered in time.
    Mute,
}

impl Liveness {
    /// A connection that has just been opened.
    #[must_use]
    pub fn new(limits: Limits, now: Instant) -> Liveness {
        Liveness {
            limits,
            next_ping: now + limits.ping_every,
            next_heartbeat: now + limits.heartbeat_every,
            unanswered_since: None,
        }
    }

    /// When [`Liveness::due`] has something to say next.
    #[must_use]
    pub fn next(&self) -> Instant {
        let asked = self.next_ping.min(self.next_heartbeat);
        self.unanswered_since.map_or(asked, |since| asked.min(since + self.limits.answer_within))
    }

    /// What is due now; a question that is due counts as asked.
    pub fn due(&mut self, now: Instant) -> Option<Due> {
        if self.unanswered_since.is_some_and(|since| now >= since + self.limits.answer_within) {
            return Some(Due::Mute);
        }
        let due = if now >= self.next_heartbeat {
            self.next_heartbeat = now + self.limits.heartbeat_every;
            Due::Heartbeat
        } else if now >= self.next_ping {
            self.next_ping = now + self.limits.ping_every;
            Due::Ping
        } else {
            return None;
        };
        self.unanswered_since.get_or_insert(now);
        Some(due)
    }

    /// A pong or a heartbeat reply came.
    pub fn answered(&mut self) {
        self.unanswered_since = None;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Runs until `end` after the start; answers each question after `delay` if there is one. Returns when it was found mute.
    fn found_mute_after(delay: Option<Duration>, end: Duration) -> Option<Duration> {
        let start = Instant::now();
        let mut liveness = Liveness::new(Limits::default(), start);
        let mut answers = Vec::new();
        let mut now = start;
        while now < start + end {
            if answers.iter().any(|at| *at <= now) {
                answers.retain(|at| *at > now);
                liveness.answered();
            }
            match liveness.due(now) {
                Some(Due::Mute) => return Some(now - start),
                Some(_) => answers.extend(delay.map(|delay| now + delay)),
                None => {}
            }
            now += Duration::from_millis(10);
        }
        None
    }

    #[test]
    fn a_mute_connection_is_found_within_three_seconds() {
        assert_eq!(found_mute_after(None, Duration::from_secs(60)), Some(Duration::from_secs(3)));
    }

    #[test]
    fn a_quiet_market_is_no_reason_to_reconnect() {
        assert_eq!(found_mute_after(Some(Duration::from_millis(150)), Duration::from_secs(3_600)), None);
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
