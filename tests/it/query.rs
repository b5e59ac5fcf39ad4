//! What clients ask of rows, held to SQLite: a filter that was read lets through what the same condition, written as
//! SQL, does.

use std::fmt::Write as _;

use rusqlite::Connection;
use rusqlite::types::Value;
use viewd::definition::{Column, Table};
use viewd::query::filter;
use viewd::row::{Cell, ColumnType};

use crate::random::Random;

/// One column of each type; the first two are texts.
pub fn table() -> Table {
    let column = |name: &str, column_type, required| Column {
        name: name.into(),
        column_type,
        required,
        default: None,
        span: 0..0,
    };
    let columns = vec![
        column("id", ColumnType::Text, true),
        column("status", ColumnType::Text, false),
        column("region", ColumnType::Text, false),
        column("quantity", ColumnType::Integer, false),
        column("total", ColumnType::Decimal(2), false),
        column("weight", ColumnType::Real, false),
        column("paid", ColumnType::Boolean, false),
        column("placed_at", ColumnType::Timestamp, false),
        column("day", ColumnType::Date, false),
    ];
    let (key, indexes) = (vec![0], Vec::new());
    Table { name: "orders".into(), columns, key, indexes, changes: false, span: 0..0 }
}

/// Values of a type as a client writes them, and as the column stores them.
pub fn values(column_type: ColumnType) -> Vec<(&'static str, Cell)> {
    let integer = |written, value| (written, Cell::Integer(value));
    let text = |written: &'static str| (written, Cell::Text(written.into()));
    let stored = |written, stored: &str| (written, Cell::Text(stored.into()));
    match column_type {
        ColumnType::Text => [
            "paid",
            "Paid",
            "open",
            "void",
            "100%",
            "100",
            "a*b",
            "a?b",
            "[x]y",
            "é",
            "É",
            "日本",
            "",
            "a,b(c)\"d\\\"",
            "o'clock",
            "null",
            "a b",
            "a\0b",
            "zz",
        ]
        .map(text)
        .to_vec(),
        ColumnType::Integer => vec![
            integer("0", 0),
            integer("7", 7),
            integer("-7", -7),
            integer("1e2", 100),
            integer("9223372036854775807", i64::MAX),
            integer("-9223372036854775808", i64::MIN),
        ],
        ColumnType::Decimal(_) => vec![
            integer("12.50", 1250),
            integer("12.5", 1250),
            integer("0", 0),
            integer("-0.01", -1),
            integer("92233720368547758.07", i64::MAX),
        ],
        ColumnType::Real => vec![
            ("0.1", Cell::Real(0.1)),
            ("-0.0", Cell::Real(0.0)),
            ("1e300", Cell::Real(1e300)),
            ("-2", Cell::Real(-2.0)),
            ("5e-324", Cell::Real(5e-324)),
        ],
        ColumnType::Boolean => vec![integer("true", 1), integer("false", 0)],
        ColumnType::Timestamp => vec![
            stored("2013-01-01T05:00:00+02:00", "2013-01-01T03:00:00.000000Z"),
            stored("2013-01-01t03:00:00.000001z", "2013-01-01T03:00:00.000001Z"),
            stored("1969-12-31T23:59:59.9999999Z", "1969-12-31T23:59:59.999999Z"),
            stored("0001-01-01T00:00:00Z", "0001-01-01T00:00:00.000000Z"),
            stored("9999-12-31T23:59:59.999999Z", "9999-12-31T23:59:59.999999Z"),
        ],
        ColumnType::Date => vec![
            stored("2013-01-31", "2013-01-31"),
            stored("2013-02-01T23:30:00-01:00", "2013-02-02"),
            stored("0001-01-01", "0001-01-01"),
            stored("1969-12-31", "1969-12-31"),
        ],
        ColumnType::Json | ColumnType::Bytes => unreachable!("no column has this type"),
    }
}

/// A pattern as a client writes it, for LIKE with a backslash to escape, and for GLOB.
const PATTERNS: [(&str, &str, &str); 13] = [
    ("*o*", "%o%", "*o*"),
    ("p%", "p%", "p*"),
    ("PA*", "PA%", "PA*"),
    ("_aid", "_aid", "?aid"),
    ("100\\%", "100\\%", "100%"),
    ("*é", "%é", "*é"),
    ("[x]*", "[x]%", "[[]x]*"),
    ("a\\*b", "a*b", "a[*]b"),
    ("a?b", "a?b", "a[?]b"),
    ("", "", ""),
    ("*", "%", "*"),
    ("*,b(*)\"*", "%,b(%)\"%", "*,b(*)\"*"),
    ("*_ _*", "%_ _%", "*? ?*"),
];

/// A row of such values, NULL now and then; its key is its number.
pub fn row(random: &mut Random, table: &Table, number: u64) -> Vec<Cell> {
    let mut row = vec![Cell::Text(format!("o-{number}").into())];
    for column in &table.columns[1..] {
        let values = values(column.column_type);
        // What is asked for is not always there.
        let there = values.iter().enumerate().filter(|(at, _)| at % 3 != 2).collect::<Vec<_>>();
        row.push(match random.below(5) {
            0 => Cell::Null,
            _ => there[random.below(there.len() as u64) as usize].1.1.clone(),
        });
    }
    row
}

/// A condition as a client writes it, and as SQL.
pub struct Asked {
    pub parameters: Vec<(String, String)>,
    pub sql: String,
}

/// Conditions of every kind on all columns but the key.
pub fn asked(random: &mut Random, table: &Table) -> Asked {
    let mut parameters = Vec::new();
    let mut all = Vec::new();
    for _ in 0..=random.below(3) {
        if random.below(3) > 0 {
            let (name, condition, sql) = condition(random, table, false);
            parameters.push((name, condition));
            all.push(sql);
        } else {
            let (text, sql) = tree(random, table, 2);
            let (name, text) = text.split_once('(').unwrap();
            parameters.push((format!("_{name}"), format!("({text}")));
            all.push(sql);
        }
    }
    Asked { parameters, sql: all.join(" AND ") }
}

/// `or(...)`, `and(...)`, with or without `not.` in front.
fn tree(random: &mut Random, table: &Table, depth: u64) -> (String, String) {
    let (word, joined) = if random.below(2) == 0 { ("or", " OR ") } else { ("and", " AND ") };
    let branches = (0..=random.below(3)).map(|_| match random.below(2 + depth) {
        0 | 1 => {
            let (name, condition, sql) = condition(random, table, true);
            (format!("{name}.{condition}"), sql)
        }
        _ => tree(random, table, depth - 1),
    });
    let (texts, parts): (Vec<_>, Vec<_>) = branches.unzip();
    let (text, sql) = (format!("{word}({})", texts.join(",")), parts.join(joined));
    match random.below(3) {
        0 => (format!("not.{text}"), format!("NOT ({sql})")),
        _ => (text, format!("({sql})")),
    }
}

/// A column's name, what is asked of it, and the SQL.
fn condition(random: &mut Random, table: &Table, in_tree: bool) -> (String, String, String) {
    let column = &table.columns[1 + random.below(table.columns.len() as u64 - 1) as usize];
    let pool = values(column.column_type);
    let mut value = || {
        let (written, cell) = &pool[random.below(pool.len() as u64) as usize];
        (*written, literal(cell))
    };
    let name = &column.name;
    let quoted = |text: &str| {
        let text = text.replace('\\', "\\\\").replace('"', "\\\"");
        format!("\"{text}\"")
    };
    let written = |text: &str| if in_tree { quoted(text) } else { text.to_owned() };
    let mut list = Vec::new();
    let (listed, one) = (0..4).map(|_| value()).fold((String::new(), None), |(sql, _), one| {
        list.push(quoted(one.0));
        (if sql.is_empty() { one.1.clone() } else { format!("{sql}, {}", one.1) }, Some(one))
    });
    let (one, one_sql) = one.unwrap();
    let one = written(one);
    let (text, sql) = match random.below(13) {
        0 => (format!("eq.{one}"), format!("{name} = {one_sql}")),
        1 => (format!("neq.{one}"), format!("{name} <> {one_sql}")),
        2 => (format!("gt.{one}"), format!("{name} > {one_sql}")),
        3 => (format!("gte.{one}"), format!("{name} >= {one_sql}")),
        4 => (format!("lt.{one}"), format!("{name} < {one_sql}")),
        5 => (format!("lte.{one}"), format!("{name} <= {one_sql}")),
        6 => ("in.()".to_owned(), format!("{name} IN ()")),
        7 => (format!("in.({})", list.join(",")), format!("{name} IN ({listed})")),
        8 if column.column_type == ColumnType::Boolean => {
            ("is.true".to_owned(), format!("{name} IS TRUE"))
        }
        9 if column.column_type == ColumnType::Boolean => {
            ("is.false".to_owned(), format!("{name} IS FALSE"))
        }
        8..=12 if column.column_type == ColumnType::Text => {
            let (text, like, glob) = PATTERNS[random.below(PATTERNS.len() as u64) as usize];
            let literal = |text: &str| literal(&Cell::Text(text.into()));
            if random.below(2) == 0 {
                let sql = format!("{name} GLOB {}", literal(glob));
                (format!("like.{}", written(text)), sql)
            } else {
                let sql = format!("{name} LIKE {} ESCAPE '\\'", literal(like));
                (format!("ilike.{}", written(text)), sql)
            }
        }
        _ => ("is.null".to_owned(), format!("{name} IS NULL")),
    };
    match random.below(3) {
        0 => (name.clone(), format!("not.{text}"), format!("NOT ({sql})")),
        _ => (name.clone(), text, format!("({sql})")),
    }
}

fn literal(cell: &Cell) -> String {
    match cell {
        Cell::Null => "NULL".to_owned(),
        // The smallest integer is no literal of SQL: its digits are one more than the greatest.
        Cell::Integer(i64::MIN) => "(-9223372036854775807 - 1)".to_owned(),
        Cell::Integer(value) => value.to_string(),
        Cell::Real(value) => format!("{value:e}"),
        Cell::Text(text) => {
            let hex = text.bytes().fold(String::new(), |mut hex, byte| {
                write!(hex, "{byte:02x}").unwrap();
                hex
            });
            format!("CAST(x'{hex}' AS TEXT)")
        }
        Cell::Time(_) | Cell::Bytes(_) => unreachable!("no row of this test has them"),
    }
}

fn value(cell: &Cell) -> Value {
    match cell {
        Cell::Null => Value::Null,
        Cell::Integer(value) => Value::Integer(*value),
        Cell::Real(value) => Value::Real(*value),
        Cell::Text(text) => Value::Text(text.to_string()),
        Cell::Time(time) => Value::Text(time.to_string()),
        Cell::Bytes(bytes) => Value::Blob(bytes.to_vec()),
    }
}

#[test]
fn a_filter_is_what_sqlite_makes_of_it() {
    let mut random = Random::from_environment("QUERY_SEED");
    let table = table();
    let allowed: Vec<usize> = (1..table.columns.len()).collect();
    let rows: Vec<Vec<Cell>> = (0..200).map(|number| row(&mut random, &table, number)).collect();
    let sqlite = Connection::open_in_memory().unwrap();
    let columns: Vec<String> = table
        .columns
        .iter()
        .map(|column| format!("{} {}", column.name, column.column_type.sql()))
        .collect();
    sqlite.execute_batch(&format!("CREATE TABLE orders({}) STRICT", columns.join(", "))).unwrap();
    for row in &rows {
        let places = vec!["?"; row.len()].join(", ");
        let values = rusqlite::params_from_iter(row.iter().map(value));
        sqlite.execute(&format!("INSERT INTO orders VALUES({places})"), values).unwrap();
    }
    let mut seen = [0; 3];
    for _ in 0..2_000 {
        let Asked { parameters, sql } = asked(&mut random, &table);
        let read = filter::read(&table, &allowed, &parameters);
        let filter = read.unwrap_or_else(|refused| panic!("{parameters:?}: {refused}")).unwrap();
        let mut statement =
            sqlite.prepare(&format!("SELECT {sql} FROM orders ORDER BY rowid")).unwrap();
        let found = statement.query_map((), |row| row.get::<_, Option<bool>>(0)).unwrap();
        for (row, wanted) in rows.iter().zip(found) {
            let wanted = wanted.unwrap();
            assert_eq!(filter.matches(row), wanted, "{parameters:?}\n{sql}\n{row:?}\n{filter:?}");
            seen[wanted.map_or(2, usize::from)] += 1;
        }
    }
    // A test in which nothing is ever true, or unknown, shows nothing.
    assert!(seen.iter().all(|&count| count > 10_000), "{seen:?}");
}
