//! What fuzzing starts from: everything in this repository that a target could be given.

use std::collections::HashSet;
use std::fs;
use std::path::{Path, PathBuf};

use super::json_suite;
use super::mutate::{Random, mutated};
use super::targets::Target;

/// Inputs worth going on from: the seeds, and whatever was answered in a way that none before it was.
pub struct Corpus {
    inputs: Vec<Vec<u8>>,
    answers: HashSet<String>,
}

/// More are as good as none: each would be tried too rarely.
const INPUTS_MAX: usize = 20_000;

impl Corpus {
    pub fn new() -> Self {
        Self { inputs: Vec::new(), answers: HashSet::new() }
    }

    /// How many it holds.
    pub fn len(&self) -> usize {
        self.inputs.len()
    }

    /// Keeps an input if its answer is a new one.
    pub fn take(&mut self, input: Vec<u8>, answer: String) {
        if self.inputs.len() < INPUTS_MAX && self.answers.insert(answer) {
            self.inputs.push(input);
        }
    }

    /// An input like those that it holds.
    pub fn next(&self, words: &[&str], random: &mut Random) -> Vec<u8> {
        let (base, other): (&Vec<u8>, &Vec<u8>) =
            (random.of(&self.inputs), random.of(&self.inputs));
        mutated(base, other, words, random)
    }
}

/// The inputs to begin with.
pub fn seeds(target: Target) -> Vec<Vec<u8>> {
    let mut seeds = match target {
        Target::Definition => {
            files(&["tests/definitions", "tests/read_models", "projections"], "toml")
        }
        Target::Expression => expressions(),
        Target::Event => events(),
        Target::Document => documents(),
        Target::Search => searches(),
    };
    // What was found once.
    seeds.extend(files(&[&format!("tests/fuzz/regressions/{}", target.name())], "txt"));
    seeds
}

/// Every string in the tests of searches, and a row for each.
fn searches() -> Vec<Vec<u8>> {
    let row = "the Running Shoes Zoe\u{308}, \u{6771}\u{4eac}\u{90fd} iPhone\u{624b}\u{673a} 12:30";
    let texts: HashSet<String> = files(&["src/search"], "rs")
        .iter()
        .flat_map(|file| strings(&String::from_utf8_lossy(file)))
        .filter(|text| text.len() < 200 && !text.contains('\n'))
        .collect();
    let mut texts: Vec<_> = texts.into_iter().collect();
    texts.sort_unstable();
    texts.into_iter().map(|text| format!("{text}\n{row}").into_bytes()).collect()
}

/// Every string in the tests of expressions, and those of the definitions: most are jq.
fn expressions() -> Vec<Vec<u8>> {
    let tests = files(&["src/expression"], "rs");
    let definitions = files(&["tests/definitions", "tests/read_models", "projections"], "toml");
    let texts: HashSet<String> = tests
        .iter()
        .chain(&definitions)
        .flat_map(|file| strings(&String::from_utf8_lossy(file)))
        .collect();
    let mut texts: Vec<_> = texts.into_iter().filter(|text| text.len() < 1_000).collect();
    texts.sort_unstable();
    texts.into_iter().map(String::into_bytes).collect()
}

fn events() -> Vec<Vec<u8>> {
    let cloud = r#"{"specversion":"1.0","id":"1","source":"/s","type":"T","time":"2018-04-05T17:31:00Z","data":{"a":[1.50,null]},"n":3}"#;
    let binary = "ce-specversion: 1.0; ce-type: Euro%20%E2%82%AC; ce-source: /s; ce-id: 1; ce-time: 2018-04-05T17%3A31:00Z";
    let headers = [
        "",
        binary,
        "content-type: application/cloudevents+json",
        "Nats-Msg-Id: m; content-type: text/plain",
    ];
    let plain = r#"{"type":"Placed","id":17.0,"time":"2013-01-01T00:00:00+01:00","data":{"items":[{"sku":"a","qty":1}]}}"#;
    let payloads = json_suite::cases().into_iter().map(|case| case.input);
    let payloads: Vec<_> = payloads
        .chain(
            [
                cloud,
                plain,
                r#"{"specversion":"1.0","id":"1","source":"/s","type":"T","data_base64":"AQI="}"#,
            ]
            .map(|text| text.as_bytes().to_vec()),
        )
        .filter(|payload| payload.len() < 2_000)
        .collect();
    let mut seeds = Vec::new();
    for (number, payload) in payloads.iter().enumerate() {
        for (format, headers) in [(0, ""), (2, ""), (number % 5, headers[number % headers.len()])] {
            seeds.push([format!("{format}{headers}\n").as_bytes(), payload].concat());
        }
    }
    seeds.extend([
        [b"0\n".as_slice(), cloud.as_bytes()].concat(),
        [format!("1{binary}\n").as_bytes(), plain.as_bytes()].concat(),
    ]);
    seeds
}

fn documents() -> Vec<Vec<u8>> {
    let whole = r#"{"type":"Placed","id":"1","time":"2013-01-01T00:00:00.000001Z","data":{"a":[1.50,{"b":null}]},"subject":"a.b","tokens":["a","b"],"sequence":7,"stored_at":"2013-01-01T00:00:00Z","headers":{"X":"1"},"attributes":{"n":3}}"#;
    let data = json_suite::cases()
        .into_iter()
        .filter(|case| case.input.len() < 500)
        .map(|case| [br#"{"type":"A","data":"#.as_slice(), &case.input, b"}"].concat());
    data.chain([whole.as_bytes().to_vec(), br#"{"type":"A"}"#.to_vec()]).collect()
}

fn files(folders: &[&str], extension: &str) -> Vec<Vec<u8>> {
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let mut paths = Vec::new();
    folders.iter().for_each(|folder| collect(&root.join(folder), extension, &mut paths));
    paths.sort();
    paths.iter().map(|path| fs::read(path).expect("a file of this repository")).collect()
}

fn collect(folder: &Path, extension: &str, paths: &mut Vec<PathBuf>) {
    // A target that nothing was found in has no folder of regressions.
    let Ok(entries) = fs::read_dir(folder) else { return };
    for entry in entries {
        let path = entry.expect("a file of this repository").path();
        if path.is_dir() {
            collect(&path, extension, paths);
        } else if path.extension().is_some_and(|found| found == extension) {
            paths.push(path);
        }
    }
}

/// What stands in quotes, roughly: escapes are resolved as far as jq cares.
fn strings(text: &str) -> Vec<String> {
    let mut strings = Vec::new();
    for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
        let mut rest = line;
        while let Some(at) = rest.find(['"', '\'']) {
            let raw = rest[..at].ends_with("r#") || rest[at..].starts_with('\'');
            let (quote, behind) = (&rest[at..=at], &rest[at + 1..]);
            let end = match raw {
                true if quote == "\"" => behind.find("\"#"),
                true => behind.find('\''),
                false => (0..behind.len()).find(|&end| {
                    behind[..].as_bytes()[end] == b'"' && !behind[..end].ends_with('\\')
                }),
            };
            let Some(end) = end else { break };
            let string = &behind[..end];
            strings.push(if raw {
                string.to_owned()
            } else {
                string.replace("\\\"", "\"").replace("\\\\", "\\")
            });
            rest = behind.get(end + 1..).unwrap_or("");
        }
    }
    strings
}
