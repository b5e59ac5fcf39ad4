//! The language in which words are searched for.
//!
//! | written | found |
//! |---|---|
//! | `red shoes` | rows with both words, each in any field |
//! | `"red shoes"` | the words side by side, in one field; quotes of any shape |
//! | `red-shoes`, `12:30`, `a@b.org` | what is several words without a space: the same as in quotes |
//! | `sho*`, `"red sho*"` | words that begin so; in quotes, the last one |
//! | `shoos~` | a letter more, less, other or two changed places; words of four letters or more |
//! | `name:shoes`, `name:"red shoes"`, `name:(red OR blue)` | in that field alone; the innermost name counts |
//! | `red AND shoes`, `red OR blue`, `NOT red`, `-red` | capitals; `NOT` before `AND`, written or not, before `OR` |
//! | `(red OR blue) shoes` | parentheses group |
//! | `+red` | the same as `red`: every word is asked for anyway |
//!
//! Whatever somebody types into a box is answered: quotes and parentheses that are left open end with the text, and
//! an operator where none can be is a word. A word that a searched field leaves out (a stop word of its language), or
//! in which there is no letter or digit, asks for nothing. What was taken otherwise than it was perhaps meant is told
//! by a warning. Refused is only what would be answered wrongly in silence (regular expressions, names with `_` in
//! front) and what is too much: the limits hold before anything is made of the text, so that no text can cost more
//! than they allow, in time, memory or stack.

mod parser;

pub(super) use self::parser::shown;

use crate::query::Refused;

/// Longer texts are no search.
pub const TEXT_BYTES_MAX: usize = 2_048;

/// Parentheses within parentheses: a bound on the stack of whoever walks the tree.
pub const NESTING_MAX: usize = 20;

/// Words, phrases and beginnings of words in one text.
pub const CLAUSES_MAX: usize = 64;

/// Of these, beginnings and words with faults: each goes through a part of the dictionary, and takes a bit a row.
pub const EXPANSIONS_MAX: usize = 16;

/// What is searched for.
#[derive(Clone, Debug, PartialEq)]
pub struct Words {
    /// None: there was nothing between the quotes and parentheses.
    pub root: Option<Node>,
    /// What was taken otherwise than it was perhaps meant.
    pub warnings: Vec<String>,
}

#[derive(Clone, Debug, PartialEq)]
pub enum Node {
    /// Two or more, none of them `All`.
    All(Vec<Node>),
    /// Two or more, none of them `Any`.
    Any(Vec<Node>),
    /// Not of a `Not`.
    Not(Box<Node>),
    Text(Text),
}

/// Words side by side; mostly one.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Text {
    /// Index into the fields that were named to the parser; None: any of them.
    pub field: Option<usize>,
    /// As written, without quotes.
    pub text: String,
    pub form: Form,
}

/// How the last word of a text stands for others.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Form {
    /// It does not.
    Exact,
    /// For those that begin with it.
    Prefix,
    /// For those that are nearly it; only where it is alone.
    Fuzzy,
}

/// Reads what somebody searches for in `fields`, given by their names, of an index with these `filters`.
pub fn parse(text: &str, fields: &[&str], filters: &[&str]) -> Result<Words, Refused> {
    parser::parse(text, fields, filters)
}

#[cfg(test)]
mod tests;
