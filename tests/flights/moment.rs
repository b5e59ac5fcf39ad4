//! Local times of the tables, which have no date and no zone, made into points in time.

use std::collections::HashMap;

use anyhow::{Context, Result};
use jiff::Timestamp;
use jiff::ToSpan;
use jiff::civil::{Date, Time};
use jiff::tz::{Offset, TimeZone};

/// Destinations that `airports.csv` leaves out. All four keep one time the year round.
const UNLISTED_AIRPORTS: [(&str, &str); 4] = [
    ("BQN", "America/Puerto_Rico"),
    ("PSE", "America/Puerto_Rico"),
    ("SJU", "America/Puerto_Rico"),
    ("STT", "America/Puerto_Rico"),
];

/// A point in time and the clock that people there go by: shown as RFC 3339 with that offset.
#[derive(Clone, Copy)]
pub struct Moment {
    pub at: Timestamp,
    offset: Offset,
}

impl Moment {
    /// The moment at which clocks in `zone` show `hour_minute` (`517` is 05:17) on `date`.
    pub fn local(date: Date, hour_minute: i16, zone: &TimeZone) -> Result<Self> {
        let hour = i8::try_from(hour_minute / 100)?;
        let time = Time::new(hour, (hour_minute % 100) as i8, 0, 0)?;
        let zoned = zone.to_zoned(date.to_datetime(time))?;
        Ok(Self { at: zoned.timestamp(), offset: zoned.offset() })
    }

    /// The first moment after `start` at which clocks in `zone` show `hour_minute`.
    pub fn next_local(start: Timestamp, hour_minute: i16, zone: &TimeZone) -> Result<Self> {
        let today = zone.to_datetime(start).date();
        let moment = Self::local(today, hour_minute, zone)?;
        if moment.at > start {
            Ok(moment)
        } else {
            Self::local(today.tomorrow()?, hour_minute, zone)
        }
    }

    pub fn later(self, minutes: i32, zone: &TimeZone) -> Result<Self> {
        let at = self.at.checked_add(minutes.minutes())?;
        Ok(Self { at, offset: zone.to_offset(at) })
    }
}

impl std::fmt::Display for Moment {
    fn fmt(&self, formatter: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        self.at.display_with_offset(self.offset).fmt(formatter)
    }
}

/// The time zone of each airport.
pub struct Zones(HashMap<String, TimeZone>);

impl Zones {
    /// Of the airports that are listed with the name of their zone, and of those that are not listed.
    pub fn of<'a>(listed: impl Iterator<Item = (&'a str, &'a str)>) -> Result<Self> {
        // Built-in rules, not the machine's: the events must be the same everywhere.
        let rules = jiff::tz::TimeZoneDatabase::bundled();
        let zones = listed
            .chain(UNLISTED_AIRPORTS)
            .map(|(airport, zone)| Ok((airport.to_owned(), rules.get(zone)?)))
            .collect::<Result<_>>()?;
        Ok(Self(zones))
    }

    pub fn zone(&self, airport: &str) -> Result<&TimeZone> {
        self.0
            .get(airport)
            .with_context(|| format!("the time zone of airport {airport} is not known"))
    }
}
