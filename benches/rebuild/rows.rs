//! The rows of the table: what is run for each.

use crate::definitions::{ALL, NAMED};

/// viewd's default.
pub const MEMORY_MIB: u64 = 256;

#[derive(Clone, Copy, Debug)]
pub struct Row {
    pub name: &'static str,
    pub way: Way,
    /// Over the larger stream.
    pub many: bool,
}

#[derive(Clone, Copy, Debug)]
pub enum Way {
    /// A read of the client's, messages counted and dropped.
    Raw(&'static str),
    /// The hand-written consumer into this table.
    Hand(&'static str),
    /// The first generation of a projection.
    CatchUp(&'static str),
    /// A build beside the serving generation.
    Rebuild { projections: &'static [&'static str], memory_mib: u64 },
    /// From publish to visible row, at so many events a second.
    Live { viewd: bool, rate: u64 },
}

const fn row(name: &'static str, way: Way) -> Row {
    Row { name, way, many: false }
}

const fn many(name: &'static str, way: Way) -> Row {
    Row { name, way, many: true }
}

const fn rebuild(projections: &'static [&'static str], memory_mib: u64) -> Way {
    Way::Rebuild { projections, memory_mib }
}

const ONE: &[&str] = &["orders"];
const FOUR: &[&str] = ALL.split_at(4).0;

/// Every row there is, in the order in which a round runs them.
pub const ROWS: [Row; 20] = [
    row("pull", Way::Raw("pull:5000")),
    row("inbox", Way::Raw("inbox:5000/one")),
    row("hand", Way::Hand("orders")),
    row("catch-up", Way::CatchUp("orders")),
    row("rebuild", rebuild(ONE, MEMORY_MIB)),
    row("hand-where", Way::Hand(NAMED)),
    row("catch-up-where", Way::CatchUp(NAMED)),
    row("rebuild-where", rebuild(&[NAMED], MEMORY_MIB)),
    row("four", rebuild(FOUR, MEMORY_MIB)),
    row("four-512", rebuild(FOUR, 512)),
    row("ten", rebuild(&ALL, MEMORY_MIB)),
    row("ten-512", rebuild(&ALL, 512)),
    many("pull-10x", Way::Raw("pull:5000")),
    many("inbox-10x", Way::Raw("inbox:5000/one")),
    many("hand-10x", Way::Hand("orders")),
    many("rebuild-10x", rebuild(ONE, MEMORY_MIB)),
    row("hand-1000", Way::Live { viewd: false, rate: 1_000 }),
    row("viewd-1000", Way::Live { viewd: true, rate: 1_000 }),
    row("hand-10000", Way::Live { viewd: false, rate: 10_000 }),
    row("viewd-10000", Way::Live { viewd: true, rate: 10_000 }),
];

impl Row {
    /// Views that a run builds.
    pub fn projections(&self) -> usize {
        match self.way {
            Way::Rebuild { projections, .. } => projections.len(),
            _ => 1,
        }
    }
}
