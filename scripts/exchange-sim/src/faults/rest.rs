//! Faults of the REST side: answers that say nothing about what was asked.

use std::str::FromStr;
use std::time::Duration;

use tokio::time::Instant;

/// What a request is answered with instead of its answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answer {
    /// A maintenance page in HTML under this status; captive proxies use 200.
    Page {
        /// The HTTP status.
        status: u16,
    },
    /// Status 429 in HTML.
    TooMany {
        /// The header `Retry-After`, in seconds.
        retry_after: u64,
    },
    /// The true answer, after this many seconds.
    Slow {
        /// Seconds until it begins.
        after: u64,
    },
    /// The exchange's own JSON error about the request, status 400.
    Refused,
    /// The exchange's own JSON error for too many requests, status 400 and code 400.002.
    Limited,
    /// The connection ends in the middle of the true body.
    Cut,
    /// A complete response with the first half of the true body.
    Short,
}

/// How many requests are concerned.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Extent {
    /// The next ones.
    Requests(u32),
    /// Those of the next time.
    Lasting(Duration),
}

/// A fault of the REST side.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RestFault {
    /// What is answered.
    pub answer: Answer,
    /// How many requests are concerned.
    pub extent: Extent,
    /// Part of the paths that are concerned, such as `/order_data/`; empty: all paths.
    pub path: String,
}

/// The faults under way, in the order of their injection; each request meets the first that concerns it.
#[derive(Debug, Default)]
pub(crate) struct RestFaults(Vec<(RestFault, Instant)>);

impl RestFaults {
    pub(crate) fn add(&mut self, fault: RestFault, now: Instant) {
        self.0.push((fault, now));
    }

    /// The answer to a request for this path, if a fault concerns it.
    pub(crate) fn take(&mut self, path: &str, now: Instant) -> Option<Answer> {
        self.0.retain(|(fault, since)| match fault.extent {
            Extent::Requests(left) => left > 0,
            Extent::Lasting(lasting) => now < *since + lasting,
        });
        let (fault, _) = self.0.iter_mut().find(|(fault, _)| path.contains(&fault.path))?;
        if let Extent::Requests(left) = &mut fault.extent {
            *left -= 1;
        }
        Some(fault.answer)
    }
}

impl FromStr for Answer {
    type Err = ();

    fn from_str(text: &str) -> Result<Self, ()> {
        let (name, value) = text.split_once('=').map_or((text, None), |(name, value)| (name, Some(value)));
        match (name, value) {
            ("page", None) => Ok(Self::Page { status: 200 }),
            ("429", Some(seconds)) => Ok(Self::TooMany { retry_after: seconds.parse().map_err(|_| ())? }),
            ("slow", Some(seconds)) => Ok(Self::Slow { after: seconds.parse().map_err(|_| ())? }),
            ("refused", None) => Ok(Self::Refused),
            ("limited", None) => Ok(Self::Limited),
            ("cut", None) => Ok(Self::Cut),
            ("short", None) => Ok(Self::Short),
            (status, None) => {
                let status = status.parse().ok().filter(|status| (400..600).contains(status)).ok_or(())?;
                Ok(Self::Page { status })
            }
            _ => Err(()),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_request_meets_the_first_fault_that_concerns_it() {
        let (mut faults, now) = (RestFaults::default(), Instant::now());
        let fault = |answer, extent, path: &str| RestFault { answer, extent, path: path.to_owned() };
        faults.add(fault(Answer::Cut, Extent::Requests(1), "/order_data/"), now);
        faults.add(fault(Answer::Short, Extent::Lasting(Duration::from_secs(2)), ""), now);
        assert_eq!(faults.take("/api/v2/markets/", now), Some(Answer::Short));
        assert_eq!(faults.take("/api/v2/order_data/", now), Some(Answer::Cut));
        assert_eq!(faults.take("/api/v2/order_data/", now), Some(Answer::Short));
        assert_eq!(faults.take("/api/v2/order_data/", now + Duration::from_secs(2)), None);
    }
}
