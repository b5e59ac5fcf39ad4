//! Exact decimals of bounded length: what arithmetic on numbers is made of.

use std::cmp::Ordering;
use std::fmt;

/// `coefficient * 10^exponent`.
///
/// Canonical: the coefficient has at most 38 digits and no zero at its end, and 0 has the exponent 0. Equal values
/// are therefore equal in both fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    coefficient: i128,
    pub(super) exponent: i32,
}

/// How [`Number::round`] rounds.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Rounding {
    /// To the nearest, halves away from zero.
    Half,
    Down,
    Up,
    TowardsZero,
}

/// Digits of a coefficient: each value below 10^38 fits 128 bits.
const DIGITS_MAX: u32 = 38;
const COEFFICIENT_END: u128 = 10_u128.pow(DIGITS_MAX);
/// Far outside what floats and columns hold; keeps arithmetic on exponents from overflowing.
pub(super) const EXPONENT_MAX: i32 = 9_999;

impl Decimal {
    /// The exact value of a text in the JSON number grammar; None for any other text, and out of range.
    pub fn parse(text: &str) -> Option<Self> {
        if let Some(short) = Self::parse_short(text.as_bytes()) {
            return Some(short);
        }
        let bytes = text.as_bytes();
        let (negative, mut rest) = match bytes {
            [b'-', rest @ ..] => (true, rest),
            rest => (false, rest),
        };
        let mut coefficient = 0_u128;
        let mut exponent = 0_i64;
        // Zeros are held back until a digit follows them, so that those at the end cost no digits.
        let mut zeros = 0_u32;
        let mut fraction = false;
        let mut digits = 0_usize;
        let written = rest;
        loop {
            match rest {
                [digit @ b'0'..=b'9', tail @ ..] => {
                    rest = tail;
                    digits += 1;
                    exponent -= i64::from(fraction);
                    if *digit == b'0' {
                        zeros += u32::from(coefficient != 0);
                        continue;
                    }
                    if zeros >= DIGITS_MAX {
                        return None;
                    }
                    coefficient = coefficient.checked_mul(10_u128.pow(zeros + 1))?;
                    coefficient += u128::from(digit - b'0');
                    if coefficient >= COEFFICIENT_END {
                        return None;
                    }
                    zeros = 0;
                }
                [b'.', tail @ ..] if !fraction && digits > 0 => {
                    rest = tail;
                    fraction = true;
                    digits = 0;
                }
                _ => break,
            }
        }
        let leading_zero = matches!(written, [b'0', b'0'..=b'9', ..]);
        if digits == 0 || leading_zero {
            return None;
        }
        let stated = match rest {
            [] => 0,
            [b'e' | b'E', power @ ..] => exponent_of(power)?,
            _ => return None,
        };
        if coefficient == 0 {
            return Some(Self { coefficient: 0, exponent: 0 });
        }
        let exponent = exponent.checked_add(i64::from(zeros))?.checked_add(stated)?;
        let exponent =
            i32::try_from(exponent).ok().filter(|exponent| exponent.abs() <= EXPONENT_MAX)?;
        let coefficient = coefficient as i128;
        Some(Self { coefficient: if negative { -coefficient } else { coefficient }, exponent })
    }

    /// A number of up to 18 digits without an exponent, as nearly all are; None says nothing.
    #[inline]
    fn parse_short(bytes: &[u8]) -> Option<Self> {
        let (negative, digits) = match bytes {
            [b'-', digits @ ..] => (true, digits),
            digits => (false, digits),
        };
        if digits.len() > 19
            || matches!(digits, [b'0', b'0'..=b'9', ..] | [b'.', ..] | [.., b'.'] | [])
        {
            return None;
        }
        let mut coefficient = 0_i64;
        let mut exponent = 0;
        for (at, byte) in digits.iter().enumerate() {
            match byte {
                b'0'..=b'9' => {
                    coefficient =
                        coefficient.checked_mul(10)?.checked_add(i64::from(byte - b'0'))?
                }
                b'.' if exponent == 0 => exponent = at + 1,
                _ => return None,
            }
        }
        let mut exponent = if exponent == 0 { 0 } else { exponent as i32 - digits.len() as i32 };
        if coefficient == 0 {
            exponent = 0;
        } else {
            while coefficient % 10 == 0 {
                coefficient /= 10;
                exponent += 1;
            }
        }
        Some(Self {
            coefficient: i128::from(if negative { -coefficient } else { coefficient }),
            exponent,
        })
    }

    /// How many 10^-`digits` the value is; None if it has digits past these or is no integer of 64 bits of them.
    pub fn scaled(self, digits: u8) -> Option<i64> {
        if let (Ok(coefficient), Ok(shift @ ..=18)) =
            (i64::try_from(self.coefficient), u32::try_from(self.exponent + i32::from(digits)))
        {
            // The product of 64 bits, where it is one.
            if let Some(scaled) = coefficient.checked_mul(10_i64.pow(shift)) {
                return Some(scaled);
            }
        }
        let shift = u32::try_from(self.exponent + i32::from(digits)).ok()?;
        let scaled = self.coefficient.checked_mul(10_i128.checked_pow(shift)?)?;
        i64::try_from(scaled).ok()
    }

    /// Whether it has digits other than 0 after the `digits`-th.
    pub fn has_digits_past(self, digits: u8) -> bool {
        self.exponent < -i32::from(digits)
    }

    pub fn integer(self) -> Option<i64> {
        self.scaled(0)
    }

    fn canonical(mut coefficient: i128, mut exponent: i32) -> Option<Self> {
        if coefficient == 0 {
            return Some(Self { coefficient: 0, exponent: 0 });
        }
        // Division of 64 bits is several times cheaper, and nearly all are.
        if let Ok(mut small) = i64::try_from(coefficient) {
            while small % 10 == 0 {
                small /= 10;
                exponent += 1;
            }
            coefficient = i128::from(small);
        }
        while coefficient % 10 == 0 {
            coefficient /= 10;
            exponent += 1;
        }
        (coefficient.unsigned_abs() < COEFFICIENT_END).then_some(Self { coefficient, exponent })
    }

    pub(super) fn add(self, other: Self) -> Option<Self> {
        let (high, low) =
            if self.exponent >= other.exponent { (self, other) } else { (other, self) };
        if high.coefficient == 0 || low.coefficient == 0 {
            return Some(if high.coefficient == 0 { low } else { high });
        }
        let aligned = high.at_exponent(low.exponent)?;
        Self::canonical(aligned.checked_add(low.coefficient)?, low.exponent)
    }

    pub(super) fn neg(self) -> Self {
        Self { coefficient: -self.coefficient, ..self }
    }

    pub(super) fn mul(self, other: Self) -> Option<Self> {
        Self::canonical(
            self.coefficient.checked_mul(other.coefficient)?,
            self.exponent + other.exponent,
        )
    }

    pub(super) fn rem(self, other: Self) -> Option<Self> {
        let exponent = self.exponent.min(other.exponent);
        let dividend = self.at_exponent(exponent)?;
        match other.at_exponent(exponent) {
            Some(divisor) => Self::canonical(dividend % divisor, exponent),
            // A divisor that needs more digits than the dividend has is the larger one.
            None => Some(self),
        }
    }

    pub(super) fn round(self, digits: i32, mode: Rounding) -> Option<Self> {
        // Drop this many digits of the coefficient.
        let Ok(drop @ 1..) = u32::try_from(-(i64::from(self.exponent) + i64::from(digits))) else {
            return Some(self);
        };
        let (quotient, remainder, half) = match 10_i128.checked_pow(drop) {
            Some(unit) => {
                let remainder = self.coefficient % unit;
                (
                    self.coefficient / unit,
                    remainder,
                    remainder.unsigned_abs() >= unit.unsigned_abs() / 2,
                )
            }
            None => (0, self.coefficient, false),
        };
        let away = match mode {
            Rounding::Half => half,
            Rounding::Down => remainder < 0,
            Rounding::Up => remainder > 0,
            Rounding::TowardsZero => false,
        };
        let rounded = if away { quotient + self.coefficient.signum() } else { quotient };
        Self::canonical(rounded, -digits)
    }

    pub(super) fn to_f64(self) -> f64 {
        // Both operands are exact floats, so one operation rounds once.
        const EXACT: u128 = 1 << 53;
        if self.coefficient.unsigned_abs() <= EXACT && self.exponent.abs() <= 22 {
            let power = [
                1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14,
                1e15, 1e16, 1e17, 1e18, 1e19, 1e20, 1e21, 1e22,
            ][self.exponent.unsigned_abs() as usize];
            let coefficient = self.coefficient as f64;
            return if self.exponent < 0 { coefficient / power } else { coefficient * power };
        }
        format!("{}e{}", self.coefficient, self.exponent).parse().expect("the grammar of floats")
    }

    pub(super) fn compare(self, other: Self) -> Ordering {
        let signs = self.coefficient.signum().cmp(&other.coefficient.signum());
        if signs.is_ne() || self.exponent == other.exponent || self.coefficient == 0 {
            return signs.then(self.coefficient.cmp(&other.coefficient));
        }
        let magnitude =
            |decimal: Self| decimal.exponent + decimal.coefficient.unsigned_abs().ilog10() as i32;
        let order = magnitude(self).cmp(&magnitude(other));
        if order.is_ne() {
            return if self.coefficient < 0 { order.reverse() } else { order };
        }
        // Of one magnitude: aligned, both have as many digits as the longer, 38 at most.
        let exponent = self.exponent.min(other.exponent);
        self.at_exponent(exponent).cmp(&other.at_exponent(exponent))
    }

    /// The coefficient with a smaller exponent; None if it gets too long.
    fn at_exponent(self, exponent: i32) -> Option<i128> {
        let shift = u32::try_from(self.exponent - exponent).ok()?;
        self.coefficient.checked_mul(10_i128.checked_pow(shift)?)
    }
}

impl From<i64> for Decimal {
    fn from(value: i64) -> Self {
        Self::canonical(i128::from(value), 0).expect("19 digits")
    }
}

impl fmt::Display for Decimal {
    /// Plain where it is short, as people write numbers; with an exponent where it is not.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let digits = self.coefficient.unsigned_abs().to_string();
        let sign = if self.coefficient < 0 { "-" } else { "" };
        let point = digits.len() as i32 + self.exponent;
        if self.exponent >= 0 && point <= DIGITS_MAX as i32 {
            write!(f, "{sign}{digits}{:0<zeros$}", "", zeros = self.exponent as usize)
        } else if self.exponent < 0 && point > 0 {
            let (whole, fraction) = digits.split_at(point as usize);
            write!(f, "{sign}{whole}.{fraction}")
        } else if self.exponent < 0 && point > -6 {
            write!(f, "{sign}0.{:0<zeros$}{digits}", "", zeros = point.unsigned_abs() as usize)
        } else {
            let (first, rest) = digits.split_at(1);
            let dot = if rest.is_empty() { "" } else { "." };
            write!(f, "{sign}{first}{dot}{rest}e{}", point - 1)
        }
    }
}

/// A JSON number of up to 18 digits as a count of 10^-`digits`; None says nothing.
#[inline]
pub(super) fn scaled_short(text: &str, digits: u8) -> Option<i64> {
    let (negative, written) = match text.as_bytes() {
        [b'-', written @ ..] => (true, written),
        written => (false, written),
    };
    // As many and a point.
    if written.len() > 19 {
        return None;
    }
    // 19 digits fit as well; they are told from 18 and a point below.
    let mut count = 0_u64;
    let mut point = None;
    for (at, byte) in written.iter().enumerate() {
        match byte {
            b'0'..=b'9' => count = count * 10 + u64::from(byte - b'0'),
            b'.' => point = Some(at),
            _ => return None,
        }
    }
    if point.is_none() && written.len() > 18 {
        return None;
    }
    let fraction = point.map_or(0, |at| written.len() - at - 1);
    let scale = usize::from(digits).checked_sub(fraction)?;
    let count = count.cast_signed().checked_mul(10_i64.pow(scale as u32))?;
    Some(if negative { -count } else { count })
}

/// The exponent of a number, saturated: its text may be of any length.
pub(super) fn exponent_of(power: &[u8]) -> Option<i64> {
    let (negative, digits) = match power {
        [b'-', digits @ ..] => (true, digits),
        [b'+', digits @ ..] => (false, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || !digits.iter().all(u8::is_ascii_digit) {
        return None;
    }
    let value = digits.iter().fold(0_i64, |value, digit| {
        value.saturating_mul(10).saturating_add(i64::from(digit - b'0'))
    });
    Some(if negative { -value } else { value })
}
