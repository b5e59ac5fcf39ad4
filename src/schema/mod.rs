//! JSON Schema of the two kinds of file that people write, for completion, hover and checks in their editor.
//!
//! Built from what the readers themselves go by (rules, words, limits, defaults), with a sentence for each key. A
//! schema knows the structure of a file and not its meaning: it takes whatever `viewd check` takes, and refuses only
//! what `viewd check` refuses too, with a better message.
//!
//! Only keywords that mean the same in draft 7 are used, without `$ref` and without `allOf`: the TOML language servers
//! read no more of newer drafts, and complete nothing below an `allOf`.

mod config;
mod definition;
mod handler;
mod shape;

pub use config::config;
pub use definition::definition;

use serde_json::Value;

/// A schema as a file: what `viewd schema` prints.
pub fn text(schema: &Value) -> String {
    let text = serde_json::to_string_pretty(schema).expect("a value has no key that is not text");
    text + "\n"
}
