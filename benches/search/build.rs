//! viewd's own build of an index from the rows of a view, alone: what the end of a rebuild does.

use std::time::Instant;

use anyhow::Result;
use viewd::search::{Build, Folder, Part, Payload};
use viewd::store::layout;
use viewd::store::scan::Parts;
use viewd::store::snapshot::{self, Snapshot};
use viewd::store::step::Steps;

use crate::task::{Done, Task, table};

pub fn run(task: &Task) -> Result<Done> {
    let (definition, table) = table(task.corpus)?;
    let view = layout::Folder::new(&task.data, &definition.name);
    let shape = task.shape()?;
    let columns = shape.texts().iter().map(|text| text.column);
    let columns: Vec<usize> =
        columns.chain(shape.filters().iter().map(|filter| filter.column)).collect();

    let begun = Instant::now();
    let snapshots = (0..task.threads).map(|_| snapshot::open(&view));
    let snapshots = snapshots.collect::<Result<Vec<Snapshot>, _>>()?;
    let payload = Payload::new(&shape, snapshots[0].generation(), 0, snapshots[0].sequence());
    let parts = Parts::default();
    let rows = snapshots.into_iter().map(|snapshot| {
        let (table, columns, parts) = (&table, &columns, &parts);
        let part: Part<'_, anyhow::Error> = Box::new(move |sink| {
            snapshot.scan(table, columns, parts, |row| Ok::<_, anyhow::Error>(sink(row)?))
        });
        part
    });
    let build = Build {
        shape: &shape,
        payload: &payload,
        workers: task.threads,
        memory_bytes: task.memory_bytes,
        progress: &|_| true,
        steps: &Steps::default(),
    };
    let built = build.run(&Folder::new(&task.folder, shape.name()), rows.collect())?;
    Ok(Done { seconds: begun.elapsed().as_secs_f64(), documents: built.documents })
}
