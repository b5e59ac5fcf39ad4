//! viewd's own making of an index from the rows of a view, alone: what the end of a rebuild does.

use std::time::Instant;

use anyhow::Result;
use viewd::budget::Budget;
use viewd::indexer::making::{Order, columns, make, scans};
use viewd::search::{Folder, Payload};
use viewd::store::layout;
use viewd::store::snapshot::{self, Snapshot};
use viewd::store::step::Steps;

use crate::task::{Done, Task, table};

pub fn run(task: &Task) -> Result<Done> {
    let (definition, table) = table(task.corpus)?;
    let view = layout::Folder::new(&task.data, &definition.name);
    let shape = task.shape()?;

    let begun = Instant::now();
    let snapshots = (0..scans()).map(|_| snapshot::open(&view));
    let snapshots = snapshots.collect::<Result<Vec<Snapshot>, _>>()?;
    let order = Order {
        projection: definition.name.clone(),
        folder: Folder::new(&task.folder, shape.name()),
        payload: Payload::new(&shape, snapshots[0].generation(), 0, snapshots[0].sequence()),
        shape,
        table,
        columns: columns(&definition, 0),
        snapshots,
        budget: Budget::new(task.memory_bytes_max),
        steps: Steps::default(),
    };
    let documents = make(order, &|_| true)?;
    Ok(Done { seconds: begun.elapsed().as_secs_f64(), documents })
}
