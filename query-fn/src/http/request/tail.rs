//! A request for `/tail`.

use axum::http::{HeaderMap, Uri};

use super::{TAIL, parameters::Parameters};
use crate::http::problem::Problem;
use crate::http::token::Signer;
use crate::query::tail::Place;
use crate::range::{self, InvalidProgress};

/// The header with the id of the last message that a client got.
/// (<https://html.spec.whatwg.org/multipage/server-sent-events.html#the-last-event-id-header>)
const LAST_EVENT_ID: &str = "last-event-id";

/// A request for the events that come.
#[derive(Debug)]
pub struct TailRequest {
    /// The names and patterns of the channels, see [`Parameters::channels`].
    pub channels: Vec<String>,
    /// The names of the events to send; empty for all.
    pub events: Vec<String>,
    /// The place to go on from.
    pub place: Place,
    /// The only attributes to write, in this order; `None` for all.
    pub fields: Option<Vec<String>>,
}

impl TailRequest {
    /// Reads a request. Without an id and without `from` it begins at the moment at which it is read, by this machine's clock.
    ///
    /// # Errors
    ///
    /// A [`Problem`] that names every wrong parameter.
    pub fn read((uri, headers, signer): (&Uri, &HeaderMap, &Signer)) -> Result<TailRequest, Problem> {
        let now = range::now();
        let mut parameters = Parameters::of(uri, TAIL);
        let channels = parameters.channels();
        let events = parameters.events();
        let from = parameters.first_time();
        let header = headers.get(LAST_EVENT_ID).map(|id| String::from_utf8_lossy(id.as_bytes()).into_owned());
        let read = |id: &str| {
            let text = signer.read(id, &binding(&channels)).map_err(|_| InvalidProgress)?;
            Place::parse(&text)
        };
        let last = parameters.last_event(header.filter(|id| !id.is_empty()), read);
        let fields = parameters.fields();
        parameters.finish()?;
        Ok(TailRequest { events, place: last.unwrap_or_else(|| Place::at(from.unwrap_or(now))), fields, channels })
    }

    /// Returns the text that binds the ids of messages to the channels of this request. Events and fields may change in between.
    #[must_use]
    pub fn binding(&self) -> String {
        binding(&self.channels)
    }
}

fn binding(channels: &[String]) -> String {
    format!("tail {}", channels.join(","))
}
