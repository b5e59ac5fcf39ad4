//! Documents on their way to Tantivy's workers, bounded by their bytes.
//!
//! Tantivy bounds them by their number, ten thousand, which of long texts would be gigabytes.

use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::time::Duration;

use tantivy::TantivyDocument;
use tantivy::schema::Document;

/// Enough that no worker waits for the next document, and little beside the memory of a worker.
const BYTES_MAX: usize = 4 << 20;
/// Who waits for room is woken when there is much of it: once for many documents, which a worker takes one at a time.
const BYTES_LOW: usize = BYTES_MAX / 2;

/// A worker that has ended takes nothing out, and only Tantivy knows that it has: after so long a document goes on all
/// the same, to be refused there. A worker that writes a file may take longer, which lets in one a second too many.
const WAIT_MAX: Duration = Duration::from_secs(1);

/// Where documents wait; shared by all who add them.
#[derive(Clone, Default)]
pub(super) struct Queue(Arc<Shared>);

#[derive(Default)]
struct Shared {
    bytes: Mutex<usize>,
    less: Condvar,
}

/// A document that counts until a worker has taken it, or nobody will.
pub(super) struct Queued {
    document: TantivyDocument,
    room: Room,
}

struct Room {
    queue: Queue,
    bytes: usize,
}

impl Queue {
    /// Waits for room. A document that is larger than all the room that there is goes alone.
    pub(super) fn enter(&self, document: TantivyDocument, bytes: usize) -> Queued {
        let mut waiting = self.0.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        if *waiting > 0 && *waiting + bytes > BYTES_MAX {
            let low = BYTES_LOW.min(BYTES_MAX.saturating_sub(bytes));
            let full = |waiting: &mut usize| *waiting > low;
            let waited = self.0.less.wait_timeout_while(waiting, WAIT_MAX, full);
            waiting = waited.unwrap_or_else(PoisonError::into_inner).0;
        }
        *waiting += bytes;
        drop(waiting);
        Queued { document, room: Room { queue: self.clone(), bytes } }
    }
}

impl Drop for Room {
    fn drop(&mut self) {
        let shared = &self.queue.0;
        let mut waiting = shared.bytes.lock().unwrap_or_else(PoisonError::into_inner);
        let before = *waiting;
        *waiting -= self.bytes;
        if *waiting == 0 || (before > BYTES_LOW && *waiting <= BYTES_LOW) {
            shared.less.notify_all();
        }
    }
}

impl Document for Queued {
    type Value<'a> = <TantivyDocument as Document>::Value<'a>;
    type FieldsValuesIter<'a> = <TantivyDocument as Document>::FieldsValuesIter<'a>;

    fn iter_fields_and_values(&self) -> Self::FieldsValuesIter<'_> {
        self.document.iter_fields_and_values()
    }

    fn into_tantivy_document(self) -> TantivyDocument {
        let Self { document, room } = self;
        drop(room);
        document
    }
}
