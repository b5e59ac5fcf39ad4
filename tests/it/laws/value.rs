//! JSON values and numbers as the interpreter knows them: the order of jq, exact arithmetic, and the one text of each.

use std::cmp::Ordering;

/// What an expression gives, and what a field of an event holds.
#[derive(Clone, Debug, PartialEq)]
pub enum Value {
    Null,
    Boolean(bool),
    Number(Number),
    Text(String),
    Array(Vec<Value>),
    /// In the order written, each name once.
    Object(Vec<(String, Value)>),
}

/// `digits` times 10 to the power of minus `scale`, exactly.
#[derive(Clone, Debug, PartialEq)]
pub struct Number {
    pub digits: i128,
    pub scale: i32,
    /// How JSON shows it: as written, if it was only passed on.
    pub text: String,
    /// Computed with a float, as everything becomes that it is computed with.
    pub float: bool,
}

/// A decimal number has this many digits, or an operation on it fails.
const DIGITS_MAX: u32 = 38;

impl Number {
    pub fn new(digits: i128, scale: i32) -> Self {
        Self { digits, scale, text: plain(digits, scale), float: false }
    }

    pub fn of_float(value: f64) -> Self {
        let shortest = format!("{value:e}");
        let number = Self::parse(&shortest).expect("a finite float is a number");
        Self { float: true, ..Self::new(number.digits, number.scale) }
    }

    /// A number in the grammar of JSON.
    pub fn parse(text: &str) -> Option<Self> {
        let (mantissa, power) = text.split_once(['e', 'E']).unwrap_or((text, "0"));
        let (whole, fraction) = match mantissa.split_once('.') {
            Some((_, "")) => return None,
            Some(both) => both,
            None => (mantissa, ""),
        };
        let unsigned = whole.strip_prefix('-').unwrap_or(whole);
        let is_digits = |text: &str| text.bytes().all(|byte| byte.is_ascii_digit());
        let leading_zero = unsigned.len() > 1 && unsigned.starts_with('0');
        if unsigned.is_empty() || leading_zero || !is_digits(unsigned) || !is_digits(fraction) {
            return None;
        }
        let digits = format!("{whole}{fraction}").parse().ok()?;
        let power: i32 = power.parse().ok()?;
        let scale = fraction.len() as i32 - power;
        Some(Self { digits, scale, text: text.to_owned(), float: false })
    }

    pub fn to_f64(&self) -> f64 {
        format!("{}e{}", self.digits, -self.scale).parse().expect("digits and an exponent")
    }

    /// None if it has too many digits.
    pub fn add(&self, other: &Self) -> Option<Self> {
        self.with(other, |a, b| a + b, |a, b| a.checked_add(b))
    }

    pub fn sub(&self, other: &Self) -> Option<Self> {
        self.with(other, |a, b| a - b, |a, b| a.checked_sub(b))
    }

    fn with(
        &self,
        other: &Self,
        float: impl Fn(f64, f64) -> f64,
        exact: impl Fn(i128, i128) -> Option<i128>,
    ) -> Option<Self> {
        if self.float || other.float {
            let value = float(self.to_f64(), other.to_f64());
            return value.is_finite().then(|| Self::of_float(value));
        }
        let scale = self.scale.max(other.scale);
        let digits = exact(self.at(scale)?, other.at(scale)?)?;
        (digits.unsigned_abs() < 10_u128.pow(DIGITS_MAX)).then(|| Self::new(digits, scale))
    }

    /// Its digits at a scale that is not below its own.
    fn at(&self, scale: i32) -> Option<i128> {
        self.digits.checked_mul(10_i128.checked_pow(scale.checked_sub(self.scale)?.unsigned_abs())?)
    }

    /// The count of 10^-`places` that it is, if that is a whole number of 64 bits.
    pub fn scaled(&self, places: u32) -> Option<i64> {
        let up = places as i32 - self.scale;
        let count = match 10_i128.checked_pow(up.unsigned_abs()) {
            _ if self.digits == 0 => 0,
            Some(unit) if up >= 0 => self.digits.checked_mul(unit)?,
            Some(unit) => (self.digits % unit == 0).then_some(self.digits / unit)?,
            None => return None,
        };
        i64::try_from(count).ok()
    }

    /// A fraction of it in hundredths, half away from zero: `* 0.19 | round(2)`.
    pub fn share(&self) -> Option<Self> {
        let digits = self.digits.checked_mul(19)?;
        let scale = self.scale + 2;
        if scale <= 2 {
            return Some(Self::new(digits, scale));
        }
        let unit = 10_i128.checked_pow(scale.unsigned_abs() - 2)?;
        let half = if digits < 0 { -unit / 2 } else { unit / 2 };
        Some(Self::new((digits + half) / unit, 2))
    }

    fn order(&self, other: &Self) -> Ordering {
        let (a, b) = (self.scientific(), other.scientific());
        a.0.cmp(&b.0).then_with(|| {
            let order = (a.1, &a.2).cmp(&(b.1, &b.2));
            if a.0 < 0 { order.reverse() } else { order }
        })
    }

    /// Sign, power of ten of the first digit, digits without the last zeros.
    fn scientific(&self) -> (i128, i32, String) {
        let all = self.digits.unsigned_abs().to_string();
        let power = if self.digits == 0 { 0 } else { all.len() as i32 - self.scale };
        (self.digits.signum(), power, all.trim_end_matches('0').to_owned())
    }
}

/// The text of a computed number.
fn plain(mut digits: i128, mut scale: i32) -> String {
    while digits != 0 && digits % 10 == 0 {
        (digits, scale) = (digits / 10, scale - 1);
    }
    let sign = if digits < 0 { "-" } else { "" };
    let all = digits.unsigned_abs().to_string();
    let point = all.len() as i32 - scale;
    match () {
        () if digits == 0 => "0".to_owned(),
        () if scale <= 0 && point <= DIGITS_MAX as i32 => {
            format!("{sign}{all}{}", "0".repeat(scale.unsigned_abs() as usize))
        }
        () if scale > 0 && point > 0 => {
            format!("{sign}{}.{}", &all[..point as usize], &all[point as usize..])
        }
        () if scale > 0 && point > -6 => {
            format!("{sign}0.{}{all}", "0".repeat(point.unsigned_abs() as usize))
        }
        () => {
            let dot = if all.len() == 1 { "" } else { "." };
            format!("{sign}{}{dot}{}e{}", &all[..1], &all[1..], point - 1)
        }
    }
}

impl Value {
    pub fn text(text: &str) -> Self {
        Self::Text(text.to_owned())
    }

    pub fn integer(integer: i64) -> Self {
        Self::Number(Number::new(integer.into(), 0))
    }

    /// Whether a condition that gives it holds.
    pub fn holds(&self) -> bool {
        !matches!(self, Self::Null | Self::Boolean(false))
    }

    /// `.name` of it; None where jq has an error.
    pub fn member(&self, name: &str) -> Option<Self> {
        match self {
            Self::Null => Some(Self::Null),
            Self::Object(members) => {
                let member = members.iter().find(|(known, _)| known == name);
                Some(member.map_or(Self::Null, |(_, value)| value.clone()))
            }
            _ => None,
        }
    }

    /// As JSON, with `space` between tokens where JSON allows some.
    pub fn json(&self, space: &str) -> String {
        let list = |items: Vec<String>| items.join(&format!("{space},{space}"));
        match self {
            Self::Null => "null".to_owned(),
            Self::Boolean(boolean) => boolean.to_string(),
            Self::Number(number) => number.text.clone(),
            Self::Text(text) => format!("\"{text}\""),
            Self::Array(items) => {
                let items = items.iter().map(|item| item.json(space)).collect();
                format!("[{space}{}{space}]", list(items))
            }
            Self::Object(members) => {
                let member = |(name, value): &(String, Self)| {
                    format!("\"{name}\"{space}:{space}{}", value.json(space))
                };
                format!("{{{space}{}{space}}}", list(members.iter().map(member).collect()))
            }
        }
    }

    /// Reads compact JSON whose strings have no escapes, as a json column of these laws holds it.
    pub fn parse(text: &str) -> Self {
        let mut rest = text;
        let value = Self::parse_one(&mut rest);
        assert!(rest.is_empty(), "{text}");
        value
    }

    fn parse_one(rest: &mut &str) -> Self {
        let end = |rest: &str, ends: &[char]| rest.find(ends).unwrap_or(rest.len());
        let take = |rest: &mut &str, length: usize| {
            let (taken, left) = rest.split_at(length);
            *rest = left;
            taken.to_owned()
        };
        let mut items = Vec::new();
        let mut members = Vec::new();
        match rest.as_bytes()[0] {
            b'[' => {
                take(rest, 1);
                while !rest.starts_with(']') {
                    if rest.starts_with(',') {
                        take(rest, 1);
                    }
                    items.push(Self::parse_one(rest));
                }
                take(rest, 1);
                Self::Array(items)
            }
            b'{' => {
                take(rest, 1);
                while !rest.starts_with('}') {
                    if rest.starts_with(',') {
                        take(rest, 1);
                    }
                    let Self::Text(name) = Self::parse_one(rest) else { panic!("a name: {rest}") };
                    take(rest, 1);
                    members.push((name, Self::parse_one(rest)));
                }
                take(rest, 1);
                Self::Object(members)
            }
            b'"' => {
                take(rest, 1);
                let length = end(rest, &['"']);
                let text = take(rest, length);
                take(rest, 1);
                Self::Text(text)
            }
            _ => {
                let length = end(rest, &[',', ']', '}']);
                match take(rest, length).as_str() {
                    "null" => Self::Null,
                    "true" => Self::Boolean(true),
                    "false" => Self::Boolean(false),
                    number => Self::Number(Number::parse(number).expect("a number")),
                }
            }
        }
    }

    /// jq's order: null, false, true, numbers, strings, arrays, objects.
    pub fn order(&self, other: &Self) -> Ordering {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => a.order(b),
            (Self::Text(a), Self::Text(b)) => a.cmp(b),
            (Self::Array(a), Self::Array(b)) => {
                first(a.iter().zip(b).map(|(a, b)| a.order(b))).then(a.len().cmp(&b.len()))
            }
            (Self::Object(a), Self::Object(b)) => {
                let sorted = |members: &[(String, Self)]| {
                    let mut members = members.to_vec();
                    members.sort_by(|(a, _), (b, _)| a.cmp(b));
                    members
                };
                let (a, b) = (sorted(a), sorted(b));
                let names = a.iter().map(|(name, _)| name).cmp(b.iter().map(|(name, _)| name));
                names.then_with(|| first(a.iter().zip(&b).map(|(a, b)| a.1.order(&b.1))))
            }
            _ => self.rank().cmp(&other.rank()),
        }
    }

    fn rank(&self) -> u8 {
        match self {
            Self::Null => 0,
            Self::Boolean(false) => 1,
            Self::Boolean(true) => 2,
            Self::Number(_) => 3,
            Self::Text(_) => 4,
            Self::Array(_) => 5,
            Self::Object(_) => 6,
        }
    }

    /// jq's `+`; None where it has an error.
    pub fn add(self, other: Self) -> Option<Self> {
        Some(match (self, other) {
            (Self::Null, value) | (value, Self::Null) => value,
            (Self::Number(a), Self::Number(b)) => Self::Number(a.add(&b)?),
            (Self::Text(a), Self::Text(b)) => Self::Text(a + &b),
            (Self::Array(a), Self::Array(b)) => Self::Array([a, b].concat()),
            (Self::Object(mut a), Self::Object(b)) => {
                for (name, value) in b {
                    match a.iter_mut().find(|(known, _)| *known == name) {
                        Some(member) => member.1 = value,
                        None => a.push((name, value)),
                    }
                }
                Self::Object(a)
            }
            _ => return None,
        })
    }

    /// jq's `-`; None where it has an error.
    pub fn sub(self, other: Self) -> Option<Self> {
        match (self, other) {
            (Self::Number(a), Self::Number(b)) => Some(Self::Number(a.sub(&b)?)),
            (Self::Array(a), Self::Array(b)) => {
                let left = a.into_iter().filter(|item| b.iter().all(|b| b.order(item).is_ne()));
                Some(Self::Array(left.collect()))
            }
            _ => None,
        }
    }
}

/// The first that is not equal.
fn first(mut orders: impl Iterator<Item = Ordering>) -> Ordering {
    orders.find(|order| order.is_ne()).unwrap_or(Ordering::Equal)
}
