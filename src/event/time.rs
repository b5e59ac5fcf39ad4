//! Instants, as RFC 3339 text and as microseconds.
//!
//! The calendar is the proleptic Gregorian one in UTC, as SQLite and RFC 3339 have it. Parsing is strict: what is
//! accepted here is exactly what the definition language calls a timestamp or a date.

use std::fmt;
use std::ops::Deref;

/// Microseconds since 1970 in UTC, in the years 0001 to 9999.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Timestamp(pub i64);

/// A short text of fixed length, made without allocating.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Text<const N: usize>([u8; N]);

const SECOND: i64 = 1_000_000;
const DAY: i64 = 86_400 * SECOND;
/// 0001-01-01T00:00:00Z and the last microsecond of 9999.
const FIRST: i64 = -719_162 * DAY;
const LAST: i64 = 2_932_897 * DAY - 1;

const DIGITS: &[u8; 200] = b"0001020304050607080910111213141516171819\
    2021222324252627282930313233343536373839\
    4041424344454647484950515253545556575859\
    6061626364656667686970717273747576777879\
    8081828384858687888990919293949596979899";

impl Timestamp {
    /// The instant that an RFC 3339 text names; None if it is none, or out of range.
    ///
    /// `T` and `Z` may be lower case, as RFC 3339 allows; a space for the `T` may not. Digits past the sixth are cut
    /// off. A leap second is accepted where one can be, at 23:59:60 UTC, and is the last microsecond of its day, which
    /// keeps both its date and the order of events.
    pub fn parse(text: &str) -> Option<Self> {
        let (whole, nanoseconds, leap) = parse(text.as_bytes())?;
        let microseconds = if leap { SECOND - 1 } else { i64::from(nanoseconds / 1_000) };
        let micros = whole * SECOND + microseconds;
        (FIRST..=LAST).contains(&micros).then_some(Self(micros))
    }

    /// The instant of a time in nanoseconds since 1970, as JetStream counts it.
    pub fn from_nanoseconds(nanoseconds: i64) -> Self {
        // 64 bits of nanoseconds span the years 1677 to 2262.
        Self(nanoseconds.div_euclid(1_000))
    }

    /// As in `2013-01-01T05:00:00.000000Z`.
    pub fn text(self) -> Text<27> {
        let mut text = *b"0000-00-00T00:00:00.000000Z";
        let of_day = self.0.rem_euclid(DAY);
        write_date(&mut text, self.0.div_euclid(DAY));
        let seconds = (of_day / SECOND) as u32;
        let micros = (of_day % SECOND) as u32;
        put(&mut text, 11, seconds / 3_600);
        put(&mut text, 14, seconds / 60 % 60);
        put(&mut text, 17, seconds % 60);
        put(&mut text, 20, micros / 10_000);
        put(&mut text, 22, micros / 100 % 100);
        put(&mut text, 24, micros % 100);
        Text(text)
    }

    /// Its date in UTC, as in `2013-01-01`.
    pub fn date(self) -> Text<10> {
        let mut text = *b"0000-00-00";
        write_date(&mut text, self.0.div_euclid(DAY));
        Text(text)
    }
}

impl fmt::Display for Timestamp {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text())
    }
}

impl<const N: usize> Deref for Text<N> {
    type Target = str;

    #[inline]
    fn deref(&self) -> &str {
        std::str::from_utf8(&self.0).expect("digits and punctuation")
    }
}

impl<const N: usize> fmt::Debug for Text<N> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&**self, f)
    }
}

/// Whether a text is a date `YYYY-MM-DD` in the years 0001 to 9999.
pub fn is_date(text: &str) -> bool {
    day(text).is_some()
}

/// The days since 1970 of a date `YYYY-MM-DD` in the years 0001 to 9999.
pub fn day(text: &str) -> Option<i64> {
    let bytes = text.as_bytes();
    if bytes.len() != 10 {
        return None;
    }
    date(bytes).filter(|&day| day >= FIRST / DAY)
}

/// The nanoseconds since 1970 of an RFC 3339 text, as JetStream writes its times.
pub fn parse_nanoseconds(text: &str) -> Option<i64> {
    let (whole, nanoseconds, _) = parse(text.as_bytes())?;
    whole.checked_mul(1_000_000_000)?.checked_add(i64::from(nanoseconds))
}

/// Seconds since 1970, nanoseconds, and whether it is a leap second, which then counts as the 59th.
fn parse(text: &[u8]) -> Option<(i64, u32, bool)> {
    let [_, _, _, _, _, _, _, _, _, _, b'T' | b't', _, _, b':', _, _, b':', _, _, rest @ ..] = text
    else {
        return None;
    };
    let day = date(&text[..10])?;
    let (hour, minute, second) = (two(text, 11)?, two(text, 14)?, two(text, 17)?);
    if hour > 23 || minute > 59 || second > 60 {
        return None;
    }
    let (nanoseconds, zone) = fraction(rest)?;
    let leap = second == 60;
    let local = day * 86_400 + i64::from(hour * 3_600 + minute * 60 + second.min(59));
    let whole = local - offset_seconds(zone)?;
    if leap && whole.rem_euclid(86_400) != 86_399 {
        return None;
    }
    Some((whole, nanoseconds, leap))
}

/// The nanoseconds of what begins behind the seconds, and what follows.
fn fraction(rest: &[u8]) -> Option<(u32, &[u8])> {
    let [b'.', digits @ ..] = rest else { return Some((0, rest)) };
    let count = digits.iter().take_while(|byte| byte.is_ascii_digit()).count();
    if count == 0 {
        return None;
    }
    let nine = digits[..count]
        .iter()
        .map(|digit| u32::from(digit - b'0'))
        .chain(std::iter::repeat(0))
        .take(9);
    let nanoseconds = nine.fold(0, |nanoseconds, digit| nanoseconds * 10 + digit);
    Some((nanoseconds, &digits[count..]))
}

fn offset_seconds(zone: &[u8]) -> Option<i64> {
    match zone {
        [b'Z' | b'z'] => Some(0),
        [sign @ (b'+' | b'-'), _, _, b':', _, _] => {
            let (hours, minutes) = (two(zone, 1)?, two(zone, 4)?);
            if hours > 23 || minutes > 59 {
                return None;
            }
            let seconds = i64::from(hours * 3_600 + minutes * 60);
            Some(if *sign == b'-' { -seconds } else { seconds })
        }
        _ => None,
    }
}

/// The day since 1970 of ten bytes `YYYY-MM-DD`, in the years 0000 to 9999.
#[inline]
fn date(text: &[u8]) -> Option<i64> {
    if text[4] != b'-' || text[7] != b'-' {
        return None;
    }
    let year = two(text, 0)? * 100 + two(text, 2)?;
    let (month, day) = (two(text, 5)?, two(text, 8)?);
    if !(1..=12).contains(&month) || day == 0 || day > days_of_month(year, month) {
        return None;
    }
    Some(day_number(year, month, day))
}

#[inline]
fn two(text: &[u8], at: usize) -> Option<u32> {
    let (high, low) = (text[at].wrapping_sub(b'0'), text[at + 1].wrapping_sub(b'0'));
    (high < 10 && low < 10).then(|| u32::from(high) * 10 + u32::from(low))
}

fn days_of_month(year: u32, month: u32) -> u32 {
    match month {
        2 if year.is_multiple_of(4) && (!year.is_multiple_of(100) || year.is_multiple_of(400)) => {
            29
        }
        2 => 28,
        4 | 6 | 9 | 11 => 30,
        _ => 31,
    }
}

/// Days since 1970. Years begin in March here, so that the leap day is the last (Hinnant, `days_from_civil`).
#[inline]
fn day_number(year: u32, month: u32, day: u32) -> i64 {
    // One more era of 400 years keeps January of year 0 above zero.
    let year = year + 400 - u32::from(month <= 2);
    let (era, of_era) = (year / 400, year % 400);
    let of_year = (153 * ((month + 9) % 12) + 2) / 5 + day - 1;
    let of_era = of_era * 365 + of_era / 4 - of_era / 100 + of_year;
    i64::from(era * 146_097 + of_era) - 719_468 - 146_097
}

/// Writes `YYYY-MM-DD` of a day since 1970 (Hinnant, `civil_from_days`).
#[inline]
fn write_date(text: &mut [u8], day: i64) {
    // From 0000-03-01 on; within the range of a timestamp it is not negative.
    let days = (day + 719_468) as u32;
    let (era, of_era) = (days / 146_097, days % 146_097);
    let year_of_era = (of_era - of_era / 1_460 + of_era / 36_524 - of_era / 146_096) / 365;
    let of_year = of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let march = (5 * of_year + 2) / 153;
    let month = if march < 10 { march + 3 } else { march - 9 };
    let year = era * 400 + year_of_era + u32::from(month <= 2);
    put(text, 0, year / 100);
    put(text, 2, year % 100);
    put(text, 5, month);
    put(text, 8, of_year - (153 * march + 2) / 5 + 1);
}

#[inline]
fn put(text: &mut [u8], at: usize, number: u32) {
    let number = number as usize * 2;
    text[at..at + 2].copy_from_slice(&DIGITS[number..number + 2]);
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[track_caller]
    fn check(table: &str) {
        for row in table.lines().map(str::trim).filter(|row| !row.is_empty()) {
            let (text, expected) = row.split_once("=>").unwrap();
            let found =
                Timestamp::parse(text.trim()).map_or("none".to_owned(), |time| time.to_string());
            assert_eq!(found, expected.trim(), "row: {row}");
        }
    }

    #[test]
    fn timestamps() {
        check(
            "
            2013-01-01T05:00:00Z               => 2013-01-01T05:00:00.000000Z
            2013-01-01t05:00:00z               => 2013-01-01T05:00:00.000000Z
            2013-01-01T05:00:00.1Z             => 2013-01-01T05:00:00.100000Z
            2013-01-01T05:00:00.1234567999Z    => 2013-01-01T05:00:00.123456Z
            1969-12-31T23:59:59.9999999Z       => 1969-12-31T23:59:59.999999Z
            2013-01-01T05:00:00+02:00          => 2013-01-01T03:00:00.000000Z
            2013-01-01T05:00:00-05:30          => 2013-01-01T10:30:00.000000Z
            2013-01-01T05:00:00-00:00          => 2013-01-01T05:00:00.000000Z
            2012-02-29T00:00:00Z               => 2012-02-29T00:00:00.000000Z
            2000-02-29T00:00:00Z               => 2000-02-29T00:00:00.000000Z
            0001-01-01T00:00:00Z               => 0001-01-01T00:00:00.000000Z
            0000-12-31T23:30:00-01:00          => 0001-01-01T00:30:00.000000Z
            9999-12-31T23:59:59.999999Z        => 9999-12-31T23:59:59.999999Z
            2016-12-31T23:59:60Z               => 2016-12-31T23:59:59.999999Z
            2017-01-01T00:59:60.5+01:00        => 2016-12-31T23:59:59.999999Z
            2016-12-31T23:58:60Z               => none
            2016-12-31T23:59:60+01:00          => none
            0001-01-01T00:00:00+00:01          => none
            0000-06-01T00:00:00Z               => none
            9999-12-31T23:59:59-00:01          => none
            2013-02-29T00:00:00Z               => none
            1900-02-29T00:00:00Z               => none
            2013-13-01T00:00:00Z               => none
            2013-00-01T00:00:00Z               => none
            2013-01-00T00:00:00Z               => none
            2013-04-31T00:00:00Z               => none
            2013-01-01T24:00:00Z               => none
            2013-01-01T00:60:00Z               => none
            2013-01-01T00:00:61Z               => none
            2013-01-01T00:00:00                => none
            2013-01-01T00:00Z                  => none
            2013-01-01 00:00:00Z               => none
            2013-01-01T00:00:00.Z              => none
            2013-01-01T00:00:00,5Z             => none
            2013-01-01T00:00:00+24:00          => none
            2013-01-01T00:00:00+01:60          => none
            2013-01-01T00:00:00+0100           => none
            2013-01-01T00:00:00+01             => none
            2013-01-01T00:00:00ZZ              => none
            2013-1-01T00:00:00Z                => none
            +2013-01-01T00:00:00Z              => none
            2013-01-01                         => none
            2013-01-0éT00:00:00Z               => none
            20é3-01-01T00:00:00Z               => none
            ",
        );
        assert_eq!(Timestamp::parse(""), None);
        assert_eq!(Timestamp::parse(" 2013-01-01T05:00:00Z"), None);
    }

    #[test]
    fn dates() {
        for (text, expected) in [
            ("2013-01-01", true),
            ("0001-01-01", true),
            ("9999-12-31", true),
            ("0000-01-01", false),
            ("2013-02-29", false),
            ("2013-1-01", false),
            ("2013-01-011", false),
            ("", false),
        ] {
            assert_eq!(is_date(text), expected, "{text}");
        }
        assert_eq!(&*Timestamp(FIRST).date(), "0001-01-01");
        assert_eq!(&*Timestamp(LAST).date(), "9999-12-31");
        assert_eq!(&*Timestamp(-1).date(), "1969-12-31");
    }

    #[test]
    fn nanoseconds() {
        assert_eq!(parse_nanoseconds("1970-01-01T00:00:01.000000002Z"), Some(1_000_000_002));
        assert_eq!(parse_nanoseconds("0001-01-01T00:00:00Z"), None);
        assert_eq!(Timestamp::from_nanoseconds(-1), Timestamp(-1));
        assert_eq!(Timestamp::from_nanoseconds(1_999), Timestamp(1));
    }

    /// jiff is the oracle of the calendar.
    fn as_jiff_reads(text: &str) -> Option<i64> {
        text.parse::<jiff::Timestamp>().ok().map(jiff::Timestamp::as_microsecond)
    }

    proptest! {
        #[test]
        fn what_is_written_is_read(micros in FIRST..=LAST) {
            let text = Timestamp(micros).to_string();
            prop_assert_eq!(Timestamp::parse(&text), Some(Timestamp(micros)));
            let jiff = jiff::Timestamp::from_microsecond(micros);
            // jiff's instants end a day before ours, for the sake of its zones.
            if let Ok(jiff) = jiff {
                prop_assert_eq!(format!("{jiff:.6}"), &*text);
            }
            prop_assert_eq!(&*Timestamp(micros).date(), &text[..10]);
            prop_assert!(is_date(&text[..10]));
        }

        #[test]
        fn agrees_with_jiff(
            date in "[0-2][0-9]{3}-[01][0-9]-[0-3][0-9]",
            time in "[0-2][0-9]:[0-5][0-9]:[0-5][0-9](\\.[0-9]{1,9})?",
            zone in "Z|z|[+-][01][0-9]:[0-5][0-9]",
        ) {
            let text = format!("{date}T{time}{zone}");
            if let Some(found) = Timestamp::parse(&text) {
                // jiff rounds towards zero, this cuts off: the same from 1970 on.
                let jiff = as_jiff_reads(&text).map(|micros| micros.abs_diff(found.0));
                prop_assert!(jiff.is_some_and(|apart| apart <= 1), "{}", text);
            } else if !date.starts_with("0000") {
                prop_assert_eq!(as_jiff_reads(&text), None, "{}", text);
            }
        }

        #[test]
        fn any_text_is_answered(text in any::<String>(), bent in "[0-9T:.Zz+-]{15,32}") {
            let _ = (Timestamp::parse(&text), is_date(&text), Timestamp::parse(&bent), parse_nanoseconds(&bent));
        }
    }
}
