//! Exact numbers.
//!
//! A number that is only passed on keeps its text. Sums, differences and products are exact decimals of up to 38 digits,
//! past which they are an error and never a rounded value. What a division or a function of mathematics gives is a
//! float; it counts as its shortest decimal text, so that comparison is one order over all numbers.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::rc::Rc;

use super::text::Text;

/// A number of an event or of an expression.
#[derive(Clone, Debug)]
pub struct Number(Form);

#[derive(Clone, Debug)]
enum Form {
    Integer(i64),
    /// No integer of 64 bits.
    Exact(Rc<Decimal>),
    /// Finite, never -0.0.
    Float(f64),
    /// In the JSON number grammar, as it stands in the event.
    Written(Text),
}

/// `coefficient * 10^exponent`.
///
/// Canonical: the coefficient has at most 38 digits and no zero at its end, and 0 has the exponent 0. Equal values
/// are therefore equal in both fields.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decimal {
    coefficient: i128,
    exponent: i32,
}

/// Why an operation gave no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberError {
    /// An exact result of more than 38 digits, or an exponent past 9,999.
    Range,
    /// A float that is infinite or no number.
    NotFinite,
    DivisionByZero,
}

/// Digits of a coefficient: each value below 10^38 fits 128 bits.
const DIGITS_MAX: u32 = 38;
const COEFFICIENT_END: u128 = 10_u128.pow(DIGITS_MAX);
/// Far outside what floats and columns hold; keeps arithmetic on exponents from overflowing.
const EXPONENT_MAX: i32 = 9_999;

impl Number {
    /// A number by its text in the JSON grammar.
    #[inline]
    pub fn written(text: &str) -> Self {
        match small_integer(text) {
            Some(integer) => Self(Form::Integer(integer)),
            None => Self(Form::Written(Text::from(text))),
        }
    }

    /// A number by its text, if it is one in the JSON grammar.
    pub fn parse(text: &str) -> Option<Self> {
        is_json_number(text).then(|| Self::written(text))
    }

    /// The result of float arithmetic.
    pub fn float(value: f64) -> Result<Self, NumberError> {
        if value.is_finite() { Ok(Self(Form::Float(value + 0.0))) } else { Err(NumberError::NotFinite) }
    }

    /// The value as an exact decimal; None past 38 digits or the exponent 9,999.
    pub fn decimal(&self) -> Option<Decimal> {
        match &self.0 {
            Form::Integer(value) => Some(Decimal::from(*value)),
            Form::Exact(decimal) => Some(**decimal),
            Form::Float(value) => Decimal::parse(&format!("{value:e}")),
            Form::Written(text) => Decimal::parse(text),
        }
    }

    /// The integer of 64 bits that the value is, if it is one: 12, 12.0 and 1e2 are.
    #[inline]
    pub fn integer(&self) -> Option<i64> {
        match &self.0 {
            Form::Integer(value) => Some(*value),
            _ => self.decimal()?.integer(),
        }
    }

    /// The nearest float; infinite if the value is larger than any. -0.0 is 0.0.
    pub fn to_f64(&self) -> f64 {
        let value = match &self.0 {
            Form::Integer(value) => *value as f64,
            Form::Exact(decimal) => decimal.to_f64(),
            Form::Float(value) => *value,
            Form::Written(text) => text.parse().expect("the JSON grammar is within that of floats"),
        };
        value + 0.0
    }

    /// The number as JSON: its own text if it was only passed on.
    pub fn text(&self) -> Cow<'_, str> {
        match &self.0 {
            Form::Integer(value) => Cow::Owned(value.to_string()),
            Form::Written(text) => Cow::Borrowed(text),
            Form::Exact(decimal) => Cow::Owned(decimal.to_string()),
            Form::Float(_) => {
                Cow::Owned(self.decimal().expect("17 digits and an exponent of 3 are in range").to_string())
            }
        }
    }

    pub fn add(&self, other: &Self) -> Result<Self, NumberError> {
        if let (Form::Integer(a), Form::Integer(b)) = (&self.0, &other.0)
            && let Some(sum) = a.checked_add(*b)
        {
            return Ok(Self(Form::Integer(sum)));
        }
        self.exactly(other, Decimal::add, |a, b| a + b)
    }

    pub fn sub(&self, other: &Self) -> Result<Self, NumberError> {
        if let (Form::Integer(a), Form::Integer(b)) = (&self.0, &other.0)
            && let Some(difference) = a.checked_sub(*b)
        {
            return Ok(Self(Form::Integer(difference)));
        }
        self.exactly(other, |a, b| a.add(b.neg()), |a, b| a - b)
    }

    pub fn mul(&self, other: &Self) -> Result<Self, NumberError> {
        if let (Form::Integer(a), Form::Integer(b)) = (&self.0, &other.0)
            && let Some(product) = a.checked_mul(*b)
        {
            return Ok(Self(Form::Integer(product)));
        }
        self.exactly(other, Decimal::mul, |a, b| a * b)
    }

    /// A float, whatever the operands.
    pub fn div(&self, other: &Self) -> Result<Self, NumberError> {
        let divisor = other.to_f64();
        if divisor == 0.0 {
            return Err(NumberError::DivisionByZero);
        }
        Self::float(self.to_f64() / divisor)
    }

    /// What is left of a division to a whole number towards zero, with the sign of the dividend; exact if both are.
    pub fn rem(&self, other: &Self) -> Result<Self, NumberError> {
        if other.is_zero() {
            return Err(NumberError::DivisionByZero);
        }
        self.exactly(other, Decimal::rem, |a, b| a % b)
    }

    pub fn neg(&self) -> Result<Self, NumberError> {
        match &self.0 {
            Form::Float(value) => Self::float(-value),
            _ => Self::from_decimal(self.decimal().ok_or(NumberError::Range)?.neg()),
        }
    }

    /// Without a digit past the `digits`-th after the point, by `mode`.
    pub fn round(&self, digits: i32, mode: Rounding) -> Result<Self, NumberError> {
        if let (Form::Integer(_), 0..) = (&self.0, digits) {
            return Ok(self.clone());
        }
        let decimal = self.decimal().ok_or(NumberError::Range)?;
        Self::from_decimal(decimal.round(digits, mode)?)
    }

    pub fn is_negative(&self) -> bool {
        self.compare(&Self::from(0)).is_lt()
    }

    pub fn is_zero(&self) -> bool {
        self.compare(&Self::from(0)).is_eq()
    }

    /// By value: 1, 1.0 and 1e0 are equal.
    pub fn compare(&self, other: &Self) -> Ordering {
        if let (Form::Integer(a), Form::Integer(b)) = (&self.0, &other.0) {
            return a.cmp(b);
        }
        match (self.decimal(), other.decimal()) {
            (Some(a), Some(b)) => a.compare(b),
            _ => Scientific::new(&self.text()).compare(&Scientific::new(&other.text())),
        }
    }

    fn exactly(
        &self,
        other: &Self,
        exact: impl FnOnce(Decimal, Decimal) -> Option<Decimal>,
        float: impl FnOnce(f64, f64) -> f64,
    ) -> Result<Self, NumberError> {
        if matches!(self.0, Form::Float(_)) || matches!(other.0, Form::Float(_)) {
            return Self::float(float(self.to_f64(), other.to_f64()));
        }
        let (Some(a), Some(b)) = (self.decimal(), other.decimal()) else { return Err(NumberError::Range) };
        Self::from_decimal(exact(a, b).ok_or(NumberError::Range)?)
    }

    fn from_decimal(decimal: Decimal) -> Result<Self, NumberError> {
        if decimal.exponent.abs() > EXPONENT_MAX {
            return Err(NumberError::Range);
        }
        Ok(match decimal.integer() {
            Some(integer) => Self(Form::Integer(integer)),
            None => Self(Form::Exact(Rc::new(decimal))),
        })
    }
}

impl From<i64> for Number {
    fn from(value: i64) -> Self {
        Self(Form::Integer(value))
    }
}

impl fmt::Display for NumberError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Range => "the result has more than 38 digits",
            Self::NotFinite => "the result is not a finite number",
            Self::DivisionByZero => "division by zero",
        })
    }
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

impl Decimal {
    /// The exact value of a text in the JSON number grammar; None for any other text, and out of range.
    pub fn parse(text: &str) -> Option<Self> {
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
        let exponent = i32::try_from(exponent).ok().filter(|exponent| exponent.abs() <= EXPONENT_MAX)?;
        let coefficient = coefficient as i128;
        Some(Self { coefficient: if negative { -coefficient } else { coefficient }, exponent })
    }

    /// How many 10^-`digits` the value is; None if it has digits past these or is no integer of 64 bits of them.
    pub fn scaled(self, digits: u8) -> Option<i64> {
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

    fn add(self, other: Self) -> Option<Self> {
        let (high, low) = if self.exponent >= other.exponent { (self, other) } else { (other, self) };
        if high.coefficient == 0 || low.coefficient == 0 {
            return Some(if high.coefficient == 0 { low } else { high });
        }
        let aligned = high.at_exponent(low.exponent)?;
        Self::canonical(aligned.checked_add(low.coefficient)?, low.exponent)
    }

    fn neg(self) -> Self {
        Self { coefficient: -self.coefficient, ..self }
    }

    fn mul(self, other: Self) -> Option<Self> {
        Self::canonical(self.coefficient.checked_mul(other.coefficient)?, self.exponent + other.exponent)
    }

    fn rem(self, other: Self) -> Option<Self> {
        let exponent = self.exponent.min(other.exponent);
        let Some(dividend) = self.at_exponent(exponent) else { return None };
        match other.at_exponent(exponent) {
            Some(divisor) => Self::canonical(dividend % divisor, exponent),
            // A divisor that needs more digits than the dividend has is the larger one.
            None => Some(self),
        }
    }

    fn round(self, digits: i32, mode: Rounding) -> Result<Self, NumberError> {
        // Drop this many digits of the coefficient.
        let Ok(drop @ 1..) = u32::try_from(-(i64::from(self.exponent) + i64::from(digits))) else { return Ok(self) };
        let (quotient, remainder, half) = match 10_i128.checked_pow(drop) {
            Some(unit) => {
                let remainder = self.coefficient % unit;
                (self.coefficient / unit, remainder, remainder.unsigned_abs() >= unit.unsigned_abs() / 2)
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
        Self::canonical(rounded, -digits).ok_or(NumberError::Range)
    }

    fn to_f64(self) -> f64 {
        // Both operands are exact floats, so one operation rounds once.
        const EXACT: u128 = 1 << 53;
        if self.coefficient.unsigned_abs() <= EXACT && self.exponent.abs() <= 22 {
            let power = [
                1e0, 1e1, 1e2, 1e3, 1e4, 1e5, 1e6, 1e7, 1e8, 1e9, 1e10, 1e11, 1e12, 1e13, 1e14, 1e15, 1e16, 1e17,
                1e18, 1e19, 1e20, 1e21, 1e22,
            ][self.exponent.unsigned_abs() as usize];
            let coefficient = self.coefficient as f64;
            return if self.exponent < 0 { coefficient / power } else { coefficient * power };
        }
        format!("{}e{}", self.coefficient, self.exponent).parse().expect("the grammar of floats")
    }

    fn compare(self, other: Self) -> Ordering {
        let signs = self.coefficient.signum().cmp(&other.coefficient.signum());
        if signs.is_ne() || self.exponent == other.exponent || self.coefficient == 0 {
            return signs.then(self.coefficient.cmp(&other.coefficient));
        }
        let magnitude = |decimal: Self| decimal.exponent + decimal.coefficient.unsigned_abs().ilog10() as i32;
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

/// The integer of a text of up to 18 digits in its shortest form: such a text need not be kept.
#[inline]
pub(super) fn small_integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty() || digits.len() > 18 || (digits[0] == b'0' && (digits.len() > 1 || negative)) {
        return None;
    }
    let mut value = 0_i64;
    for digit in digits {
        if !digit.is_ascii_digit() {
            return None;
        }
        value = value * 10 + i64::from(digit - b'0');
    }
    Some(if negative { -value } else { value })
}

/// Whether a text is a number of RFC 8259, of any length.
pub(super) fn is_json_number(text: &str) -> bool {
    let unsigned = text.strip_prefix('-').unwrap_or(text);
    let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (mantissa, power) = match unsigned.split_once(['e', 'E']) {
        Some((mantissa, power)) => (mantissa, Some(power)),
        None => (unsigned, None),
    };
    let (whole, fraction) = match mantissa.split_once('.') {
        Some((whole, fraction)) => (whole, Some(fraction)),
        None => (mantissa, None),
    };
    digits(whole)
        && (whole == "0" || !whole.starts_with('0'))
        && fraction.is_none_or(digits)
        && power.is_none_or(|power| digits(power.strip_prefix(['+', '-']).unwrap_or(power)))
}

/// The exponent of a number, saturated: its text may be of any length.
fn exponent_of(power: &[u8]) -> Option<i64> {
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

/// A number by its digits, for comparing numbers of any length.
struct Scientific<'a> {
    /// -1, 0 or 1.
    sign: i8,
    /// Without the point, from the first digit that is not 0 to the last one that is not.
    digits: Cow<'a, str>,
    /// The power of ten of the first digit, and then the digits of the stated exponent decide, if it is huge.
    magnitude: i64,
}

impl<'a> Scientific<'a> {
    fn new(text: &'a str) -> Self {
        let unsigned = text.strip_prefix('-').unwrap_or(text);
        let (mantissa, power) = unsigned.split_once(['e', 'E']).unwrap_or((unsigned, "0"));
        let (whole, fraction) = mantissa.split_once('.').unwrap_or((mantissa, ""));
        let all: String = [whole, fraction].concat();
        let leading = all.bytes().take_while(|byte| *byte == b'0').count();
        let digits = all.trim_matches('0').to_owned();
        let sign = match (digits.is_empty(), unsigned.len() == text.len()) {
            (true, _) => 0,
            (false, true) => 1,
            (false, false) => -1,
        };
        let power = exponent_of(power.as_bytes()).expect("the JSON grammar");
        let magnitude = (whole.len() as i64 - leading as i64).saturating_add(power);
        Self { sign, digits: Cow::Owned(digits), magnitude }
    }

    fn compare(&self, other: &Self) -> Ordering {
        let order = self.sign.cmp(&other.sign);
        if order.is_ne() || self.sign == 0 {
            return order;
        }
        let order = self.magnitude.cmp(&other.magnitude).then_with(|| self.digits.cmp(&other.digits));
        if self.sign < 0 { order.reverse() } else { order }
    }
}
