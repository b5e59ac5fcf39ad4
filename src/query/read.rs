//! The text of conditions, as PostgREST writes them, to a checked filter.
//!
//! Limits are looked at before or while reading, so that no text costs more than its length.

use std::borrow::Cow;

use super::filter::{Comparison, Filter};
use super::pattern::Pattern;
use super::{Refused, column};
use crate::definition::Table;
use crate::diagnostic::did_you_mean;
use crate::expression::convert::convert;
use crate::expression::{Number, Output};
use crate::row::{Cell, ColumnType};

/// All conditions of a request together: a list of 1,000 identifiers and as much again. An index tells texts apart by
/// their first 65,530 bytes, so no value may be as long.
const BYTES_MAX: usize = 65_000;
/// Each condition is asked of each row.
const CONDITIONS_MAX: usize = 100;
/// `and(or(and(...)))`: reading and asking nest as deep.
const DEPTH_MAX: usize = 10;
/// In one `in.(...)`.
const VALUES_MAX: usize = 1_000;

const OPERATORS: [&str; 10] = ["eq", "neq", "gt", "gte", "lt", "lte", "in", "like", "ilike", "is"];
/// The next step where a tree or a list does not go on as it should.
const IN_QUOTES: &str = "a value with commas, parentheses or quotes in it goes in double quotes, with nothing beside them";

const TREES: [&str; 4] = ["_or", "_and", "_not.or", "_not.and"];

pub(super) fn filter(
    table: &Table,
    allowed: &[usize],
    pairs: &[(String, String)],
) -> Result<Option<Filter>, Refused> {
    let bytes: usize = pairs.iter().map(|(name, text)| name.len() + text.len()).sum();
    if bytes > BYTES_MAX {
        return Err(Refused::new(format!(
            "the conditions have {bytes} bytes, {BYTES_MAX} at most"
        )));
    }
    let mut conditions = 0;
    let mut filters = Vec::with_capacity(pairs.len());
    for (name, text) in pairs {
        let reader = Reader {
            table,
            allowed,
            name,
            text,
            at: 0,
            in_tree: false,
            conditions: &mut conditions,
        };
        filters.push(reader.parameter()?);
    }
    Ok(match filters.len() {
        0 | 1 => filters.pop(),
        _ => Some(Filter::All(filters)),
    })
}

/// Reads the value of one parameter.
struct Reader<'a> {
    table: &'a Table,
    allowed: &'a [usize],
    name: &'a str,
    text: &'a str,
    /// How far it is read.
    at: usize,
    /// Commas and parentheses end a value.
    in_tree: bool,
    /// Of the whole request.
    conditions: &'a mut usize,
}

impl<'a> Reader<'a> {
    fn parameter(mut self) -> Result<Filter, Refused> {
        let filter = match self.name {
            "_or" | "_and" | "_not.or" | "_not.and" => {
                self.in_tree = true;
                let tree = self.tree(self.name.ends_with("or"), 1)?;
                negated(tree, self.name.starts_with("_not"))
            }
            name if name.starts_with('_') => {
                return Err(Refused {
                    detail: format!("unknown parameter `{name}`"),
                    hint: did_you_mean(name, TREES),
                    column: None,
                });
            }
            name => {
                let column = self.column(name)?;
                self.condition(column)?
            }
        };
        if self.at < self.text.len() {
            // Behind what closes a tree or a list: any other value goes on to the end.
            self.in_tree = true;
            return Err(self.refuse("nothing may follow here").hint(IN_QUOTES));
        }
        Ok(filter)
    }

    /// `(a.eq.1,b.is.null)` behind `or` or `and`.
    fn tree(&mut self, any: bool, depth: usize) -> Result<Filter, Refused> {
        if depth > DEPTH_MAX {
            return Err(self.refuse(format!("conditions nest deeper than {DEPTH_MAX}")));
        }
        if !self.take("(") {
            return Err(self.refuse("expected `(`").hint(
                "conditions with commas between them, as in `(status.eq.paid,total.gte.10)`",
            ));
        }
        let mut filters = Vec::new();
        loop {
            filters.push(self.branch(depth)?);
            self.spaces();
            if self.take(")") {
                break;
            }
            if !self.take(",") {
                return Err(self.refuse("expected `,` or `)`").hint(IN_QUOTES));
            }
        }
        Ok(if any { Filter::Any(filters) } else { Filter::All(filters) })
    }

    /// `or(...)`, `not.and(...)` or `column.operator.value`.
    fn branch(&mut self, depth: usize) -> Result<Filter, Refused> {
        self.spaces();
        for (word, not, any) in [
            ("or(", false, true),
            ("and(", false, false),
            ("not.or(", true, true),
            ("not.and(", true, false),
        ] {
            if self.take(word) {
                // The tree begins with its parenthesis.
                self.at -= 1;
                return Ok(negated(self.tree(any, depth + 1)?, not));
            }
        }
        let rest = &self.text[self.at..];
        let end = rest.find(|c: char| !c.is_ascii_alphanumeric() && c != '_').unwrap_or(rest.len());
        let column = self.column(&rest[..end])?;
        self.at += end;
        if !self.take(".") {
            return Err(self
                .refuse("expected `.` and an operator")
                .hint("a condition is written `column.operator.value`, as in `status.eq.paid`"));
        }
        self.condition(column)
    }

    /// `eq.1` or `not.eq.1`.
    fn condition(&mut self, column: usize) -> Result<Filter, Refused> {
        *self.conditions += 1;
        if *self.conditions > CONDITIONS_MAX {
            return Err(self.refuse(format!("more than {CONDITIONS_MAX} conditions")));
        }
        let not = self.take("not.");
        let rest = &self.text[self.at..];
        let Some((operator, _)) =
            rest.split_once('.').filter(|(operator, _)| OPERATORS.contains(operator))
        else {
            return Err(self.unknown_operator(rest, column));
        };
        let column_type = self.table.columns[column].column_type;
        if column_type == ColumnType::Json && operator != "is" {
            let name = &self.table.columns[column].name;
            return Err(self
                .refuse(format!("`{name}` is a json column, which is not compared"))
                .hint("`is.null` and `not.is.null` ask whether it has a value"));
        }
        self.at += operator.len() + 1;
        let compare = |comparison, value| Filter::Compare { column, comparison, value };
        let filter = match operator {
            "eq" => compare(Comparison::Equal, self.value(column)?),
            "neq" => compare(Comparison::NotEqual, self.value(column)?),
            "gt" => compare(Comparison::Greater, self.value(column)?),
            "gte" => compare(Comparison::GreaterOrEqual, self.value(column)?),
            "lt" => compare(Comparison::Less, self.value(column)?),
            "lte" => compare(Comparison::LessOrEqual, self.value(column)?),
            "in" => Filter::In { column, values: self.list(column)? },
            "is" => self.is(column)?,
            like => self.like(column, like == "ilike")?,
        };
        Ok(negated(filter, not))
    }

    fn unknown_operator(&self, rest: &str, column: usize) -> Refused {
        let operator: String = rest.chars().take_while(char::is_ascii_alphabetic).collect();
        if OPERATORS.contains(&operator.as_str()) {
            return self
                .refuse(format!("expected a value behind `{operator}`"))
                .hint(format!("as in `{operator}.{}`", example(&operator)));
        }
        let refused = if operator.is_empty() {
            self.refuse("expected an operator")
        } else {
            self.refuse(format!("unknown operator `{operator}`"))
        };
        // `status=paid` is what a newcomer writes.
        let name = &self.table.columns[column].name;
        match did_you_mean(&operator, OPERATORS) {
            Some(hint) if hint.starts_with("did") => refused.hint(hint),
            _ => refused.hint(format!(
                "`{name}` equal to a value is `eq.value`; the operators are {}",
                OPERATORS.join(", ")
            )),
        }
    }

    fn is(&mut self, column: usize) -> Result<Filter, Refused> {
        let start = self.at;
        let is = match &*self.word()? {
            "null" => return Ok(Filter::IsNull { column }),
            "true" => true,
            "false" => false,
            _ => {
                self.at = start;
                return Err(self.refuse("`is` asks for null, true or false"));
            }
        };
        let declared = &self.table.columns[column];
        if declared.column_type != ColumnType::Boolean {
            self.at = start;
            let message = format!("`{}` is {}, not boolean", declared.name, declared.column_type);
            return Err(self.refuse(message));
        }
        Ok(Filter::IsTrue { column, is })
    }

    fn like(&mut self, column: usize, folded: bool) -> Result<Filter, Refused> {
        let declared = &self.table.columns[column];
        if declared.column_type != ColumnType::Text {
            let message = format!("`{}` is {}, not text", declared.name, declared.column_type);
            return Err(self.refuse(message).hint("`like` and `ilike` look at text columns"));
        }
        let start = self.at;
        let word = self.word()?;
        let pattern = Pattern::new(&word, folded).map_err(|refused| {
            self.at = start;
            Refused { detail: self.placed(&refused.detail), ..refused }
        })?;
        Ok(Filter::Like { column, pattern })
    }

    /// `(a,b,"c,d")`.
    fn list(&mut self, column: usize) -> Result<Vec<Cell>, Refused> {
        if !self.take("(") {
            return Err(self.refuse("expected `(`").hint("a list, as in `in.(a,b,\"c,d\")`"));
        }
        let mut values = Vec::new();
        // Without this `()` would hold one empty text.
        if self.take(")") {
            return Ok(values);
        }
        let outer = std::mem::replace(&mut self.in_tree, true);
        loop {
            values.push(self.value(column)?);
            if values.len() > VALUES_MAX {
                return Err(self.refuse(format!("more than {VALUES_MAX} values")));
            }
            if self.take(")") {
                self.in_tree = outer;
                return Ok(values);
            }
            if !self.take(",") {
                return Err(self.refuse("expected `,` or `)`").hint(IN_QUOTES));
            }
        }
    }

    /// A value as the column stores it.
    fn value(&mut self, column: usize) -> Result<Cell, Refused> {
        let start = self.at;
        let word = self.word()?;
        let column_type = self.table.columns[column].column_type;
        let output = match column_type {
            ColumnType::Boolean => match &*word {
                "true" => Output::Bool(true),
                "false" => Output::Bool(false),
                _ => Output::Text(Cow::Borrowed(&word)),
            },
            ColumnType::Real => match Number::parse(&word) {
                Some(number) => Output::Number(number),
                None => Output::Text(Cow::Borrowed(&word)),
            },
            _ => Output::Text(Cow::Borrowed(&word)),
        };
        convert(output, column_type).map_err(|mismatch| {
            self.at = start;
            let name = &self.table.columns[column].name;
            let message = format!(
                "`{name}` is {column_type}: {}, got `{}`",
                mismatch.problem(),
                word.chars().take(50).collect::<String>()
            );
            let refused = self.refuse(message);
            if word == "null" { refused.hint("`is.null` asks for no value") } else { refused }
        })
    }

    /// A value as it is written: to the end, or in quotes, or to what ends it in a list.
    fn word(&mut self) -> Result<Cow<'a, str>, Refused> {
        let rest = &self.text[self.at..];
        if !self.in_tree {
            self.at = self.text.len();
            return Ok(Cow::Borrowed(rest));
        }
        if !rest.starts_with('"') {
            let end = rest.find([',', ')']).unwrap_or(rest.len());
            self.at += end;
            return Ok(Cow::Borrowed(&rest[..end]));
        }
        let mut word = String::new();
        let mut characters = rest.char_indices().skip(1);
        while let Some((at, c)) = characters.next() {
            match c {
                '"' => {
                    self.at += at + 1;
                    return Ok(Cow::Owned(word));
                }
                '\\' => word.extend(characters.next().map(|(_, escaped)| escaped)),
                c => word.push(c),
            }
        }
        Err(self.refuse("the quote is not closed"))
    }

    fn column(&self, name: &str) -> Result<usize, Refused> {
        if name.is_empty() {
            return Err(self.refuse("expected a column"));
        }
        column(self.table, self.allowed, name).map_err(|refused| {
            let detail = if self.in_tree { self.placed(&refused.detail) } else { refused.detail };
            Refused { detail, ..refused }
        })
    }

    fn take(&mut self, word: &str) -> bool {
        let there = self.text[self.at..].starts_with(word);
        if there {
            self.at += word.len();
        }
        there
    }

    fn spaces(&mut self) {
        let rest = &self.text[self.at..];
        self.at += rest.len() - rest.trim_start_matches(' ').len();
    }

    fn refuse(&self, message: impl AsRef<str>) -> Refused {
        Refused::new(self.placed(message.as_ref()))
    }

    /// With where it stands: the parameter, and in a tree the character, counted from 1.
    fn placed(&self, message: &str) -> String {
        if self.in_tree {
            let character = self.text[..self.at].chars().count() + 1;
            format!("`{}`, character {character}: {message}", self.name)
        } else {
            format!("`{}`: {message}", self.name)
        }
    }
}

fn negated(filter: Filter, not: bool) -> Filter {
    if not { Filter::Not(Box::new(filter)) } else { filter }
}

fn example(operator: &str) -> &str {
    match operator {
        "in" => "(a,b)",
        "is" => "null",
        "like" | "ilike" => "*text*",
        _ => "value",
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::definition::Column;

    fn table() -> Table {
        let columns = [
            ("id", ColumnType::Text),
            ("status", ColumnType::Text),
            ("total", ColumnType::Decimal(2)),
            ("paid", ColumnType::Boolean),
            ("placed_at", ColumnType::Timestamp),
            ("or", ColumnType::Integer),
            ("extra", ColumnType::Json),
            ("photo", ColumnType::Bytes),
        ];
        let column = |(name, column_type): (&str, _)| Column {
            name: name.into(),
            column_type,
            required: false,
            default: None,
            span: 0..0,
        };
        let columns = columns.map(column).into();
        let (key, indexes) = (vec![0], Vec::new());
        Table { name: "orders".into(), columns, key, indexes, changes: false, span: 0..0 }
    }

    fn read(parameters: &[(&str, &str)]) -> Result<Option<Filter>, Refused> {
        let pairs: Vec<_> =
            parameters.iter().map(|&(name, text)| (name.to_owned(), text.to_owned())).collect();
        filter(&table(), &[1, 2, 3, 4, 5, 6, 7], &pairs)
    }

    /// `name=text => the refusal (the hint)`, a line each.
    #[track_caller]
    fn check(lines: &str) {
        let mut wrong = String::new();
        for line in lines.lines().map(str::trim).filter(|line| !line.is_empty()) {
            let (parameter, wanted) = line.split_once(" => ").unwrap();
            let (name, text) = parameter.split_once('=').unwrap();
            let refused = read(&[(name, text)]).expect_err(parameter);
            let hint = refused.hint.map(|hint| format!(" ({hint})")).unwrap_or_default();
            let found = format!("{}{hint}", refused.detail);
            if found != wanted {
                wrong += &format!("{parameter} => {found}\n");
            }
        }
        assert!(wrong.is_empty(), "\n{wrong}");
    }

    #[test]
    fn what_is_refused_names_the_place_and_the_next_step() {
        check(
            "
            stauts=eq.paid => unknown column `stauts` (did you mean `status`?)
            id=eq.1 => `id` is no filter: the filters are `status`, `total`, `paid`, `placed_at`, `or`, `extra`, `photo`
            _limt=5 => unknown parameter `_limt` (there are: `_or`, `_and`, `_not.or`, `_not.and`)
            _o=(a.eq.1) => unknown parameter `_o` (did you mean `_or`?)
            status=paid => `status`: unknown operator `paid` (`status` equal to a value is `eq.value`; the operators are eq, neq, gt, gte, lt, lte, in, like, ilike, is)
            status=equ.paid => `status`: unknown operator `equ` (did you mean `eq`?)
            status= => `status`: expected an operator (`status` equal to a value is `eq.value`; the operators are eq, neq, gt, gte, lt, lte, in, like, ilike, is)
            status=eq => `status`: expected a value behind `eq` (as in `eq.value`)
            status=in => `status`: expected a value behind `in` (as in `in.(a,b)`)
            status=in.a => `status`: expected `(` (a list, as in `in.(a,b,\"c,d\")`)
            status=in.(a => `status`, character 6: expected `,` or `)` (a value with commas, parentheses or quotes in it goes in double quotes, with nothing beside them)
            status=in.(\"a\" ,b) => `status`, character 8: expected `,` or `)` (a value with commas, parentheses or quotes in it goes in double quotes, with nothing beside them)
            status=in.(sci (fi)) => `status`, character 13: nothing may follow here (a value with commas, parentheses or quotes in it goes in double quotes, with nothing beside them)
            status=in.(\"a => `status`, character 5: the quote is not closed
            status=in.(a)b => `status`, character 7: nothing may follow here (a value with commas, parentheses or quotes in it goes in double quotes, with nothing beside them)
            status=like.a\\ => `status`: the pattern ends in a backslash (two backslashes stand for one)
            total=like.1* => `total`: `total` is decimal(2), not text (`like` and `ilike` look at text columns)
            total=eq.1.234 => `total`: `total` is decimal(2): expected at most 2 digits after the point, got `1.234`
            total=eq.null => `total`: `total` is decimal(2): expected a number, got `null` (`is.null` asks for no value)
            paid=eq.yes => `paid`: `paid` is boolean: expected true or false, got `yes`
            paid=is.yes => `paid`: `is` asks for null, true or false
            status=is.true => `status`: `status` is text, not boolean
            placed_at=gt.2013-01-01 => `placed_at`: `placed_at` is timestamp: expected an RFC 3339 timestamp, got `2013-01-01`
            photo=eq.! => `photo`: `photo` is bytes: expected base64, got `!`
            extra=eq.1 => `extra`: `extra` is a json column, which is not compared (`is.null` and `not.is.null` ask whether it has a value)
            _or=status.eq.a => `_or`, character 1: expected `(` (conditions with commas between them, as in `(status.eq.paid,total.gte.10)`)
            _or=() => `_or`, character 2: expected a column
            _or=(status.eq.a => `_or`, character 13: expected `,` or `)` (a value with commas, parentheses or quotes in it goes in double quotes, with nothing beside them)
            _or=(status.eq.é,stauts.eq.b) => `_or`, character 14: unknown column `stauts` (did you mean `status`?)
            _and=(status,b) => `_and`, character 8: expected `.` and an operator (a condition is written `column.operator.value`, as in `status.eq.paid`)
            _or=(or(total.eq.x)) => `_or`, character 14: `total` is decimal(2): expected a number, got `x`
            _or=(paid.is.true)) => `_or`, character 15: nothing may follow here (a value with commas, parentheses or quotes in it goes in double quotes, with nothing beside them)
            ",
        );
    }

    #[test]
    fn limits_hold_before_the_work() {
        let or = |depth: usize| {
            format!("{}status.eq.a{}", "(or".repeat(depth) + "(", ")".repeat(depth + 1))
        };
        assert!(read(&[("_or", &or(DEPTH_MAX - 1))]).is_ok());
        let detail = |name: &str, text: &str| read(&[(name, text)]).unwrap_err().detail;
        assert!(detail("_or", &or(DEPTH_MAX)).ends_with("conditions nest deeper than 10"));
        let deep = "(or".repeat(20_000);
        assert!(detail("_or", &deep).ends_with("conditions nest deeper than 10"));
        let many = format!("({})", vec!["or.eq.1"; CONDITIONS_MAX + 1].join(","));
        assert!(detail("_and", &many).ends_with("more than 100 conditions"));
        let values = format!("in.({})", vec!["1"; VALUES_MAX + 1].join(","));
        assert_eq!(detail("or", &values), "`or`, character 2006: more than 1000 values");
        let long = format!("eq.{}", "a".repeat(BYTES_MAX));
        assert_eq!(detail("status", &long), "the conditions have 65009 bytes, 65000 at most");
    }

    #[test]
    fn a_value_means_what_it_says() {
        let equal = |text: &str| Filter::Compare {
            column: 1,
            comparison: Comparison::Equal,
            value: Cell::Text(text.into()),
        };
        // At the top a value is the rest, quotes and all; in a tree quotes hold what would end it.
        assert_eq!(read(&[("status", "eq.\"a\"")]), Ok(Some(equal("\"a\""))));
        assert_eq!(read(&[("status", "eq.a,b)")]), Ok(Some(equal("a,b)"))));
        assert_eq!(
            read(&[("_or", "(status.eq.\"a,\\\"b)\", status.eq.c.d,status.eq.)")]),
            Ok(Some(Filter::Any(vec![equal("a,\"b)"), equal("c.d"), equal("")])))
        );
        // A column may be called like a word of the language.
        let or = Filter::IsNull { column: 5 };
        assert_eq!(read(&[("_and", "(or.is.null)")]), Ok(Some(Filter::All(vec![or]))));
        assert_eq!(read(&[]), Ok(None));
    }
}
