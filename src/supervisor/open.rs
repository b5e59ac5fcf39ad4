//! What is served of a projection, opened: whatever the definition on disk has become since.

use std::sync::Arc;

use crate::budget::{Budget, Ticket};
use crate::config::Limits;
use crate::definition::fingerprint::{ENGINE, Need};
use crate::status::Reason;
use crate::store::Error;
use crate::store::layout::{Folder, Generation};
use crate::store::stored::Stored;
use crate::store::writer::Store;
use crate::worker::Begin;
use crate::worker::batch::Stop;
use crate::worker::recipe::Recipe;

/// So often may the process end at one checkpoint before the projection is left alone.
const ENDS_MAX: u32 = 3;

/// A generation that is served.
pub(super) struct Opened {
    pub(super) store: Store,
    pub(super) ticket: Ticket,
    /// What it goes on by.
    pub(super) recipe: Arc<Recipe>,
    pub(super) begin: Begin,
}

/// What there is to serve.
pub(super) enum Served {
    Opened(Box<Opened>),
    /// Nothing, and why.
    Nothing(Stop),
}

/// Opens what is served, or makes a first generation. A file that is damaged is moved aside.
pub(super) fn open(
    folder: &Folder,
    on_disk: &Arc<Recipe>,
    budget: &Arc<Budget>,
    limits: &Limits,
) -> Result<Served, Error> {
    let name = &on_disk.plan.definition().name;
    // First, since a crash may have left the link to one that was moved aside.
    folder.settle()?;
    if folder.current()?.is_none()
        && let Some(aside) = folder.moved_aside()?
    {
        let detail = format!("its files were damaged, and are kept in {}", aside.display());
        return Ok(Served::Nothing(corrupt(name, detail)));
    }
    let generation = folder.current_or_first(&on_disk.build())?;
    match open_sound(folder, generation, on_disk, budget, limits) {
        Err(error @ Error::Corrupt { .. }) => {
            let aside = folder.move_aside(generation)?;
            let detail = format!("{error}; its files were moved to {}", aside.display());
            Ok(Served::Nothing(corrupt(name, detail)))
        }
        served => served,
    }
}

fn open_sound(
    folder: &Folder,
    generation: Generation,
    on_disk: &Arc<Recipe>,
    budget: &Arc<Budget>,
    limits: &Limits,
) -> Result<Served, Error> {
    let name = &on_disk.plan.definition().name;
    let stored = folder.stored(generation)?;
    let need = on_disk.fingerprint.needs_of(&stored.fingerprint);
    let recipe = match need {
        Need::Nothing | Need::Adopt => Arc::clone(on_disk),
        Need::Reshape | Need::Rebuild => match Recipe::stored(&stored, limits) {
            Ok(recipe) => Arc::new(recipe),
            Err(error) => return Ok(Served::Nothing(unreadable(name, generation, &error))),
        },
    };
    let ticket = budget.store();
    let tables = &recipe.plan.definition().tables;
    let mut store = Store::open(folder, generation, tables, budget.cache_bytes())?;
    if need == Need::Adopt {
        tracing::info!(projection = name, "words of the definition adopted");
        store.adopt_definition(&on_disk.plan.definition().source.text, &on_disk.fingerprint)?;
    }
    let ends = store.begin_run()?;
    let begin = begin(&stored, ends, &store);
    Ok(Served::Opened(Box::new(Opened { store, ticket, recipe, begin })))
}

fn begin(stored: &Stored, ends: u32, store: &Store) -> Begin {
    if ends >= ENDS_MAX {
        let detail = format!(
            "the process ended {ENDS_MAX} times at checkpoint {}: the next event may be what ends it",
            store.checkpoint().sequence
        );
        let next = "report it with the log; a rebuild would come to the same event, unless the definition is another then";
        return Begin::Failed(Stop {
            reason: Reason::CrashLoop,
            detail,
            next: Some(next.to_owned()),
        });
    }
    if stored.engine != ENGINE { Begin::Frozen } else { Begin::Read }
}

fn corrupt(projection: &str, detail: String) -> Stop {
    let next = Some(format!("viewd rebuild {projection}"));
    Stop { reason: Reason::Corrupt, detail, next }
}

/// The language of definitions has changed since.
fn unreadable(projection: &str, generation: Generation, error: &str) -> Stop {
    let detail =
        format!("what {generation} was built by cannot be read by this version of viewd: {error}");
    corrupt(projection, detail)
}
