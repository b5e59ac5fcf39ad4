//! Exact numbers.
//!
//! A number that is only passed on keeps its text. Sums, differences and products are exact decimals of up to 38 digits,
//! past which they are an error and never a rounded value. What a division or a function of mathematics gives is a
//! float; it counts as its shortest decimal text, so that comparison is one order over all numbers.

use std::borrow::Cow;
use std::cmp::Ordering;
use std::fmt;
use std::rc::Rc;

use super::decimal::{Decimal, EXPONENT_MAX, Rounding, exponent_of};
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

/// Why an operation gave no number.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum NumberError {
    /// An exact result of more than 38 digits, or an exponent past 9,999.
    Range,
    /// A float that is infinite or no number.
    NotFinite,
    DivisionByZero,
}

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
        if value.is_finite() {
            Ok(Self(Form::Float(value + 0.0)))
        } else {
            Err(NumberError::NotFinite)
        }
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

    /// How many 10^-`digits` the value is; None if it has digits past these or is no integer of 64 bits of them.
    #[inline]
    pub fn scaled(&self, digits: u8) -> Option<i64> {
        self.decimal()?.scaled(digits)
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
            Form::Float(_) => Cow::Owned(
                self.decimal().expect("17 digits and an exponent of 3 are in range").to_string(),
            ),
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
        Self::from_decimal(decimal.round(digits, mode).ok_or(NumberError::Range)?)
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
        let (Some(a), Some(b)) = (self.decimal(), other.decimal()) else {
            return Err(NumberError::Range);
        };
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

/// The integer of a text of up to 18 digits in its shortest form: such a text need not be kept.
#[inline]
pub(super) fn small_integer(text: &str) -> Option<i64> {
    let (negative, digits) = match text.as_bytes() {
        [b'-', digits @ ..] => (true, digits),
        digits => (false, digits),
    };
    if digits.is_empty()
        || digits.len() > 18
        || (digits[0] == b'0' && (digits.len() > 1 || negative))
    {
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
        let order =
            self.magnitude.cmp(&other.magnitude).then_with(|| self.digits.cmp(&other.digits));
        if self.sign < 0 { order.reverse() } else { order }
    }
}
