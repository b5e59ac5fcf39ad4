//! Functions of time: UTC, exact to the microsecond, by built-in rules.
//!
//! Seconds since 1970 are exact decimals: `.time | fromdate` of a time with microseconds keeps them.

use std::sync::LazyLock;

use jiff::SignedDuration;
use jiff::civil::DateTime;
use jiff::fmt::strtime::{self, BrokenDownTime};
use jiff::tz::{Offset, TimeZone, TimeZoneDatabase};

use super::super::budget;
use super::super::decimal::Rounding;
use super::super::number::Number;
use super::super::value::{Result, Value, error};
use super::{Function, as_number, as_text, nullary, refused, unary};
use crate::event::time::Timestamp;

const MICROS_PER_SECOND: i64 = 1_000_000;
/// Formats repeat what they name: past this length one is not a format that a person wrote.
const FORMAT_BYTES_MAX: usize = 1_000;

const EPOCH: DateTime = DateTime::constant(1970, 1, 1, 0, 0, 0, 0);

/// The zone rules that the program brings; those of the machine are never read.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

pub(super) fn functions() -> Vec<Function> {
    vec![
        nullary!("fromdateiso8601", |value| from_date("fromdateiso8601", &value)),
        nullary!("fromdate", |value| from_date("fromdate", &value)),
        nullary!("todateiso8601", |value| to_date("todateiso8601", &value)),
        nullary!("todate", |value| to_date("todate", &value)),
        nullary!("gmtime", |value| Ok(broken_down(civil(instant("gmtime", &value)?)))),
        nullary!("mktime", |value| seconds(micros(assembled("mktime", &value)?))),
        unary!("strftime", |value, format| strftime(&value, &format)),
        unary!("strptime", |value, format| strptime(&value, &format)),
        unary!("in_zone", |value, zone| in_zone(&value, &zone)),
    ]
}

/// Seconds since 1970 of an RFC 3339 text.
fn from_date(name: &str, value: &Value) -> Result {
    budget::operation();
    let time = Timestamp::parse(as_text(name, value)?);
    seconds(time.ok_or_else(|| refused(name, value, "an RFC 3339 time"))?.0)
}

/// An RFC 3339 text of seconds since 1970: with six digits if they are not whole.
fn to_date(name: &str, value: &Value) -> Result {
    budget::operation();
    let time = instant(name, value)?.text();
    Ok(Value::from(match time.strip_suffix(".000000Z") {
        Some(whole) => format!("{whole}Z"),
        None => time.to_string(),
    }))
}

fn strftime(value: &Value, format: &Value) -> Result {
    budget::operations(2);
    let time = match value {
        Value::Number(_) => civil(instant("strftime", value)?),
        _ => assembled("strftime", value)?,
    };
    let format = short("strftime", format)?;
    let zoned =
        time.to_zoned(TimeZone::UTC).map_err(|problem| error(format!("strftime: {problem}")))?;
    let text =
        strtime::format(format, &zoned).map_err(|problem| error(format!("strftime: {problem}")))?;
    Ok(Value::from(text))
}

fn strptime(value: &Value, format: &Value) -> Result {
    budget::operations(2);
    let (text, format) = (short("strptime", value)?, short("strptime", format)?);
    let wrong = |problem: jiff::Error| {
        error(format!("strptime: {value} does not match {format:?}: {problem}"))
    };
    let mut time = BrokenDownTime::parse(format, text).map_err(wrong)?;
    if time.offset().is_none() && time.iana_time_zone().is_none() {
        time.set_offset(Some(Offset::UTC));
    }
    let zoned = time.to_zoned_with(&ZONES).map_err(wrong)?;
    Ok(broken_down(zoned.datetime()))
}

/// The same instant with a zone's offset; six digits, as times of events have.
/// Whether there is a zone of this name, asked when a definition is loaded.
pub(in super::super) fn is_zone(name: &str) -> bool {
    name.len() <= FORMAT_BYTES_MAX && ZONES.get(name).is_ok()
}

fn in_zone(value: &Value, zone: &Value) -> Result {
    budget::operations(2);
    let time = Timestamp::parse(as_text("in_zone", value)?);
    let time = time.ok_or_else(|| refused("in_zone", value, "an RFC 3339 time"))?;
    let zone =
        ZONES.get(short("in_zone", zone)?).map_err(|_| refused("in_zone", zone, "a time zone"))?;
    let out_of_range = || refused("in_zone", value, "a time within the years 1 to 9999 there");
    // jiff's instants end a day before the year 9999 does.
    let timestamp = jiff::Timestamp::from_microsecond(time.0).map_err(|_| out_of_range())?;
    // RFC 3339 has offsets in minutes; local mean times of the 19th century have seconds.
    let minutes = zone.to_offset(timestamp).seconds().div_euclid(60);
    let shifted = Timestamp(time.0 + i64::from(minutes) * 60 * MICROS_PER_SECOND);
    if !instant_range().contains(&shifted.0) {
        return Err(out_of_range());
    }
    let sign = if minutes < 0 { '-' } else { '+' };
    let (hours, rest) = (minutes.abs() / 60, minutes.abs() % 60);
    let local = shifted.text();
    Ok(Value::from(format!("{}{sign}{hours:02}:{rest:02}", local.trim_end_matches('Z'))))
}

/// A text that may be handed to a formatter.
fn short<'a>(name: &str, value: &'a Value) -> Result<&'a str> {
    let text = as_text(name, value)?;
    if text.len() > FORMAT_BYTES_MAX {
        return Err(error(format!("{name}: {value} is longer than {FORMAT_BYTES_MAX} bytes")));
    }
    Ok(text)
}

/// The instant of seconds since 1970; digits past the sixth are cut off.
fn instant(name: &str, value: &Value) -> Result<Timestamp> {
    let micros = as_number(name, value)?
        .mul(&Number::from(MICROS_PER_SECOND))
        .and_then(|micros| micros.round(0, Rounding::Down))
        .ok()
        .and_then(|micros| micros.integer())
        .filter(|micros| instant_range().contains(micros));
    micros.map(Timestamp).ok_or_else(|| refused(name, value, "a time within the years 1 to 9999"))
}

fn instant_range() -> std::ops::RangeInclusive<i64> {
    let bound = |text| Timestamp::parse(text).expect("within the years").0;
    bound("0001-01-01T00:00:00Z")..=bound("9999-12-31T23:59:59.999999Z")
}

fn civil(time: Timestamp) -> DateTime {
    EPOCH.checked_add(SignedDuration::from_micros(time.0)).expect("the years 1 to 9999")
}

fn micros(time: DateTime) -> i64 {
    i64::try_from(time.duration_since(EPOCH).as_micros()).expect("the years 1 to 9999")
}

fn seconds(micros: i64) -> Result {
    let whole = Number::from(micros.div_euclid(MICROS_PER_SECOND));
    let fraction = micros.rem_euclid(MICROS_PER_SECOND);
    if fraction == 0 {
        return Ok(Value::Number(whole));
    }
    let fraction = Number::parse(&format!("0.{fraction:06}")).expect("digits");
    Ok(Value::Number(whole.add(&fraction).expect("far from 38 digits")))
}

/// jq's broken down time: year, month from 0, day, hours, minutes, seconds, day of the week from Sunday, of the year.
fn broken_down(time: DateTime) -> Value {
    budget::operations(8);
    let subsecond = i64::from(time.subsec_nanosecond() / 1_000);
    let second = seconds(i64::from(time.second()) * MICROS_PER_SECOND + subsecond)
        .expect("two digits and six");
    let whole = |value: i64| Value::Number(Number::from(value));
    Value::array(vec![
        whole(time.year().into()),
        whole(i64::from(time.month()) - 1),
        whole(time.day().into()),
        whole(time.hour().into()),
        whole(time.minute().into()),
        second,
        whole(time.weekday().to_sunday_zero_offset().into()),
        whole(i64::from(time.day_of_year()) - 1),
    ])
}

/// A broken down time, put together.
fn assembled(name: &str, value: &Value) -> Result<DateTime> {
    let wrong = || {
        refused(name, value, "a broken down time: [year, month from 0, day, hour, minute, second]")
    };
    let parts = value.elements().ok_or_else(wrong)?;
    let [year, month, day, hour, minute, second, ..] = &parts[..] else { return Err(wrong()) };
    let part = |value: &Value, add: i64| -> Option<i8> {
        let Value::Number(number) = value else { return None };
        i8::try_from(number.integer()?.checked_add(add)?).ok()
    };
    let year = match year {
        Value::Number(number) => number.integer().filter(|year| (1..=9_999).contains(year)),
        _ => None,
    };
    let micros = match second {
        Value::Number(number) => number
            .mul(&Number::from(MICROS_PER_SECOND))
            .and_then(|micros| micros.round(0, Rounding::Down))
            .ok()
            .and_then(|micros| micros.integer())
            .filter(|micros| (0..60 * MICROS_PER_SECOND).contains(micros)),
        _ => None,
    };
    let assemble = || {
        let micros = micros?;
        let (second, subsecond) = (micros / MICROS_PER_SECOND, micros % MICROS_PER_SECOND);
        let nanosecond = i32::try_from(subsecond * 1_000).ok()?;
        let year = i16::try_from(year?).ok()?;
        let (month, day) = (part(month, 1)?, part(day, 0)?);
        let (hour, minute) = (part(hour, 0)?, part(minute, 0)?);
        DateTime::new(year, month, day, hour, minute, i8::try_from(second).ok()?, nanosecond).ok()
    };
    assemble().ok_or_else(wrong)
}
