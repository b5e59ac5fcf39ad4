//! Functions of times.

use super::{Area, Entry};

pub(super) const ENTRIES: &[Entry] = &[
    entry(&["fromdate"], "fromdate", "Seconds since 1970 of an RFC 3339 time.", [".data.at | fromdate", r#"{"at":"2015-03-05T23:51:47Z"}"#, "1425599507"]).differs("Any offset and fractions of a second are accepted; jq knows only whole seconds in UTC."),
    entry(&["fromdateiso8601"], "fromdateiso8601", "As `fromdate`.", [".data.at | fromdateiso8601", r#"{"at":"2015-03-06T00:51:47.25+01:00"}"#, "1425599507.25"]).differs("As `fromdate`."),
    entry(&["todate"], "todate", "The RFC 3339 time, in UTC, of seconds since 1970.", [".data.at | todate", r#"{"at":1425599507}"#, r#""2015-03-05T23:51:47Z""#]).differs("A fraction is shown in six digits; jq cuts it off."),
    entry(&["todateiso8601"], "todateiso8601", "As `todate`.", [".data.at | todateiso8601", r#"{"at":1425599507.25}"#, r#""2015-03-05T23:51:47.250000Z""#]).differs("As `todate`."),
    entry(&["strftime(format)"], "strftime", "A time as text: seconds since 1970, or `gmtime`'s array, by a format.", [r#".data.at | fromdate | strftime("%Y-%m")"#, r#"{"at":"2015-03-05T23:51:47Z"}"#, r#""2015-03""#]).differs("The same on every machine: names of days and months are English."),
    entry(&["strptime(format)"], "strptime", "The broken down time of a text, by a format.", [r#".data.at | strptime("%d.%m.%Y %H:%M:%S") | mktime | todate"#, r#"{"at":"05.03.2015 23:51:47"}"#, r#""2015-03-05T23:51:47Z""#]).differs("The same on every machine: names of days and months are English."),
    entry(&["gmtime"], "gmtime", "Seconds since 1970 as `[year, month from 0, day, hours, minutes, seconds, day of week from 0, day of year from 0]`.", [".data | gmtime", "1425599507", "[2015,2,5,23,51,47,4,63]"]),
    entry(&["mktime"], "mktime", "Seconds since 1970 of a broken down time.", [".data | mktime", "[2015,2,5,23,51,47,4,63]", "1425599507"]),
    entry(&["in_zone(zone)"], "in_zone", "The same instant as RFC 3339 text with the offset of a time zone, by built-in rules.", [r#".time | in_zone("Europe/Berlin") | .[0:10]"#, "{}", r#""2013-01-01""#]).differs("viewd's own. A `date` column takes the UTC date of a time: cut the first ten characters for the local one."),
];

const fn entry(
    usage: &'static [&'static str],
    name: &'static str,
    meaning: &'static str,
    example: [&'static str; 3],
) -> Entry {
    Entry::new(Area::Times, usage, name, meaning, example)
}
