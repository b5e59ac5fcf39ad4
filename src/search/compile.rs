//! From what is searched for to the query that Tantivy runs.
//!
//! A text is looked for in each field as the field's language has it, and counts by the field's weight. Where one of
//! the fields leaves all of it out (stop words), it asks for nothing: what is not in the index of that field may be in
//! its row.

use std::time::Instant;

use tantivy::Term;
use tantivy::query::{
    AllQuery, BooleanQuery, BoostQuery, EmptyQuery, Occur, PhraseQuery, Query, TermQuery,
};
use tantivy::schema::IndexRecordOption;

use super::Text as Field;
use super::analysis::Analyzer;
use super::excluded::Excluded;
use super::expand::Expand;
use super::sought::{FUZZY_CHARS_MIN, Sought};
use super::words::{Form, Node, Text, Words, shown};
use crate::query::Refused;

/// Words of all phrases together: each is a list that is read beside the others.
const TERMS_MAX: usize = 256;

pub struct Compiled {
    pub query: Box<dyn Query>,
    /// Those of the words, and what became of them in these fields.
    pub warnings: Vec<String>,
}

/// Makes the query; its walks through the dictionary end at `deadline`.
pub fn compile(words: &Words, fields: &[Field], deadline: Instant) -> Result<Compiled, Refused> {
    let analyzers = fields.iter().map(|field| Analyzer::new(field.language)).collect();
    let warnings = words.warnings.clone();
    let mut compiler = Compiler { fields, analyzers, deadline, terms: 0, left_out: None, warnings };
    let clause = words.root.as_ref().and_then(|root| compiler.node(root));
    if compiler.terms > TERMS_MAX {
        return Err(Refused::new(format!("phrases of more than {TERMS_MAX} words together"))
            .hint("search for a part of the phrase"));
    }
    let query = match clause {
        Some(clause) => positive(clause),
        None => {
            let nothing = compiler.nothing();
            compiler.warnings.push(nothing);
            Box::new(EmptyQuery)
        }
    };
    Ok(Compiled { query, warnings: compiler.warnings })
}

type Clause = (Occur, Box<dyn Query>);

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
    /// The clause of a node, `Must` or `MustNot`; None: it asks for nothing.
    fn node(&mut self, node: &Node) -> Option<Clause> {
        match node {
            Node::All(nodes) => {
                let mut clauses = self.nodes(nodes);
                match clauses.len() {
                    0 | 1 => clauses.pop(),
                    _ => Some((Occur::Must, all(clauses))),
                }
            }
            Node::Any(nodes) => {
                let mut clauses = self.nodes(nodes);
                match clauses.len() {
                    0 | 1 => clauses.pop(),
                    _ => Some((Occur::Must, any(clauses.into_iter().map(positive).collect()))),
                }
            }
            Node::Not(node) => match self.node(node)? {
                (Occur::MustNot, query) => Some((Occur::Must, query)),
                (_, query) => Some((Occur::MustNot, query)),
            },
            Node::Text(text) => self.text(text).map(|query| (Occur::Must, query)),
        }
    }

    fn nodes(&mut self, nodes: &[Node]) -> Vec<Clause> {
        nodes.iter().filter_map(|node| self.node(node)).collect()
    }

    fn text(&mut self, text: &Text) -> Option<Box<dyn Query>> {
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
        let queries = fields.zip(sought).map(|(field, sought)| self.sought(field, sought));
        Some(any(queries.collect()))
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

    fn sought(&self, field: usize, sought: Sought) -> Box<dyn Query> {
        let Field { field, weight, .. } = self.fields[field];
        let mut terms: Vec<(usize, Term)> = sought
            .terms
            .into_iter()
            .map(|(place, term)| (place, Term::from_field_text(field, &term)))
            .collect();
        let query: Box<dyn Query> = match sought.open {
            Some((place, open)) => {
                Box::new(Expand { field, before: terms, place, open, deadline: self.deadline })
            }
            None if terms.len() > 1 => Box::new(PhraseQuery::new_with_offset(terms)),
            None => {
                let (_, term) = terms.pop().expect("something is sought");
                Box::new(TermQuery::new(term, IndexRecordOption::WithFreqs))
            }
        };
        #[expect(clippy::cast_possible_truncation, reason = "scores are of this size")]
        let weight = weight as f32;
        if weight == 1.0 { query } else { Box::new(BoostQuery::new(query, weight)) }
    }
}

fn all(mut clauses: Vec<Clause>) -> Box<dyn Query> {
    // What is only taken away has to be taken away from something.
    if clauses.iter().all(|(occur, _)| *occur == Occur::MustNot) {
        clauses.push((Occur::Must, Box::new(AllQuery)));
    }
    let clauses = clauses.into_iter().map(|(occur, query)| match occur {
        Occur::MustNot => (occur, Box::new(Excluded(query)) as Box<dyn Query>),
        _ => (occur, query),
    });
    Box::new(BooleanQuery::new(clauses.collect()))
}

fn any(mut queries: Vec<Box<dyn Query>>) -> Box<dyn Query> {
    if queries.len() == 1 {
        return queries.pop().expect("there is one");
    }
    Box::new(BooleanQuery::union(queries))
}

fn positive(clause: Clause) -> Box<dyn Query> {
    match clause {
        (Occur::MustNot, _) => all(vec![clause]),
        (_, query) => query,
    }
}

#[cfg(test)]
mod tests;
