//! An index is its rows (I5), whatever was put and deleted in whatever batches, wherever commits fell, the view was
//! closed and opened, or the process was killed in between; and whichever of the two stores is older than the other.
//!
//! Nothing but the stream is replaced: the batches, the fences, the thread of the indexes and both stores are the
//! daemon's own. `make soak` looks longer. A failing case is written to `proptest-regressions` and is tried first from
//! then on.

mod documents;
mod world;

use proptest::collection::vec;
use proptest::prelude::*;
use proptest::test_runner::{Config, TestRunner};
use viewd::store::step::Step;

use self::world::World;

const CASES: u32 = 40;
/// Few keys, so that each is changed several times.
const KEYS: u8 = 12;

/// One thing that happens.
#[derive(Clone, Debug)]
enum Act {
    /// A batch of changes.
    Batch(Vec<Change>),
    /// The indexes take what is there, and are waited for.
    Index,
    /// They are given it, and not waited for.
    Fence,
    /// The log is trimmed, up to what all indexes have taken, or further.
    Trim { too_far: bool },
    /// View and indexes are closed in order, and opened again.
    Reopen,
    /// A batch comes and the indexes go on, and the process ends at this step of it.
    Kill(Step, Vec<Change>),
    /// Both are copied.
    Save,
    /// The process ends, and the copy of the view or of the indexes takes the place of what is there.
    Older { view: bool },
    /// The process ends, and the indexes are gone, or one file of theirs.
    Lose { all: bool },
}

#[derive(Clone, Debug)]
enum Change {
    Put {
        key: u8,
        words: u8,
        number: u8,
    },
    Delete {
        key: u8,
    },
    /// Of all rows with a number: the words.
    Where {
        number: u8,
        words: u8,
    },
}

const STEPS: [Step; 9] = [
    Step::Written,
    Step::Committed,
    Step::Fenced,
    Step::IndexApplied,
    Step::IndexCommitted,
    Step::IndexSynced,
    Step::IndexPublished,
    Step::IndexBuilt,
    Step::IndexNamed,
];

fn change() -> impl Strategy<Value = Change> {
    prop_oneof![
        6 => (0..KEYS, any::<u8>(), 0..4_u8)
            .prop_map(|(key, words, number)| Change::Put { key, words, number }),
        3 => (0..KEYS).prop_map(|key| Change::Delete { key }),
        1 => (0..4_u8, any::<u8>()).prop_map(|(number, words)| Change::Where { number, words }),
    ]
}

fn act() -> impl Strategy<Value = Act> {
    let batch = || vec(change(), 1..12);
    prop_oneof![
        8 => batch().prop_map(Act::Batch),
        4 => Just(Act::Index),
        3 => Just(Act::Fence),
        1 => any::<bool>().prop_map(|too_far| Act::Trim { too_far }),
        2 => Just(Act::Reopen),
        5 => (prop::sample::select(&STEPS[..]), batch()).prop_map(|(step, batch)| Act::Kill(step, batch)),
        2 => Just(Act::Save),
        2 => any::<bool>().prop_map(|view| Act::Older { view }),
        1 => any::<bool>().prop_map(|all| Act::Lose { all }),
    ]
}

#[test]
fn an_index_is_its_rows_whatever_happens() {
    let mut config = Config { source_file: Some(file!()), ..Config::default() };
    if std::env::var_os("PROPTEST_CASES").is_none() {
        config.cases = CASES;
    }
    // Each of them takes some milliseconds to see.
    config.max_shrink_iters = 500;
    let outcome = TestRunner::new(config).run(&vec(act(), 1..16), |acts| {
        let mut world = World::new();
        for act in &acts {
            world.play(act);
        }
        world.check().map_err(TestCaseError::fail)
    });
    if let Err(error) = outcome {
        panic!("{error}");
    }
}

/// Each step is reached, or a kill there proves nothing.
#[test]
fn every_step_is_one_at_which_a_kill_is_seen() {
    for step in STEPS {
        let put = |key| Change::Put { key, words: key, number: 1 };
        let mut world = World::new();
        world.play(&Act::Batch((0..KEYS).map(put).collect()));
        world.play(&Act::Index);
        if matches!(step, Step::IndexBuilt | Step::IndexNamed) {
            world.play(&Act::Lose { all: true });
        }
        world.play(&Act::Kill(step, vec![put(3), Change::Delete { key: 4 }]));
        assert_eq!(world.kills(), 1, "{step}");
        world.check().unwrap();
    }
}
