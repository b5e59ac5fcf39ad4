//! What jq does not have: rows and variables.

use super::{Area, Entry};

pub(super) const ENTRIES: &[Entry] = &[
    entry(&[r#"lookup("table"; key)"#, r#"lookup("table"; key1; key2)"#], "lookup", "The row of a table of this projection with this key, as it stands now, or null; a null key gives null.", [r#"lookup("customers"; .data.customer_id).name"#, r#"{"customer_id":"c-1"}"#, r#""Ada""#]).differs("viewd's own."),
    entry(&["$row"], "$row", "The row at the handler's key as it stands, or null; a decimal is a number with its digits.", [r#"$row.status != "cancelled""#, "{}", "true"]).differs("viewd's own."),
    entry(&["$item"], "$item", "The element of `for_each`.", ["$item.price * $item.quantity", "{}", "6.3"]).differs("viewd's own."),
    entry(&["$index"], "$index", "The place of the element in `for_each`, from 0.", ["$index + 1", "{}", "1"]).differs("viewd's own."),
    entry(&["$part"], "$part", "Which of the events that `transform` made of one message this is, from 0.", [r#""\(.sequence)-\($part)""#, "{}", r#""7-0""#]).differs("viewd's own."),
];

const fn entry(
    usage: &'static [&'static str],
    name: &'static str,
    meaning: &'static str,
    example: [&'static str; 3],
) -> Entry {
    Entry::new(Area::Viewd, usage, name, meaning, example)
}
