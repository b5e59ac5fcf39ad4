//! From the words of a search to the terms that they ask for.
//!
//! A text is looked for in each field as the field's language has it, and counts by the field's weight. Where one of
//! the fields leaves all of it out (stop words), it asks for nothing: what is not in the index of that field may be in
//! its row.

use std::time::Instant;

use tantivy::Term;

use super::Text as Field;
use super::analysis::Analyzer;
use super::clause::{Clause, Terms};
use super::expand::Expand;
use super::sought::{FUZZY_CHARS_MIN, Sought};
use super::words::{Form, Node, Text, Words, shown};
use crate::query::Refused;

/// Words of all phrases together: each is a list that is read beside the others.
const TERMS_MAX: usize = 256;

pub struct Compiled {
    pub(super) clause: Clause,
    /// Those of the words, and what became of them in these fields.
    pub warnings: Vec<String>,
}

/// Makes the clause; its walks through the dictionary end at `deadline`.
pub fn compile(words: &Words, fields: &[Field], deadline: Instant) -> Result<Compiled, Refused> {
    let analyzers = fields.iter().map(|field| Analyzer::new(field.language)).collect();
    let warnings = words.warnings.clone();
    let mut compiler = Compiler { fields, analyzers, deadline, terms: 0, left_out: None, warnings };
    let clause = words.root.as_ref().and_then(|root| compiler.node(root));
    if compiler.terms > TERMS_MAX {
        return Err(Refused::new(format!("phrases of more than {TERMS_MAX} words together"))
            .hint("search for a part of the phrase"));
    }
    let clause = match clause {
        Some(clause) => clause.positive(),
        None => {
            let nothing = compiler.nothing();
            compiler.warnings.push(nothing);
            Clause::nothing()
        }
    };
    Ok(Compiled { clause, warnings: compiler.warnings })
}

/// What is asked for, or what is not to be there.
enum Asked {
    With(Clause),
    Without(Clause),
}

struct Compiler<'a> {
    fields: &'a [Field],
    analyzers: Vec<Analyzer>,
    deadline: Instant,
    terms: usize,
    /// The first text that asks for nothing, and the field that leaves it out.
    left_out: Option<(Text, usize)>,
    warnings: Vec<String>,
}

impl Compiler<'_> {
    /// None: the node asks for nothing.
    fn node(&mut self, node: &Node) -> Option<Asked> {
        match node {
            Node::All(nodes) => {
                let mut asked = self.nodes(nodes);
                match asked.len() {
                    0 | 1 => asked.pop(),
                    _ => Some(Asked::With(all(asked))),
                }
            }
            Node::Any(nodes) => {
                let mut asked = self.nodes(nodes);
                match asked.len() {
                    0 | 1 => asked.pop(),
                    _ => {
                        let clauses = asked.into_iter().map(Asked::positive);
                        Some(Asked::With(Clause::Any(clauses.collect())))
                    }
                }
            }
            Node::Not(node) => Some(match self.node(node)? {
                Asked::Without(clause) => Asked::With(clause),
                Asked::With(clause) => Asked::Without(clause),
            }),
            Node::Text(text) => self.text(text).map(Asked::With),
        }
    }

    fn nodes(&mut self, nodes: &[Node]) -> Vec<Asked> {
        nodes.iter().filter_map(|node| self.node(node)).collect()
    }

    fn text(&mut self, text: &Text) -> Option<Clause> {
        let fields = match text.field {
            Some(field) => field..field + 1,
            None => 0..self.fields.len(),
        };
        let sought: Vec<Sought> = self.analyzers[fields.clone()]
            .iter_mut()
            .map(|analyzer| Sought::of(text, analyzer))
            .collect();
        self.terms += sought.iter().map(|sought| sought.terms.len()).max().unwrap_or(0);
        if sought.iter().any(|sought| sought.is_form_lost) {
            let reason = match text.form {
                Form::Fuzzy => format!("`~` is for one word of {FUZZY_CHARS_MIN} letters or more"),
                _ => "`*` stands right after a letter".to_owned(),
            };
            self.warnings.push(format!("{reason}: \"{}\" is found as it is", shown(&text.text)));
        }
        if let Some(at) = sought.iter().position(Sought::is_nothing) {
            self.left_out.get_or_insert_with(|| (text.clone(), fields.start + at));
            return None;
        }
        let clauses = fields.zip(sought).map(|(field, sought)| self.sought(field, sought));
        Some(Clause::Any(clauses.collect()))
    }

    /// Why nothing is left to search for, and where there would be.
    fn nothing(&mut self) -> String {
        let nothing = "there is no word to search for";
        let Some((text, field)) = self.left_out.take() else { return nothing.to_owned() };
        let mut analyzers = self.analyzers.iter_mut();
        let other = analyzers.position(|analyzer| !Sought::of(&text, analyzer).is_nothing());
        let word = if text.text.contains(char::is_whitespace) {
            format!("\"{}\"", shown(&text.text))
        } else {
            shown(&text.text)
        };
        let other = other.map(|other| format!(", `{}:{word}` does not", self.fields[other].name));
        let field = &self.fields[field].name;
        format!("{nothing}: `{field}` leaves out `{word}`{}", other.unwrap_or_default())
    }

    fn sought(&self, field: usize, sought: Sought) -> Clause {
        let Field { field, weight, .. } = self.fields[field];
        let terms = sought.terms.into_iter();
        let terms = terms.map(|(place, term)| (place, Term::from_field_text(field, &term)));
        let terms: Vec<(usize, Term)> = terms.collect();
        #[expect(clippy::cast_possible_truncation, reason = "scores are of this size")]
        let weight = weight as f32;
        match sought.open {
            Some((place, open)) => {
                let expand = Expand { field, before: terms, place, open, deadline: self.deadline };
                Clause::Open(expand, weight)
            }
            None => Clause::Terms(Terms::new(terms, weight)),
        }
    }
}

impl Asked {
    fn positive(self) -> Clause {
        match self {
            Self::With(clause) => clause,
            Self::Without(_) => all(vec![self]),
        }
    }
}

fn all(asked: Vec<Asked>) -> Clause {
    let (mut with, mut without) = (Vec::new(), Vec::new());
    for one in asked {
        match one {
            Asked::With(clause) => with.push(clause),
            Asked::Without(clause) => without.push(clause),
        }
    }
    // What is only taken away has to be taken away from something.
    if with.is_empty() {
        with.push(Clause::Every);
    }
    Clause::All { with, without }
}

#[cfg(test)]
mod tests;
