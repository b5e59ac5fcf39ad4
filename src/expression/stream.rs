//! Several values in turn, within an expression that gives one: `[.data.items[] | select(.paid) | .id]`.
//!
//! What the direct route knows of jq's streams: iteration, `select`, `,` and pipes between expressions of one value. A
//! stream is handed on value by value, so what ends early, such as `any`, asks for no more than jaq would.

use jaq_core::ValT as _;
use jaq_core::load::parse::{BinaryOp, Term};
use jaq_core::path::{Opt, Part};

use super::Scope;
use super::binding::Bindings;
use super::direct::Node;
use super::value::{Result, Value};

/// An expression that gives any number of values.
#[derive(Debug)]
pub(super) enum Stream {
    One(Node),
    /// The elements or members of each value.
    Each(Box<Stream>),
    /// Its input, if this holds.
    Select(Node),
    Pipe(Box<Stream>, Box<Stream>),
    /// One after the other.
    All(Vec<Stream>),
}

impl Stream {
    /// The stream of a term; None if it is nothing that this route knows. Each term inside is looked at once.
    pub(super) fn of_term(term: &Term<&str>, scope: Scope<'_>) -> Option<Self> {
        match term {
            Term::BinOp(left, BinaryOp::Pipe(None), right) => {
                Some(Self::of_term(left, scope)?.then(Self::of_term(right, scope)?))
            }
            Term::BinOp(left, BinaryOp::Comma, right) => {
                let mut all = Self::of_term(left, scope)?.into_all();
                all.extend(Self::of_term(right, scope)?.into_all());
                Some(Self::All(all))
            }
            Term::Path(head, parts)
                if !matches!(**head, Term::Id) || parts.0.iter().any(iterates) =>
            {
                Self::path(Self::of_term(head, scope)?, &parts.0)
            }
            Term::Call("select", arguments) => match &arguments[..] {
                [condition] => Node::of_term(condition, scope).map(Self::Select),
                _ => None,
            },
            Term::Call("empty", _) => Some(Self::All(Vec::new())),
            _ => Node::of_one(term, scope).map(Self::One),
        }
    }

    /// The node of a stream that is one.
    pub(super) fn into_one(self) -> Option<Node> {
        match self {
            Self::One(node) => Some(node),
            _ => None,
        }
    }

    /// An array of its values.
    pub(super) fn collected(self) -> Node {
        let all = match self {
            Self::All(all) => all,
            Self::One(node) => return Node::Array(vec![node]),
            stream => return Node::Collect(Box::new(stream)),
        };
        if all.iter().all(|stream| matches!(stream, Self::One(_))) {
            Node::Array(all.into_iter().filter_map(Self::into_one).collect())
        } else {
            Node::Collect(Box::new(Self::All(all)))
        }
    }

    /// The elements of the input, each through a stream.
    pub(super) fn of_elements(then: Self) -> Self {
        Self::Each(Box::new(Self::One(Node::Input))).then(then)
    }

    /// Hands each value to `take`, until that is not true; an error ends it as well.
    pub(super) fn each(
        &self,
        input: &Value,
        bindings: &Bindings<'_>,
        take: &mut dyn FnMut(Value) -> Result<bool>,
    ) -> Result<bool> {
        match self {
            Self::One(node) => take(node.evaluate(input, bindings)?),
            Self::Each(inner) => inner.each(input, bindings, &mut |value| {
                for item in value.values() {
                    if !take(item?)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }),
            Self::Select(condition) => match condition.evaluate(input, bindings)?.as_bool() {
                true => take(input.clone()),
                false => Ok(true),
            },
            Self::Pipe(left, right) => {
                left.each(input, bindings, &mut |value| right.each(&value, bindings, take))
            }
            Self::All(streams) => {
                for stream in streams {
                    if !stream.each(input, bindings, take)? {
                        return Ok(false);
                    }
                }
                Ok(true)
            }
        }
    }

    /// Whether a value of the stream is as asked for.
    pub(super) fn any(
        &self,
        input: &Value,
        bindings: &Bindings<'_>,
        mut is_wanted: impl FnMut(Value) -> Result<bool>,
    ) -> Result<bool> {
        self.each(input, bindings, &mut |value| is_wanted(value).map(|found| !found))
            .map(|to_the_end| !to_the_end)
    }

    fn then(self, next: Self) -> Self {
        match (self, next) {
            (Self::One(left), Self::One(right)) => {
                Self::One(Node::Pipe(Box::new(left), Box::new(right)))
            }
            (left, right) => Self::Pipe(Box::new(left), Box::new(right)),
        }
    }

    fn into_all(self) -> Vec<Self> {
        match self {
            Self::All(all) => all,
            stream => vec![stream],
        }
    }

    /// Plain steps and iterations, in their order.
    fn path(head: Self, parts: &[(Part<Term<&str>>, Opt)]) -> Option<Self> {
        let plain = parts.iter().take_while(|part| !iterates(part)).count();
        let (steps, rest) = parts.split_at(plain);
        let stream = match (head, steps) {
            (head, []) => head,
            (Self::One(head), steps) => Self::One(Node::path(head, steps)?),
            (head, steps) => head.then(Self::One(Node::path(Node::Input, steps)?)),
        };
        match rest {
            [] => Some(stream),
            [(_, Opt::Essential), rest @ ..] => Self::path(Self::Each(Box::new(stream)), rest),
            _ => None,
        }
    }
}

fn iterates((part, _): &(Part<Term<&str>>, Opt)) -> bool {
    matches!(part, Part::Range(None, None))
}
