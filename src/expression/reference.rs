//! What an expression may call, as data: the language reference of the documentation is rendered from it.
//!
//! A unit test runs every example and finds every allowed name, so the reference cannot fall behind the language.

mod arrays;
mod differences;
mod numbers;
mod text;
mod times;
mod values;
mod viewd;

pub use self::differences::differences;

/// A function, or another name that an expression may use.
#[derive(Clone, Copy, Debug)]
pub struct Entry {
    pub name: &'static str,
    pub area: Area,
    /// How it is written: one form for each number of arguments.
    pub usage: &'static [&'static str],
    /// One line, of what it gives.
    pub meaning: &'static str,
    pub example: Example,
    /// Where jq gives something else.
    pub differs: Option<&'static str>,
}

/// What an expression gives for an event with these data.
#[derive(Clone, Copy, Debug)]
pub struct Example {
    pub expression: &'static str,
    /// JSON: the event's `.data`.
    pub data: &'static str,
    /// JSON, or `error: ` and the message.
    pub result: &'static str,
}

/// The chapter of the reference.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Area {
    Values,
    Arrays,
    Text,
    Numbers,
    Times,
    Viewd,
}

/// One thing in which viewd's expressions are not those of jq.
#[derive(Clone, Copy, Debug)]
pub struct Difference {
    pub what: &'static str,
    pub jq: &'static str,
    pub viewd: &'static str,
    pub example: Example,
}

/// Every name that an expression may call, by area.
pub fn reference() -> impl Iterator<Item = &'static Entry> {
    let areas = [
        values::ENTRIES,
        arrays::ENTRIES,
        text::ENTRIES,
        numbers::ENTRIES,
        times::ENTRIES,
        viewd::ENTRIES,
    ];
    areas.into_iter().flatten()
}

impl Area {
    pub fn title(self) -> &'static str {
        match self {
            Self::Values => "Any value",
            Self::Arrays => "Arrays",
            Self::Text => "Text",
            Self::Numbers => "Numbers",
            Self::Times => "Times",
            Self::Viewd => "Rows and variables",
        }
    }
}

impl Entry {
    const fn new(
        area: Area,
        usage: &'static [&'static str],
        name: &'static str,
        meaning: &'static str,
        [expression, data, result]: [&'static str; 3],
    ) -> Self {
        let example = Example { expression, data, result };
        Self { name, area, usage, meaning, example, differs: None }
    }

    const fn differs(self, differs: &'static str) -> Self {
        Self { differs: Some(differs), ..self }
    }
}
