//! Faults that a real exchange or the network in between shows, on command or by a script.

pub mod garbage;
pub mod rest;
pub mod script;

use std::time::Duration;

pub use crate::faults::garbage::Garbage;
use crate::faults::rest::RestFault;

/// Something that goes wrong.
#[derive(Debug, Clone, PartialEq)]
pub enum Fault {
    /// The TCP connection ends without a close frame; what waited for it is lost.
    Cut,
    /// The socket stays open, but nothing is read, answered or sent. Data that comes up meanwhile is lost for the
    /// connection.
    Mute {
        /// How long; None is for ever.
        lasting: Option<Duration>,
    },
    /// A live proxy before a dead application: WebSocket pings are answered, but no data is sent and no message is
    /// answered. Data that comes up meanwhile is lost for the connection.
    AppMute {
        /// How long; None is for ever.
        lasting: Option<Duration>,
    },
    /// The next heartbeats are not answered; everything else goes on.
    LoseHeartbeats {
        /// How many.
        count: u32,
    },
    /// Control messages without a channel, with null for a channel, with data of any type, or of an unknown name.
    OddControl {
        /// How many; the forms come in turn.
        count: u32,
    },
    /// Trades with times that cannot be, on the first live_trades channel that anybody is subscribed to: of the year 2100, beyond
    /// 63 bits, the largest number of 64 bits, in nanoseconds, of 1970. They are events like all others, for every subscriber.
    OddTimes {
        /// How many; the times come in turn.
        count: u32,
    },
    /// Pairs of different events with one id and one microsecond, on the first channels that anybody is subscribed to: two trades;
    /// two order events of one `event_id` in the exchange's form; two of one `event_id` in another form. No real frame does that.
    SameKeys {
        /// How many pairs; the forms come in turn.
        count: u32,
    },
    /// `bts:request_reconnect` in one of the forms it may have, in turn, then a close frame once the client had its few
    /// seconds.
    Reconnect {
        /// What the client has; default 5 s.
        grace: Duration,
    },
    /// The next subscriptions are neither confirmed nor carried out.
    WithholdAcks {
        /// How many.
        count: u32,
    },
    /// Each of the next data frames is sent twice.
    Duplicate {
        /// How many.
        count: u32,
    },
    /// A data frame is held back until the next one of its channel has been sent.
    Reorder {
        /// How many times.
        count: u32,
    },
    /// The next data frames are generated but not sent: the order events' chain breaks.
    Drop {
        /// How many.
        count: u32,
    },
    /// Frames that are not what a client expects, at once.
    Garbage {
        /// How many.
        count: u32,
        /// Of which kind; None goes through all of them in turn.
        kind: Option<Garbage>,
    },
    /// Each frame is sent only after a delay, and the client's messages wait as long.
    Slow {
        /// Delay before each frame.
        delay: Duration,
        /// How long this lasts.
        lasting: Duration,
    },
    /// A market leaves the exchange: it is no longer in `/markets/` nor anywhere else in REST, and nothing is sent of it. Its
    /// channels stay subscribed and are acknowledged as before. Concerns the exchange, not a connection.
    Delist {
        /// The market.
        market: String,
    },
    /// A market that was delisted is there again.
    List {
        /// The market.
        market: String,
    },
    /// All connections are cut and new ones refused: the exchange is down. Always concerns every connection.
    Down {
        /// How long.
        lasting: Duration,
    },
    /// The REST side answers what says nothing about the request; connections are not concerned.
    Rest(RestFault),
}

/// Whom a fault concerns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Target {
    /// Every open connection; withheld acks also concern the next ones to open.
    #[default]
    All,
    /// The nth open connection, from 1, in the order of opening.
    Nth(usize),
}

/// A fault and whom it concerns.
#[derive(Debug, Clone, PartialEq)]
pub struct Aimed {
    /// What goes wrong.
    pub fault: Fault,
    /// For whom.
    pub target: Target,
}

/// A line of a script of faults.
#[derive(Debug, Clone, PartialEq)]
pub struct Step {
    /// Time after the start of the simulator.
    pub at: Duration,
    /// What then goes wrong.
    pub aimed: Aimed,
}

impl Fault {
    /// This fault on the nth open connection alone, from 1.
    pub fn on(self, nth: usize) -> Aimed {
        Aimed { fault: self, target: Target::Nth(nth) }
    }

    /// This fault at a time after the start, on all connections.
    pub fn at(self, at: Duration) -> Step {
        Step { at, aimed: self.into() }
    }
}

impl From<Fault> for Aimed {
    fn from(fault: Fault) -> Self {
        Self { fault, target: Target::All }
    }
}
