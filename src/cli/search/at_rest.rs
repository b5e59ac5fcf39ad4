//! A full-text index on the files, where no daemon runs: opened under the lock of the data directory, since no daemon may
//! change its files meanwhile.

use std::sync::Arc;
use std::time::{Duration, Instant};

use anyhow::anyhow;

use crate::api::search::answer::{Found, answer};
use crate::api::search::asked::Asked;
use crate::api::search::unknown_index;
use crate::cli::failure::{Failure, Kind};
use crate::cli::socket::Answer;
use crate::cli::store_failure;
use crate::config::Config;
use crate::definition::Definition;
use crate::event::Sequence;
use crate::row::{Key, Row};
use crate::search::rows::Rows;
use crate::search::{self, Index, Searcher, Shape};
use crate::store::layout::Folder;
use crate::store::lock::Lock;
use crate::store::snapshot::{self, Snapshot};
use crate::store::{self, stored};
use crate::worker::recipe::Recipe;

pub(super) struct AtRest {
    definition: Arc<Definition>,
    /// Of the definition's.
    search: usize,
    searcher: Searcher,
    snapshot: Snapshot,
    /// What the index reflects.
    sequence: Sequence,
}

impl AtRest {
    /// What has been opened stays as it is, whatever a daemon does that starts then: only now none may.
    pub(super) fn open(
        config: &Config,
        folder: &Folder,
        projection: &str,
        index: &str,
        _lock: Lock,
    ) -> Result<Self, Failure> {
        let stored = stored::read(folder.path()).map_err(store_failure)?;
        let recipe = Recipe::stored(&stored, &config.limits).map_err(|detail| {
            Failure::new(
                Kind::FoundProblems,
                anyhow!("`{projection}` was built by another version of viewd: {detail}"),
            )
            .hint("`viewd run` builds it again")
        })?;
        let definition = Arc::clone(recipe.plan.definition());
        let named = definition.searches.iter().position(|search| search.name == index);
        let Some(search) = named else {
            let known: Vec<_> =
                definition.searches.iter().map(|search| search.name.clone()).collect();
            let problem = Answer::of(&unknown_index(projection, index, &known)).problem()?;
            return Err(problem.failure());
        };
        let snapshot = snapshot::open(folder).map_err(store_failure)?;
        let declared = &definition.searches[search];
        let shape = Arc::new(Shape::new(declared, &definition.tables[declared.table]));
        let database = folder.database(snapshot.generation());
        let generation = database.parent().expect("a database lies in its generation's folder");
        let files = search::Folder::new(generation, index);
        let opened = Index::open(&files.path(), shape);
        let opened = opened.map_err(|error| behind(index, &error.to_string()))?;
        let payload = opened.payload();
        if let Some(why) = payload.unfit_for(&snapshot).map_err(store_failure)? {
            return Err(behind(index, why));
        }
        let sequence = payload.stands_at(&snapshot).map_err(store_failure)?;
        let searcher = opened.searcher().clone();
        Ok(Self { definition, search, searcher, snapshot, sequence })
    }

    /// Says that the index is behind its rows, if it is: nobody moves it on.
    pub(super) fn behind(&self) -> Option<String> {
        let (sequence, view) = (self.sequence, self.snapshot.sequence());
        (sequence < view).then(|| {
            format!(
                "the index is at sequence {sequence}, the view at {view}: `viewd run` moves it on"
            )
        })
    }

    /// What a daemon would answer, which is there at once or never.
    pub(super) fn answer(&self, query: &str, timeout: Duration) -> Result<Answer, Failure> {
        let asked = match Asked::read(query) {
            Ok(asked) => asked,
            Err(problem) => return Ok(Answer::of(&problem)),
        };
        if asked.min_sequence.is_some_and(|wanted| wanted > self.sequence) {
            let name = &self.definition.searches[self.search].name;
            let error = anyhow!(
                "full-text index `{name}` is at sequence {}, and no daemon runs",
                self.sequence
            );
            return Err(Failure::new(Kind::Unreachable, error).hint("`viewd run` moves it on"));
        }
        let found = Found {
            definition: &self.definition,
            search: &self.definition.searches[self.search],
            searcher: &self.searcher,
            generation: self.snapshot.generation().0,
            sequence: self.sequence,
            view_sequence: self.snapshot.sequence(),
            deadline: Instant::now() + timeout,
        };
        Ok(match answer(&asked, &found, self) {
            Ok(answer) => Answer { code: 200, body: answer.body },
            Err(problem) => Answer::of(&problem),
        })
    }
}

impl Rows for AtRest {
    fn row(&self, key: &Key) -> Result<Option<Row>, store::Error> {
        let table = &self.definition.tables[self.definition.searches[self.search].table];
        let all: Vec<usize> = (0..table.columns.len()).collect();
        self.snapshot.row(table, &all, key)
    }
}

/// An index that only a daemon can bring to the rows.
fn behind(index: &str, detail: &str) -> Failure {
    let error = anyhow!("full-text index `{index}` has to be made from the rows first: {detail}");
    Failure::new(Kind::Unreachable, error).hint("`viewd run` does so")
}
