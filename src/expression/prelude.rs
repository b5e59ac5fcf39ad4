//! The prelude: the functions of the allow list, and the few that they are made of.
//!
//! Nothing of jaq-std or jaq-json is loaded, so no clock, environment, input or output is even compiled in.

use std::collections::HashSet;
use std::sync::LazyLock;

use jaq_core::load::lex::StrPart;
use jaq_core::load::parse::{BinaryOp, Def, Pattern, Term};
use jaq_core::native::Fun;
use jaq_core::path::Part;

use super::engine::Engine;
use super::functions;

/// Of jaq-core's native functions, those that are kept.
const KEPT: [&str; 6] = ["first", "last", "limit", "skip", "path", "path_value"];

static DEFINITIONS: LazyLock<Vec<Def>> = LazyLock::new(|| {
    jaq_core::load::parse(include_str!("prelude.jq"), |p| p.defs()).expect("a test parses it")
});

/// Every native function.
pub(super) fn natives() -> impl Iterator<Item = Fun<Engine>> {
    let kept = jaq_core::funs::<Engine>().filter(|(name, ..)| KEPT.contains(name));
    kept.chain(functions::all())
}

/// The definitions that a term needs, in the order in which they may refer to each other.
///
/// Only these are compiled with it: each expression carries its own copy of them.
pub(super) fn definitions(term: &Term<&str>) -> Vec<Def> {
    let mut needed = HashSet::new();
    calls(term, &mut |name, _| {
        needed.insert(name.to_owned());
    });
    let mut chosen = Vec::new();
    // Definitions refer to earlier ones only.
    for definition in DEFINITIONS.iter().rev() {
        if needed.contains(definition.name) {
            calls(&definition.body, &mut |name, _| {
                needed.insert(name.to_owned());
            });
            chosen.push(definition.clone());
        }
    }
    chosen.reverse();
    chosen
}

/// Tells every name that a term calls, with the number of its arguments.
pub(super) fn calls<'s>(term: &Term<&'s str>, tell: &mut impl FnMut(&'s str, &[Term<&'s str>])) {
    visit(term, &mut |term| match term {
        Term::Call(name, arguments) => tell(name, arguments),
        Term::Str(Some(format), _) => tell(format, &[]),
        _ => {}
    });
}

/// Visits a term and every term inside.
pub(super) fn visit<'t, 's>(term: &'t Term<&'s str>, tell: &mut impl FnMut(&'t Term<&'s str>)) {
    tell(term);
    match term {
        Term::Id
        | Term::Recurse
        | Term::Num(_)
        | Term::Break(_)
        | Term::Var(_)
        | Term::Arr(None) => {}
        Term::Str(_, parts) => {
            for part in parts {
                if let StrPart::Term(inner) = part {
                    visit(inner, tell);
                }
            }
        }
        Term::Arr(Some(inner)) | Term::Neg(inner) | Term::Label(_, inner) => visit(inner, tell),
        Term::Obj(members) => {
            for (key, value) in members {
                visit(key, tell);
                value.iter().for_each(|value| visit(value, tell));
            }
        }
        Term::BinOp(left, operator, right) => {
            visit(left, tell);
            if let BinaryOp::Pipe(Some(pattern)) = operator {
                visit_pattern(pattern, tell);
            }
            visit(right, tell);
        }
        Term::Fold(_, source, pattern, arguments) => {
            visit(source, tell);
            visit_pattern(pattern, tell);
            arguments.iter().for_each(|argument| visit(argument, tell));
        }
        Term::TryCatch(tried, caught) => {
            visit(tried, tell);
            caught.iter().for_each(|caught| visit(caught, tell));
        }
        Term::IfThenElse(branches, otherwise) => {
            for (condition, then) in branches {
                visit(condition, tell);
                visit(then, tell);
            }
            otherwise.iter().for_each(|otherwise| visit(otherwise, tell));
        }
        Term::Def(definitions, inner) => {
            definitions.iter().for_each(|definition| visit(&definition.body, tell));
            visit(inner, tell);
        }
        Term::Call(_, arguments) => arguments.iter().for_each(|argument| visit(argument, tell)),
        Term::Path(head, parts) => {
            visit(head, tell);
            for (part, _) in &parts.0 {
                match part {
                    Part::Index(index) => visit(index, tell),
                    Part::Range(from, upto) => {
                        from.iter().chain(upto).for_each(|bound| visit(bound, tell))
                    }
                }
            }
        }
    }
}

fn visit_pattern<'t, 's>(pattern: &'t Pattern<&'s str>, tell: &mut impl FnMut(&'t Term<&'s str>)) {
    match pattern {
        Pattern::Var(_) => {}
        Pattern::Arr(patterns) => patterns.iter().for_each(|pattern| visit_pattern(pattern, tell)),
        Pattern::Obj(members) => {
            for (key, pattern) in members {
                visit(key, tell);
                visit_pattern(pattern, tell);
            }
        }
    }
}
