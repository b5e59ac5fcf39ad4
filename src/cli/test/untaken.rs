//! Events of a failed test that no handler takes: a type misspelt looks like a row that is missing.

use std::collections::BTreeSet;

use crate::definition::{Definition, Test};
use crate::diagnostic::nearest;
use crate::trial::{Setup, given};

/// One line for each such type, at the first event that has it.
pub(super) fn lines(setup: &Setup, definition: &Definition, test: &Test) -> Vec<String> {
    let documents = test.given.iter().map(|(document, _)| document.as_str());
    // What cannot be given is told already.
    let Ok(given) = given::read(documents, setup.transform.as_deref()) else { return Vec::new() };
    let patterns = || definition.handlers.iter().flat_map(|handler| &handler.events);
    let (mut told, mut lines) = (BTreeSet::new(), Vec::new());
    for (index, given) in given.iter().enumerate() {
        let events = given.chunks.iter().flat_map(|chunk| chunk.events());
        for event in events.filter(|event| event.reject().is_none()) {
            let name = event.type_name();
            if patterns().any(|pattern| pattern.matches(name)) || !told.insert(name.to_owned()) {
                continue;
            }
            let meant = nearest(name, patterns().filter_map(|pattern| pattern.literal()));
            let meant = meant.map_or(String::new(), |meant| format!("; did you mean `{meant}`?"));
            lines.push(format!("event {} ({name}): no handler takes this type{meant}", index + 1));
        }
    }
    lines
}
