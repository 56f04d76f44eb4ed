use codec::{csv, item::Item, json};
use shared::{
    channel::{Channel, Family},
    item::ItemError,
};

/// How a list is written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Format {
    /// One object with `Items`.
    Json,
    /// One object a line.
    Ndjson,
    /// A header line and one record an event.
    Csv,
}

impl Format {
    /// All of them, the default first.
    pub const ALL: [Format; 3] = [Format::Json, Format::Ndjson, Format::Csv];

    /// As `format=` names it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Format::Json => "json",
            Format::Ndjson => "ndjson",
            Format::Csv => "csv",
        }
    }

    /// The media types that ask for it; the first is the one that it is sent as.
    #[must_use]
    pub fn media_types(self) -> &'static [&'static str] {
        match self {
            Format::Json => &["application/json"],
            Format::Ndjson => &["application/x-ndjson", "application/ndjson", "application/jsonl"],
            Format::Csv => &["text/csv"],
        }
    }

    /// The `Content-Type` header.
    #[must_use]
    pub fn content_type(self) -> &'static str {
        match self {
            Format::Json => "application/json",
            Format::Ndjson => "application/x-ndjson",
            Format::Csv => "text/csv; charset=utf-8",
        }
    }
}

/// The columns of a CSV list: fixed for each kind of list, so that files of different days fit together. Whatever else an
/// event carries is in the last column, `more`, as a JSON object.
pub type Columns = &'static [&'static str];

/// The columns of a channel.
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

/// `live_trades_*`.
pub const TRADES: Columns = &[
    "channel",
    "event",
    "nmicrotimestamp",
    "received_at",
    "id",
    "type",
    "price_str",
    "amount_str",
    "price",
    "amount",
    "buy_order_id",
    "sell_order_id",
    "timestamp",
    "microtimestamp",
];
/// `live_orders_*`.
pub const ORDERS: Columns = &[
    "channel",
    "event",
    "nmicrotimestamp",
    "received_at",
    "id",
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
/// `order_book_*`, `detail_order_book_*`, `diff_order_book_*`; bids and asks are JSON.
pub const BOOKS: Columns =
    &["channel", "event", "nmicrotimestamp", "received_at", "timestamp", "microtimestamp", "bids", "asks"];
/// `funding_rate_*`.
pub const FUNDING: Columns = &[
    "channel",
    "event",
    "nmicrotimestamp",
    "received_at",
    "market",
    "mark_price",
    "index_price",
    "funding_rate",
    "next_funding_time",
    "timestamp",
];
/// Every other channel: what all events have.
pub const OTHER: Columns = &["channel", "event", "nmicrotimestamp", "received_at", "id", "microtimestamp"];

/// Writes events one after the other, in any format.
pub struct Writer<'look> {
    format: Format,
    fields: Option<&'look [String]>,
    columns: Columns,
    json: json::Writer<'look>,
}

impl<'look> Writer<'look> {
    /// A writer for a list with these columns; `fields` are the caller's choice.
    #[must_use]
    pub fn new(format: Format, fields: Option<&'look [String]>, columns: Columns) -> Writer<'look> {
        Writer { format, fields, columns, json: json::Writer::new(fields) }
    }

    /// Adds one event: an object, a line of NDJSON, or a record of CSV.
    ///
    /// # Errors
    ///
    /// [`ItemError`] for items that this project did not write.
    pub fn event(&mut self, out: &mut Vec<u8>, item: &Item) -> Result<(), ItemError> {
        match (self.format, self.fields) {
            (Format::Csv, Some(fields)) => csv::record(out, item, fields, csv::Rest::Dropped),
            (Format::Csv, None) => csv::record(out, item, self.columns, csv::Rest::Kept),
            (Format::Json, _) => self.json.event(out, item),
            (Format::Ndjson, _) => {
                self.json.event(out, item)?;
                out.push(b'\n');
                Ok(())
            }
        }
    }
}

/// The line before the first event: the header of CSV.
pub fn first_line(out: &mut Vec<u8>, format: Format, fields: Option<&[String]>, columns: Columns) {
    match (format, fields) {
        (Format::Csv, Some(fields)) => csv::header(out, fields, csv::Rest::Dropped),
        (Format::Csv, None) => csv::header(out, columns, csv::Rest::Kept),
        (Format::Json | Format::Ndjson, _) => {}
    }
}
