//! Queries as a tree, as the text that clients send, and as SQLite's conditions; and how they are made up.

use rusqlite::types::Value as Cell;
use viewd::row::ColumnType;

use super::scan::{Rows, shown, text};
use crate::random::Random;
use crate::search::naive::Words;

/// More than these are not followed to their end.
const LIMITS: [usize; 5] = [1, 7, 50, 1_000, 1_000];

#[derive(Clone, Debug)]
pub struct Query {
    pub words: Option<Words>,
    pub conditions: Vec<Condition>,
    /// A column, and whether the greatest comes first.
    pub order: Option<(usize, bool)>,
    pub limit: usize,
    pub facets: Vec<usize>,
}

#[derive(Clone, Debug)]
pub enum Condition {
    One { column: usize, not: bool, operator: Operator },
    Several { any: bool, not: bool, inner: Vec<Condition> },
}

#[derive(Clone, Debug)]
pub enum Operator {
    /// As PostgREST has it, and as SQLite.
    Compare(&'static str, &'static str, Cell),
    In(Vec<Cell>),
    /// Whether the case of letters counts, and the pattern with stars.
    Like {
        folded: bool,
        pattern: String,
    },
    IsNull,
    IsTrue(bool),
}

const COMPARISONS: [(&str, &str); 6] =
    [("eq", "="), ("neq", "<>"), ("gt", ">"), ("gte", ">="), ("lt", "<"), ("lte", "<=")];

impl Query {
    /// Parameters, without what pages and counts.
    pub fn parameters(&self, rows: &Rows) -> Vec<(String, String)> {
        let mut all: Vec<_> =
            self.conditions.iter().map(|condition| condition.parameter(rows)).collect();
        if let Some(words) = &self.words {
            all.push(("_q".to_owned(), words.to_string()));
        }
        if let Some((column, descending)) = self.order {
            let order = if descending { ".desc" } else { "" };
            all.push(("_order".to_owned(), format!("{}{order}", rows.columns[column].0)));
        }
        all
    }
}

impl Condition {
    fn parameter(&self, rows: &Rows) -> (String, String) {
        match self {
            Self::One { column, not, operator } => {
                let (name, column_type) = &rows.columns[*column];
                let not = if *not { "not." } else { "" };
                (name.clone(), format!("{not}{}", operator.written(*column_type, false)))
            }
            Self::Several { any, not, .. } => {
                let not = if *not { "_not." } else { "_" };
                let word = if *any { "or" } else { "and" };
                (format!("{not}{word}"), self.list(rows))
            }
        }
    }

    fn list(&self, rows: &Rows) -> String {
        let Self::Several { inner, .. } = self else { unreachable!("a list") };
        let inner = inner.iter().map(|condition| match condition {
            Self::One { column, not, operator } => {
                let (name, column_type) = &rows.columns[*column];
                let not = if *not { "not." } else { "" };
                format!("{name}.{not}{}", operator.written(*column_type, true))
            }
            Self::Several { any, not, .. } => {
                let not = if *not { "not." } else { "" };
                let word = if *any { "or" } else { "and" };
                format!("{not}{word}{}", condition.list(rows))
            }
        });
        format!("({})", inner.collect::<Vec<_>>().join(","))
    }

    pub fn sql(&self, rows: &Rows, values: &mut Vec<Cell>) -> String {
        match self {
            Self::One { column, not, operator } => {
                let name = &rows.columns[*column].0;
                let condition = operator.sql(name, values);
                if *not { format!("NOT ({condition})") } else { format!("({condition})") }
            }
            Self::Several { any, not, inner } => {
                let inner = inner.iter().map(|condition| condition.sql(rows, values));
                let word = if *any { " OR " } else { " AND " };
                let inner = inner.collect::<Vec<_>>().join(word);
                if *not { format!("NOT ({inner})") } else { format!("({inner})") }
            }
        }
    }
}

impl Operator {
    fn written(&self, column_type: ColumnType, in_tree: bool) -> String {
        let quoted = |text: String, always: bool| {
            let plain = !text.contains([',', ')', '(', '"', '\\']) && !text.is_empty();
            if !always && (plain || !in_tree) {
                return text;
            }
            format!("\"{}\"", text.replace('\\', "\\\\").replace('"', "\\\""))
        };
        match self {
            Self::Compare(word, _, cell) => {
                format!("{word}.{}", quoted(shown(cell, column_type), false))
            }
            Self::In(cells) => {
                let cells = cells.iter().map(|cell| quoted(shown(cell, column_type), true));
                format!("in.({})", cells.collect::<Vec<_>>().join(","))
            }
            Self::Like { folded, pattern } => {
                let word = if *folded { "ilike" } else { "like" };
                format!("{word}.{}", quoted(pattern.clone(), false))
            }
            Self::IsNull => "is.null".to_owned(),
            Self::IsTrue(is) => format!("is.{is}"),
        }
    }

    fn sql(&self, name: &str, values: &mut Vec<Cell>) -> String {
        match self {
            Self::Compare(_, word, cell) => {
                values.push(cell.clone());
                format!("{name} {word} ?")
            }
            Self::In(cells) => {
                values.extend(cells.iter().cloned());
                format!("{name} IN ({})", vec!["?"; cells.len()].join(", "))
            }
            Self::Like { folded, pattern } => {
                let (word, star) = if *folded { ("LIKE", "%") } else { ("GLOB", "*") };
                values.push(Cell::Text(pattern.replace('*', star)));
                format!("{name} {word} ?")
            }
            Self::IsNull => format!("{name} IS NULL"),
            Self::IsTrue(is) => format!("{name} IS {}", u8::from(*is)),
        }
    }
}

/// Makes up queries of what rows hold.
pub struct Maker<'a> {
    pub rows: &'a Rows,
    pub random: &'a mut Random,
}

impl Maker<'_> {
    pub fn query(&mut self) -> Query {
        let words = (self.below(6) > 0).then(|| self.words(2));
        let conditions = match self.below(5) {
            0 | 1 if words.is_some() => 0,
            4 => 2,
            _ => 1,
        };
        let conditions = (0..conditions).map(|_| self.condition(2)).collect();
        let filters = self.rows.filters();
        let order = (self.below(3) == 0).then(|| (*self.of(filters), self.below(2) == 0));
        let facets = match self.below(3) {
            0 => vec![*self.of(filters)],
            _ => vec![],
        };
        let limit = *self.of(&LIMITS);
        Query { words, conditions, order, limit, facets }
    }

    fn words(&mut self, depth: usize) -> Words {
        let many = |maker: &mut Self| {
            let count = 2 + maker.below(2);
            (0..count).map(|_| maker.words(depth - 1)).collect()
        };
        match self.below(if depth > 0 { 16 } else { 11 }) {
            0..3 => Words::Word(self.word(1)),
            3 => Words::Phrase(self.phrase()),
            4 => Words::PhrasePrefix(self.phrase_begun()),
            5 | 6 => Words::Prefix(self.prefix()),
            7 => Words::Fuzzy(self.misspelt()),
            8..11 => {
                let fields: Vec<_> = self.rows.fields().collect();
                let field = self.rows.columns[*self.of(&fields)].0.clone();
                let inner = match self.below(5) {
                    0 => Words::Phrase(self.phrase()),
                    1 => Words::Prefix(self.prefix()),
                    2 => Words::Fuzzy(self.misspelt()),
                    3 if depth > 0 => {
                        Words::Any(vec![Words::Word(self.word(1)), Words::Word(self.word(1))])
                    }
                    _ => Words::Word(self.word(1)),
                };
                Words::Field(field, Box::new(inner))
            }
            11 | 12 => Words::All(many(self)),
            13 | 14 => Words::Any(many(self)),
            _ => {
                Words::All(vec![self.words(depth - 1), Words::Not(Box::new(self.words(depth - 1)))])
            }
        }
    }

    /// The words of some text, as they stand there.
    fn text(&mut self) -> Vec<String> {
        let fields: Vec<_> = self.rows.fields().collect();
        loop {
            let row = self.below(self.rows.rows.len());
            let field = *self.of(&fields);
            let text = text(&self.rows.rows[row].cells[field]);
            let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
            let words: Vec<_> = words.map(str::to_owned).collect();
            if !words.is_empty() {
                return words;
            }
        }
    }

    /// One of so many characters at least; in small letters, lest it be an operator.
    fn word(&mut self, characters: usize) -> String {
        loop {
            let words = self.text();
            let word = self.of(&words);
            if word.chars().count() >= characters {
                return word.to_lowercase();
            }
        }
    }

    /// One to three words that stand together.
    fn phrase(&mut self) -> Vec<String> {
        let words = self.text();
        let at = self.below(words.len());
        let end = words.len().min(at + 1 + self.below(3));
        words[at..end].to_vec()
    }

    /// Of its last word only the first letters.
    fn phrase_begun(&mut self) -> Vec<String> {
        let mut words = self.phrase();
        let last = words.last_mut().expect("one word at least");
        *last = last.chars().take(2 + self.below(3)).collect();
        words
    }

    fn prefix(&mut self) -> String {
        let word = self.word(2);
        let letters = 2 + self.below(4);
        word.chars().take(letters).collect()
    }

    /// A word with one letter more, less or another, or as it is.
    fn misspelt(&mut self) -> String {
        let mut word: Vec<char> = self.word(5).chars().collect();
        let at = self.below(word.len());
        let letter = char::from(b'a' + self.below(26) as u8);
        match self.below(4) {
            0 => word[at] = letter,
            1 => word.insert(at, letter),
            2 => drop(word.remove(at)),
            _ => {}
        }
        word.into_iter().collect()
    }

    fn condition(&mut self, depth: usize) -> Condition {
        let not = self.below(5) == 0;
        if depth > 0 && self.below(4) == 0 {
            let count = 2 + self.below(2);
            let inner = (0..count).map(|_| self.condition(depth - 1)).collect();
            return Condition::Several { any: self.below(2) == 0, not, inner };
        }
        let filters = self.rows.filters();
        let column = *self.of(filters);
        Condition::One { column, not, operator: self.operator(column) }
    }

    fn operator(&mut self, column: usize) -> Operator {
        let column_type = self.rows.columns[column].1;
        match (self.below(8), column_type) {
            (0, _) => Operator::IsNull,
            (1..4, ColumnType::Boolean) => Operator::IsTrue(self.below(2) == 0),
            (1, _) => {
                let count = 1 + self.below(4);
                Operator::In((0..count).map(|_| self.cell(column)).collect())
            }
            (2, ColumnType::Text) => {
                let value = self.cell(column);
                let letters = 1 + self.below(3);
                let begin: String = text(&value).chars().take(letters).collect();
                // What GLOB takes for more than a letter.
                let begin = begin.replace(['?', '[', '*', '%', '_', '\\'], "a");
                let pattern = match self.below(3) {
                    0 => format!("{begin}*"),
                    1 => format!("*{begin}"),
                    _ => format!("*{begin}*"),
                };
                Operator::Like { folded: self.below(2) == 0, pattern }
            }
            _ => {
                let (word, sql) = *self.of(&COMPARISONS);
                Operator::Compare(word, sql, self.cell(column))
            }
        }
    }

    /// One that a row has there, and is not NULL; sometimes one that is near it.
    fn cell(&mut self, column: usize) -> Cell {
        loop {
            let row = self.below(self.rows.rows.len());
            let near = self.below(4) == 0;
            match &self.rows.rows[row].cells[column] {
                Cell::Null => {}
                Cell::Integer(number)
                    if near && self.rows.columns[column].1 != ColumnType::Boolean =>
                {
                    return Cell::Integer(number + 1);
                }
                cell => return cell.clone(),
            }
        }
    }

    fn below(&mut self, end: usize) -> usize {
        self.random.below(end as u64) as usize
    }

    fn of<'b, T>(&mut self, all: &'b [T]) -> &'b T {
        &all[self.below(all.len())]
    }
}
