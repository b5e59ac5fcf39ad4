//! The fuzzing in small: what it begins with and a few thousand inputs made from it, the same ones each time. `make fuzz`
//! goes on from there, in processes of their own.

#[path = "../fuzz/corpus.rs"]
mod corpus;
#[path = "../fuzz/mutate.rs"]
mod mutate;
#[path = "../fuzz/targets.rs"]
mod targets;

use crate::json_suite::suite as json_suite;

use self::corpus::{Corpus, seeds};
use self::mutate::Random;
use self::targets::Target;

/// The time of a test that people wait for.
const MUTATIONS: usize = 1_000;

#[track_caller]
fn check(target: Target) {
    let (mut random, mut corpus) = (Random::new(1), Corpus::new());
    // What takes the whole budget has tests of its own.
    let quick = |seed: &Vec<u8>| !seed.windows(6).any(|window| window == b"range(");
    let seeds: Vec<_> = seeds(target).into_iter().filter(quick).collect();
    assert!(seeds.len() > 50, "{} seeds of {}", seeds.len(), target.name());
    for index in 0..seeds.len() + MUTATIONS {
        let input = match seeds.get(index) {
            Some(seed) => seed.clone(),
            None => corpus.next(target.words(), &mut random),
        };
        match target.run(&input) {
            Ok(answer) => corpus.take(input, answer),
            Err(problem) => panic!("{}: {problem}", input.escape_ascii()),
        }
    }
    assert!(corpus.len() > 20, "{} kinds of answer to {}", corpus.len(), target.name());
}

#[test]
fn definitions_are_answered() {
    check(Target::Definition);
}

#[test]
fn expressions_are_answered() {
    check(Target::Expression);
}

#[test]
fn messages_are_answered() {
    check(Target::Event);
}

#[test]
fn event_documents_are_answered() {
    check(Target::Document);
}

#[test]
fn searches_are_answered() {
    check(Target::Search);
}
