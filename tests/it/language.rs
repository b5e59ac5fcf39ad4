//! The language reference (`projections/README.md`): every example in it is a definition whose tests pass, and its
//! tables of functions are those of the program. `UPDATE_GOLDEN=1` rewrites the tables.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::path::{Path, PathBuf};
use std::process::Command;

use viewd::expression::reference::{Area, Difference, Entry, Example, differences, reference};

/// A fenced block: its kind, its text, and the line on which it starts.
struct Block {
    kind: String,
    text: String,
    line: usize,
}

fn path() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("projections/README.md")
}

fn text() -> String {
    std::fs::read_to_string(path()).unwrap()
}

fn blocks() -> Vec<Block> {
    let text = text();
    let mut blocks = Vec::new();
    let mut lines = text.lines().enumerate();
    while let Some((number, line)) = lines.next() {
        let Some(kind) = line.strip_prefix("```") else { continue };
        let body: Vec<_> =
            lines.by_ref().map(|(_, line)| line).take_while(|line| *line != "```").collect();
        let text = body.join("\n") + "\n";
        blocks.push(Block { kind: kind.to_owned(), text, line: number + 1 });
    }
    blocks
}

/// The settings where the text gives none.
const SETTINGS: &str = "[sources.shop]\nstream = \"SHOP\"\n";

/// Runs viewd in a folder; what it printed.
fn viewd(folder: &Path, arguments: &[&str]) -> (bool, String) {
    let output = Command::new(env!("CARGO_BIN_EXE_viewd"))
        .args(arguments)
        .current_dir(folder)
        .output()
        .unwrap();
    let printed = [output.stdout, output.stderr].concat();
    (output.status.success(), String::from_utf8(printed).unwrap())
}

#[test]
fn every_example_passes_its_tests() {
    // One folder for each settings: an example has those that the text gave just before it.
    let mut folders: BTreeMap<String, tempfile::TempDir> = BTreeMap::new();
    let mut settings = SETTINGS.to_owned();
    let mut examples = 0;
    for block in blocks() {
        match block.kind.as_str() {
            "toml settings" => settings = block.text,
            "toml example" => {
                let settings = std::mem::replace(&mut settings, SETTINGS.to_owned());
                let folder = folders.entry(settings).or_insert_with_key(|settings| {
                    let folder = tempfile::tempdir().unwrap();
                    std::fs::create_dir_all(folder.path().join("config")).unwrap();
                    std::fs::create_dir_all(folder.path().join("projections")).unwrap();
                    std::fs::write(folder.path().join("config/viewd.toml"), settings).unwrap();
                    folder
                });
                let file = format!("projections/line_{}.toml", block.line);
                std::fs::write(folder.path().join(file), &block.text).unwrap();
                assert!(block.text.contains("[[test]]"), "line {} tests nothing", block.line);
                examples += 1;
            }
            "toml part" => {}
            other => panic!("line {}: `{other}` is no kind of block", block.line),
        }
    }
    assert!(examples >= 17, "{examples}");
    for folder in folders.values() {
        let (right, printed) = viewd(folder.path(), &["check", "--offline"]);
        assert!(right && !printed.contains("warning"), "{printed}");
        let (right, printed) = viewd(folder.path(), &["test"]);
        assert!(right, "{printed}");
    }
}

#[test]
fn every_key_is_told() {
    fn keys(schema: &serde_json::Value, place: &str, into: &mut Vec<String>) {
        let properties = schema.pointer(&format!("{place}/properties")).unwrap();
        into.extend(properties.as_object().unwrap().keys().cloned());
    }
    let schema = viewd::schema::definition();
    let mut all = Vec::new();
    for place in ["/properties/on/items", "/properties/policy", "/properties/test/items"] {
        keys(&schema, place, &mut all);
    }
    let table = "/properties/tables/additionalProperties";
    keys(&schema, table, &mut all);
    keys(&schema, &format!("{table}/properties/columns/additionalProperties/anyOf/1"), &mut all);
    let text = text();
    for key in all {
        let told =
            [format!("`{key}`"), format!("`{key}."), format!("`{key}:"), format!("{key} = ")];
        assert!(told.iter().any(|told| text.contains(told)), "nothing is said of `{key}`");
    }
}

#[test]
fn the_tables_of_functions_are_current() {
    let text = text();
    let mut current = text.clone();
    for (name, table) in [("functions", functions()), ("differences", table_of_differences())] {
        let start = current.find(&format!("<!-- {name}:")).unwrap();
        let start = start + current[start..].find("-->\n").unwrap() + 4;
        let end = current.find(&format!("<!-- end of {name} -->")).unwrap();
        current.replace_range(start..end, &table);
    }
    if std::env::var_os("UPDATE_GOLDEN").is_some() {
        std::fs::write(path(), &current).unwrap();
    } else {
        assert!(text == current, "the tables are old: UPDATE_GOLDEN=1 rewrites them");
    }
}

fn functions() -> String {
    let mut text = String::new();
    let mut area: Option<Area> = None;
    for entry in reference() {
        if area != Some(entry.area) {
            area = Some(entry.area);
            let title = entry.area.title();
            write!(text, "\n#### {title}\n\n| name | gives | expression | with `.data` | result |\n|---|---|---|---|---|\n")
                .unwrap();
        }
        function(&mut text, entry);
    }
    text + "\n"
}

fn function(text: &mut String, entry: &Entry) {
    let names: Vec<String> = entry.usage.iter().map(|usage| code(usage)).collect();
    let differs = entry.differs.map_or(String::new(), |differs| format!(" *{}*", cell(differs)));
    let (names, meaning) = (names.join(", "), cell(entry.meaning));
    writeln!(text, "| {names} | {meaning}{differs} | {} |", example(&entry.example)).unwrap();
}

fn table_of_differences() -> String {
    let mut text =
        "\n| what | jq | viewd | expression | with `.data` | result |\n|---|---|---|---|---|---|\n"
            .to_owned();
    for Difference { what, jq, viewd, example: shown } in differences() {
        let (what, jq, viewd) = (cell(what), cell(jq), cell(viewd));
        writeln!(text, "| {what} | {jq} | {viewd} | {} |", example(shown)).unwrap();
    }
    text + "\n"
}

fn example(example: &Example) -> String {
    let Example { expression, data, result } = example;
    let data = if *data == "{}" { String::new() } else { code(data) };
    format!("{} | {data} | {}", code(expression), code(result))
}

/// Code in a cell; what is a backtick in it needs two around it.
fn code(text: &str) -> String {
    let fence = if text.contains('`') { "``" } else { "`" };
    format!("{fence}{}{fence}", cell(text))
}

/// Text in a cell, where a bar would end it.
fn cell(text: &str) -> String {
    text.replace('|', "\\|").replace('\n', " ")
}
