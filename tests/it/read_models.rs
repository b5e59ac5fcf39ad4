//! Read models of other systems, written anew in viewd's language, and viewd's own samples: `viewd test` over each
//! folder, as anybody would run it.

use std::path::{Path, PathBuf};
use std::process::{Command, Output};

use serde_json::Value;

/// So many read models there are at least, besides the samples.
const READ_MODELS_MIN: usize = 30;

fn root() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR"))
}

fn viewd(settings: &Path, arguments: &[&str]) -> Output {
    Command::new(env!("CARGO_BIN_EXE_viewd"))
        .args(arguments)
        .arg("--config")
        .arg(settings)
        .current_dir(root())
        .output()
        .unwrap()
}

/// Runs the tests of a folder's definitions: of how many definitions, and how many tests.
#[track_caller]
fn passes(settings: &Path) -> (usize, usize) {
    let output = viewd(settings, &["test", "--json"]);
    let errors = String::from_utf8_lossy(&output.stderr);
    let report: Value = serde_json::from_slice(&output.stdout)
        .unwrap_or_else(|_| panic!("{}\n{errors}", settings.display()));
    let tests = report["data"].as_array().unwrap();
    let failed: Vec<_> = tests.iter().filter(|test| test["passed"] != true).collect();
    assert!(failed.is_empty() && output.status.success(), "{failed:#?}\n{errors}");
    let mut tested: Vec<&str> =
        tests.iter().map(|test| test["projection"].as_str().unwrap()).collect();
    tested.sort_unstable();
    tested.dedup();
    (tested.len(), tests.len())
}

fn definitions(folder: &Path) -> usize {
    let names = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name());
    names.filter(|name| name != "viewd.toml" && name.to_string_lossy().ends_with(".toml")).count()
}

/// The source that a definition names, for the settings to declare.
fn source(definition: &Path) -> String {
    let text = std::fs::read_to_string(definition).unwrap();
    let table: toml::Table = text.parse().unwrap();
    table["source"].as_str().unwrap().to_owned()
}

#[test]
fn read_models_pass_their_tests() {
    let settings = tempfile::tempdir().unwrap();
    let mut read_models = 0;
    for entry in std::fs::read_dir(root().join("tests/read_models")).unwrap() {
        let folder = entry.unwrap().path();
        if !folder.is_dir() {
            continue;
        }
        // A folder that needs more than streams has settings of its own.
        let own = folder.join("viewd.toml");
        let file = if own.exists() { own } else { written(settings.path(), &folder) };
        let (tested, _) = passes(&file);
        assert_eq!(tested, definitions(&folder), "{}: one is without tests", folder.display());
        read_models += tested;
    }
    assert!(read_models >= READ_MODELS_MIN, "{read_models}");
}

/// Settings for a folder: the sources that its definitions name, each with a stream.
fn written(settings: &Path, folder: &Path) -> PathBuf {
    let mut sources: Vec<_> = std::fs::read_dir(folder)
        .unwrap()
        .map(|entry| entry.unwrap().path())
        .filter(|path| path.extension().is_some_and(|extension| extension == "toml"))
        .map(|path| source(&path))
        .collect();
    sources.sort();
    sources.dedup();
    let mut text = format!("projections = {:?}\n", folder.display().to_string());
    for source in sources {
        text += &format!("[sources.{source}]\nstream = {:?}\n", source.to_uppercase());
    }
    let name = folder.file_name().unwrap();
    let path = settings.join(name).with_extension("toml");
    std::fs::write(&path, text).unwrap();
    path
}

#[test]
fn samples_pass_their_tests() {
    for (settings, folder) in [
        ("config/viewd.toml", "projections"),
        ("config/shop.toml", "projections/shop"),
        ("config/github.toml", "projections/github"),
    ] {
        let settings = root().join(settings);
        let output = viewd(&settings, &["check", "--offline"]);
        let talk = String::from_utf8_lossy(&output.stderr);
        assert!(output.status.success() && !talk.contains("warning"), "{talk}");
        let (tested, tests) = passes(&settings);
        assert_eq!(tested, definitions(&root().join(folder)), "{folder}");
        assert!(tests >= 5, "{folder} has {tests} tests");
    }
}
