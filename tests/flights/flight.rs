//! One flight, from when it is scheduled to how it ends, and the events that are published of it.

use anyhow::{Context, Result};
use jiff::civil::Date;
use jiff::{Timestamp, ToSpan};
use serde::Serialize;

use super::cloudevents::{Encoding, Envelope, Event};
use super::moment::{Moment, Zones};
use super::rows::FlightRow;

/// A point of a flight's life, in the order in which they happen.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Step {
    Scheduled,
    Cancelled,
    Departed,
    Arrived,
    Diverted,
}

/// One flight, with the times of the table (local, without date) made into moments.
pub struct Flight {
    id: String,
    date: Date,
    carrier: String,
    number: u32,
    tailnum: Option<String>,
    origin: String,
    dest: String,
    distance: u32,
    scheduled_departure: Moment,
    scheduled_arrival: Moment,
    outcome: Outcome,
}

enum Outcome {
    Cancelled,
    Diverted { departure: Moment, dep_delay: i32 },
    Arrived { departure: Moment, dep_delay: i32, arrival: Moment, arr_delay: i32, air_time: u32 },
}

impl Flight {
    pub fn from_row(row: FlightRow, zones: &Zones) -> Result<Self> {
        let id = format!(
            "{}-{:02}-{:02}-{}-{}-{}",
            row.year, row.month, row.day, row.carrier, row.flight, row.origin
        );
        let place = || format!("flight {id}");

        let date = Date::new(row.year, row.month, row.day).with_context(place)?;
        let new_york = zones.zone(&row.origin).with_context(place)?;
        let there = zones.zone(&row.dest).with_context(place)?;
        let scheduled_departure =
            Moment::local(date, row.sched_dep_time, new_york).with_context(place)?;
        let scheduled_arrival =
            Moment::next_local(scheduled_departure.at, row.sched_arr_time, there)
                .with_context(place)?;

        let outcome = match (row.dep_delay, row.arr_delay, row.air_time) {
            (None, ..) => Outcome::Cancelled,
            (Some(dep_delay), Some(arr_delay), Some(air_time)) => Outcome::Arrived {
                departure: scheduled_departure.later(dep_delay, new_york).with_context(place)?,
                dep_delay,
                arrival: scheduled_arrival.later(arr_delay, there).with_context(place)?,
                arr_delay,
                air_time,
            },
            (Some(dep_delay), ..) => Outcome::Diverted {
                departure: scheduled_departure.later(dep_delay, new_york).with_context(place)?,
                dep_delay,
            },
        };
        Ok(Self {
            id,
            date,
            carrier: row.carrier,
            number: row.flight,
            tailnum: row.tailnum,
            origin: row.origin,
            dest: row.dest,
            distance: row.distance,
            scheduled_departure,
            scheduled_arrival,
            outcome,
        })
    }

    /// What happens to the flight, and when: every step is later than the one before.
    pub fn steps(&self) -> impl Iterator<Item = (Timestamp, Step)> {
        let scheduled = (self.scheduled_departure.at - 24.hours(), Step::Scheduled);
        let (then, last) = match &self.outcome {
            Outcome::Cancelled => ((self.scheduled_departure.at, Step::Cancelled), None),
            Outcome::Diverted { departure, .. } => {
                // The table has no time for it. One that left later than it was due went elsewhere at once.
                let due = self.scheduled_arrival.at.max(departure.at + 1.minute());
                ((departure.at, Step::Departed), Some((due, Step::Diverted)))
            }
            Outcome::Arrived { departure, arrival, .. } => {
                ((departure.at, Step::Departed), Some((arrival.at, Step::Arrived)))
            }
        };
        [scheduled, then].into_iter().chain(last)
    }

    pub fn event(&self, time: Timestamp, step: Step) -> Event {
        let (type_name, token, encoding) = match step {
            Step::Scheduled => ("FlightScheduled", "scheduled", Encoding::Structured),
            Step::Cancelled => ("FlightCancelled", "cancelled", Encoding::Binary),
            Step::Departed => ("FlightDeparted", "departed", Encoding::Binary),
            Step::Arrived => ("FlightArrived", "arrived", Encoding::Structured),
            Step::Diverted => ("FlightDiverted", "diverted", Encoding::Binary),
        };
        let envelope = Envelope {
            id: format!("{}.{token}", self.id),
            source: format!("/airlines/{}", self.carrier),
            type_name,
            about: &self.id,
            time,
        };
        let subject = format!("flights.{}.{}.{token}", self.carrier, self.origin);
        envelope.event(subject, encoding, &self.data(step))
    }

    /// What the event says: who flies where, and what has become known at this step.
    fn data(&self, step: Step) -> FlightData<'_> {
        let mut data = FlightData {
            flight_id: &self.id,
            flight_date: self.date,
            carrier: &self.carrier,
            number: self.number,
            origin: &self.origin,
            dest: &self.dest,
            tailnum: self.tailnum.as_deref(),
            distance: self.distance,
            ..FlightData::default()
        };
        if step == Step::Scheduled {
            data.scheduled_departure = Some(self.scheduled_departure.to_string());
            data.scheduled_arrival = Some(self.scheduled_arrival.to_string());
        }
        match (&self.outcome, step) {
            (
                Outcome::Diverted { departure, dep_delay }
                | Outcome::Arrived { departure, dep_delay, .. },
                Step::Departed,
            ) => {
                data.departed_at = Some(departure.to_string());
                data.dep_delay = Some(*dep_delay);
            }
            (Outcome::Arrived { arrival, arr_delay, air_time, .. }, Step::Arrived) => {
                data.arrived_at = Some(arrival.to_string());
                data.arr_delay = Some(*arr_delay);
                data.air_time = Some(*air_time);
            }
            _ => {}
        }
        data
    }
}

/// `data` of the five flight events. What a step does not know is left out, save the tail number: a flight
/// that is cancelled early has none yet, and says null.
#[derive(Default, Serialize)]
struct FlightData<'a> {
    flight_id: &'a str,
    /// The day of the scheduled departure in New York, under which the airline files the flight.
    #[serde(serialize_with = "display")]
    flight_date: Date,
    carrier: &'a str,
    number: u32,
    origin: &'a str,
    dest: &'a str,
    tailnum: Option<&'a str>,
    /// In miles.
    distance: u32,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduled_departure: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    scheduled_arrival: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    departed_at: Option<String>,
    /// In minutes, negative when early, like `arr_delay`.
    #[serde(skip_serializing_if = "Option::is_none")]
    dep_delay: Option<i32>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arrived_at: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    arr_delay: Option<i32>,
    /// In minutes.
    #[serde(skip_serializing_if = "Option::is_none")]
    air_time: Option<u32>,
}

fn display<S: serde::Serializer>(
    value: &impl std::fmt::Display,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    serializer.collect_str(value)
}
