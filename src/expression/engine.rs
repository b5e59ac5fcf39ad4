//! The value type as jaq's evaluator drives it.

use std::ops::Range;

use jaq_core::box_iter::{BoxIter, box_once};
use jaq_core::path::Opt;
use jaq_core::val::Range as Bounds;
use jaq_core::{DataT, Native, ValX, data};

use super::binding::Bindings;
use super::budget;
use super::decimal::Rounding;
use super::number::Number;
use super::value::{Error, Result, Value, ValueKind, error};
use super::{update, write};

/// Ties jaq to our values and to what an evaluation lends to native functions.
pub(super) struct Engine;

/// What native functions can reach besides their input: the compiled terms, rows.
#[derive(Clone)]
pub(super) struct Context<'a> {
    pub(super) lut: &'a Lut,
    pub(super) bindings: Bindings<'a>,
    /// The tables that the expression looks rows up in, each with its index in the scope.
    pub(super) tables: &'a [(String, usize)],
}

pub(super) type Lut = jaq_core::compile::Lut<Native<Engine>>;

impl DataT for Engine {
    type V<'a> = Value;
    type Data<'a> = Context<'a>;
}

impl<'a> data::HasLut<'a, Engine> for Context<'a> {
    fn lut(&self) -> &'a Lut {
        self.lut
    }
}

impl jaq_core::ValT for Value {
    fn from_num(text: &str) -> Result {
        // The compiler has refused whatever is not in the grammar.
        let number = Number::parse(text).ok_or_else(|| error(format!("{text} is not a number")))?;
        Ok(Self::Number(number))
    }

    fn from_map<I: IntoIterator<Item = (Self, Self)>>(members: I) -> Result {
        budget::operation();
        let member = |(key, value): (Self, Self)| {
            budget::operation();
            match key.as_text() {
                Some(key) => Ok((key.as_str().into(), value)),
                None => Err(error(format!("a key is a string, and {key} is {}", key.kind()))),
            }
        };
        members.into_iter().map(member).collect::<std::result::Result<_, _>>().map(Self::object)
    }

    fn key_values(self) -> BoxIter<'static, Result<(Self, Self)>> {
        match self.into_array() {
            Ok(array) => Box::new(array.items.into_iter().enumerate().map(|(index, item)| {
                budget::operation();
                Ok((Self::from(index), item))
            })),
            Err(other) => match other.into_object() {
                Ok(object) => Box::new(object.members.into_iter().map(|(key, member)| {
                    budget::operation();
                    Ok((Self::from(key.as_str()), member))
                })),
                Err(other) => box_once(Err(other.no_elements())),
            },
        }
    }

    fn values(self) -> Box<dyn Iterator<Item = Result>> {
        if let Self::Array(array) = self {
            // Shared arrays are read in place: copying one to iterate it would cost its length each time.
            return Box::new((0..array.items.len()).map(move |index| {
                budget::operation();
                Ok(array.items[index].clone())
            }));
        }
        let counted = |item| {
            budget::operation();
            Ok(item)
        };
        match self.into_array() {
            Ok(array) => Box::new(array.items.into_iter().map(counted)),
            Err(other) => match other.into_object() {
                Ok(object) => Box::new(object.members.into_values().map(counted)),
                Err(other) => box_once(Err(other.no_elements())),
            },
        }
    }

    fn index(self, index: &Self) -> Result {
        self.child(index)
    }

    fn range(self, range: Bounds<&Self>) -> Result {
        self.slice(range.start, range.end)
    }

    fn map_values<'a, I: Iterator<Item = ValX<'a, Self>>>(
        self,
        opt: Opt,
        f: impl Fn(Self) -> I,
    ) -> ValX<'a, Self> {
        update::values(self, opt, f)
    }

    fn map_index<'a, I: Iterator<Item = ValX<'a, Self>>>(
        self,
        index: &Self,
        opt: Opt,
        f: impl Fn(Self) -> I,
    ) -> ValX<'a, Self> {
        update::index(self, index, opt, f)
    }

    fn map_range<'a, I: Iterator<Item = ValX<'a, Self>>>(
        self,
        range: Bounds<&Self>,
        opt: Opt,
        f: impl Fn(Self) -> I,
    ) -> ValX<'a, Self> {
        update::range(self, (range.start, range.end), opt, f)
    }

    fn as_bool(&self) -> bool {
        !matches!(self, Self::Null | Self::Bool(false))
    }

    fn into_string(self) -> Self {
        match self {
            Self::Text(_) => self,
            other => Self::from(other.to_json()),
        }
    }
}

/// A slice in a path is an object of its bounds, as in jq.
impl From<Bounds<Self>> for Value {
    fn from(bounds: Bounds<Self>) -> Self {
        let bound = |bound: Option<Self>| bound.unwrap_or(Self::Null);
        let members = [("start".into(), bound(bounds.start)), ("end".into(), bound(bounds.end))];
        Self::object(members.into_iter().collect())
    }
}

impl Value {
    /// What `.[index]` gives: null-safe for null and for what is not there.
    pub(super) fn child(self, index: &Self) -> Result {
        budget::operation();
        match (&self, index) {
            (Self::Null, _) => Ok(Self::Null),
            (_, Self::Text(key)) if self.kind() == ValueKind::Object => {
                Ok(self.member(key).unwrap_or(Self::Null))
            }
            (_, Self::Number(number)) if self.kind() == ValueKind::Array => {
                match number.integer() {
                    Some(index) => Ok(self.element(index).unwrap_or(Self::Null)),
                    None => Err(self.no_member(index)),
                }
            }
            _ => match self.as_slice_bounds(index) {
                Some((from, upto)) => self.slice(from.as_ref(), upto.as_ref()),
                None => Err(self.no_member(index)),
            },
        }
    }

    /// Compact JSON.
    pub(super) fn to_json(&self) -> String {
        let mut sink = write::Sink::whole();
        write::value(self, &mut sink);
        sink.finish().unwrap_or_else(|| {
            budget::stop_at(budget::Exceeded::Depth);
            String::new()
        })
    }

    /// The bounds of an object that stands for a slice in a path.
    pub(super) fn as_slice_bounds(&self, index: &Self) -> Option<(Option<Self>, Option<Self>)> {
        if index.kind() != ValueKind::Object
            || !matches!(self.kind(), ValueKind::Array | ValueKind::String)
        {
            return None;
        }
        let bound = |name| index.member(name).filter(|bound| bound.kind() != ValueKind::Null);
        (index.member("start").is_some() || index.member("end").is_some())
            .then(|| (bound("start"), bound("end")))
    }

    #[cold]
    pub(super) fn no_member(&self, index: &Self) -> Error {
        error(no_member_message(&self.shown(), self.kind(), &index.shown(), index.kind()))
    }

    /// The start of a sentence: `null`, or `1 is a number and`.
    pub(super) fn described(&self) -> String {
        described(&self.shown(), self.kind())
    }

    #[cold]
    fn no_elements(&self) -> Error {
        error(format!("{} has no elements", self.described()))
    }

    fn slice(self, from: Option<&Self>, upto: Option<&Self>) -> Result {
        budget::operation();
        match &self {
            Self::Null => Ok(self),
            Self::Text(text) => {
                budget::scan(text.len());
                let range = slice_bounds(text.chars().count(), from, upto)?;
                let byte = |place: usize| {
                    text.char_indices().nth(place).map_or(text.len(), |(byte, _)| byte)
                };
                Ok(Self::from(&text[byte(range.start)..byte(range.end)]))
            }
            _ => match self.elements() {
                Some(items) => {
                    let range = slice_bounds(items.len(), from, upto)?;
                    Ok(items[range].iter().cloned().collect())
                }
                None => Err(error(format!("{} cannot be sliced", self.described()))),
            },
        }
    }
}

/// Why a value has no member or element: the same words on every route.
#[cold]
pub(super) fn no_member_message(
    value: &str,
    kind: ValueKind,
    index: &str,
    index_kind: ValueKind,
) -> String {
    let value = described(value, kind);
    match index_kind {
        ValueKind::String => format!("{value} has no member {index}"),
        ValueKind::Number => format!("{value} has no element {index}"),
        _ => format!("{value} cannot be indexed with {index_kind}"),
    }
}

fn described(value: &str, kind: ValueKind) -> String {
    match kind {
        ValueKind::Null => value.to_owned(),
        kind => format!("{value} is {kind} and"),
    }
}

/// The places that a slice names: bounds count from the end if negative, and are cut to what is there.
pub(super) fn slice_bounds(
    length: usize,
    from: Option<&Value>,
    upto: Option<&Value>,
) -> Result<Range<usize>> {
    let bound = |bound: Option<&Value>, rounding: Rounding, absent: usize| -> Result<usize> {
        let number = match bound {
            None | Some(Value::Null) => return Ok(absent),
            Some(Value::Number(number)) => number,
            Some(other) => {
                return Err(error(format!(
                    "a slice's bound is a number, and {other} is {}",
                    other.kind()
                )));
            }
        };
        let far = if number.is_negative() { i64::MIN } else { i64::MAX };
        let place = number.round(0, rounding).ok().and_then(|whole| whole.integer()).unwrap_or(far);
        let distance = usize::try_from(place.unsigned_abs()).unwrap_or(usize::MAX);
        Ok(if place < 0 { length.saturating_sub(distance) } else { distance.min(length) })
    };
    let start = bound(from, Rounding::Down, 0)?;
    let end = bound(upto, Rounding::Up, length)?;
    Ok(start..end.max(start))
}
