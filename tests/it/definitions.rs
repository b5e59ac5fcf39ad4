//! What an operator reads when a definition is wrong: each file of `tests/definitions/wrong`
//! beside what viewd prints about it. `UPDATE_GOLDEN=1` rewrites what is printed; read it as a
//! newcomer would before committing it.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use proptest::prelude::*;
use viewd::definition::fingerprint::ENGINE;
use viewd::definition::{parse, parse_with};
use viewd::diagnostic::{Diagnostic, Source, render};
use viewd::store::view;

mod right;

const SOURCES: [&str; 2] = ["flights", "shop"];

/// A definition with one of everything, for mutations.
const WHOLE: &str = include_str!("../definitions/whole.toml");

#[test]
fn wrong_definitions_are_told_as_golden_files_have_it() {
    let update = std::env::var_os("UPDATE_GOLDEN").is_some();
    let mut files = toml_files("wrong");
    files.sort();
    assert!(files.len() >= 100, "only {} cases found", files.len());
    let mut different = Vec::new();
    for file in &files {
        let printed = print(file);
        let golden = file.with_extension("stderr");
        if update {
            fs::write(&golden, &printed).expect("write the golden file");
        } else if fs::read_to_string(&golden).unwrap_or_default() != printed {
            different.push(format!("{}\n{printed}", golden.display()));
        }
    }
    assert!(
        different.is_empty(),
        "these differ; UPDATE_GOLDEN=1 rewrites them:\n\n{}",
        different.join("\n")
    );
}

/// Each is a definition by itself, after [`HEAD`], with one feature: nothing is told of it.
#[test]
fn right_definitions_have_nothing_told_of_them() {
    let mut wrong = Vec::new();
    for (feature, text) in right::ALL {
        let source = Source::new(format!("{feature}.toml"), format!("{}{text}", right::HEAD));
        let diagnostics = told(&source, "right");
        if !diagnostics.is_empty() {
            wrong.push(format!("{feature}\n{}", render(&diagnostics, false)));
        }
    }
    assert!(wrong.is_empty(), "{}", wrong.join("\n"));
}

#[test]
fn the_whole_definition_is_right() {
    let source = Source::new("whole.toml", WHOLE);
    assert_eq!(render(&told(&source, "whole"), false), "");
}

/// A jaq or zone rules of another version may give other rows: the fingerprint must say so.
#[test]
fn the_fingerprint_names_the_engine_in_the_lock_file() {
    let lock = Path::new(env!("CARGO_MANIFEST_DIR")).join("Cargo.lock");
    let lock = fs::read_to_string(lock).expect("read Cargo.lock");
    let named = ENGINE
        .split(", ")
        .filter_map(|part| part.split_once(' '))
        .filter(|(name, _)| *name != "viewd");
    for (name, version) in named {
        assert!(
            lock.contains(&format!("name = \"{name}\"\nversion = \"{version}\"\n")),
            "{name} {version} is not what Cargo.lock has: see `definition::fingerprint::ENGINE`"
        );
    }
}

#[test]
fn errors_have_places_for_editors() {
    let source = Source::new("orders.toml", "source = 'shop'\n# ä\npolicy.'ön_gap' = 'halt'\n");
    let (_, diagnostics) = parse(&source, "orders", &SOURCES);
    let wrong = diagnostics.iter().find(|one| one.message.contains("ön_gap")).expect("is told");
    let json = serde_json::to_value(wrong).expect("is JSON");
    assert_eq!(
        json,
        serde_json::json!({
            "file": "orders.toml", "line": 3, "column": 8, "end_line": 3, "end_column": 16,
            "severity": "error",
            "message": "unknown key `ön_gap` in `policy`",
            "hint": "did you mean `on_gap`?",
        })
    );
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(2_000))]

    /// Whatever becomes of a definition, reading it ends with a definition or with errors that
    /// can be printed.
    #[test]
    fn no_mutation_panics(
        edits in proptest::collection::vec((any::<prop::sample::Index>(), 0..12_usize, edit()), 1..6)
    ) {
        let mut text = WHOLE.to_owned();
        for (at, cut, insert) in edits {
            let bounds: Vec<usize> = text.char_indices().map(|(at, _)| at).chain([text.len()]).collect();
            let start = at.index(bounds.len());
            let end = (start + cut).min(bounds.len() - 1);
            text.replace_range(bounds[start]..bounds[end], &insert);
        }
        let source = Source::new("whole.toml", text.as_str());
        let (definition, diagnostics) = parse_with(&source, "whole", &SOURCES, view::check);
        let errors = diagnostics.iter().filter(|diagnostic| diagnostic.is_error()).count();
        prop_assert_eq!(definition.is_none(), errors > 0);
        prop_assert_eq!(render(&diagnostics, false).is_empty(), diagnostics.is_empty());
    }
}

/// What a slip of the hand puts in.
fn edit() -> impl Strategy<Value = String> {
    let word = prop::sample::select(vec![
        "",
        "'",
        "\"",
        "'''",
        "\"\"\"\n",
        "[",
        "]",
        "[[on]]\n",
        "{",
        "}",
        "=",
        ".",
        ",",
        "\n",
        "#",
        "\\",
        "é",
        "\u{0}",
        "\\u00e9",
        "1e999",
        "-0",
        "inf",
        "true",
        "key",
        "set",
        "add.total = 1\n",
        "orders",
        "decimal(3)",
        "default = 1.5",
        "2013-01-01",
        "_x",
        "[tables.orders]\n",
        "*",
        ">",
    ]);
    prop_oneof![word.prop_map(str::to_owned), ".{0,3}"]
}

fn print(file: &Path) -> String {
    let text = fs::read_to_string(file).expect("read the case");
    let shown = format!("projections/{}", file.file_name().unwrap_or_default().to_string_lossy());
    let name = file.file_stem().unwrap_or_default().to_string_lossy().into_owned();
    let diagnostics = told(&Source::new(shown, text), &name);
    assert!(!diagnostics.is_empty(), "nothing is wrong with {}", file.display());
    render(&diagnostics, false)
}

/// All that is told of a file, by the definition and by SQLite.
fn told(source: &Arc<Source>, name: &str) -> Vec<Diagnostic> {
    parse_with(source, name, &SOURCES, view::check).1
}

fn toml_files(folder: &str) -> Vec<PathBuf> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/definitions").join(folder);
    let entries = fs::read_dir(&folder).expect("the folder of cases is there");
    let paths = entries.map(|entry| entry.expect("read the folder").path());
    paths.filter(|path| path.extension().is_some_and(|extension| extension == "toml")).collect()
}
