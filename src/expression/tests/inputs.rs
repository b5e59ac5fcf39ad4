//! Inputs given as arguments, words without quotes, assignments: what is written instead.

use super::refusals::check;
use super::*;

#[test]
fn written_out() {
    check(
        bindings::SCOPE,
        &[
            (
                "round(.data.total)",
                "`round` takes its input from the left",
                "round(.data.total)",
                "a function follows its input: `.data.total | round`",
            ),
            (
                "flatten(.data.items)",
                "`flatten` takes its input from the left",
                "flatten(.data.items)",
                "a function follows its input: `.data.items | flatten`",
            ),
            (
                "1 + add(.data.prices)",
                "`add` takes its input from the left",
                "add(.data.prices)",
                "a function follows its input: `(.data.prices | add)`",
            ),
            (
                "first($item.lines)",
                "`first` takes its input from the left",
                "first($item.lines)",
                "a function follows its input: `$item.lines | first`",
            ),
            (
                "len(.data.items)",
                "`len` is not available",
                "len",
                "a function follows its input: `.data.items | length`",
            ),
            (
                "not $item",
                "`not` before its input",
                "not",
                "a function follows its input: `$item | not`",
            ),
            ("nil", "`nil` is not available", "nil", "write `null`"),
            (
                ".data.status == started",
                "unknown function `started`",
                "started",
                r#"a string is written `"started"`, a member of the data `.data.started`"#,
            ),
            (
                "$row.items += [.data.item]",
                "an assignment: `+=`",
                "+=",
                "write the new value: `$row.items + ...`",
            ),
            (
                ".data.x += 1",
                "an assignment: `+=`",
                "+=",
                "an expression gives a value; only a source's `transform` changes the event",
            ),
        ],
    );
}
