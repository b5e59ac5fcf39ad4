//! The direct route for expressions that give exactly one value whatever the event holds.
//!
//! Arithmetic, comparisons, `//`, `and`, `or`, `if`, pipes, objects, arrays of single values, interpolated strings and
//! calls of functions of values: evaluated by a walk over a small tree, where jaq makes boxed iterators for a stream of
//! values at each step. It costs a tenth. The operations are the same functions that jaq is given, so the routes agree
//! but for the order in which the budget is spent (a property test holds them to it).

use jaq_core::ValT as _;
use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Term};
use jaq_core::ops::{Cmp, Math};
use jaq_core::path::{Opt, Part};

use super::arithmetic::concatenated;
use super::binding::Bindings;
use super::budget;
use super::functions::{self, Direct};
use super::path::{Path, plain_text};
use super::stream::Stream;
use super::value::{Members, Result, Value};
use super::{Literal, Scope, lookup, references};

/// An expression that gives one value.
#[derive(Debug)]
pub(super) enum Node {
    Input,
    Literal(Literal),
    /// A plain path of the input.
    Path(Path),
    /// A variable of the scope, by its slot.
    Variable(usize),
    /// A plain path of a variable.
    VariablePath(usize, Path),
    /// The row of a table with these keys.
    Lookup(usize, Vec<Node>),
    /// A plain path of what another node gives.
    PathOf(Box<Node>, Path),
    /// A slice, by literal bounds, of what another node gives.
    Slice(Box<Node>, [Option<Literal>; 2]),
    Pipe(Box<Node>, Box<Node>),
    Math(Box<Node>, Math, Box<Node>),
    Compare(Box<Node>, Cmp, Box<Node>),
    Alternative(Box<Node>, Box<Node>),
    /// `or` stops at true, `and` at false.
    Logic(Box<Node>, bool, Box<Node>),
    Negated(Box<Node>),
    If(Vec<(Node, Node)>, Box<Node>),
    Object(Vec<(String, Node)>),
    Array(Vec<Node>),
    /// An array of the values of a stream.
    Collect(Box<Stream>),
    /// Whether the node gives this truth value for a value of the stream, and the truth value that tells so.
    Exists(Box<Stream>, Box<Node>, [bool; 2]),
    /// Whether the input is among the values of the stream.
    Among(Box<Stream>),
    /// The sum of the stream.
    Sum(Box<Stream>),
    Text(Vec<Node>),
    Call(fn(Value) -> Result),
    CallWith(fn(Value, Value) -> Result, Box<Node>),
}

impl Node {
    /// The tree of a term; None if it may give no value or several, or is nothing that this route knows.
    pub(super) fn of_term(term: &Term<&str>, scope: Scope<'_>) -> Option<Self> {
        Stream::of_term(term, scope)?.into_one()
    }

    /// The same for a term that is no stream's: no pipe, no `,`.
    pub(super) fn of_one(term: &Term<&str>, scope: Scope<'_>) -> Option<Self> {
        if let Some(literal) = Literal::of_term(term) {
            return Some(Self::Literal(literal));
        }
        let of_term = |term: &Term<&str>| Self::of_term(term, scope);
        let boxed = |term: &Term<&str>| of_term(term).map(Box::new);
        Some(match term {
            Term::Id => Self::Input,
            Term::Path(head, parts) => Self::path(of_term(head)?, &parts.0)?,
            Term::Var(name) => Self::Variable(references::slot(name, scope)?),
            Term::BinOp(left, operator, right) => {
                let (left, right) = (boxed(left)?, boxed(right)?);
                match operator {
                    BinaryOp::Math(math) => Self::Math(left, *math, right),
                    BinaryOp::Cmp(compare) => Self::Compare(left, *compare, right),
                    BinaryOp::Alt => Self::Alternative(left, right),
                    BinaryOp::Or => Self::Logic(left, true, right),
                    BinaryOp::And => Self::Logic(left, false, right),
                    _ => return None,
                }
            }
            Term::Neg(inner) => Self::Negated(boxed(inner)?),
            Term::IfThenElse(branches, otherwise) => {
                let branch =
                    |(condition, then): &(_, _)| Some((of_term(condition)?, of_term(then)?));
                let otherwise = otherwise
                    .as_ref()
                    .map_or(Some(Box::new(Self::Input)), |otherwise| boxed(otherwise));
                Self::If(branches.iter().map(branch).collect::<Option<_>>()?, otherwise?)
            }
            Term::Obj(members) => {
                let member = |entry| member(entry, scope);
                Self::Object(members.iter().map(member).collect::<Option<_>>()?)
            }
            Term::Arr(None) => Self::Array(Vec::new()),
            Term::Arr(Some(inner)) => Stream::of_term(inner, scope)?.collected(),
            Term::Str(format, parts) => Self::text(*format, parts, scope)?,
            Term::Call(name, arguments) => Self::call(name, arguments, scope)?,
            _ => return None,
        })
    }

    /// What the expression gives for an input.
    pub(super) fn evaluate(&self, input: &Value, bindings: &Bindings<'_>) -> Result {
        let given = |node: &Self| node.evaluate(input, bindings);
        match self {
            Self::Input => Ok(input.clone()),
            Self::Literal(literal) => Ok(literal.value()),
            Self::Path(path) => path.value_of(input),
            Self::Variable(slot) => Ok(bindings.variable(*slot).clone()),
            Self::VariablePath(slot, path) => path.value_of(bindings.variable(*slot)),
            Self::Lookup(table, keys) => {
                let keys = keys.iter().map(given).collect::<Result<_>>()?;
                lookup::row(bindings, *table, keys)
            }
            Self::PathOf(head, path) => path.value_of(&given(head)?),
            Self::Slice(head, [from, upto]) => {
                let value = given(head)?;
                let bound = |bound: &Option<Literal>| bound.as_ref().map(Literal::value);
                value.range(bound(from).as_ref()..bound(upto).as_ref())
            }
            Self::Pipe(left, right) => right.evaluate(&given(left)?, bindings),
            Self::Math(left, math, right) => math.run(given(left)?, given(right)?),
            Self::Compare(left, compare, right) => {
                let (left, right) = (given(left)?, given(right)?);
                Ok(Value::Bool(compare.run(&left, &right)))
            }
            Self::Alternative(left, right) => match given(left)? {
                Value::Null | Value::Bool(false) => given(right),
                value => Ok(value),
            },
            Self::Logic(left, stop, right) => Ok(Value::Bool(match given(left)?.as_bool() {
                value if value == *stop => value,
                _ => given(right)?.as_bool(),
            })),
            Self::Negated(inner) => {
                let value = given(inner)?;
                -value
            }
            Self::If(branches, otherwise) => {
                for (condition, then) in branches {
                    if given(condition)?.as_bool() {
                        return given(then);
                    }
                }
                given(otherwise)
            }
            Self::Object(members) => {
                budget::operations(2 * members.len());
                let mut object = Members::with_capacity(members.len());
                for (key, node) in members {
                    object.insert(key.into(), given(node)?);
                }
                Ok(Value::object(object))
            }
            Self::Array(nodes) => nodes.iter().map(given).collect(),
            Self::Text(parts) => {
                let parts = parts.iter().map(given).collect::<Result<Vec<_>>>()?;
                let texts: Vec<&str> = parts
                    .iter()
                    .filter_map(|part| part.as_text().map(|text| text.as_str()))
                    .collect();
                Ok(concatenated(&texts))
            }
            Self::Collect(stream) => {
                let mut items = Vec::new();
                stream.each(input, bindings, &mut |value| {
                    budget::step();
                    items.push(value);
                    Ok(true)
                })?;
                Ok(Value::array(items))
            }
            Self::Exists(stream, condition, [wanted, found]) => {
                let exists = stream.any(input, bindings, |value| {
                    Ok(condition.evaluate(&value, bindings)?.as_bool() == *wanted)
                })?;
                Ok(Value::Bool(exists == *found))
            }
            Self::Among(stream) => {
                stream.any(input, bindings, |value| Ok(value == *input)).map(Value::Bool)
            }
            Self::Sum(stream) => {
                let mut sum = Value::Null;
                stream.each(input, bindings, &mut |value| {
                    sum = Math::Add.run(std::mem::replace(&mut sum, Value::Null), value)?;
                    Ok(true)
                })?;
                Ok(sum)
            }
            Self::Call(function) => function(input.clone()),
            Self::CallWith(function, argument) => {
                let argument = given(argument)?;
                function(input.clone(), argument)
            }
        }
    }

    /// Runs of plain steps, and slices between them.
    pub(super) fn path(head: Self, parts: &[(Part<Term<&str>>, Opt)]) -> Option<Self> {
        let plain = parts.iter().take_while(|(part, _)| matches!(part, Part::Index(_))).count();
        let (steps, rest) = parts.split_at(plain);
        let node = match (head, steps) {
            (head, []) => head,
            (Self::Input, steps) => Self::Path(Path::of_parts(steps)?),
            (Self::Variable(slot), steps) => Self::VariablePath(slot, Path::of_parts(steps)?),
            (head, steps) => Self::PathOf(Box::new(head), Path::of_parts(steps)?),
        };
        let Some((slice, rest)) = rest.split_first() else { return Some(node) };
        // Without any bound it iterates.
        let (Part::Range(from, upto), Opt::Essential) = slice else { return None };
        if from.is_none() && upto.is_none() {
            return None;
        }
        let bound = |bound: &Option<Term<&str>>| match bound {
            Some(term) => Literal::of_term(term).map(Some),
            None => Some(None),
        };
        Self::path(Self::Slice(Box::new(node), [bound(from)?, bound(upto)?]), rest)
    }

    fn text(
        format: Option<&str>,
        parts: &[StrPart<&str, Term<&str>>],
        scope: Scope<'_>,
    ) -> Option<Self> {
        let Some(Direct::Nullary(format)) = functions::direct(format.unwrap_or("@text"), 0) else {
            return None;
        };
        let part = |part: &StrPart<&str, Term<&str>>| {
            Some(match part {
                StrPart::Str(text) => Self::Literal(Literal::Text((*text).to_owned())),
                StrPart::Char(char) => Self::Literal(Literal::Text((*char).to_string())),
                StrPart::Term(inner) => {
                    Self::Pipe(Box::new(Self::of_term(inner, scope)?), Box::new(Self::Call(format)))
                }
            })
        };
        parts.iter().map(part).collect::<Option<_>>().map(Self::Text)
    }

    fn call(name: &str, arguments: &[Term<&str>], scope: Scope<'_>) -> Option<Self> {
        if name == lookup::NAME {
            let table = lookup::table(arguments, scope)?;
            let keys = arguments[1..].iter().map(|key| Self::of_term(key, scope));
            return Some(Self::Lookup(table, keys.collect::<Option<_>>()?));
        }
        if let Some(node) = Self::of_stream(name, arguments, scope) {
            return Some(node);
        }
        match (functions::direct(name, arguments.len())?, arguments) {
            (Direct::Nullary(function), []) => Some(Self::Call(function)),
            (Direct::Unary(function), [argument]) => {
                Some(Self::CallWith(function, Box::new(Self::of_term(argument, scope)?)))
            }
            _ => None,
        }
    }
}

impl Node {
    /// Calls that take several values and give one.
    fn of_stream(name: &str, arguments: &[Term<&str>], scope: Scope<'_>) -> Option<Self> {
        let stream = |term| Stream::of_term(term, scope).map(Box::new);
        let node = |term| Self::of_term(term, scope).map(Box::new);
        let elements = || Box::new(Stream::of_elements(Stream::One(Self::Input)));
        // `any` looks for what is true, `all` for what is not.
        let kind = match name {
            "any" => [true, true],
            _ => [false, false],
        };
        Some(match (name, arguments) {
            ("map", [f]) => {
                Self::Collect(Box::new(Stream::of_elements(Stream::of_term(f, scope)?)))
            }
            ("any" | "all", []) => Self::Exists(elements(), Box::new(Self::Input), kind),
            ("any" | "all", [condition]) => Self::Exists(elements(), node(condition)?, kind),
            ("any" | "all", [values, condition]) => {
                Self::Exists(stream(values)?, node(condition)?, kind)
            }
            ("isempty", [values]) => {
                let always = Box::new(Self::Literal(Literal::Bool(true)));
                Self::Exists(stream(values)?, always, [true, false])
            }
            ("IN", [values]) => Self::Among(stream(values)?),
            ("add", [values]) => Self::Sum(stream(values)?),
            _ => return None,
        })
    }
}

impl Literal {
    fn value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(value) => Value::Bool(*value),
            Self::Integer(value) => Value::Number((*value).into()),
            Self::Number(text) => Value::Number(super::Number::written(text)),
            Self::Text(text) => Value::from(text.as_str()),
        }
    }
}

/// A member of an object with a literal key; `{a}` is `{a: .a}`, `{$a}` is `{a: $a}`.
fn member(
    (key, value): &(Term<&str>, Option<Term<&str>>),
    scope: Scope<'_>,
) -> Option<(String, Node)> {
    if let (Term::Var(name), None) = (key, value) {
        return Some((name[1..].to_owned(), Node::of_term(key, scope)?));
    }
    let Term::Str(None, parts) = key else { return None };
    let text = plain_text(parts)?.into_owned();
    let node = match value {
        Some(value) => Node::of_term(value, scope)?,
        None => Node::Path(Path::of_parts(&[(Part::Index(key.clone()), Opt::Essential)])?),
    };
    Some((text, node))
}
