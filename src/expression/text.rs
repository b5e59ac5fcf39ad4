//! Text as expressions hold it: short text in place, long text shared, text of an event where it lies.

use std::borrow::Cow;
use std::fmt;
use std::ops::Deref;
use std::rc::Rc;

use compact_str::CompactString;

use super::{budget, document};
use crate::event::chunk::Event;
use crate::event::json::{Json, Kind};

/// Text that is cheap to clone.
#[derive(Clone)]
pub struct Text(Form);

/// Up to this many bytes fit in place.
const INLINE_BYTES_MAX: usize = 24;

#[derive(Clone)]
enum Form {
    Inline(CompactString),
    Shared(Rc<str>),
    /// A string without escapes in the event's data, by its index on the tape.
    Part(Event, u32),
}

impl Text {
    /// The text of a string of the event's data.
    pub fn of_part(event: &Event, json: Json<'_>) -> Self {
        let text = json.text().expect("called for strings");
        if text.len() > INLINE_BYTES_MAX && json.kind() == Kind::String {
            return Self(Form::Part(event.clone(), json.at()));
        }
        Self::from(&*text)
    }

    pub fn as_str(&self) -> &str {
        match &self.0 {
            Form::Inline(text) => text,
            Form::Shared(text) => text,
            Form::Part(event, node) => {
                let Some(Cow::Borrowed(text)) = document::node(event, *node).text() else {
                    unreachable!("made from a string without escapes")
                };
                text
            }
        }
    }
}

impl Deref for Text {
    type Target = str;

    fn deref(&self) -> &str {
        self.as_str()
    }
}

impl From<&str> for Text {
    fn from(text: &str) -> Self {
        if text.len() <= INLINE_BYTES_MAX {
            return Self(Form::Inline(CompactString::new(text)));
        }
        budget::text(text.len());
        Self(Form::Shared(Rc::from(text)))
    }
}

impl From<String> for Text {
    fn from(text: String) -> Self {
        Self::from(text.as_str())
    }
}

impl fmt::Display for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self)
    }
}

impl fmt::Debug for Text {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(self.as_str(), f)
    }
}
