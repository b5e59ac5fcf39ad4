//! What is published of a generation's indexes: one value, replaced in one step, for whoever searches or looks.
//!
//! | index | its searcher | what its projection says |
//! |---|---|---|
//! | opening | not yet | nothing |
//! | following | of the last commit | nothing |
//! | rebuilding | none | `degraded`, `search` |
//! | troubled | of the last commit, if there was one | `degraded`, `search` |
//!
//! An index stands at the sequence of its last commit, or further: where nothing was logged since the changes that it
//! has taken, at the view's own.

use std::path::PathBuf;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError, mpsc};

use tokio::sync::Notify;
use tokio::sync::futures::Notified;

use super::thread::Event;
use crate::beat::Beat;
use crate::definition::Definition;
use crate::event::Sequence;
use crate::search::{Searcher, Shape};
use crate::status;
use crate::store::layout::Generation;
use crate::store::readers::Readers;

/// Of one generation, at one moment.
#[derive(Clone)]
pub struct Published {
    pub generation: Generation,
    /// Its folder.
    pub folder: PathBuf,
    /// What it goes on by.
    pub definition: Arc<Definition>,
    /// Of its rows.
    pub readers: Arc<Readers>,
    /// In the definition's order.
    pub indexes: Vec<Indexed>,
    /// The newest change that the view has logged, and where it stood then.
    view: (i64, Sequence),
    /// What keeps what is committed from being handed over.
    unfenced: Option<Trouble>,
    /// Their thread does not move.
    stalled: Option<Trouble>,
}

/// One index of it.
#[derive(Clone)]
pub struct Indexed {
    pub name: String,
    pub state: State,
    /// Of its last commit.
    pub searcher: Option<Searcher>,
    /// Changes up to this one are in it, and what it reflects.
    taken: (i64, Sequence),
}

/// What an index is at.
#[derive(Clone, Debug, PartialEq)]
pub enum State {
    Opening,
    Following,
    /// It is made again from the rows, since it could not be used; None: not begun yet.
    Rebuilding {
        making: Option<status::Making>,
        why: String,
    },
    /// It is tried again by itself.
    Troubled(Trouble),
}

/// What is wrong, and what mends it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trouble {
    pub detail: String,
    pub next: Option<String>,
}

/// Where it is published.
pub struct Board {
    published: Mutex<Arc<Published>>,
    moved: Notify,
    /// To the thread of the indexes.
    events: mpsc::Sender<Event>,
    /// What the thread of the indexes is at.
    beat: Arc<Beat>,
}

impl Indexed {
    /// The sequence that it reflects; None where nothing can be searched.
    pub fn sequence(&self, published: &Published) -> Option<Sequence> {
        self.searcher.as_ref()?;
        let ((taken, stands), (last, view)) = (self.taken, published.view);
        // Nothing was logged since.
        Some(if last <= taken { stands.max(view) } else { stands })
    }

    /// Changes up to this one are in it; None where nothing can be searched.
    pub fn taken(&self) -> Option<i64> {
        self.searcher.as_ref().map(|_| self.taken.0)
    }

    /// What is wrong with it, if anything is.
    pub fn trouble(&self) -> Option<Trouble> {
        let name = &self.name;
        match &self.state {
            State::Rebuilding { making, why } => {
                let far = making.as_ref().map_or(String::new(), |making| making.words() + ": ");
                Some(Trouble {
                    detail: format!("index `{name}` is made again from the rows: {far}{why}"),
                    next: None,
                })
            }
            State::Troubled(Trouble { detail, next }) => Some(Trouble {
                detail: format!("index `{name}` does not follow: {detail}"),
                next: next.clone(),
            }),
            State::Opening | State::Following => None,
        }
    }
}

impl State {
    pub const REBUILDING: &str = "rebuilding";

    /// The word in JSON.
    pub fn word(&self) -> &'static str {
        match self {
            Self::Opening => "opening",
            Self::Following => "following",
            Self::Rebuilding { .. } => Self::REBUILDING,
            Self::Troubled(_) => "troubled",
        }
    }
}

impl Published {
    /// The index of a name.
    pub fn index(&self, name: &str) -> Option<&Indexed> {
        self.place(name).map(|place| &self.indexes[place])
    }

    /// Which of the indexes has a name.
    pub fn place(&self, name: &str) -> Option<usize> {
        self.indexes.iter().position(|index| index.name == name)
    }

    /// Their part of the projection's report.
    pub fn report(&self) -> Vec<status::Index> {
        let shown = |index: &Indexed| status::Index {
            index: index.name.clone(),
            sequence: index.sequence(self).map(|sequence| sequence.0),
            documents: index.searcher.as_ref().map(Searcher::documents),
            state: index.state.word().to_owned(),
            detail: index.trouble().map(|trouble| trouble.detail),
        };
        self.indexes.iter().map(shown).collect()
    }

    /// What is wrong with all of them, or with the first with which anything is.
    pub fn trouble(&self) -> Option<Trouble> {
        let all = self.stalled.as_ref().or(self.unfenced.as_ref()).cloned();
        all.or_else(|| self.indexes.iter().find_map(Indexed::trouble))
    }
}

impl Board {
    pub(super) fn new(
        generation: Generation,
        folder: PathBuf,
        definition: Arc<Definition>,
        readers: Arc<Readers>,
        events: mpsc::Sender<Event>,
    ) -> Self {
        let indexes = definition.searches.iter().map(|search| Indexed {
            name: search.name.clone(),
            state: State::Opening,
            searcher: None,
            taken: (0, Sequence(0)),
        });
        let published = Published {
            generation,
            folder,
            readers,
            indexes: indexes.collect(),
            definition,
            view: (0, Sequence(0)),
            unfenced: None,
            stalled: None,
        };
        Self {
            published: Mutex::new(Arc::new(published)),
            moved: Notify::new(),
            events,
            beat: Arc::default(),
        }
    }

    /// One that no thread hears of.
    #[cfg(test)]
    pub(crate) fn alone(definition: Arc<Definition>, readers: Arc<Readers>) -> Self {
        Self::new(Generation(1), PathBuf::new(), definition, readers, mpsc::channel().0)
    }

    /// As it is now.
    pub fn published(&self) -> Arc<Published> {
        Arc::clone(&self.lock())
    }

    /// Ends when something else is published, from when it is enabled on.
    pub fn moved(&self) -> Notified<'_> {
        self.moved.notified()
    }

    /// Whoever has searched an index has met what no index holds: its files are read through.
    pub fn suspect(&self, number: usize) {
        // Nobody listens any more when the thread has ended.
        let _ = self.events.send(Event::Suspect(number));
    }

    /// An index's files are not as they were written.
    pub(super) fn damaged(&self, number: usize, detail: String) {
        let _ = self.events.send(Event::Damaged(number, detail));
    }

    /// Lets whoever waits look again.
    pub fn wake(&self) {
        self.moved.notify_waiters();
    }

    /// What the thread of the indexes is at.
    pub fn beat(&self) -> &Arc<Beat> {
        &self.beat
    }

    /// The thread of the indexes stands still, with what mends that; None that it moves again.
    pub fn stalled(&self, stalled: Option<Trouble>) {
        if self.lock().stalled != stalled {
            self.change(|published| published.stalled = stalled);
        }
    }

    /// What is committed cannot be handed over, with what mends that; None that it can again.
    pub fn unfenced(&self, trouble: Option<Trouble>) {
        if self.lock().unfenced != trouble {
            self.change(|published| published.unfenced = trouble);
        }
    }

    /// The view has committed: its newest change, and where it stands.
    pub fn committed(&self, change: i64, sequence: Sequence) {
        if self.lock().view != (change, sequence) {
            self.change(|published| published.view = (change, sequence));
        }
    }

    /// Another definition of the same shapes: other weights.
    pub(super) fn adopt(&self, definition: Arc<Definition>, shapes: &[Arc<Shape>]) {
        self.change(|published| {
            published.definition = definition;
            for (index, shape) in published.indexes.iter_mut().zip(shapes) {
                let searcher = index.searcher.as_ref();
                index.searcher = searcher.map(|searcher| searcher.with_shape(Arc::clone(shape)));
            }
        });
    }

    /// An index follows: with what it is searched, which changes are in it, and what it reflects.
    pub(super) fn follows(&self, number: usize, searcher: Searcher, taken: (i64, Sequence)) {
        self.change(|published| {
            let index = &mut published.indexes[number];
            (index.state, index.searcher, index.taken) = (State::Following, Some(searcher), taken);
        });
    }

    /// An index is of no use: it is made again.
    pub(crate) fn rebuilds(&self, number: usize, why: String) {
        self.change(|published| {
            let index = &mut published.indexes[number];
            (index.state, index.searcher) = (State::Rebuilding { making: None, why }, None);
        });
    }

    /// What an index is at; it is searched as before.
    pub(crate) fn set(&self, number: usize, state: State) {
        self.change(|published| published.indexes[number].state = state);
    }

    fn change(&self, change: impl FnOnce(&mut Published)) {
        let mut published = self.lock();
        change(Arc::make_mut(&mut published));
        drop(published);
        self.wake();
    }

    fn lock(&self) -> MutexGuard<'_, Arc<Published>> {
        self.published.lock().unwrap_or_else(PoisonError::into_inner)
    }
}
