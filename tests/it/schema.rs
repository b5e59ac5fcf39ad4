//! The JSON Schemas: what is shipped is what the program prints, they take every sample and every read model, and
//! they know the keys that the readers know.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use boon::{Compiler, SchemaIndex, Schemas};
use serde_json::Value;

/// A compiled schema.
struct Checked {
    schemas: Schemas,
    index: SchemaIndex,
}

impl Checked {
    fn new(schema: Value) -> Self {
        let (mut schemas, mut compiler) = (Schemas::new(), Compiler::new());
        // Never fetched: the schema is in memory, and so is the one that it follows.
        compiler.add_resource("memory:/schema", schema).unwrap();
        let index = compiler.compile("memory:/schema", &mut schemas).unwrap();
        Self { schemas, index }
    }

    fn definition() -> Self {
        Self::new(viewd::schema::definition())
    }

    fn refusal(&self, file: &Value) -> Option<String> {
        self.schemas.validate(file, self.index).err().map(|error| error.to_string())
    }
}

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

/// A TOML file as an editor gives it to a schema: dates and times as text.
fn file(path: &Path) -> Value {
    let text = std::fs::read_to_string(path).unwrap();
    json(&toml::Value::Table(text.parse().unwrap()))
}

fn json(value: &toml::Value) -> Value {
    match value {
        toml::Value::String(text) => Value::from(text.as_str()),
        toml::Value::Integer(integer) => Value::from(*integer),
        toml::Value::Float(float) => Value::from(*float),
        toml::Value::Boolean(boolean) => Value::from(*boolean),
        toml::Value::Datetime(datetime) => Value::from(datetime.to_string()),
        toml::Value::Array(elements) => elements.iter().map(json).collect(),
        toml::Value::Table(table) => {
            table.iter().map(|(key, value)| (key.clone(), json(value))).collect()
        }
    }
}

/// The TOML files below a folder.
fn toml_files(folder: &str) -> Vec<PathBuf> {
    let mut folders = vec![root().join(folder)];
    let mut files = Vec::new();
    while let Some(folder) = folders.pop() {
        for entry in std::fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                folders.push(path);
            } else if path.extension().is_some_and(|extension| extension == "toml") {
                files.push(path);
            }
        }
    }
    files.sort();
    files
}

#[test]
fn the_shipped_schemas_are_what_the_program_prints() {
    let shipped = [
        ("projections/projection.schema.json", viewd::schema::definition()),
        ("config/viewd.schema.json", viewd::schema::config()),
    ];
    for (path, schema) in shipped {
        let printed = viewd::schema::text(&schema);
        let path = root().join(path);
        if std::env::var_os("UPDATE_GOLDEN").is_some() {
            std::fs::write(&path, &printed).unwrap();
        }
        let there = std::fs::read_to_string(&path).unwrap_or_default();
        assert!(there == printed, "{} is old: UPDATE_GOLDEN=1 rewrites it", path.display());
    }
}

#[test]
fn samples_and_read_models_are_taken() {
    let schema = Checked::definition();
    let mut files = toml_files("projections");
    files.extend(toml_files("tests/read_models"));
    files.retain(|path| path.file_name().is_none_or(|name| name != "viewd.toml"));
    files.push(root().join("tests/definitions/whole.toml"));
    for path in files {
        assert_eq!(schema.refusal(&file(&path)), None, "{}", path.display());
    }
}

#[test]
fn settings_are_taken() {
    let schema = Checked::new(viewd::schema::config());
    for path in toml_files("config") {
        assert_eq!(schema.refusal(&file(&path)), None, "{}", path.display());
    }
}

/// What the readers ask of a key's name is in their code; the schema has the same keys in the same places.
#[test]
fn the_schema_has_the_keys_that_the_readers_know() {
    let schema = viewd::schema::definition();
    let places = [
        ("mod.rs", ""),
        ("table.rs", "/properties/tables/additionalProperties"),
        (
            "column.rs",
            "/properties/tables/additionalProperties/properties/columns/additionalProperties/anyOf/1",
        ),
        ("handler.rs", "/properties/on/items"),
        ("view.rs", "/properties/views/additionalProperties"),
        ("search.rs", "/properties/search/additionalProperties"),
        (
            "expected_search.rs",
            "/properties/test/items/properties/expect_search/additionalProperties",
        ),
        ("policy.rs", "/properties/policy"),
        ("test_case.rs", "/properties/test/items"),
    ];
    for (file, place) in places {
        let properties = schema.pointer(&format!("{place}/properties")).unwrap();
        let known: BTreeSet<String> = properties.as_object().unwrap().keys().cloned().collect();
        assert_eq!(known, reader_keys(file), "{file}");
    }
}

/// The keys that a reader of `src/definition` gives to `unknown_keys`: a list there, or the file's `KEYS`.
fn reader_keys(file: &str) -> BTreeSet<String> {
    let code = std::fs::read_to_string(root().join("src/definition").join(file)).unwrap();
    let call = code.split("report.unknown_keys").nth(1).expect("the reader asks for unknown keys");
    let call = call.split(';').next().unwrap();
    let list = if call.contains("&KEYS") {
        code.split("const KEYS: [&str;").nth(1).unwrap().split_once('=').unwrap().1
    } else {
        call.split_once("&[").unwrap().1
    };
    let literals = list.split(']').next().unwrap().split('"').skip(1).step_by(2);
    literals.map(str::to_owned).collect()
}

/// Definitions and what their readers and the schema both make of them: the schema takes nothing for wrong that is right,
/// and nothing for right whose structure is wrong.
#[test]
fn structure_is_held_to_the_readers() {
    const HANDLER: &str = "event = \"A\"\nupsert = \"t\"\nkey.id = \".data.id\"\n";
    let cases = [
        // What stands at the top; the table's further lines; the handler; whether it is right.
        ("", "", HANDLER, true),
        ("descripton = \"x\"\n", "", HANDLER, false),
        ("description = \"x\"\nsubjects = [\"a.*\", \"b.>\"]\n", "", HANDLER, true),
        ("subjects = []\n", "", HANDLER, false),
        ("subjects = [\"a.>.b\"]\n", "", HANDLER, false),
        ("subjects = \"a\"\n", "", HANDLER, false),
        ("", "indexes = [[\"n\"]]\n", HANDLER, true),
        ("", "indexes = [\"n\"]\n", HANDLER, false),
        ("", "columns.x = \"decimal(9)\"\n", HANDLER, true),
        ("", "columns.x = \"decimal(10)\"\n", HANDLER, false),
        ("", "columns.x = \"string\"\n", HANDLER, false),
        ("", "columns._x = \"text\"\n", HANDLER, false),
        ("", "columns.RowId = \"text\"\n", HANDLER, false),
        ("", "columns.x = { type = \"text\", required = true, default = \"a\" }\n", HANDLER, true),
        ("", "columns.x = { required = true }\n", HANDLER, false),
        ("", "columns.x = { type = \"text\", nullable = true }\n", HANDLER, false),
        ("", "", "event = [\"A\", \"b.*\"]\ndelete = \"t\"\nwhere.n = \"1\"\n", true),
        ("", "", "event = \"A\"\nupsert = \"t\"\nwhere.n = \"1\"\nset.n = 2\n", false),
        (
            "",
            "",
            "event = \"A\"\nupdate = \"t\"\nkey.id = \".\"\nwhere.n = \"1\"\nset.n = 2\n",
            false,
        ),
        (
            "",
            "",
            "event = \"A\"\nupsert = \"t\"\nkey.id = \".data.id\"\nset = \".data | {n}\"\n",
            true,
        ),
        (
            "",
            "",
            "event = \"A\"\nupsert = \"t\"\nkey.id = \".data.id\"\nadd = \".data | {n}\"\n",
            false,
        ),
        (
            "",
            "",
            "event = \"A\"\nfor_each = \".data.a\"\nlet.x = \"$item\"\nupsert = \"t\"\nkey.id = \"$x\"\n",
            true,
        ),
        ("", "", "event = \"A\"\nupsert = \"t\"\ndelete = \"t\"\nkey.id = \".data.id\"\n", false),
        ("", "", "event = \"A\"\nkey.id = \".data.id\"\n", false),
        ("", "", "event = \"A\"\ndelete = \"t\"\n", false),
        ("", "", "event = \"A\"\ndelete = \"t\"\nkey.id = \".data.id\"\nset.n = 1\n", false),
        ("", "", "event = \"A\"\nupdate = \"t\"\nkey.id = \".data.id\"\nset_once.n = 1\n", false),
        ("", "", "event = []\nupsert = \"t\"\nkey.id = \".data.id\"\n", false),
        ("", "", "upsert = \"t\"\nkey.id = \".data.id\"\n", false),
        ("policy.freshness = \"500ms\"\n", "", HANDLER, true),
        ("policy.freshness = \"5\"\n", "", HANDLER, false),
        ("policy.on_error = \"skip\"\n", "", HANDLER, true),
        ("policy.on_error = \"ignore\"\n", "", HANDLER, false),
        ("policy.on_gap = \"halt\"\npolicy.on_source_change = \"halt\"\n", "", HANDLER, true),
        ("policy.on_gap = \"continue\"\n", "", HANDLER, true),
        ("policy.on_gap = \"rebuild\"\n", "", HANDLER, true),
        ("policy.on_gap = \"skip\"\n", "", HANDLER, false),
        ("policy.on_source_change = \"rebuild\"\n", "", HANDLER, true),
        ("policy.on_source_change = \"continue\"\n", "", HANDLER, false),
        ("policy.dead_letters_max = 1000000\n", "", HANDLER, true),
        ("policy.dead_letters_max = 1000001\n", "", HANDLER, false),
        ("views.v = { sql = \"SELECT n FROM t\", key = [\"n\"] }\n", "", HANDLER, true),
        ("views.v = { key = [\"n\"] }\n", "", HANDLER, false),
        (
            "test = [{ name = \"n\", given = '{\"type\":\"A\"}', expect.t = '' }]\n",
            "",
            HANDLER,
            true,
        ),
        ("test = [{ given = '{\"type\":\"A\"}', expect.t = '' }]\n", "", HANDLER, false),
        ("", "", "event = \"A\"\nlet.row = \"1\"\nupsert = \"t\"\nkey.id = \"$row\"\n", false),
        ("", "", "event = \"A\"\nlet._x = \"1\"\nupsert = \"t\"\nkey.id = \"$_x\"\n", false),
        // What is empty.
        ("description = \"\"\n", "", HANDLER, true),
        ("policy = {}\nviews = {}\ntest = []\n", "", HANDLER, true),
        ("", "indexes = []\n", HANDLER, true),
        ("", "indexes = [[]]\n", HANDLER, false),
        ("views.v = { sql = \"SELECT n FROM t\", columns = {} }\n", "", HANDLER, true),
        ("views.v = { sql = \"SELECT n FROM t\", key = [] }\n", "", HANDLER, false),
        (
            "",
            "",
            "event = \"A\"\nlet = {}\nupsert = \"t\"\nkey.id = \".data.id\"\nset = {}\n",
            true,
        ),
        ("", "", "event = \"A\"\nupsert = \"t\"\nkey = {}\n", false),
        ("", "", "event = \"A\"\nupsert = \"t\"\nkey.id = \" \"\n", false),
        ("", "", "event = \"A\"\nupdate = \"t\"\nwhere = {}\nset.n = 1\n", false),
        ("", "", "event = [\"A\", \"A\"]\nupsert = \"t\"\nkey.id = \".data.id\"\n", true),
    ];
    let schema = Checked::definition();
    for (top, table, handler, right) in cases {
        let text = format!(
            "source = \"shop\"\n{top}[tables.t]\nkey = [\"id\"]\ncolumns.id = \"text\"\ncolumns.n = \"integer\"\n{table}[[on]]\n{handler}"
        );
        let source = viewd::diagnostic::Source::new("t.toml", text.clone());
        let (definition, found) = viewd::definition::parse(&source, "t", &["shop"]);
        let found = viewd::diagnostic::render(&found, false);
        assert_eq!(definition.is_some(), right, "viewd, of\n{text}\n{found}");
        let refusal = schema.refusal(&json(&toml::Value::Table(text.parse().unwrap())));
        assert_eq!(refusal.is_none(), right, "the schema, of\n{text}\n{refusal:?}");
    }
}

/// Many of the wrong definitions that an operator's messages are tested with are marked in an editor already.
#[test]
fn wrong_structure_is_marked() {
    let schema = Checked::definition();
    let mut refused = 0;
    for path in toml_files("tests/definitions/wrong") {
        let text = std::fs::read_to_string(&path).unwrap();
        // What is no TOML has no structure.
        let Ok(table) = text.parse::<toml::Table>() else { continue };
        refused += usize::from(schema.refusal(&json(&toml::Value::Table(table))).is_some());
    }
    // Of the wrong definitions most are wrong in what they mean, which only viewd can tell.
    assert!(refused >= 20, "{refused}");
}

#[test]
fn every_key_has_a_sentence() {
    fn walk(schema: &Value, path: &str, bare: &mut Vec<String>) {
        let Some(object) = schema.as_object() else { return };
        if let Some(properties) = object.get("properties").and_then(Value::as_object) {
            for (key, inner) in properties {
                if inner["description"].as_str().is_none_or(str::is_empty) {
                    bare.push(format!("{path}.{key}"));
                }
                walk(inner, &format!("{path}.{key}"), bare);
            }
        }
        for keyword in ["additionalProperties", "items"] {
            if let Some(inner) = object.get(keyword) {
                walk(inner, &format!("{path}.*"), bare);
            }
        }
        for inner in object.get("anyOf").and_then(Value::as_array).into_iter().flatten() {
            walk(inner, path, bare);
        }
    }
    for schema in [viewd::schema::definition(), viewd::schema::config()] {
        let mut bare = Vec::new();
        walk(&schema, "", &mut bare);
        assert!(bare.is_empty(), "{bare:?}");
    }
}
