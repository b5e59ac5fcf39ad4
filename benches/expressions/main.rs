//! What one evaluation of an expression costs, by its kind: nanoseconds on one core.
//!
//! `cargo bench --bench expressions [-- --json FILE] [--expression TEXT ...]`. Each kind is run in rounds of a fixed time; the fastest round is
//! what it costs, the median says how quiet the machine was. Values are dropped within the time, as in a handler.

use std::cell::RefCell;
use std::hint::black_box;
use std::io::Write as _;
use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result};
use viewd::event::chunk::{Chunk, ChunkBuilder, Event, Message};
use viewd::event::time::Timestamp;
use viewd::event::{Format, Sequence};
use viewd::expression::{Bindings, Expression, Lookup, Place, Scope, Table, Value};
use viewd::row::{Cell, ColumnType};

/// Long enough for a clock, short enough that the best of many rounds is an undisturbed one.
const ROUND: Duration = Duration::from_millis(1);
const ROUNDS: usize = 301;
/// As many messages as a chunk has when a reader keeps up.
const CHUNK_MESSAGES: u64 = 256;
const EVENT_BYTES_MAX: usize = 8 << 20;

/// A CloudEvent of some 300 bytes.
const PAYLOAD: &str = r#"{"specversion":"1.0","id":"5c0b3a4e-8f0e","source":"/shop/eu","type":"OrderPlaced","time":"2013-01-01T05:00:00.25Z","data":{"order_id":"o-1000017","customer_id":"c-42","total":119.90,"status":"placed","items":[{"sku":"A-1","qty":2,"price":9.95},{"sku":"B-7","qty":1,"price":100}],"note":"by the door, please"}}"#;

const SCOPE: Scope<'static> = Scope {
    place: Place::Handler,
    variables: &["row", "item", "index", "part", "rate"],
    tables: &[Table { name: "customers", key: &["id"], columns: &[] }],
    rows: &[],
};

/// A kind of expression, one of it, and what it may cost in nanoseconds.
const KINDS: [(&str, &str, Option<f64>); 26] = [
    ("literal", "\"placed\"", None),
    ("plain path", ".data.order_id", Some(60.0)),
    ("plain path, a number", ".data.total", Some(60.0)),
    ("plain path, deep", ".data.items[1].sku", None),
    ("path of the document", ".time", Some(60.0)),
    ("path of $item", "$item.sku", Some(60.0)),
    ("path of $row", "$row.status", Some(60.0)),
    ("variable", "$index", None),
    ("small arithmetic", "$index + 1", Some(1_000.0)),
    ("arithmetic of decimals", "$item.price * $item.qty", Some(1_000.0)),
    ("arithmetic and rounding", ".data.total * 0.19 | round(2)", Some(1_000.0)),
    ("comparison", ".data.total > 100", Some(1_000.0)),
    ("comparison of $row", "$row.status != \"cancelled\"", Some(1_000.0)),
    ("logic", ".data.total > 100 and .data.status == \"placed\"", None),
    ("if", "if .data.total > 100 then \"large\" else \"small\" end", None),
    ("default", ".data.currency // \"EUR\"", None),
    ("object", ".data | {customer_id, total, status: \"placed\"}", None),
    ("interpolation", "\"\\(.data.customer_id)/\\(.data.order_id)\"", None),
    ("text function", ".data.status | ascii_upcase", None),
    ("lookup in a map", "lookup(\"customers\"; .data.customer_id).name", None),
    ("map and sum", ".data.items | map(.price * .qty) | add", None),
    ("select in an array", "[.data.items[] | select(.qty == 1) | .sku]", None),
    ("any", "any(.data.items[]; .qty > 5)", None),
    ("jaq: first", "first(.data.items[] | select(.qty == 1)) | .sku", None),
    ("jaq: reduce", "reduce .data.items[] as $x (0; . + $x.price * $x.qty)", None),
    ("jaq: group", ".data.items | group_by(.sku) | length", None),
];

/// Rows by their key, made once.
struct Rows(Vec<(String, Value)>);

impl Lookup for Rows {
    fn lookup(&self, _: usize, key: Vec<Value>) -> Result<Value, String> {
        let wanted = key[0].as_text().map_or("", |text| text.as_str());
        let found = self.0.iter().find(|(key, _)| key == wanted);
        Ok(found.map_or(Value::Null, |(_, row)| row.clone()))
    }
}

/// What a kind costs.
struct Measured<'a> {
    kind: &'static str,
    expression: &'a str,
    best_ns: f64,
    median_ns: f64,
    target_ns: Option<f64>,
}

fn main() -> Result<()> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let event = chunk(&mut ChunkBuilder::new(Format::Auto, EVENT_BYTES_MAX), 1);
    let event = Arc::new(event).events().next().context("an event")?;
    let mut all = Vec::new();
    let given = arguments.windows(2).filter(|pair| pair[0] == "--expression");
    let given: Vec<_> = given.map(|pair| ("given", pair[1].as_str(), None)).collect();
    let whole = given.is_empty();
    for (kind, text, target_ns) in if whole { KINDS.to_vec() } else { given } {
        let expression = compiled(text, SCOPE)?;
        let variables = variables(&event)?;
        let rows = Rows(vec![("c-42".to_owned(), customer())]);
        let bindings = Bindings { variables: &variables, rows: Some(&rows) };
        let evaluate = || black_box(expression.evaluate_with(&event, &bindings)).is_ok();
        all.push(measured(kind, text, target_ns, 1, evaluate)?);
    }
    if !whole {
        return report(&all);
    }
    let without = compiled(".data.order_id", SCOPE)?;
    let evaluate = || black_box(without.evaluate(&event)).is_ok();
    all.push(measured("plain path, no bindings", ".data.order_id", Some(60.0), 1, evaluate)?);
    let text = "if .type == \"OrderPlaced\" then .data.currency //= \"EUR\" else . end";
    let transform = compiled(text, Scope::TRANSFORM)?;
    let evaluate = || black_box(transform.transform(&event)).is_ok();
    all.push(measured("transform", "if ... then .data.currency //= ...", None, 1, evaluate)?);
    // One builder for all chunks, as a reader has: it knows what the last one took.
    let builder = RefCell::new(ChunkBuilder::new(Format::Auto, EVENT_BYTES_MAX));
    let decode = || {
        let chunk = chunk(&mut builder.borrow_mut(), CHUNK_MESSAGES);
        black_box(chunk).len() as u64 == CHUNK_MESSAGES
    };
    all.push(measured("check and decode", "a message", Some(800.0), CHUNK_MESSAGES, decode)?);
    report(&all)?;
    if let Some(at) = arguments.iter().position(|argument| argument == "--json") {
        let file = arguments.get(at + 1).context("--json FILE")?;
        std::fs::write(file, json(&all)).with_context(|| format!("write {file}"))?;
    }
    Ok(())
}

fn compiled(text: &str, scope: Scope<'_>) -> Result<Expression> {
    Expression::compile(text, scope).with_context(|| format!("compile {text}"))
}

fn chunk(builder: &mut ChunkBuilder, messages: u64) -> Chunk {
    for sequence in 1..=messages {
        builder.push(Message {
            sequence: Sequence(sequence),
            stored_at: Timestamp(1_357_016_400_000_000),
            subject: "shop.eu.placed",
            headers: [("Nats-Msg-Id", "5c0b3a4e-8f0e")],
            payload: PAYLOAD.as_bytes(),
        });
    }
    builder.finish(Sequence(messages))
}

/// As a handler with `for_each` and one `let` has them.
fn variables(event: &Event) -> Result<[Value; 5]> {
    let item = compiled(".data.items[0]", Scope::EVENT)?;
    let item = item.evaluate(event)?.into_value(event);
    let columns = [
        ("order_id", ColumnType::Text),
        ("status", ColumnType::Text),
        ("paid", ColumnType::Decimal(2)),
    ];
    let cells = [Cell::Text("o-1".into()), Cell::Text("placed".into()), Cell::Integer(1_250)];
    let row = Value::of_row(columns, &cells);
    Ok([row, item, Value::from(1_i64), Value::from(0_i64), Value::from("0.19")])
}

fn customer() -> Value {
    let columns = [("customer_id", ColumnType::Text), ("name", ColumnType::Text)];
    Value::of_row(columns, &[Cell::Text("c-42".into()), Cell::Text("Ada".into())])
}

/// Runs `evaluate`, which does `count` things at once and says whether they went well.
fn measured<'a>(
    kind: &'static str,
    expression: &'a str,
    target_ns: Option<f64>,
    count: u64,
    evaluate: impl Fn() -> bool,
) -> Result<Measured<'a>> {
    anyhow::ensure!(evaluate(), "{expression} fails");
    let timed = |runs: u64| {
        let begun = Instant::now();
        for _ in 0..runs {
            black_box(evaluate());
        }
        begun.elapsed()
    };
    let mut runs = 1;
    while timed(runs) < ROUND {
        runs *= 2;
    }
    let per = |time: Duration| time.as_nanos() as f64 / (runs * count) as f64;
    let mut rounds: Vec<_> = (0..ROUNDS).map(|_| per(timed(runs))).collect();
    rounds.sort_by(f64::total_cmp);
    let (best_ns, median_ns) = (rounds[0], rounds[ROUNDS / 2]);
    Ok(Measured { kind, expression, best_ns, median_ns, target_ns })
}

fn report(all: &[Measured<'_>]) -> Result<()> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{:26} {:>9} {:>9} {:>9}  expression", "kind", "best ns", "median", "target")?;
    for Measured { kind, expression, best_ns, median_ns, target_ns } in all {
        let target = target_ns.map_or(String::new(), |target| format!("< {target:.0}"));
        let missed =
            if target_ns.is_some_and(|target| *best_ns >= target) { " MISSED" } else { "" };
        writeln!(
            out,
            "{kind:26} {best_ns:>9.1} {median_ns:>9.1} {target:>9}  {expression}{missed}"
        )?;
    }
    Ok(())
}

fn json(all: &[Measured<'_>]) -> String {
    let rows = all.iter().map(|measured| {
        serde_json::json!({
            "kind": measured.kind,
            "expression": measured.expression,
            "best_ns": measured.best_ns,
            "median_ns": measured.median_ns,
            "target_ns": measured.target_ns,
        })
    });
    serde_json::Value::Array(rows.collect()).to_string()
}
