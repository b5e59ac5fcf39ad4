//! Whether a query shows columns as they are.
//!
//! SQLite tells of a result's column from which table's column it comes, and nothing if it is an expression of a view.
//! Where the query itself only names columns, its results are those of the views that it reads, by their names.

use super::sql_token::{Kind, Token, tokens};

/// What may stand between two relations, or ends them.
const JOINS: [&str; 8] = ["join", "left", "right", "full", "inner", "outer", "cross", "natural"];
const ENDS: [&str; 6] = ["where", "group", "having", "order", "limit", "window"];

/// The words among which the relations are that a query reads; None if it computes or renames columns, or reads
/// anything but relations by their names.
pub(super) fn plain(sql: &str) -> Option<Vec<String>> {
    let tokens = tokens(sql);
    let (first, rest) = tokens.split_first().filter(|(first, _)| first.is("select"))?;
    let from = rest.iter().position(|token| token.depth == first.depth && token.is("from"))?;
    let (columns, relations) = (&rest[..from], &rest[from + 1..]);
    let columns = match columns.split_first() {
        Some((word, columns)) if word.is("distinct") => columns,
        _ => columns,
    };
    if !columns.split(|token| token.text == ",").all(is_column) {
        return None;
    }
    let several = ["union", "intersect", "except"];
    if relations.iter().any(|token| several.iter().any(|word| token.is(word))) {
        return None;
    }
    let end = relations.iter().position(|token| ENDS.iter().any(|word| token.is(word)));
    let relations = &relations[..end.unwrap_or(relations.len())];
    if relations.iter().any(|token| token.is("select")) {
        return None;
    }
    let names = relations.iter().filter(|token| matches!(token.kind, Kind::Word | Kind::Quoted));
    let names = names.filter(|token| !JOINS.iter().any(|word| token.is(word)));
    Some(names.map(|token| token.bare().to_owned()).collect())
}

/// `name`, `relation.name`, `*` or `relation.*`.
fn is_column(tokens: &[Token<'_>]) -> bool {
    let is_name = |token: &Token<'_>| {
        let starts = |text: &str| text.starts_with(|c: char| c.is_alphabetic() || c == '_');
        token.kind == Kind::Quoted || (token.kind == Kind::Word && starts(token.text))
    };
    match tokens {
        [column] => is_name(column) || column.text == "*",
        [relation, dot, column] => {
            is_name(relation) && dot.text == "." && (is_name(column) || column.text == "*")
        }
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn queries_that_show_columns_as_they_are() {
        for (sql, expected) in [
            ("SELECT * FROM due", Some("due")),
            ("select id, d.due from due as d where (due > 5) order by 2;", Some("due as d")),
            ("SELECT DISTINCT \"id\" FROM due JOIN orders USING (id)", Some("due orders USING id")),
            ("SELECT due * 2 AS due FROM due", None),
            ("SELECT total AS due FROM due", None),
            ("SELECT total due FROM due", None),
            ("SELECT count(due) FROM due", None),
            ("SELECT due FROM (SELECT count(*) AS due FROM due)", None),
            ("WITH due AS (SELECT 1 AS due) SELECT due FROM due", None),
            ("SELECT due FROM due UNION SELECT 1", None),
            ("SELECT 1", None),
            ("", None),
        ] {
            assert_eq!(plain(sql).map(|names| names.join(" ")).as_deref(), expected, "{sql}");
        }
    }
}
