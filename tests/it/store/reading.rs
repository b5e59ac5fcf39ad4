//! SQL by strangers: values as declared, limits, harm refused, hints.

use std::time::{Duration, Instant};

use viewd::definition::Action;
use viewd::event::Sequence;
use viewd::row::Cell;
use viewd::store::query::{self, Limits};

use super::{View, composed, text_key, upsert};

#[test]
fn values_are_shown_as_declared() {
    let mut view = View::new();
    let key = text_key("a");
    let set = |column, cell| upsert(&key, column, Action::Set, cell);
    let operations = [
        set(2, Cell::Integer(-1205)),
        set(7, Cell::Integer(0)),
        set(8, Cell::Text(r#"{"b":[1,2.50]}"#.into())),
        set(6, Cell::Real(2.0)),
    ];
    let transition = composed(&view.tables[0], &operations);
    view.commit(vec![vec![(key, transition)]]).expect("committed");
    let cases = [
        (
            "SELECT total, open, extra, weight, status FROM orders",
            "-12.05 false {\"b\":[1,2.50]} 2.0 null",
        ),
        ("SELECT o.total AS t FROM (SELECT * FROM orders) AS o", "-12.05"),
        ("SELECT max(total), total + 1 FROM orders", "-1205 -1204"),
        // Of a compound SQLite names the columns of one arm.
        ("SELECT total FROM orders UNION ALL SELECT weight FROM orders", "-1205"),
        ("SELECT x FROM (SELECT total AS x FROM orders UNION ALL SELECT 7)", "-1205"),
        ("WITH w AS (SELECT open FROM orders) SELECT open FROM w", "false"),
        ("SELECT 'x' AS total", "\"x\""),
        ("VALUES (x'00ff')", "\"AP8=\""),
        ("SELECT value FROM json_each('[1,2]') WHERE value > 1;", "2"),
        (
            "SELECT type FROM _viewd_columns WHERE \"table\" = 'orders' AND \"column\" = 'total' -- why",
            "\"decimal(2)\"",
        ),
    ];
    for (sql, wanted) in cases {
        assert_eq!(view.shown(sql)[0].join(" "), wanted, "{sql}");
    }
    let rows = view.query("SELECT id AS \"the id\", count(*) FROM orders").expect("rows");
    assert_eq!(
        rows.columns.iter().map(|column| column.name.as_str()).collect::<Vec<_>>(),
        ["the id", "count(*)"]
    );
    assert_eq!((rows.sequence, rows.truncated), (Sequence(1), false));
}

#[test]
fn rows_are_cut_at_the_limit() {
    let mut view = View::new();
    view.fill(&[("a", 1), ("b", 2), ("c", 3)]);
    for (limit, rows, truncated) in [(2, 2, true), (3, 3, false), (0, 0, true)] {
        let limits = Limits { rows: limit, timeout: Duration::from_secs(1) };
        let found =
            query::run(view.folder().path(), "SELECT * FROM orders", &limits).expect("rows");
        assert_eq!((found.rows.len(), found.truncated), (rows, truncated), "limit {limit}");
    }
}

/// Each is refused or stopped, soon, and changes nothing.
#[test]
fn queries_that_mean_harm() {
    let mut view = View::new();
    view.fill(&[("a", 1)]);
    let made = view.data.path().join("made.db");
    let attach = format!("ATTACH '{}' AS x", made.display());
    let vacuum = format!("VACUUM INTO '{}'", made.display());
    let many = format!("SELECT {}", vec!["1"; 5000].join(","));
    let deep = format!("SELECT {}1{}", "(".repeat(5000), ")".repeat(5000));
    let union = vec!["SELECT 1"; 2000].join(" UNION ALL ");
    let cases = [
        (attach.as_str(), "not allowed"),
        ("DETACH main", "not allowed"),
        ("PRAGMA query_only = OFF", "not allowed"),
        ("PRAGMA journal_mode = DELETE", "not allowed"),
        ("SELECT * FROM pragma_query_only", "not allowed"),
        ("UPDATE orders SET lines = 2", "not allowed"),
        ("INSERT INTO orders (id) VALUES ('x')", "not allowed"),
        ("DELETE FROM orders", "not allowed"),
        ("DELETE FROM orders RETURNING id", "not allowed"),
        ("WITH x AS (SELECT 1) DELETE FROM orders", "not allowed"),
        ("CREATE TABLE x (a)", "not allowed"),
        ("CREATE TEMP TABLE x (a)", "not allowed"),
        ("CREATE VIRTUAL TABLE x USING fts5(a)", "not allowed"),
        ("DROP TABLE orders", "not allowed"),
        ("ALTER TABLE orders RENAME TO x", "not allowed"),
        (vacuum.as_str(), "not allowed"),
        ("VACUUM", "not allowed"),
        ("REINDEX", "not allowed"),
        ("ANALYZE", "not allowed"),
        ("BEGIN IMMEDIATE", "not allowed"),
        ("COMMIT", "not allowed"),
        ("SAVEPOINT x", "not allowed"),
        ("SELECT load_extension('/lib/x.so')", "not allowed"),
        ("SELECT fts3_tokenizer('simple')", "not allowed"),
        ("SELECT 1; SELECT 2", "one statement at a time"),
        ("SELECT 1; DELETE FROM orders", "not allowed"),
        ("SELECT ?1", "parameters"),
        ("SELECT 'a\0b'", "unrecognized token"),
        ("", "no statement"),
        (";", "no statement"),
        (" -- nothing", "no statement"),
        ("SELECT zeroblob(1000000000)", "too large"),
        ("SELECT length(randomblob(1000000000))", "too large"),
        ("SELECT printf('%.*c', 1000000000, 'x')", "too large"),
        ("SELECT replace(hex(zeroblob(8000000)), '00', hex(zeroblob(8000000)))", "too large"),
        (
            "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n) SELECT count(*) FROM n",
            "took longer than",
        ),
        (
            "WITH RECURSIVE n(i) AS (VALUES (1) UNION ALL SELECT i + 1 FROM n), m AS (SELECT * FROM n ORDER BY i) SELECT * FROM m",
            "took longer than",
        ),
        (many.as_str(), "too many columns"),
        (deep.as_str(), ""),
        (union.as_str(), "too many terms"),
    ];
    for (sql, wanted) in cases {
        let begun = Instant::now();
        let error = view
            .query(sql)
            .map(|rows| rows.rows.len())
            .expect_err(&sql[..sql.len().min(100)])
            .to_string();
        let shown = &sql[..sql.len().min(100)];
        assert!(error.contains(wanted), "{shown}: {error}");
        assert!(begun.elapsed() < Duration::from_secs(5), "{shown}: {:?}", begun.elapsed());
    }
    assert!(!made.exists());
    assert_eq!(view.shown("SELECT id, lines FROM orders"), [["\"a\"", "1"]]);
    view.fill(&[("b", 2)]);
}

#[test]
fn slips_get_a_hint() {
    let view = View::new();
    let cases = [
        ("SELECT statsu FROM orders", "no such column: statsu", Some(7), "did you mean `status`?"),
        (
            "SELECT o.totl FROM orders AS o",
            "no such column: o.totl",
            Some(7),
            "did you mean `total`?",
        ),
        ("SELECT * FROM order_", "no such table: order_", None, "did you mean `orders`?"),
        (
            "SELECT * FROM zzzzzzzz",
            "no such table: zzzzzzzz",
            None,
            "there are: `excluded`, `group`, `orders`",
        ),
    ];
    for (sql, message, at, wanted) in cases {
        match view.query(sql) {
            Err(query::Error::Sql { message: got, offset, hint }) => {
                assert_eq!(
                    (got.as_str(), offset, hint.as_deref()),
                    (message, at, Some(wanted)),
                    "{sql}"
                );
            }
            other => panic!("{sql}: {other:?}"),
        }
    }
    match view.query("SELEC 1") {
        Err(query::Error::Sql { message, offset: Some(0), hint: None }) => {
            assert_eq!(message, "near \"SELEC\": syntax error");
        }
        other => panic!("{other:?}"),
    }
}
