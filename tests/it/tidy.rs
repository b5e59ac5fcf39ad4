//! The house rules that no compiler holds: layers, where crates are named, how long a file may be, what tests may do.
//!
//! The layers are read from the code map in `src/lib.rs`, so the map cannot fall behind the code.

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};

/// A file of one noun is 100 to 250 lines; whatever passes this is several.
const PRODUCTION_LINES_MAX: usize = 600;

/// Tests are mostly tables, and read one at a time.
const TEST_LINES_MAX: usize = 800;

/// `main.rs` parses, runs and exits.
const MAIN_LINES_MAX: usize = 30;

/// Crates that are named in one module alone, so that what they bring stays behind its types.
const NAMED_ONLY_IN: [(&str, &str); 11] = [
    ("anyhow", "cli"),
    ("async_nats", "source"),
    ("axum", "api"),
    ("clap", "cli"),
    ("clap_complete", "cli"),
    ("hyper", "api"),
    ("hyper_util", "api"),
    ("indicatif", "cli"),
    ("jaq_core", "expression"),
    ("rusqlite", "store"),
    ("tantivy", "search"),
];

/// What the pure modules do without: tasks, files, sockets, environment, clocks (I9).
const PURE: [&str; 9] = [
    "event",
    "row",
    "diagnostic",
    "syntax",
    "definition",
    "expression",
    "schema",
    "projection",
    "query",
];
const IMPURE: [&str; 10] = [
    "tokio",
    "std::env",
    "std::fs",
    "std::net",
    "std::process",
    "thread::spawn",
    "Instant",
    "SystemTime",
    "crate::clock",
    "println!",
];

/// The one place where a test may sleep: between two looks at a condition.
const POLLING: &str = "tests/it/wait.rs";

#[test]
fn modules_import_only_from_those_above() {
    let layers = code_map();
    let mut wrong = Vec::new();
    for file in rust_files("src") {
        let Some(module) = file.module() else { continue };
        let Some(own) = layers.iter().position(|layer| layer == module) else {
            wrong.push(format!("{}: `{module}` is not in the code map of src/lib.rs", file.path));
            continue;
        };
        for (line, path) in file.crate_paths() {
            match layers.iter().position(|layer| *layer == path) {
                Some(other) if other <= own => {}
                Some(_) => wrong.push(format!(
                    "{}:{line}: `{module}` uses `{path}`, which is below it",
                    file.path
                )),
                None => wrong.push(format!(
                    "{}:{line}: `crate::{path}` is no module of the code map",
                    file.path
                )),
            }
        }
        wrong.extend(file.lines_with(|line| reaches_root(line, file.depth())).map(|line| {
            format!("{}:{line}: `super` up to the crate: write `crate::` instead", file.path)
        }));
    }
    assert_none(wrong);
}

#[test]
fn the_code_map_lists_every_module() {
    let text = read("src/lib.rs");
    let declared: BTreeSet<&str> =
        text.lines().filter_map(|line| line.strip_prefix("pub mod ")?.strip_suffix(';')).collect();
    let mapped = code_map();
    assert_eq!(
        declared,
        mapped.iter().map(String::as_str).collect(),
        "`pub mod` lines beside the code map"
    );
}

#[test]
fn crates_are_named_where_they_belong() {
    let mut wrong = Vec::new();
    for file in rust_files("src") {
        for (name, home) in NAMED_ONLY_IN.iter().filter(|(_, home)| file.module() != Some(home)) {
            let named = file.lines_with(|line| names(line, name));
            wrong.extend(
                named.map(|line| {
                    format!("{}:{line}: `{name}` is named only in `{home}`", file.path)
                }),
            );
        }
    }
    assert_none(wrong);
}

#[test]
fn pure_modules_stay_pure() {
    let mut wrong = Vec::new();
    for file in
        rust_files("src").filter(|file| file.module().is_some_and(|module| PURE.contains(&module)))
    {
        for impure in IMPURE {
            let found = file.production().filter(|(_, line)| names(line, impure));
            wrong.extend(found.map(|(line, _)| format!("{}:{line}: {impure}", file.path)));
        }
    }
    assert_none(wrong);
}

#[test]
fn files_are_short() {
    let mut wrong = Vec::new();
    for file in all_files() {
        let (lines, max) = match file.path.as_str() {
            "src/main.rs" => (file.text.lines().count(), MAIN_LINES_MAX),
            path if path.starts_with("tests/") || file.is_test() => {
                (file.text.lines().count(), TEST_LINES_MAX)
            }
            _ => (file.production().count(), PRODUCTION_LINES_MAX),
        };
        if lines > max {
            wrong.push(format!("{}: {lines} lines, {max} at most", file.path));
        }
    }
    assert_none(wrong);
}

#[test]
fn every_file_says_what_it_is() {
    let silent = rust_files("src").filter(|file| {
        file.module().is_some() && !file.is_test() && !file.text.starts_with("//! ")
    });
    assert_none(silent.map(|file| format!("{}: begins without `//!`", file.path)).collect());
}

#[test]
fn production_code_never_unwraps() {
    let mut wrong = Vec::new();
    for file in rust_files("src") {
        for (line, code) in file.production() {
            if code.contains(".unwrap()")
                || code.contains("todo!(")
                || code.contains("unimplemented!(")
            {
                wrong.push(format!("{}:{line}: {}", file.path, code.trim()));
            }
        }
    }
    assert_none(wrong);
}

#[test]
fn no_test_is_ignored_or_sleeps() {
    let mut wrong = Vec::new();
    for file in all_files() {
        let ignored =
            file.lines_with(|line| line.trim_start().starts_with(concat!("#[", "ignore")));
        wrong.extend(ignored.map(|line| format!("{}:{line}: an ignored test", file.path)));
        let tests = file.path.starts_with("tests/it/") && file.path != POLLING;
        let begin = if tests { 0 } else { file.production().count() };
        let sleeps =
            file.code().skip(begin).filter(|(_, line)| line.contains(concat!("sleep", "(")));
        if file.path != POLLING && (tests || file.path.starts_with("src/")) {
            wrong.extend(sleeps.map(|(line, _)| {
                format!(
                    "{}:{line}: a test sleeps: wait for a condition instead, with {POLLING}",
                    file.path
                )
            }));
        }
    }
    assert_none(wrong);
}

#[test]
fn no_file_of_this_folder_is_forgotten() {
    let main = read("tests/it/main.rs");
    let lines: Vec<&str> = main.lines().collect();
    let mut wrong = Vec::new();
    for file in rust_files("tests/it") {
        let Some(name) =
            file.path.strip_prefix("tests/it/").and_then(|name| name.strip_suffix(".rs"))
        else {
            continue;
        };
        if name == "main" || name.contains('/') {
            continue;
        }
        match lines.iter().position(|line| *line == format!("mod {name};")) {
            None => wrong.push(format!("tests/it/main.rs: no `mod {name};`")),
            Some(at) if at == 0 || !lines[at - 1].starts_with("// ") => {
                wrong.push(format!(
                    "tests/it/main.rs:{}: `mod {name};` has no comment above it",
                    at + 1
                ));
            }
            Some(_) => {}
        }
    }
    assert_none(wrong);
}

/// A source file with its path below the project's folder.
struct SourceFile {
    path: String,
    text: String,
}

impl SourceFile {
    /// The top-level module under `src/`; none for `lib.rs`, `main.rs` and what is elsewhere.
    fn module(&self) -> Option<&str> {
        let inside = self.path.strip_prefix("src/")?;
        let module = inside
            .split_once('/')
            .map_or_else(|| inside.strip_suffix(".rs"), |(module, _)| Some(module))?;
        (!["lib", "main"].contains(&module)).then_some(module)
    }

    /// How deep below the crate the file's own module is: 1 for `src/row.rs` and `src/store/mod.rs`.
    fn depth(&self) -> usize {
        let parts = self.path.split('/').count() - 1;
        if self.path.ends_with("/mod.rs") { parts - 1 } else { parts }
    }

    /// Whether it holds nothing but tests: what grew too long for the end of a file.
    fn is_test(&self) -> bool {
        self.path.ends_with("/tests.rs") || self.path.contains("/tests/")
    }

    /// Lines of code, counted from 1, without comments and without what strings say.
    fn code(&self) -> impl Iterator<Item = (usize, String)> {
        self.text.lines().enumerate().map(|(index, line)| {
            let comment = line.trim_start().starts_with("//");
            (index + 1, if comment { String::new() } else { unquoted(line) })
        })
    }

    /// The lines of code before the file's tests.
    fn production(&self) -> impl Iterator<Item = (usize, String)> {
        let lines = if self.is_test() { 0 } else { usize::MAX };
        self.code().take(lines).take_while(|(_, line)| *line != "#[cfg(test)]")
    }

    /// The numbers of the lines of code that a rule finds.
    fn lines_with(&self, rule: impl Fn(&str) -> bool) -> impl Iterator<Item = usize> {
        self.code().filter(move |(_, line)| rule(line)).map(|(number, _)| number)
    }

    /// Every `crate::module` in the code, those in braces too.
    fn crate_paths(&self) -> Vec<(usize, String)> {
        let mut found = Vec::new();
        let code: Vec<(usize, String)> = self.code().collect();
        for (index, (number, line)) in code.iter().enumerate() {
            for (at, _) in line.match_indices("crate::") {
                if line[..at].ends_with(|c: char| c.is_alphanumeric() || c == '_' || c == '$') {
                    continue;
                }
                let rest = &line[at + "crate::".len()..];
                if rest.starts_with('{') {
                    let tree: String = code[index..]
                        .iter()
                        .map(|(_, line)| line.as_str())
                        .collect::<Vec<_>>()
                        .join(" ");
                    let tree = &tree
                        [tree.find("crate::{").expect("it is in this line") + "crate::{".len()..];
                    found.extend(heads(tree).into_iter().map(|head| (*number, head)));
                } else {
                    found.push((*number, word(rest).to_owned()));
                }
            }
        }
        found
    }
}

/// A line of code with its strings emptied and a comment at its end cut off.
fn unquoted(line: &str) -> String {
    let (mut code, mut quoted, mut escaped) = (String::with_capacity(line.len()), false, false);
    for (at, c) in line.char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            // The character literal of a quote begins no string.
            '"' if !quoted && line[..at].ends_with('\'') => {}
            '"' => quoted = !quoted,
            '/' if !quoted && line[at..].starts_with("// ") => break,
            c if !quoted => code.push(c),
            _ => {}
        }
    }
    code
}

/// The first names of a use tree's branches, up to the brace that closes it.
fn heads(tree: &str) -> Vec<String> {
    let (mut depth, mut expect, mut heads) = (0_usize, true, Vec::new());
    for (at, c) in tree.char_indices() {
        match c {
            '{' => depth += 1,
            '}' if depth == 0 => break,
            '}' => depth -= 1,
            ',' if depth == 0 => expect = true,
            c if expect && depth == 0 && !c.is_whitespace() => {
                heads.push(word(&tree[at..]).to_owned());
                expect = false;
            }
            _ => {}
        }
    }
    heads
}

fn word(text: &str) -> &str {
    let end = text.find(|c: char| !c.is_alphanumeric() && c != '_').unwrap_or(text.len());
    &text[..end]
}

/// Whether a line of code has a name, not just as a part of another.
fn names(line: &str, name: &str) -> bool {
    let inside = |c: char| c.is_alphanumeric() || c == '_';
    line.match_indices(name).any(|(at, _)| {
        let end = at + name.len();
        !line[..at].ends_with(inside) && (name.ends_with('!') || !line[end..].starts_with(inside))
    })
}

/// Whether a line's `super::super::...` leaves the top-level module of a file so deep.
fn reaches_root(line: &str, depth: usize) -> bool {
    // Inside `mod tests` one more step is the file itself: indented lines have it to spare.
    let spare = usize::from(line.starts_with(' '));
    line.contains(&"super::".repeat(depth + spare))
}

/// The modules of the table in `src/lib.rs`, top first.
fn code_map() -> Vec<String> {
    let text = read("src/lib.rs");
    let rows = text.lines().filter_map(|line| line.strip_prefix("//! | [`")?.split_once("`]"));
    let map: Vec<String> = rows.map(|(module, _)| module.to_owned()).collect();
    assert!(map.len() > 10, "src/lib.rs has its code map as a table");
    map
}

fn all_files() -> impl Iterator<Item = SourceFile> {
    ["src", "tests", "benches"].into_iter().flat_map(rust_files)
}

fn rust_files(folder: &str) -> impl Iterator<Item = SourceFile> + use<> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    collect(&root.join(folder), &mut paths);
    paths.sort();
    assert!(!paths.is_empty(), "{folder} holds no Rust file");
    paths.into_iter().map(move |path| {
        let text = fs::read_to_string(&path).unwrap();
        let path = path.strip_prefix(root).unwrap().to_str().unwrap().to_owned();
        SourceFile { path, text }
    })
}

fn collect(folder: &Path, paths: &mut Vec<PathBuf>) {
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            collect(&path, paths);
        } else if path.extension().is_some_and(|extension| extension == "rs") {
            paths.push(path);
        }
    }
}

fn read(path: &str) -> String {
    fs::read_to_string(Path::new(env!("CARGO_MANIFEST_DIR")).join(path)).unwrap()
}

#[track_caller]
fn assert_none(wrong: Vec<String>) {
    assert!(wrong.is_empty(), "\n{}", wrong.join("\n"));
}

#[test]
fn the_rules_find_what_they_look_for() {
    let file =
        |text: &str| SourceFile { path: "src/store/wal.rs".to_owned(), text: text.to_owned() };
    let paths =
        |text: &str| file(text).crate_paths().into_iter().map(|(_, path)| path).collect::<Vec<_>>();
    assert_eq!(
        paths("use crate::event::Sequence;\n// crate::api\nlet x = crate::row::Cell::Null;"),
        ["event", "row"]
    );
    assert_eq!(
        paths("use crate::{\n    event::{Sequence, json},\n    row,\n};\nfn f() {}"),
        ["event", "row"]
    );
    assert_eq!(file("").module(), Some("store"));
    assert_eq!(file("").depth(), 2);
    assert_eq!(unquoted(r#"f("a \" b", c) // d"#), "f(, c) ");
    assert!(names("use axum::Router;", "axum"));
    assert!(!names("use hyper_util::rt;", "hyper"));
    assert!(!reaches_root("use super::Error;", 2));
    assert!(reaches_root("use super::super::event;", 2));
    assert!(!reaches_root("    use super::super::Error;", 2));
}
