//! The law of the flush: rows are the fold of the operations.

use std::collections::{BTreeMap, BTreeSet};

use proptest::prelude::*;
use viewd::definition::{Action, Table, Verb};
use viewd::projection::fold::{Failed, Fold};
use viewd::projection::known::Known;
use viewd::projection::seen::Seen;
use viewd::projection::transition::{Assigned, By, Operation};
use viewd::row::{Cell, Key, Row};
use viewd::store::Error;
use viewd::store::batch::Batch;
use viewd::store::change_log::key_text;

use super::changes::changes;
use super::{View, batch, composed, text_key, upsert};

/// Rows by table and key, changed by one operation at a time. Written apart from `transition`: this is the oracle.
type Naive = BTreeMap<(usize, String), Vec<Cell>>;

/// False: the operation leaves the range of 64 bits, and nothing was changed.
fn interpret(rows: &mut Naive, tables: &[Table], operation: &Operation) -> bool {
    let table = &tables[operation.table];
    let place = (operation.table, format!("{:?}", operation.key));
    let before = rows.get(&place).cloned();
    let made = before.is_none();
    let mut row = match (operation.verb, before) {
        (Verb::Delete, _) => {
            rows.remove(&place);
            return true;
        }
        (Verb::Update, None) | (Verb::Insert, Some(_)) => return true,
        (_, Some(row)) => row,
        (_, None) => {
            let mut row: Vec<_> = table
                .columns
                .iter()
                .map(|column| column.default.clone().unwrap_or(Cell::Null))
                .collect();
            for (position, &column) in table.key.iter().enumerate() {
                row[column] = operation.key.0[position].clone();
            }
            row
        }
    };
    for Assigned { column, action, cell } in &operation.assignments {
        let old = row[*column].clone();
        let sign = if *action == Action::Sub { -1 } else { 1 };
        row[*column] = match (action, &old, cell) {
            (Action::SetOnce, _, _) if !made => old,
            (Action::Set | Action::SetOnce, _, _) => cell.clone(),
            (Action::Add | Action::Sub, Cell::Real(old), Cell::Real(cell)) => {
                Cell::Real(old + sign as f64 * cell + 0.0)
            }
            (Action::Add | Action::Sub, Cell::Null, Cell::Real(cell)) => {
                Cell::Real(sign as f64 * cell + 0.0)
            }
            (Action::Add | Action::Sub, _, Cell::Integer(cell)) => {
                let old = if let Cell::Integer(old) = old { i128::from(old) } else { 0 };
                match i64::try_from(old + sign * i128::from(*cell)) {
                    Ok(sum) => Cell::Integer(sum),
                    Err(_) => return false,
                }
            }
            (Action::Min, Cell::Null, _) | (Action::Max, Cell::Null, _) => cell.clone(),
            (Action::Min, _, _) if cell < &old => cell.clone(),
            (Action::Max, _, _) if cell > &old => cell.clone(),
            _ => old,
        };
    }
    rows.insert(place, row);
    true
}

fn integer() -> impl Strategy<Value = i64> {
    let edges = [
        0,
        1,
        -1,
        i64::MAX,
        i64::MIN,
        i64::MAX - 1,
        i64::MIN + 1,
        i64::MAX / 2 + 1,
        i64::MIN / 2 - 1,
    ];
    prop_oneof![prop::sample::select(edges.to_vec()), -5..5_i64, any::<i64>()]
}

fn text() -> impl Strategy<Value = Cell> {
    prop::sample::select(vec![
        "",
        "a",
        "Z",
        "é",
        "zz",
        "a longer text than fits into a cell without allocating",
    ])
    .prop_map(|text| Cell::Text(text.into()))
}

/// What may be done to each column of `orders`, as a definition allows.
fn assignment(column: usize) -> BoxedStrategy<Option<Assigned>> {
    use Action::{Add, Max, Min, Set, SetOnce, Sub};
    let whole = || integer().prop_map(Cell::Integer);
    let real = || (-8..8_i32).prop_map(|eighths| Cell::Real(f64::from(eighths) / 8.0 + 0.0));
    let or_null = |cell: BoxedStrategy<Cell>| prop_oneof![4 => cell, 1 => Just(Cell::Null)].boxed();
    let by = |actions: &[Action], cell: BoxedStrategy<Cell>| {
        (prop::sample::select(actions.to_vec()), cell)
            .prop_map(move |(action, cell)| Some(Assigned { column, action, cell }))
            .boxed()
    };
    let some = match column {
        1 => prop_oneof![
            by(&[Set, SetOnce], or_null(whole().boxed())),
            by(&[Add, Sub, Add], whole().boxed())
        ]
        .boxed(),
        2 => {
            prop_oneof![by(&[Set], or_null(whole().boxed())), by(&[Add, Add, Sub], whole().boxed())]
                .boxed()
        }
        3 => by(&[Set, SetOnce], or_null(text().boxed())),
        4 => prop_oneof![by(&[Set], or_null(whole().boxed())), by(&[Min], whole().boxed())].boxed(),
        5 => prop_oneof![by(&[Set], or_null(text().boxed())), by(&[Max], text().boxed())].boxed(),
        6 => prop_oneof![by(&[Set], or_null(real().boxed())), by(&[Add, Sub], real().boxed())]
            .boxed(),
        7 => by(&[Set], (0..2_i64).prop_map(Cell::Integer).boxed()),
        _ => by(&[Set], or_null(Just(Cell::Text("{}".into())).boxed())),
    };
    prop_oneof![2 => Just(None), 1 => some].boxed()
}

fn operation() -> impl Strategy<Value = Operation> {
    let verb = || {
        prop::sample::select(vec![
            Verb::Insert,
            Verb::Upsert,
            Verb::Upsert,
            Verb::Update,
            Verb::Delete,
        ])
    };
    let orders = (verb(), 0..3_usize, (1..9_usize).map(assignment).collect::<Vec<_>>()).prop_map(
        |(verb, key, assignments)| {
            let assignments = assignments.into_iter().flatten();
            let fits = |assigned: &Assigned| match verb {
                Verb::Delete => false,
                Verb::Update => assigned.action != Action::SetOnce,
                Verb::Insert | Verb::Upsert => true,
            };
            let key = text_key(["a", "b", "\u{e9}'\""][key]);
            Operation {
                by: By::default(),
                table: 0,
                key,
                verb,
                assignments: assignments.filter(fits).collect(),
            }
        },
    );
    let pairs = (verb(), 0..2_i64, text()).prop_map(|(verb, number, text)| {
        let key = Key([text, Cell::Integer(number)].into_iter().collect());
        Operation { by: By::default(), table: 1, key, verb, assignments: Vec::new() }
    });
    let groups = (verb(), integer(), integer()).prop_map(|(verb, id, amount)| {
        let assigned = Assigned { column: 1, action: Action::Add, cell: Cell::Integer(amount) };
        let assignments = if verb == Verb::Delete { Vec::new() } else { vec![assigned] };
        Operation {
            by: By::default(),
            table: 2,
            key: Key([Cell::Integer(id)].into_iter().collect()),
            verb,
            assignments,
        }
    });
    prop_oneof![6 => orders, 1 => pairs, 2 => groups]
}

/// Folds and commits a batch as the worker does, each operation an event; whether the open fold was enough.
fn flush(view: &mut View, operations: &[Operation]) -> bool {
    let tables = view.tables.clone();
    for exact in [false, true] {
        let mut fold = Fold::new(&tables, &vec![Vec::new(); tables.len()], exact);
        let mut spoilt = false;
        for operation in operations {
            match fold.apply(&mut [operation.clone()], &[], &tables, view.store()) {
                Ok(()) => {}
                Err(Failed::OutOfRange { .. }) => assert!(exact),
                Err(Failed::Uncertain) => {
                    assert!(!exact);
                    spoilt = true;
                    break;
                }
                Err(Failed::Rows(error)) => panic!("{error}"),
            }
        }
        if spoilt {
            continue;
        }
        let open = fold.take_open();
        let sequence = view.store().checkpoint().sequence.0 + 1;
        let batch = Batch { known: fold.known(), ..batch(sequence, open) };
        match view.store().commit(batch) {
            Ok(_) => return !exact,
            Err(Error::OnRow { .. }) => assert!(!exact, "an exact fold fails on no row"),
            Err(error) => panic!("{error}"),
        }
    }
    unreachable!("an exact fold is always committed")
}

/// From wherever one goes on, the log names every key whose row is another than it was then; and those that a single
/// batch has added are such keys and no others.
fn followed(view: &mut View, states: &[(i64, Naive)]) -> Result<(), TestCaseError> {
    let snapshot = view.store().fence().expect("a snapshot");
    let (last, rows) = states.last().expect("the beginning");
    prop_assert_eq!(snapshot.last_change().expect("a number"), *last);
    for table in 0..view.tables.len() {
        let of = |state: &Naive| -> BTreeMap<String, Row> {
            let rows = state.iter().filter(|((of, _), _)| *of == table).map(|(_, row)| row);
            let key = |row: &Vec<Cell>| {
                key_text(view.tables[table].key.iter().map(|&column| &row[column]))
            };
            rows.map(|row| (key(row), Row::from(row.as_slice()))).collect()
        };
        let differ = |one: &BTreeMap<String, Row>, other: &BTreeMap<String, Row>| {
            let keys = one.keys().chain(other.keys()).cloned().collect::<BTreeSet<_>>();
            keys.into_iter().filter(|key| one.get(key) != other.get(key)).collect::<Vec<_>>()
        };
        for (before, after) in states.iter().zip(&states[1..]) {
            let added = changes(view, &snapshot, table, before.0, after.0);
            prop_assert_eq!(
                added.into_keys().collect::<Vec<_>>(),
                differ(&of(&before.1), &of(&after.1))
            );
        }
        for (change, state) in states {
            let mut copy = of(state);
            for (key, row) in changes(view, &snapshot, table, *change, *last) {
                match row {
                    Some(row) => copy.insert(key, row),
                    None => copy.remove(&key),
                };
            }
            prop_assert_eq!(differ(&copy, &of(rows)), Vec::<String>::new());
        }
    }
    Ok(())
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 150, ..ProptestConfig::default() })]

    /// Any operations, cut into any batches, leave the rows that one operation at a time leaves; and the store finds
    /// an overflow exactly when one of them alone would have met it.
    #[test]
    fn rows_are_the_fold_of_the_operations(batches in prop::collection::vec(prop::collection::vec(operation(), 1..12), 1..8)) {
        let mut view = View::new();
        let mut naive = Naive::new();
        let mut states = vec![(0, naive.clone())];
        for operations in &batches {
            let all_fit = operations.iter().fold(true, |fit, operation| interpret(&mut naive, &view.tables, operation) & fit);
            let open_sufficed = flush(&mut view, operations);
            prop_assert!(all_fit || !open_sufficed, "an operation that fails alone was committed: {operations:?}");
            for operation in operations {
                let stored = view.store().get(operation.table, &operation.key).expect("a row or none");
                let wanted = naive.get(&(operation.table, format!("{:?}", operation.key)));
                prop_assert_eq!(stored.as_deref(), wanted.map(Vec::as_slice), "{:?}", operation);
            }
            states.push((view.store().last_change(), naive.clone()));
        }
        followed(&mut view, &states)?;
        let stored: i64 = view.tables.iter().map(|table| {
            let count = view.shown(&format!("SELECT count(*) FROM \"{}\"", table.name));
            count[0][0].parse::<i64>().expect("a number")
        }).sum();
        prop_assert_eq!(stored, naive.len() as i64);
    }
}

/// Each row: the value that is there, what is added one after the other, and whether all of it fits.
#[test]
fn sums_are_checked_at_each_step() {
    let (max, min) = (i64::MAX, i64::MIN);
    let cases: [(Option<i64>, &[i64], bool); 14] = [
        (Some(max), &[0], true),
        (Some(max), &[1], false),
        (Some(max), &[1, -1], false),
        (Some(max), &[-1, 1], true),
        (Some(min), &[-1], false),
        (Some(min), &[max, max, 1], true),
        (Some(0), &[max, max], false),
        (Some(-1), &[max, 1], true),
        (Some(1), &[max, -max], false),
        (Some(0), &[min], true),
        (Some(-1), &[min], false),
        (None, &[max], true),
        (None, &[max, 1], false),
        // A float could not tell these apart.
        (Some((1 << 62) + 512), &[(1 << 62) - 512], false),
    ];
    for (base, amounts, fits) in cases {
        let mut view = View::new();
        let key = text_key("a");
        let cell = base.map_or(Cell::Null, Cell::Integer);
        let there = composed(&view.tables[0], &[upsert(&key, 1, Action::Set, cell)]);
        view.commit(vec![vec![(key.clone(), there)]]).expect("committed");
        let update = |amount: &i64| Operation {
            verb: Verb::Update,
            ..upsert(&key, 1, Action::Add, Cell::Integer(*amount))
        };
        let sum = composed(&view.tables[0], &amounts.iter().map(update).collect::<Vec<_>>());
        let result = view.commit(vec![vec![(key.clone(), sum.clone())]]);
        match &result {
            Ok(_) => assert!(fits, "{base:?} {amounts:?}"),
            Err(Error::OnRow { table: 0, key: failed, column: 1, place }) => {
                assert!(!fits && *failed == key && place == "orders.lines", "{base:?} {amounts:?}");
            }
            Err(error) => panic!("{base:?} {amounts:?}: {error}"),
        }
        // The same holds where a later operation overwrites or deletes the sum.
        for verb in [Verb::Update, Verb::Delete] {
            let mut covered = sum.clone();
            let last = Operation { verb, ..upsert(&key, 1, Action::Set, Cell::Integer(7)) };
            covered.apply(&last, &view.tables[0]).expect("no sum in it");
            if fits {
                // The row has changed by the commit above: back to what it was.
                let cell = base.map_or(Cell::Null, Cell::Integer);
                let back = composed(&view.tables[0], &[upsert(&key, 1, Action::Set, cell)]);
                view.commit(vec![vec![(key.clone(), back)]]).expect("committed");
            }
            assert_eq!(
                view.commit(vec![vec![(key.clone(), covered)]]).is_ok(),
                fits,
                "{base:?} {amounts:?} {verb:?}"
            );
        }
    }
}

/// More rows than one statement makes, some of them stored before: what is new goes in by many, the rest one by one.
#[test]
fn a_large_batch_of_known_rows() {
    const ROWS: i64 = 20_011;
    let mut view = View::new();
    let table = view.tables[2].clone();
    let row = |id: i64, value: i64| Row::from(vec![Cell::Integer(id), Cell::Integer(value)]);
    let commit = |view: &mut View, changes: &dyn Fn(i64) -> (Option<i64>, Option<i64>)| {
        let mut known = Known::new(&table, &[], Seen::Nothing);
        for id in 0..ROWS {
            // In no order.
            let id = id * 7919 % ROWS;
            let (before, after) = changes(id);
            let key = Key([Cell::Integer(id)].into_iter().collect());
            let slot = known.load(known.hash(&key), key, before.map(|value| row(id, value)));
            known.replace(slot, after.map(|value| row(id, value)));
        }
        let none = || Known::new(&table, &[], Seen::Nothing);
        let known = [none(), none(), known];
        let sequence = view.store().checkpoint().sequence.0 + 1;
        let batch = Batch { known: &known, ..batch(sequence, Vec::new()) };
        view.store().commit(batch).expect("committed").rows_changed
    };
    // Every third is there at first.
    let first = |id: i64| (None, (id % 3 == 0).then_some(id));
    let there = ROWS / 3 + 1;
    assert_eq!(commit(&mut view, &first), there as u64);
    // Then each is there but every ninth, and what changes nothing is not written.
    let second = |id: i64| (first(id).1, (id % 9 != 0).then_some(id));
    let removed = ROWS / 9 + 1;
    assert_eq!(commit(&mut view, &second), (ROWS - there + removed) as u64);
    let sum: i64 = (0..ROWS).filter(|id| id % 9 != 0).sum();
    assert_eq!(
        view.shown("SELECT count(*), sum(excluded), sum(id = excluded) FROM \"group\""),
        [[(ROWS - removed).to_string(), sum.to_string(), (ROWS - removed).to_string()]]
    );
    // Each change is in the log, whichever statement made it.
    let logged = |sequence: u32| {
        let logged = format!(
            "SELECT count(*), count(DISTINCT key), sum(op = 'delete'), max(\"table\") FROM _viewd_changes WHERE sequence = {sequence}"
        );
        view.shown(&logged)
    };
    let all = (ROWS - there + removed).to_string();
    assert_eq!(logged(1), [[&there.to_string(), &there.to_string(), "0", "\"group\""]]);
    assert_eq!(logged(2), [[&all, &all, &removed.to_string(), "\"group\""]]);
}
