//! The full-text indexes of a build: made of all its rows, before it says that it is sealed. A crash removes both.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Instant;

use super::Build;
use super::end::End;
use super::operation::Kind;
use crate::indexer::making::{self, Order, SHOWN_EVERY};
use crate::indexer::{Error, shapes};
use crate::search::{self, Folder, Payload};
use crate::store::bulk::Whole;
use crate::store::layout::Generation;

impl Build {
    /// Whether it is to be searched: what is compared and removed is not.
    pub(super) fn is_searched(&self) -> bool {
        self.order().kind != Kind::Verify
    }

    /// Makes them, one after another: each takes all the processors.
    pub(super) fn make_indexes(
        &mut self,
        generation: Generation,
        whole: &Whole,
    ) -> Result<(), End> {
        if !self.is_searched() {
            return Ok(());
        }
        let definition = Arc::clone(self.recipe.plan.definition());
        for (number, shape) in shapes(&definition).into_iter().enumerate() {
            self.check()?;
            let search = &definition.searches[number];
            let snapshots = (0..making::scans()).map(|_| whole.snapshot());
            let snapshots = snapshots.collect::<Result<Vec<_>, _>>()?;
            let (change, sequence) = (snapshots[0].last_change()?, snapshots[0].sequence());
            let order = Order {
                projection: definition.name.clone(),
                folder: Folder::new(&self.folder.generation(generation), &search.name),
                payload: Payload::new(&shape, generation, change, sequence),
                shape,
                table: definition.tables[search.table].clone(),
                columns: making::columns(&definition, number),
                snapshots,
                budget: Arc::clone(&self.common.budget),
                steps: self.folder.steps().clone(),
            };
            self.make_index(order)?;
        }
        Ok(())
    }

    fn make_index(&mut self, order: Order) -> Result<(), End> {
        let (begun, index) = (Instant::now(), order.shape.name().to_owned());
        let looked = Mutex::new((None::<Instant>, None));
        let progress = |making| {
            if self.check().is_err() {
                return false;
            }
            let mut looked = looked.lock().unwrap_or_else(PoisonError::into_inner);
            if looked.0.is_none_or(|before| before.elapsed() > SHOWN_EVERY) {
                *looked = (Some(Instant::now()), self.leaves_room().err());
                self.meter.indexes(making);
            }
            looked.1.is_none()
        };
        let made = making::make(order, &progress);
        if let (_, Some(end)) = looked.into_inner().unwrap_or_else(PoisonError::into_inner) {
            return Err(end);
        }
        match made {
            Ok(rows) => {
                let (projection, seconds) = (&self.operation.projection, begun.elapsed());
                let seconds = seconds.as_secs_f64();
                tracing::info!(projection, index, rows, seconds, "index made");
                Ok(())
            }
            Err(Error::Search(search::Error::Stopped { .. })) => {
                self.check()?;
                Err(End::Shutdown)
            }
            Err(error) => Err(End::Failed { next: error.hint(), detail: error.to_string() }),
        }
    }
}
