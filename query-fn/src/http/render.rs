//! Writes lists in their formats, JSON, NDJSON and CSV, with fixed columns for each kind of list.

use codec::{csv, item::Item, json};
use shared::channel::{Channel, Family};

/// A format of lists.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// JSON: one object with `Items`.
    Json,
    /// NDJSON: one object a line.
    Ndjson,
    /// CSV: a header line, and one record an event.
    Csv,
}

impl Format {
    /// All formats, the default first.
    pub const ALL: [Format; 3] = [Format::Json, Format::Ndjson, Format::Csv];

    /// Returns the value of `format=`.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Format::Json => "json",
            Format::Ndjson => "ndjson",
            Format::Csv => "csv",
        }
    }

    /// Returns the media types in `Accept` that choose the format; the first is the one that it is sent as.
    #[must_use]
    pub fn media_types(self) -> &'static [&'static str] {
        match self {
            Format::Json => &["application/json"],
            Format::Ndjson => &["application/x-ndjson", "application/ndjson", "application/jsonl"],
            Format::Csv => &["text/csv"],
        }
    }

    /// Returns the value of `Content-Type`.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Json => "application/json",
            Format::Ndjson => "application/x-ndjson",
            Format::Csv => "text/csv; charset=utf-8",
        }
    }
}

/// The columns of a CSV list: fixed for each kind of list, so that files of different days fit together. All other attributes of an event are
/// in the last column, `more`, as a JSON object.
pub type Columns = &'static [&'static str];

/// Returns the columns of a list of several channels: those of their family, or those that all events have.
#[must_use]
pub fn columns_of(channels: &[String]) -> Columns {
    let mut each = channels.iter().map(|channel| columns(channel));
    let first = each.next().unwrap_or(OTHER);
    if each.all(|columns| columns == first) { first } else { OTHER }
}

/// Returns the columns of the family of a channel.
#[must_use]
pub fn columns(channel: &str) -> Columns {
    match Channel::from_frame(channel.to_owned()).family() {
        Family::LiveTrades => TRADES,
        Family::LiveOrders => ORDERS,
        Family::OrderBook | Family::DetailOrderBook | Family::DiffOrderBook => BOOKS,
        Family::FundingRate => FUNDING,
        Family::Other => OTHER,
    }
}

/// The columns of `live_trades_*`.
pub const TRADES: Columns = &[
    "channel",
    "event",
    "time",
    "nmicrotimestamp",
    "received_at",
    "id",
    "id_str",
    "type",
    "price_str",
    "amount_str",
    "price",
    "amount",
    "buy_order_id",
    "buy_order_id_str",
    "sell_order_id",
    "sell_order_id_str",
    "timestamp",
    "microtimestamp",
];
/// The columns of `live_orders_*`.
pub const ORDERS: Columns = &[
    "channel",
    "event",
    "time",
    "nmicrotimestamp",
    "received_at",
    "id",
    "id_str",
    "order_type",
    "order_subtype",
    "price_str",
    "amount_str",
    "amount_traded",
    "amount_at_create",
    "price",
    "amount",
    "is_liquidation",
    "order_source",
    "event_id",
    "pre_event_id",
    "datetime",
    "microtimestamp",
];
/// The columns of `order_book_*`, `detail_order_book_*` and `diff_order_book_*`; bids and asks are JSON.
pub const BOOKS: Columns =
    &["channel", "event", "time", "nmicrotimestamp", "received_at", "timestamp", "microtimestamp", "bids", "asks"];
/// The columns of `funding_rate_*`.
pub const FUNDING: Columns = &[
    "channel",
    "event",
    "time",
    "nmicrotimestamp",
    "received_at",
    "market",
    "mark_price",
    "index_price",
    "funding_rate",
    "next_funding_time",
    "timestamp",
];
/// The columns of every other channel: those that all events have.
pub const OTHER: Columns =
    &["channel", "event", "time", "nmicrotimestamp", "received_at", "id", "id_str", "microtimestamp"];

/// Writes the events of a list one after the other, in any format.
pub struct Writer<'fields> {
    format: Format,
    fields: Option<&'fields [String]>,
    columns: Columns,
    json: json::Writer<'fields>,
}

impl<'fields> Writer<'fields> {
    /// Returns a writer for a list with these columns; `fields` are the client's choice of attributes.
    #[must_use]
    pub fn new(format: Format, fields: Option<&'fields [String]>, columns: Columns) -> Writer<'fields> {
        Writer { format, fields, columns, json: json::Writer::new(fields) }
    }

    /// Appends one event to `out`: an object, a line of NDJSON, or a record of CSV.
    pub fn event(&mut self, out: &mut Vec<u8>, item: &Item) {
        match (self.format, self.fields) {
            (Format::Csv, Some(fields)) => csv::record(out, item, fields, csv::Rest::Dropped),
            (Format::Csv, None) => csv::record(out, item, self.columns, csv::Rest::Kept),
            (Format::Json, _) => self.json.event(out, item),
            (Format::Ndjson, _) => {
                self.json.event(out, item);
                out.push(b'\n');
            }
        }
    }
}

/// Appends the line before the first event to `out`: the header of CSV.
pub fn first_line(out: &mut Vec<u8>, format: Format, fields: Option<&[String]>, columns: Columns) {
    match (format, fields) {
        (Format::Csv, Some(fields)) => csv::header(out, fields, csv::Rest::Dropped),
        (Format::Csv, None) => csv::header(out, columns, csv::Rest::Kept),
        (Format::Json | Format::Ndjson, _) => {}
    }
}

/// Returns the fields that are neither a column nor an attribute of one of the items: misspelt, or of other events.
pub fn unknown_fields<'fields, 'item>(
    fields: &'fields [String],
    columns: Columns,
    items: impl Iterator<Item = &'item Item> + Clone,
) -> Vec<&'fields str> {
    let in_items = |name: &str| items.clone().any(|item| item.get(name).is_some());
    let is_known = |field: &str| {
        let number = field.strip_suffix("_str");
        let sibling = number.is_some_and(|number| columns.contains(&number) || in_items(number));
        columns.contains(&field) || sibling || in_items(field)
    };
    fields.iter().map(String::as_str).filter(|field| !is_known(field)).collect()
}
